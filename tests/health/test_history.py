"""Courses over the clock: robust statistics against values worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.health.history import LONGEST, History

NAME = "a"
VALUES = st.floats(-1e6, 1e6)
ANY = st.one_of(VALUES, st.sampled_from([math.nan, math.inf, -math.inf]), st.none())


def history(values: list[float], step: int = 10, total: int = 1000) -> History:
    """One signal, a point every ``step`` images."""
    found = History(total)
    for place, value in enumerate(values, 1):
        found.add(place * step, {NAME: value})
    return found


def noise(count: int, seed: int = 0) -> list[float]:
    drawn: list[float] = np.random.default_rng(seed).normal(size=count).tolist()
    return drawn


def test_what_is_not_finite_is_kept_as_nan_and_left_out_of_every_statistic() -> None:
    found = History(1000)
    for place, value in enumerate([1.0, math.nan, 3.0, math.inf, None, 5.0], 1):
        found.add(place, {NAME: value})
    assert [math.isnan(value) for _, value in found.points[NAME]] == [False, True, False, True, True, False]
    assert found.course(NAME).tolist() == [1.0, 3.0, 5.0]
    assert (found.count(NAME), found.now(NAME), found.least(NAME)) == (3, 3.0, 1.0)
    found.add(7, {NAME: -math.inf})
    assert math.isnan(found.last(NAME)), "the latest value is told as it is"


def test_an_unknown_signal_is_no_number_and_no_error() -> None:
    found = History(1000)
    for value in (found.last(NAME), found.now(NAME), found.before(NAME), found.ago(NAME, 0.1), found.least(NAME)):
        assert math.isnan(value)
    assert math.isnan(found.strangeness(NAME))
    assert (found.count(NAME), found.outliers(NAME, 5, 3.0), found.moved(NAME)) == (0, 0, 0)
    assert (found.images_seen, found.progress, found.last(NAME, 7.0)) == (0, 0.0, 7.0)


def test_windows_by_hand() -> None:
    found = history([1, 2, 3, 4, 5, 100, 7, 8])
    assert found.now(NAME) == 8.0
    assert found.now(NAME, 4) == 7.5
    assert math.isnan(found.now(NAME, 9))
    assert found.before(NAME) == 3.0
    assert math.isnan(found.before(NAME, 6)), "two are too few"
    assert found.early(NAME, 3) == 2.0
    assert found.images_seen == 80
    assert found.progress == 0.08
    assert found.ago(NAME, 0.03) == 4.5, "up to image 50, of these the latest two"
    assert found.ago(NAME, 0.03, 3) == 4.0
    assert math.isnan(found.ago(NAME, 0.08)), "nothing lies that far back"


def test_parts_by_the_clock() -> None:
    found = history(list(map(float, range(1, 11))))
    found.cut(70)
    assert found.course(NAME).tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found.images_seen == 70
    found.cut(5)
    assert (found.count(NAME), found.images_seen) == (0, 0)


def test_only_so_many_points_are_kept() -> None:
    found = history(list(map(float, range(LONGEST + 50))))
    assert found.count(NAME) == LONGEST
    assert found.last(NAME) == LONGEST + 49
    assert found.least(NAME) == 50


@given(values=st.lists(ANY, max_size=40), cut=st.integers(0, 400))
def test_it_survives_json_and_being_cut(values: list[float], cut: int) -> None:
    found = history(values)
    found.cut(cut)
    fresh = History(found.total)
    fresh.load_state_dict(json.loads(json.dumps(found.state_dict(), allow_nan=False)))
    assert repr(fresh.points) == repr(found.points)
    assert all(place <= cut for course in fresh.points.values() for place, _ in course)


def test_what_was_planned_outlives_going_back() -> None:
    rate, found = "control/learning_rate.generator", History(100)
    assert math.isnan(found.planned(rate))
    for attempt, value in enumerate((0.01, 0.5, 0.7)):
        for place in range(1, 12):
            found.add(place, {rate: value, NAME: 1.0})
        assert found.early(rate) == value
        assert found.planned(rate) == 0.01
        if attempt == 1:
            saved = json.dumps(found.state_dict(), allow_nan=False)
            found = History(100)
            found.load_state_dict(json.loads(saved))
        found.cut(0)
    assert found.plan == {rate: 0.01}


def test_strangeness_is_a_robust_z() -> None:
    past = noise(400)
    assert history([*past, 5.0]).strangeness(NAME) == pytest.approx(5.0, rel=0.15)
    assert history([*past[:350], *[1e9] * 10, *past[350:], 5.0]).strangeness(NAME) == pytest.approx(5.0, rel=0.2)
    assert history([7.0] * 20 + [7.07]).strangeness(NAME) == pytest.approx(1.0, rel=0.01), "a hundredth of its size"
    decades = [10.0**drawn for drawn in past]
    assert history([*decades, 1e6]).strangeness(NAME, log=True) == pytest.approx(6.0, rel=0.15)
    assert math.isnan(history([1.0] * 8).strangeness(NAME))


def test_moved_and_outliers() -> None:
    past = noise(100)
    assert history(past).outliers(NAME, 40, 10.0) == 0
    assert history([*past, 50.0, 0.1, -50.0]).outliers(NAME, 40, 10.0) == 2
    assert history([*past, 50.0, 0.1, -50.0]).outliers(NAME, 1, 10.0) == 1
    assert history(past).moved(NAME) < 3
    assert history([*past, *[value + 20 for value in past[:8]]]).moved(NAME) == pytest.approx(20, rel=0.2)
    assert history([*past, 1e9]).moved(NAME) < 3, "one odd value has not moved the course"
