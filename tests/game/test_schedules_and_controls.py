"""Values over the clock, and the knobs that stand on them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.config import ScheduleConfig
from steadygan.errors import SteadyganError
from steadygan.game.controls import Controls
from steadygan.game.schedules import value_at

TOTAL = 10_000
VALUES = st.floats(-5, 5)
KINDS = st.sampled_from(["constant", "linear", "cosine", "step"])
schedules = st.builds(
    ScheduleConfig,
    kind=KINDS,
    value=VALUES,
    end=VALUES,
    begin=st.integers(0, 4000),
    finish=st.sampled_from([0, 5000, 12_000]),
    factor=st.floats(0.1, 1.5),
    every=st.integers(1000, 5000),
    warm_up=st.integers(0, 3000),
)


@given(schedule=schedules, place=st.integers(0, 2 * TOTAL))
def test_every_value_is_finite_and_continuous_but_for_steps(schedule: ScheduleConfig, place: int) -> None:
    here, there = (value_at(schedule, images, TOTAL) for images in (place, place + 1))
    assert math.isfinite(here)
    if schedule.kind != "step":
        span = max(1, (schedule.finish or TOTAL) - schedule.begin)
        slope = 2 * abs(schedule.end - schedule.value) / span + 10 / max(1, schedule.warm_up)
        assert abs(there - here) <= slope + 1e-9


@given(schedule=schedules)
def test_ends_are_what_was_asked_for(schedule: ScheduleConfig) -> None:
    if schedule.warm_up:
        assert value_at(schedule, 0, TOTAL) == 0.0
    warm = max(schedule.warm_up, 0)
    if schedule.kind in ("linear", "cosine"):
        if schedule.begin >= warm:
            assert value_at(schedule, schedule.begin, TOTAL) == pytest.approx(schedule.value, abs=1e-12)
        for images in (max(warm, schedule.finish or TOTAL), 3 * TOTAL):
            assert value_at(schedule, images, TOTAL) == pytest.approx(schedule.end, abs=1e-12)
    elif schedule.kind == "constant":
        assert value_at(schedule, warm, TOTAL) == schedule.value


@pytest.mark.parametrize(
    ("settings", "images", "value"),
    [
        ({"kind": "constant", "value": 3}, 77, 3.0),
        ({"kind": "linear", "value": 1, "end": 0}, 2500, 0.75),
        ({"kind": "linear", "value": 1, "end": 3, "begin": 100, "finish": 200}, 150, 2.0),
        ({"kind": "cosine", "value": 2, "end": 0}, 5000, 1.0),
        ({"kind": "cosine", "value": 1, "end": 0}, 2500, (1 + math.cos(math.pi / 4)) / 2),
        ({"kind": "step", "value": 8, "factor": 0.5, "every": 10}, 29, 2.0),
        ({"kind": "step", "value": 8, "factor": 0.5, "every": 10}, 30, 1.0),
        ({"kind": "constant", "value": 4, "warm_up": 100}, 25, 1.0),
        ({"kind": "linear", "value": 4, "end": 0, "warm_up": 5000}, 2500, 1.5),
        ({"kind": "linear", "value": 1, "end": 0, "begin": 50, "finish": 50}, 51, 0.0),
    ],
)
def test_values_by_hand(settings: dict[str, Any], images: int, value: float) -> None:
    assert value_at(ScheduleConfig(**settings), images, TOTAL) == pytest.approx(value, abs=1e-12)


@given(
    schedule=schedules,
    place=st.integers(0, TOTAL),
    factor=st.floats(-10, 10),
    shift=st.floats(-10, 10),
    bounds=st.tuples(st.floats(-20, -5), st.floats(5, 20)),
)
def test_a_control_is_its_schedule_times_factor_plus_shift_within_its_range(
    schedule: ScheduleConfig, place: int, factor: float, shift: float, bounds: tuple[float, float]
) -> None:
    controls = Controls(TOTAL)
    controls.declare("knob", schedule, *bounds)
    controls.at(place)
    controls.turn("knob", by="me", factor=factor)
    controls.turn("knob", by="me", shift=shift)
    assert bounds[0] <= controls["knob"] <= bounds[1]
    raw = value_at(schedule, place, TOTAL) * factor + shift
    assert controls["knob"] == min(bounds[1], max(bounds[0], raw))
    assert controls.turned("knob", "me") == (factor, shift)
    fresh = Controls(TOTAL)
    fresh.declare("knob", schedule, *bounds)
    fresh.at(place)
    fresh.load_state_dict(controls.state_dict())
    assert fresh["knob"] == controls["knob"]


@pytest.mark.parametrize(
    "schedule", [ScheduleConfig(value=2), ScheduleConfig(kind="linear", value=0, end=-1), ScheduleConfig(value=-0.5)]
)
def test_a_schedule_outside_its_range_is_refused(schedule: ScheduleConfig) -> None:
    with pytest.raises(SteadyganError, match="knob is .*: choose a value from 0 to 1"):
        Controls(TOTAL).declare("knob", schedule, 0.0, 1.0)


def test_an_unknown_control_names_the_nearest() -> None:
    controls = Controls(TOTAL)
    controls.declare("learning_rate.generator", 0.1)
    with pytest.raises(SteadyganError, match=r"did you mean 'learning_rate.generator'\?"):
        controls.turn("learning_rate.generater", by="me", factor=0.5)
    assert list(controls) == ["learning_rate.generator"]
    assert len(controls) == 1


def test_a_value_that_was_asked_for_follows_whatever_changes_it() -> None:
    controls = Controls(100)
    controls.declare("knob", ScheduleConfig(kind="linear", value=1.0, end=0.0))
    assert controls["knob"] == 1.0
    controls.at(50)
    assert controls["knob"] == 0.5
    controls.turn("knob", by="me", factor=2.0)
    assert controls["knob"] == 1.0
    kept = controls.state_dict()
    controls.turn("knob", by="me", factor=4.0)
    assert controls["knob"] == 2.0
    controls.load_state_dict(kept)
    assert controls["knob"] == 1.0
    controls.declare("knob", 3.0)
    assert controls["knob"] == 3.0
