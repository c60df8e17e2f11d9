"""Calls a function over ranges in several processes, results in order, with a bound on what waits in memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from steadygan.errors import SteadyganError

Result = TypeVar("Result")
_task: Callable[[int, int], Any] | None = None


def available_cores() -> int:
    """Cores that this process may use, at most 16."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, allowed))


def in_parallel(
    task: Callable[[int, int], Result], ranges: Iterable[tuple[int, int]], workers: int, *, forks: bool = True
) -> Iterator[Result]:
    """``task(start, stop)`` for every range, yielded in the order of the ranges.

    Forked processes on Linux, since Python's lock leaves threads little to gain on small images; threads elsewhere,
    because starting fresh processes would run the caller's own script again.

    Args:
        task: needs neither torch nor a lock of the caller.
        ranges: what to call it with.
        workers: processes or threads; 1: the caller's own.
        forks: whether the task may run in forked processes; otherwise threads.

    Raises:
        SteadyganError: a process died.
    """
    if workers == 1:
        yield from (task(*bounds) for bounds in ranges)
        return
    pool = _pool(task, workers, forks)
    call: Callable[[int, int], Result] = _work if isinstance(pool, ProcessPoolExecutor) else task
    waiting: deque[Future[Result]] = deque()
    try:
        for bounds in ranges:
            with warnings.catch_warnings():
                # Python 3.12 warns of forking beside threads; these children touch no lock but their own.
                warnings.simplefilter("ignore", DeprecationWarning)
                waiting.append(pool.submit(call, *bounds))
            if len(waiting) > workers + 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as fault:
        raise SteadyganError(
            "a decoding process died (out of memory, or a decoder crashed on a broken file)",
            "free some memory or remove suspect files, and start again",
        ) from fault
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(task: Callable[[int, int], Any], workers: int, forks: bool) -> Executor:
    if not forks or sys.platform != "linux":
        return ThreadPoolExecutor(workers, thread_name_prefix="decode")
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(task, os.getpid()))


def _begin(task: Callable[[int, int], Any], parent: int) -> None:
    """Prepare a forked worker: Ctrl-C is the parent's to handle, and no worker outlives it."""
    global _task
    _task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _work(start: int, stop: int) -> Any:
    if _task is None:
        raise RuntimeError("a worker was started without its task")
    return _task(start, stop)
