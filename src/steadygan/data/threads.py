"""Threads that read ahead: they never keep the program from ending, whatever a network or a disk does to them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_Waiting = SimpleQueue[tuple["Future[Any]", Callable[[], Any]] | None]


class Threads:
    """``count`` daemon threads that do what they are given, first come first served; started with the first task.

    The standard library's executor is no choice here: at the program's end it waits for threads that hang in a read.
    """

    def __init__(self, count: int, name: str) -> None:
        self.count, self.name = count, name
        self._waiting: _Waiting = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0

    def submit(
        self, call: Callable[Arguments, Result], *given: Arguments.args, **named: Arguments.kwargs
    ) -> Future[Result]:
        """``call`` with what is given, in one of the threads."""
        made: Future[Result] = Future()
        self._start()
        self._waiting.put((made, lambda: call(*given, **named)))
        return made

    def _start(self) -> None:
        if self._started == self.count:
            return
        with self._lock:
            while self._started < self.count:
                threading.Thread(target=_serve, args=(self._waiting,), name=self.name, daemon=True).start()
                self._started += 1
                weakref.finalize(self, self._waiting.put, None).atexit = False


def _serve(waiting: _Waiting) -> None:
    while (task := waiting.get()) is not None:
        made, call = task
        if made.set_running_or_notify_cancel():
            try:
                made.set_result(call())
            except BaseException as fault:  # whoever waits for the result is told
                made.set_exception(fault)
        del task, made, call
