"""The held-out split follows content alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steadygan.data.split import duplicates, row_hashes, split


def random_rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 3, 4), dtype=np.uint8)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.floats(0, 1, exclude_max=True))
def test_duplicates_never_straddle_and_something_is_left(numbers: list[int], share: float) -> None:
    rows = random_rows(7)[numbers]
    train, held_out = split(row_hashes(rows), share)
    assert len(train) >= 1
    assert sorted([*train, *held_out]) == list(range(len(rows)))
    assert not {numbers[row] for row in train} & {numbers[row] for row in held_out}
    assert duplicates(row_hashes(rows)) == len(numbers) - len(set(numbers))


@given(st.permutations(range(30)), st.floats(0, 0.9))
def test_the_side_of_a_row_does_not_depend_on_the_others(order: list[int], share: float) -> None:
    rows = random_rows(30)
    _, plain = split(row_hashes(rows), share)
    _, mixed = split(row_hashes(rows[order]), share)
    assert len(plain) == 30 - 1 or {order[row] for row in mixed} == set(plain.tolist())


def test_the_share_is_met_and_grows_by_adding_rows() -> None:
    hashes = row_hashes(random_rows(20_000))
    _, tenth = split(hashes, 0.1)
    _, fifth = split(hashes, 0.2)
    assert 0.09 < len(tenth) / 20_000 < 0.11
    assert set(tenth) < set(fifth)


def test_no_share_holds_nothing_out() -> None:
    train, held_out = split(row_hashes(random_rows(50)), 0.0)
    assert len(train) == 50
    assert len(held_out) == 0


def test_one_bit_changes_the_hash() -> None:
    rows = np.repeat(random_rows(1), 2, axis=0)
    rows[1, 0, 2, 3] ^= 1
    assert len(set(row_hashes(rows).tolist())) == 2
