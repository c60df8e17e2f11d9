"""What a piece of work costs, what the machine can do, and where the time goes."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from steadygan.runtime import devices

Job = Callable[[], Any]

RANGE = "steadygan:"
"""Begins the names of stretches of work that the profile keeps apart: optimizer, average, data."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "convolution": ("conv",),
    "matrix": ("aten::mm", "aten::addmm", "aten::bmm", "aten::matmul", "aten::linear"),
    "normalisation": ("norm",),
    "optimizer": ("_fused_adam", "_fused_sgd"),
    "average": ("_foreach_lerp",),
}
"""Parts of a round by what the names of their operations have in them; all other operations are elementwise."""
REST = "elementwise"
OUTSIDE = "Python"
ALL_PARTS = (*PARTS, "data", REST, OUTSIDE)


@dataclass(frozen=True)
class Work:
    """Floating-point operations by operator, and the bytes that all operators read and wrote."""

    operations: Mapping[str, int]
    bytes: int

    @property
    def total(self) -> int:
        """All operations that are counted: multiplications and additions of convolutions and matrix products."""
        return sum(self.operations.values())


class Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what passes: backward and double backward too, which are operators like any other.

    Operations by torch's own formulas, which it has for convolutions and matrix products (two a multiplication with its
    addition); what is elementwise counts nothing. Bytes are those of every operator's tensors, read or written, as if
    nothing stayed in a cache; views cost none.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: dict[str, int] = defaultdict(int)
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        out = func(*args, **named)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.operations[func._overloadpacket.__name__] += int(formula(*args, **named, out_val=out))
        if not func.is_view:
            self.bytes += sum(_bytes(one) for one in tree_iter((args, named, out)))
        return out


def _bytes(value: Any) -> int:
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0


def count(job: Job) -> Work:
    """What one ``job()`` costs."""
    with Tally() as tally:
        job()
    return Work(dict(tally.operations), tally.bytes)


class Clock:
    """Seconds as they count here: of the processor with one thread of a CPU, which neighbours disturb least; else real.

    Args:
        device: where the work is done; a GPU is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        alone = device.type == "cpu" and torch.get_num_threads() == 1
        self.name = "processor" if alone else "wall"
        self._now = time.process_time if alone else time.perf_counter

    def seconds(self, job: Job, times: int = 1) -> float:
        """Seconds that one of ``times`` jobs in a row took."""
        devices.settle(self.device)
        start = self._now()
        for _ in range(times):
            job()
        devices.settle(self.device)
        return (self._now() - start) / times


@dataclass(frozen=True)
class Ceiling:
    """The most that was measured: operations or bytes a second, the shape at which it was, and the job."""

    rate: float
    shape: str
    work: float
    job: Job

    def again(self, clock: Clock, times: int = 1) -> float:
        """The rate at this moment."""
        return self.work / clock.seconds(self.job, times)


MATRICES = {"cpu": (256, 512, 1024, 1536), "cuda": (1024, 2048, 4096, 8192)}
"""Sides of the square matrices that are tried."""
CONVOLUTIONS = (
    (64, 64, 32, 3, 1),
    (128, 128, 16, 3, 1),
    (256, 256, 8, 3, 1),
    (512, 512, 4, 3, 1),
    (64, 128, 32, 4, 2),
    (128, 256, 16, 4, 2),
    (256, 512, 8, 4, 2),
)
"""Channels in and out, side, kernel and stride of the convolutions that are tried: those of DCGAN and ResNets."""
COPIED = 1 << 27
"""Bytes that are copied to see how fast memory is: more than caches hold."""
BATCH = {"cpu": 64, "cuda": 256}
"""Images that the tried convolutions see."""


def matrix_ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    """The fastest product of square matrices."""

    def candidates() -> Iterator[tuple[str, float, Job]]:
        for side in MATRICES[device.type]:
            square = torch.randn(side, side, device=device).to(dtype)
            yield f"{side} x {side}", 2.0 * side**3, functools.partial(torch.matmul, square, square.clone())

    return _best(candidates(), Clock(device))


def convolution_ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    """The fastest convolution, forward, channels first or last."""

    def candidates() -> Iterator[tuple[str, float, Job]]:
        for before, width, side, kernel, stride in CONVOLUTIONS:
            for layout in (torch.contiguous_format, torch.channels_last):
                images = torch.randn(BATCH[device.type], before, side, side, device=device).to(dtype)
                weight = torch.randn(width, before, kernel, kernel, device=device).to(dtype)
                images, weight = images.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
                job = functools.partial(torch.conv2d, images, weight, None, stride, 1)
                work = 2.0 * job().numel() * before * kernel**2
                order = "last" if layout == torch.channels_last else "first"
                name = f"{before} to {width}, {side} x {side}, kernel {kernel}, stride {stride}, channels {order}"
                yield name, work, job

    return _best(candidates(), Clock(device))


def copy_ceiling(device: torch.device) -> Ceiling:
    """How fast memory is read and written at once, in bytes a second."""
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return _best([("copy", 2.0 * COPIED, lambda: target.copy_(source))], Clock(device))


def _best(candidates: Any, clock: Clock) -> Ceiling:
    found = [Ceiling(work / _quickest(job, clock), name, work, job) for name, work, job in candidates]
    return max(found, key=lambda one: one.rate)


def _quickest(job: Job, clock: Clock) -> float:
    """The least of a few times, after one that warms up."""
    with torch.no_grad():
        job()
        times = max(1, min(20, int(0.01 / max(1e-6, clock.seconds(job)))))
        return min(clock.seconds(job, times) for _ in range(4))


def shares(job: Job, device: torch.device, times: int = 2) -> dict[str, float]:
    """Share of the time by part of ``ALL_PARTS``: on a CPU of all, on a GPU of its own, with waiting under Python."""
    from torch.profiler import ProfilerActivity, profile

    gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    devices.settle(device)
    with _hushed(), profile(activities=activities) as seen:
        start = time.perf_counter()
        for _ in range(times):
            job()
        devices.settle(device)
        whole = (time.perf_counter() - start) * 1e6
    spent: dict[str, float] = dict.fromkeys(ALL_PARTS, 0.0)
    for event in seen.events() or ():
        taken = event.self_device_time_total if gpu else event.self_cpu_time_total
        if event.name.startswith("aten::"):
            spent[part_of(event)] += taken
    spent[OUTSIDE] = max(0.0, whole - sum(spent.values()))
    total = sum(spent.values())
    return {name: value / total for name, value in spent.items()}


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Nothing on the standard error: the profiler logs there that it starts and stops, whatever it is told."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def part_of(event: Any) -> str:
    """The part that an operation belongs to: the named stretch around it, or else what its name says."""
    around = event
    while around is not None:
        if around.name.startswith(RANGE):
            return str(around.name.removeprefix(RANGE))
        around = around.cpu_parent
    named = (part for part, words in PARTS.items() if any(word in event.name for word in words))
    return next(named, REST)
