"""How many threads the solvers of the metrics may take."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from steadygan.errors import SteadyganError
from steadygan.runtime.devices import idle_cores

MOST_THREADS = 4
"""Eigenvalue solvers gain little beyond this many threads, and lose much where other programs hold the cores."""


@contextlib.contextmanager
def solver_threads(most: int = MOST_THREADS) -> Iterator[int]:
    """Let torch take no more threads than there are idle cores, at most ``most``, and put its number back afterwards.

    The number is never raised. The load counts this program's own work of the last minute too, so inside a run that
    keeps all cores busy the metrics take one thread. torch keeps one number for the whole process: threads that
    enter at the same time must not leave in another order. Yields the number that holds inside.

    Raises:
        SteadyganError: for ``most`` below 1.
    """
    if most < 1:
        raise SteadyganError(f"a limit of {most} threads", "give 1 or more")
    before = torch.get_num_threads()
    allowed = min(before, most, idle_cores())
    torch.set_num_threads(allowed)
    try:
        yield allowed
    finally:
        torch.set_num_threads(before)
