"""The order of rows: epochs are permutations, and where a batch is cut never matters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.data.order import Order

LENGTHS = st.integers(1, 60)
SEEDS = st.integers(0, 2**63 - 1)
GOLDEN = [8, 4, 3, 6, 2, 1, 0, 5, 9, 7]


def rows(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * 3 + 5


@given(LENGTHS, SEEDS, st.integers(0, 5), st.integers(0, 1000))
def test_an_epoch_visits_every_row_once(count: int, seed: int, attempt: int, epoch: int) -> None:
    order = Order(rows(count), seed)
    taken = order.take(epoch * count, count, attempt=attempt)
    assert sorted(taken.tolist()) == rows(count).tolist()


@given(LENGTHS, SEEDS, st.integers(0, 500), st.lists(st.integers(0, 70), max_size=8))
def test_it_does_not_depend_on_how_batches_are_cut(count: int, seed: int, position: int, cuts: list[int]) -> None:
    whole = Order(rows(count), seed).take(position, sum(cuts))
    order, parts, at = Order(rows(count), seed), [], position
    for cut in cuts:
        parts.append(order.take(at, cut))
        at += cut
    assert np.concatenate([*parts, np.empty(0, np.int64)]).tolist() == whole.tolist()


@given(LENGTHS, SEEDS, st.integers(0, 500), st.integers(1, 70))
def test_reading_elsewhere_before_changes_nothing(count: int, seed: int, position: int, batch: int) -> None:
    order = Order(rows(count), seed)
    first = order.take(position, batch, attempt=1).tolist()
    order.take(7, 100, attempt=2)
    order.take(0, 3)
    assert order.take(position, batch, attempt=1).tolist() == first


@given(LENGTHS, st.integers(0, 500), st.integers(0, 64), st.integers(1, 9))
def test_the_shares_of_all_ranks_are_the_batch(count: int, position: int, batch: int, world: int) -> None:
    order = Order(rows(count), 4)
    shares = [order.take(position, batch, attempt=1, rank=rank, world=world) for rank in range(world)]
    assert np.concatenate(shares).tolist() == order.take(position, batch, attempt=1).tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_seed_attempt_and_epoch_each_change_the_order() -> None:
    base = Order(rows(100), 0).take(0, 100).tolist()
    assert Order(rows(100), 1).take(0, 100).tolist() != base
    assert Order(rows(100), 0).take(0, 100, attempt=1).tolist() != base
    assert Order(rows(100), 0).take(100, 100).tolist() != base


def test_the_order_is_the_same_for_ever() -> None:
    assert Order(np.arange(10), 7).take(0, 10).tolist() == GOLDEN


def test_first_places_are_evenly_spread() -> None:
    first = np.array([Order(np.arange(5), seed).take(0, 1)[0] for seed in range(1000)])
    assert np.bincount(first, minlength=5).min() > 150


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Order(np.empty(0, np.int64), 0)
    with pytest.raises(ValueError, match="negative"):
        Order(rows(3), -1)
    with pytest.raises(ValueError, match="rank 2 of 2"):
        Order(rows(3), 0).take(0, 4, rank=2, world=2)
