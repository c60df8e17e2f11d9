"""Whether the game waits for its images. Time is not reproducible, so this is told and never acted upon."""

from __future__ import annotations

import time

from steadygan.game.move import Batch, Draw

MUCH = 0.3
"""Share of the time from which waiting is worth a word."""
RECORDS = 10
"""Records over which the share is taken."""


class Waiting:
    """Measures how much of the time goes into drawing batches, and says so once where it is much."""

    def __init__(self, draw: Draw) -> None:
        self._draw, self._waited, self._told = draw, 0.0, False
        self._marks: list[tuple[float, float]] = []

    def __call__(self, position: int, count: int, attempt: int) -> Batch:
        """The batch, and the time that it took kept in mind."""
        start = time.monotonic()
        batch = self._draw(position, count, attempt)
        self._waited += time.monotonic() - start
        return batch

    def word(self) -> str | None:
        """Asked at every record: a line for a person, once, where the run starves."""
        self._marks = [*self._marks[-RECORDS:], (time.monotonic(), self._waited)]
        passed = self._marks[-1][0] - self._marks[0][0]
        if self._told or len(self._marks) <= RECORDS or passed <= 0:
            return None
        share = (self._marks[-1][1] - self._marks[0][1]) / passed
        if share < MUCH:
            return None
        self._told = True
        return f"bad-data: {share:.0%} of the time goes into reading images; a faster disk or smaller images would help"
