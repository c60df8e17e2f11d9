"""Several processes that play one game: who is here, what each has a share of, and what all must agree on.

A round is played on a batch that all processes share. Each has an equal, contiguous share of every micro-batch, and the
objective is the mean over the processes of what each finds on its share. Three rules make that the same as one process
on the whole batch, second derivatives included:

- what is drawn by chance is drawn for the whole batch by everyone alike, and each takes its share (``drawn``);
- what is said of a batch (means, statistics, who is nearest) is said of the whole batch (``mean``, ``whole``);
- gradients are averaged before a player steps (``steadygan.game.gradients``).

They hold inside ``together()``, which a round opens; outside of it a process is alone, and everything here gives back
what it is given. So networks can be sampled and looked at by one process without the others.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from steadygan.errors import SteadyganError

T = TypeVar("T")

PATIENCE = 40.0
"""Seconds that a process waits for another before it gives up; ``$STEADYGAN_PATIENCE`` says otherwise."""
BEAT = 1.0
"""Seconds between two signs of life of the first process while the others wait for it."""

_apart = True
_dealt: Sequence[int] | None = None
_turn = 0
_lane: Any = None


class Parted(SteadyganError):
    """Another process of the run has ended, or does not answer."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"process {rank()} of {count()} has lost the others ({why})",
            "see what they said; checkpoints are good: start all of them again with resume",
            code=1,
        )


def wanted() -> int:
    """How many processes ``torchrun`` has started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """The number of this process among all, from 0."""
    return int(os.environ.get("RANK", "0")) if wanted() > 1 else 0


def place() -> int:
    """The number of this process among those of its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if wanted() > 1 else 0


def neighbours() -> int:
    """How many processes there are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if wanted() > 1 else 1


def leads() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return rank() == 0


def count() -> int:
    """How many processes have joined; 1 where this one is alone."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def acting() -> int:
    """Processes that share the present batch: all within a round, else 1."""
    return 1 if _apart else count()


def patience() -> float:
    """Seconds to wait for another process."""
    text = os.environ.get("STEADYGAN_PATIENCE", "")
    try:
        return max(1.0, float(text)) if text else PATIENCE
    except ValueError:
        raise SteadyganError(f"STEADYGAN_PATIENCE={text} is no number", "give seconds, as 40") from None


def join() -> None:
    """Meet the other processes that ``torchrun`` has started; does nothing without it, or a second time.

    Tensors on a GPU travel by NCCL, those on the CPU by gloo.

    Raises:
        SteadyganError: where the others do not come, or no connection can be made.
    """
    global _lane
    import torch.distributed as dist

    if wanted() == 1 or dist.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available() and place() < torch.cuda.device_count():
        torch.cuda.set_device(place())
    limit = timedelta(seconds=patience())
    try:
        dist.init_process_group(backend, timeout=limit)
        _lane = dist.new_group(timeout=limit)
        dist.monitored_barrier(timeout=limit)
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
        raise SteadyganError(
            f"process {rank()} of {wanted()} could not join the others at {address} ({_reason(error)})",
            "check that all of them were started, that the address can be reached, and GLOO_SOCKET_IFNAME or"
            " NCCL_SOCKET_IFNAME where a machine has several networks",
            code=1,
        ) from None
    atexit.register(leave)


def leave() -> None:
    """Part from the others; does nothing where this process is alone."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        with contextlib.suppress(Exception):
            dist.destroy_process_group()


def lane() -> Any:
    """The group of its own that gradients are sent in, so that they may overtake what a backward pass itself asks."""
    return _lane


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A stretch in which batches are shared by all processes."""
    global _apart
    before, _apart = _apart, False
    try:
        yield
    finally:
        _apart = before


@contextlib.contextmanager
def dealt(counts: Sequence[int]) -> Iterator[None]:
    """A stretch in which process i has ``counts[i]`` rows, where they are not equally many."""
    global _dealt
    before, _dealt = _dealt, counts
    try:
        yield
    finally:
        _dealt = before


@contextlib.contextmanager
def asked() -> Iterator[None]:
    """Turn the failure of something that all processes do together into ``Parted``."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise Parted(_reason(error)) from None


def _reason(error: BaseException) -> str:
    """The failure in a few words: backends tell long stories over several lines."""
    text = str(error)
    known = ("Timed out", "timed out", "timeout", "Timeout"), ("onnection", "refused", "reset", "NCCL")
    if any(sign in text for sign in known[0]):
        return f"no answer for {patience():g} s"
    return "connection lost" if any(sign in text for sign in known[1]) else text.splitlines()[0][:120]


def share(values: Tensor, parts: int = 1) -> Tensor:
    """This process's rows of something that has one for each of the whole batch, of ``parts`` micro-batches.

    The shares of one micro-batch, joined by rank, are that micro-batch.
    """
    world = acting()
    if world == 1:
        return values
    size = len(values) // (world * parts)
    return values.view(parts, world, size, *values.shape[1:])[:, rank()].flatten(0, 1)


def drawn(number: int, draw: Callable[[int], Tensor], parts: int = 1) -> Tensor:
    """``number`` rows of what ``draw`` gives for the whole batch: the same random numbers whoever asks."""
    if acting() == 1:
        return draw(number)
    if _dealt is not None:
        start = sum(_dealt[: rank()])
        return draw(sum(_dealt))[start : start + number]
    return share(draw(number * acting()), parts)


def drawn_like(values: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
    """What ``draw`` gives for a tensor like that of the whole batch, which it may write to; rows are samples."""
    if acting() == 1:
        return draw(torch.empty_like(values))
    # laid out alike, since memory is filled with random numbers in its own order
    sides, strides = values.shape[1:], values.stride()
    return drawn(len(values), lambda number: draw(values.new_empty_strided((number, *sides), strides)))


def noise(like: Tensor) -> Tensor:
    """N(0, I) of the shape, type and place of ``like``, whose rows are samples."""
    return drawn_like(like, torch.randn_like)


def total(values: Tensor) -> Tensor:
    """The sum over all processes, with all derivatives."""
    if acting() == 1:
        return values
    summed: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return summed


def mean(values: Tensor) -> Tensor:
    """The mean over all processes, with all derivatives: of means over equal shares it is the mean of the batch."""
    return values if acting() == 1 else total(values) / acting()


def whole(values: Tensor) -> Tensor:
    """All processes' rows, by rank, with all derivatives: (N, ...) to (processes * N, ...)."""
    if acting() == 1:
        return values
    gathered: Tensor = _Whole.apply(values)  # type: ignore[no-untyped-call]
    return gathered


