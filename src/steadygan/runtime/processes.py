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
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.runtime.ranks import leads as leads
from steadygan.runtime.ranks import neighbours as neighbours
from steadygan.runtime.ranks import place as place
from steadygan.runtime.ranks import rank as rank
from steadygan.runtime.ranks import wanted as wanted

T = TypeVar("T")

PATIENCE = 40.0
"""Seconds that a process waits for another before it gives up; ``$STEADYGAN_PATIENCE`` says otherwise."""

LOST = "connection lost"

_apart = True
_dealt: Sequence[int] | None = None
_lane: Any = None
_world = 1


class Parted(SteadyganError):
    """Another process of the run has ended, or does not answer; ``told`` where the first one says itself why."""

    def __init__(self, why: str, *, told: bool = False) -> None:
        self.told = told
        super().__init__(
            f"process {rank()} of {count()} has lost the others ({why})",
            "see what they said; checkpoints are good: start all of them again with resume",
            code=1,
        )


def count() -> int:
    """How many processes have joined; 1 where this one is alone."""
    return _world


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
    global _lane, _world
    import torch.distributed as dist

    if wanted() == 1 or _world > 1:
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available() and place() < torch.cuda.device_count():
        torch.cuda.set_device(place())
    limit = timedelta(seconds=patience())
    try:
        if not dist.is_initialized():
            dist.init_process_group(backend, timeout=limit)
        _lane = dist.new_group(timeout=limit)
        dist.all_reduce(torch.zeros(()))
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
        raise SteadyganError(
            f"process {rank()} of {wanted()} could not join the others at {address} ({_reason(error)})",
            "check that all of them were started, that the address can be reached, and GLOO_SOCKET_IFNAME or"
            " NCCL_SOCKET_IFNAME where a machine has several networks",
            code=1,
        ) from None
    _world = dist.get_world_size()
    atexit.register(leave)


def leave() -> None:
    """Part from the others; does nothing where this process is alone."""
    global _world
    import torch.distributed as dist

    if _world > 1:
        _world = 1
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


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Turn a lost connection into ``Parted`` where PyTorch itself does the sending; other failures stay as they are."""
    try:
        yield
    except RuntimeError as error:
        if count() == 1 or isinstance(error, Parted) or _reason(error) not in (_silent(), LOST):
            raise
        raise Parted(_reason(error)) from None


def _silent() -> str:
    return f"no answer for {patience():g} s"


def _reason(error: BaseException) -> str:
    """The failure in a few words: backends tell long stories over several lines."""
    text = str(error)
    known = ("Timed out", "timed out", "timeout", "Timeout"), ("onnection", "refused", "reset", "NCCL")
    if any(sign in text for sign in known[0]):
        return _silent()
    return LOST if any(sign in text for sign in known[1]) else text.strip().partition("\n")[0][:120]


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


def collected(values: Tensor) -> list[Tensor]:
    """Every process's rows, by rank, of which each may have another number; without derivatives, on the CPU."""
    if count() == 1:
        return [values]
    sizes = [size for (size,) in counts(torch.tensor([len(values)]))]
    padded = values.new_zeros((max(sizes), *values.shape[1:]), device="cpu")
    padded[: len(values)] = values.detach()
    with torch.no_grad(), together():
        return [part[:size] for part, size in zip(torch.split(whole(padded), max(sizes)), sizes, strict=True)]


def counts(values: Tensor) -> list[list[int]]:
    """Every process's whole numbers (K,), by rank."""
    mine = values.detach().cpu().long()
    with torch.no_grad(), together():
        return whole(mine[None]).tolist() if count() > 1 else [mine.tolist()]
