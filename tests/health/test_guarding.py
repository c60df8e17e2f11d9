"""Guards of the data: copies are found by their bytes, strange reals by their distance; sound data are left alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.config import DataConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.game.move import Batch
from steadygan.health.guarding import DISTINCT, FAMILIAR, KNOWN, LEAST, Guard, without_copies
from steadygan.health.illnesses import sicken_data


def images_of(data: DataSet, rows: np.ndarray) -> Batch:
    labels = None if data.labels is None else torch.from_numpy(data.labels[rows])
    return Batch(data.rows(rows).float() / 127.5 - 1, labels)


def guard_of(data: DataSet, *, flip: bool = False) -> Guard:
    return Guard(data, lambda rows: images_of(data, rows), flip=flip)


def unseen(data: DataSet, count: int = 3000) -> torch.Tensor:
    """Real images that are not all among those a guard knows."""
    rows = np.concatenate([data.held_out, data.train])[:count]
    return images_of(data, rows).real


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return open_data(DataConfig(source="digits"))


def set_of(kinds: list[int], labels: list[int] | None = None, held_out: int = 0) -> DataSet:
    """A set whose images are blank ones of the given kinds; the last ``held_out`` are kept away."""
    count = len(kinds)
    images = np.array(kinds, np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 1, 4, 4), np.uint8)
    found = None if labels is None else np.array(labels, np.int64)
    rows = np.arange(count)
    return DataSet("made", images, found, ("a", "b"), rows[: count - held_out], rows[count - held_out :], "made")


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40), st.integers(0, 8))
def test_each_image_stays_once_and_the_sides_apart(kinds: list[int], held_out: int) -> None:
    data = set_of(kinds, held_out=min(held_out, len(kinds) - 1))
    once = without_copies(data)
    train, held = [kinds[row] for row in once.train], [kinds[row] for row in once.held_out]
    assert sorted(train) == sorted({kinds[row] for row in data.train})
    assert sorted(held) == sorted({kinds[row] for row in data.held_out} - set(train))
    assert all(kinds.index(kinds[row]) == row for row in once.train), "the first of its kind"


def test_an_image_of_two_classes_is_two() -> None:
    assert without_copies(set_of([1, 1, 1], [0, 1, 1])).train.tolist() == [0, 1]


def test_a_set_whose_hashes_are_known_is_not_read(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    ill = sicken_data("duplicates:2", digits, 0)
    expected = without_copies(dataclasses.replace(ill, hashes=None))
    monkeypatch.setattr(DataSet, "rows", None)
    once = without_copies(ill)
    assert (once.train.tolist(), once.held_out.tolist()) == (expected.train.tolist(), expected.held_out.tolist())


def test_a_set_of_copies_is_read_as_it_is_until_the_control_says_otherwise(digits: DataSet) -> None:
    ill = sicken_data("duplicates:2", digits, 0)
    guard = guard_of(ill)
    assert guard.chosen({}) is guard.chosen({DISTINCT: 0.0}) is ill
    once = guard.chosen({DISTINCT: 1.0})
    assert once is guard.chosen({DISTINCT: 1.0})
    assert len(once.train) == len(set(ill.train.tolist()))
    assert without_copies(digits).train.tolist() == digits.train.tolist(), "the digits have no copies"


@pytest.mark.parametrize("source", ["digits", "mnist", "fashion-mnist"])
def test_nothing_that_the_set_holds_is_strange(source: str, real_data: Path) -> None:
    given = {} if source == "digits" else {"folder": str(real_data / source)}
    data = open_data(DataConfig(source=source, **given))
    images = unseen(data)
    assert int(guard_of(data).strange(images).sum()) <= 2, "at most an odd shoe of 3,000 or two"
    guard = guard_of(data, flip=True)
    assert int(guard.strange(images.flip(-1)).sum()) <= 2
    noise = torch.rand(300, *data.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert float(guard.strange(noise).double().mean()) > 0.9
    assert bool(guard.strange(torch.full_like(images[:1], torch.nan)).all())


@pytest.mark.parametrize("source", ["digits", "mnist", "fashion-mnist"])
def test_negatives_are_strange(source: str, real_data: Path) -> None:
    given = {} if source == "digits" else {"folder": str(real_data / source)}
    data = open_data(DataConfig(source=source, **given))
    assert float(guard_of(data).strange(-unseen(data, 1000)).double().mean()) > 0.9


def test_familiar_images_stand_in_for_strange_ones_and_for_no_others(digits: DataSet) -> None:
    sound = images_of(digits, digits.train[:16])
    broken = sound.real.clone()
    broken[3:9] = -broken[3:9]
    asked: list[tuple[int, int, int]] = []

    def draw(position: int, count: int, attempt: int) -> Batch:
        asked.append((position, count, attempt))
        return Batch(broken, sound.label)

    controls = {FAMILIAR: 0.0}
    guard = guard_of(digits)
    guarded = guard.over(draw, controls, seed=1)
    assert guarded(0, 16, 0).real is broken, "off as long as nobody turns it on"
    controls[FAMILIAR] = 1.0
    mended = guarded(0, 16, 0)
    same = (mended.real == broken).flatten(1).all(1)
    assert same.tolist() == [True] * 3 + [False] * 6 + [True] * 7
    assert not guard.strange(mended.real).any()
    assert mended.label is not None and sound.label is not None
    stored = images_of(digits, digits.train)
    for image, label in zip(mended.real[3:9], mended.label[3:9], strict=True):
        found = (stored.real == image).flatten(1).all(1)
        assert stored.label is not None and label in stored.label[found], "with a class of its own"
    again = guard_of(digits).over(draw, controls, seed=1)
    assert torch.equal(again(0, 16, 0).real, mended.real), "a function of the place"
    assert not torch.equal(again(16, 16, 0).real, mended.real)
    assert asked[0] == (0, 16, 0)


def test_few_images_say_too_little_of_what_is_strange(digits: DataSet) -> None:
    few = dataclasses.replace(digits, train=digits.train[: LEAST - 1])
    batch = Batch(torch.full((4, *digits.shape), torch.nan))
    guard = guard_of(few)
    assert not guard.strange(batch.real).any()
    assert guard.over(lambda *place: batch, {FAMILIAR: 1.0}, 0)(0, 4, 0) is batch


def test_copies_do_not_narrow_what_is_familiar(digits: DataSet) -> None:
    ill = sicken_data("duplicates:2", digits, 0)
    assert len(ill.train) <= KNOWN
    assert int(guard_of(ill).strange(unseen(digits)).sum()) <= 3