class _Total(torch.autograd.Function):
    """Sum over processes; what each of them makes of it adds up on the way back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return summed(values)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        back: Tensor = _Total.apply(slope)  # type: ignore[no-untyped-call]
        return back


class _Whole(torch.autograd.Function):
    """All rows; back come one's own, of the sum of what everybody made of them."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        import torch.distributed as dist

        given = values.contiguous()
        found = [torch.empty_like(given) for _ in range(count())]
        with asked():
            dist.all_gather(found, given)
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        back: Tensor = _Own.apply(slope)  # type: ignore[no-untyped-call]
        return back


class _Own(torch.autograd.Function):
    """One's own rows of the sum over processes; the way back is all rows again."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        size = len(values) // count()
        return summed(values)[rank() * size : (rank() + 1) * size].clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        back: Tensor = _Whole.apply(slope)  # type: ignore[no-untyped-call]
        return back


def summed(values: Tensor) -> Tensor:
    """The sum over all processes as a new tensor, without derivatives."""
    import torch.distributed as dist

    found = values.detach().clone(memory_format=torch.contiguous_format)
    with asked():
        dist.all_reduce(found)
    return found


def counts(values: Tensor) -> list[list[int]]:
    """Every process's whole numbers (K,), by rank."""
    mine = values.detach().cpu().long()
    with torch.no_grad(), together():
        return whole(mine[None]).tolist() if count() > 1 else [mine.tolist()]


def highest(number: int) -> int:
    """The largest of all processes' numbers; all wait here until every one has come."""
    import torch.distributed as dist

    if count() == 1:
        return number
    found = torch.tensor(number)
    with asked():
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def agree(value: T) -> T:
    """What the first process has, whatever the others have: anything that JSON can hold."""
    import torch.distributed as dist

    if count() == 1:
        return value
    said = bytearray(json.dumps(value).encode() if leads() else b"")
    length = torch.tensor(len(said))
    with asked():
        dist.broadcast(length, 0)
        text = torch.frombuffer(said, dtype=torch.uint8) if leads() else torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(text, 0)
    agreed: T = json.loads(text.numpy().tobytes())
    return agreed


def same(what: str, value: Any) -> None:
    """Raise SteadyganError where another process has another value than the first; the line says which and where.

    ``value`` is anything that JSON can hold; of tables the entries that differ are named.
    """
    if count() == 1:
        return
    first = agree(value)
    own = json.loads(json.dumps(value))
    differ = highest(rank() + 1 if own != first else 0)
    if not differ:
        return
    words = f"process {differ - 1} has other {what} than process 0"
    if own != first and isinstance(own, dict) and isinstance(first, dict):
        keys = [key for key in {**first, **own} if first.get(key) != own.get(key)]
        words += f" ({', '.join(f'{key} {own.get(key)!r} instead of {first.get(key)!r}' for key in keys[:4])})"
    raise SteadyganError(words, "start all of them with the same command, on the same data")


def lead(job: Callable[[], T]) -> T:
    """What the first process's ``job`` gives, which JSON must hold; the others wait as long as it lives.

    Raises:
        Parted: in the others, where the first process fails or is no more.
    """
    global _turn
    if count() == 1:
        return job()
    _turn += 1
    key, value = f"steadygan/{_turn}", None
    if leads():
        value = _led(key, job)
    else:
        _wait(key)
    return agree(value)  # type: ignore[return-value]


def _store() -> Any:
    from torch.distributed.distributed_c10d import _get_default_store

    return _get_default_store()


def _led(key: str, job: Callable[[], T]) -> T:
    """Do the job with a sign of life now and then."""
    store, over = _store().clone(), threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(RuntimeError):
                store.add("steadygan/beat", 1)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    word = "failed"
    try:
        value = job()
        word = "done"
        return value
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(RuntimeError):
            store.set(key, word)


def _wait(key: str) -> None:
    """Until the first process has done its job."""
    store = _store()
    alive, beats = time.monotonic(), -1
    with asked():
        while True:
            try:
                store.wait([key], timedelta(seconds=BEAT))
                break
            except RuntimeError:  # also a store that is gone, which the next line tells
                now = store.add("steadygan/beat", 0)
            if now != beats:
                alive, beats = time.monotonic(), now
            elif time.monotonic() - alive > patience():
                raise Parted(f"no sign of life of process 0 for {patience():g} s")
        if store.get(key) != b"done":
            raise Parted("process 0 has ended")


def fingerprint(tensors: Sequence[Tensor]) -> str:
    """Sixteen hex digits of the bits of tensors, in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def said(words: str) -> bool:
    """Whether the first process says the same, so that it need not be said once more by this one."""
    if count() == 1:
        return False
    try:
        store = _store()
        if leads():
            store.set("steadygan/said", words)
            return False
        store.wait(["steadygan/said"], timedelta(seconds=2))
        return bool(store.get("steadygan/said") == words.encode())
    except RuntimeError:
        return False
