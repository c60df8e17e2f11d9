"""What several processes agree on: one takes its word, or one does a thing while the others wait for it.

On a single process everything here gives back what it is given, at once.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from steadygan.errors import SteadyganError
from steadygan.runtime.processes import Parted, asked, count, leads, patience, rank

T = TypeVar("T")

BEAT = 1.0
"""Seconds between two signs of life of the first process while the others wait for it."""
LISTEN = 2.0
"""Seconds that a process waits for the first one to say what both have found to be wrong."""

_turn = 0


def highest(number: int) -> int:
    """The largest of all processes' numbers; all wait here until every one has come."""
    import torch.distributed as dist

    if count() == 1:
        return number
    found = torch.tensor(number)
    with asked():
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def agree(value: T, of: int = 0) -> T:
    """What process ``of`` has, whatever the others have: anything that JSON can hold."""
    import torch.distributed as dist

    if count() == 1:
        return value
    said = bytearray(json.dumps(value).encode() if rank() == of else b"")
    length = torch.tensor(len(said))
    with asked():
        dist.broadcast(length, of)
        text = torch.empty(int(length), dtype=torch.uint8)
        if rank() == of:
            text = torch.frombuffer(said, dtype=torch.uint8)
        dist.broadcast(text, of)
    agreed: T = json.loads(text.numpy().tobytes())
    return agreed


def same(what: str, value: Any) -> None:
    """Raise SteadyganError where another process has another value than the first; the line says which and where.

    ``value`` is anything that JSON can hold; of tables the entries that differ are named.
    """
    if count() == 1:
        return
    own = json.loads(json.dumps(value))
    first = agree(own)
    differ = highest(rank() if own != first else 0)
    if not differ:
        return
    other, words = agree(own, differ), f"process {differ} has other {what} than process 0"
    if isinstance(other, dict) and isinstance(first, dict):
        keys = [key for key in {**first, **other} if first.get(key) != other.get(key)]
        words += f" ({', '.join(f'{key} {other.get(key)!r} instead of {first.get(key)!r}' for key in keys[:4])})"
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


def after_first(job: Callable[[], T]) -> T:
    """What everyone's own ``job`` gives, the first process's before the others': they find the caches that it fills."""
    found: list[T] = []

    def first() -> None:
        found.append(job())

    lead(first)
    return found[0] if found else job()


def last(job: Callable[[], None]) -> None:
    """A ``job`` of the first process that ends a run, also one that fails: the others stay until it is done.

    A process that ended before would have the others ended by ``torchrun``.
    """
    if count() == 1:
        job()
    elif leads():
        _led(f"steadygan/{_turn}/last", job)
    else:
        with contextlib.suppress(Parted):
            _wait(f"steadygan/{_turn}/last")


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
    store, alive, beats, nap = _store(), time.monotonic(), -1, 0.001
    with asked():
        while not store.check([key]):
            time.sleep(nap)
            nap = min(2 * nap, 0.05)
            if (now := store.add("steadygan/beat", 0)) != beats:
                alive, beats = time.monotonic(), now
            elif time.monotonic() - alive > patience():
                raise Parted(f"no sign of life of process 0 for {patience():g} s")
        if store.get(key) != b"done":
            raise Parted("process 0 has ended", told=True)


def said(error: BaseException) -> bool:
    """Whether the first process says what there is to say of this error, so that this one need not."""
    if count() == 1 or isinstance(error, Parted):
        return isinstance(error, Parted) and error.told
    store, deadline = _store(), time.monotonic() + LISTEN
    with contextlib.suppress(RuntimeError):
        if leads():
            store.set("steadygan/said", str(error))
            return False
        while time.monotonic() < deadline:
            if store.check(["steadygan/said"]):
                return bool(store.get("steadygan/said") == str(error).encode())
            time.sleep(0.02)
    return False
