"""Devices, precision and threads: what this machine offers and what a run asks of it."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

import torch

from steadygan.errors import SteadyganError
from steadygan.runtime import processes


def choose_device(name: str) -> torch.device:
    """The device named ``auto``, ``cpu``, ``cuda`` or ``cuda:K``; ``auto`` takes a GPU where there is one.

    Of several processes on a machine each takes the GPU of its number.

    Raises:
        SteadyganError: for an unknown device, or CUDA where there is none.
    """
    if name == "auto":
        return _own_gpu(torch.device("cuda")) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SteadyganError(f"unknown device {name!r}", "choose auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise SteadyganError(
                f"device {name!r} asked for, but torch sees no CUDA GPU here",
                "use device=cpu, or install a CUDA build of torch and check nvidia-smi",
            )
        if (device.index or 0) >= count:
            raise SteadyganError(f"device {name!r} asked for, but there are only {count} GPUs", "choose a lower number")
    elif device.type != "cpu":
        raise SteadyganError(f"device {name!r} is not supported", "choose auto, cpu or cuda")
    return _own_gpu(device) if device.type == "cuda" else device


def _own_gpu(device: torch.device) -> torch.device:
    """The GPU of this process, where several share the run. Raises SteadyganError where there is none left for it."""
    if processes.count() == 1:
        return device
    place, gpus = processes.place(), torch.cuda.device_count()
    if place >= gpus:
        raise SteadyganError(
            f"process {place} of this machine has no GPU: there are {gpus}",
            f"start with --nproc-per-node {gpus}, or use device=cpu",
        )
    return torch.device("cuda", place)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type that the networks compute in: ``auto`` is bfloat16 on GPUs that have it in hardware, else float32.

    CPUs stay at float32: without hardware support bfloat16 is twenty times slower there.
    """
    if name != "auto":
        return {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float32


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def idle_cores() -> int:
    """Cores not taken by other processes over the last minute, at least 1.

    More threads than free cores slow a round down several times, because every thread waits for the last.
    """
    try:
        busy = os.getloadavg()[0]
    except OSError:
        busy = 0.0
    return max(1, min(cores(), round(cores() - busy)))


TRIM_THRESHOLD, MAP_THRESHOLD = -1, -3
"""Numbers of options of glibc's allocator: what is free before some is given back; what is mapped on its own."""


def keep_memory() -> bool:
    """Have the C library keep freed memory for the next round; whether it could be asked.

    glibc gives large blocks back to the system when they are freed, and a round asks for the same ones again: thousands
    of pages, each to be cleared by the system, up to 3 % of a round. What a process needs at its most stays the same.
    """
    try:
        library = ctypes.CDLL(None)
        return bool(library.mallopt(TRIM_THRESHOLD, 1 << 30) and library.mallopt(MAP_THRESHOLD, 1 << 25))
    except (OSError, TypeError, AttributeError):  # another system, or another C library
        return False


@contextlib.contextmanager
def computing(threads: int, *, deterministic: bool) -> Iterator[None]:
    """Fix thread count and deterministic algorithms for the length of a run, and put them back afterwards.

    Freed memory is kept from here on (``keep_memory``).
    """
    before = torch.get_num_threads()
    strict = torch.get_deterministic_debug_mode()
    benchmark = torch.backends.cudnn.benchmark
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    keep_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # torch.use_deterministic_algorithms says the same, and imports torch's compiler to say it: most of a second
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    torch.backends.cudnn.benchmark = not deterministic
    # torch would fill fresh memory with NaN to show reads that no network here does: a tenth of a small one's round
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_deterministic_debug_mode(strict)
        torch.backends.cudnn.benchmark = benchmark
        memory.fill_uninitialized_memory = fill


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """No more threads than there are idle cores, for work outside a run whose last digits may differ by it.

    A decomposition on four threads of a busy machine took minutes for what one thread does in a second.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, idle_cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given: GPUs work behind the caller's back."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {cores()} cores"
