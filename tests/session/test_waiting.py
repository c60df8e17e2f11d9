"""A run that waits for its images says so, once; one that does not keeps quiet."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from steadygan.game.move import Batch
from steadygan.session import waiting
from steadygan.session.waiting import RECORDS, Waiting


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(waiting.time, "monotonic", found)
    return found


def words(clock: Clock, reading: float, playing: float, records: int = 3 * RECORDS) -> list[str]:
    def draw(position: int, count: int, attempt: int) -> Batch:
        clock.now += reading
        return Batch(torch.full((1,), float(position)))

    waits, found = Waiting(draw), []
    for number in range(records):
        assert float(waits(number, 1, 0).real) == number, "the batch is the one that was drawn"
        clock.now += playing
        found.append(waits.word())
    return [word for word in found if word]


@pytest.mark.parametrize(("reading", "playing", "told"), [(0.5, 0.5, 1), (0.31, 0.69, 1), (0.2, 0.8, 0), (0.0, 1.0, 0)])
def test_it_is_told_once_and_only_where_it_is_much(clock: Clock, reading: float, playing: float, told: int) -> None:
    found = words(clock, reading, playing)
    assert len(found) == told
    assert all(f"{reading:.0%}" in word for word in found)


def test_a_few_records_are_too_few(clock: Clock) -> None:
    assert not words(clock, 1.0, 0.1, records=RECORDS)


def test_a_clock_that_stands_still_divides_by_nothing(clock: Clock) -> None:
    assert not words(clock, 0.0, 0.0)


def test_the_real_clock_is_the_one_of_the_machine() -> None:
    used: Callable[[], float] = waiting.time.monotonic
    assert used is time.monotonic
