"""Every intervention: turns only what is there, and has an end."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.config import ScheduleConfig
from steadygan.game.controls import Controls
from steadygan.health.history import History
from steadygan.health.interventions import INTERVENTIONS, OWNER, Bench, Turns

TOTAL = 100_000
KNOBS = {
    "learning_rate.generator": (0.001, 10.0),
    "learning_rate.discriminator": (0.002, 10.0),
    "momentum.generator": (0.0, 0.999),
    "momentum.discriminator": (0.0, 0.999),
    "max_gain.generator": (0.0, math.inf),
    "steps.generator": (1.0, 100.0),
    "steps.discriminator": (1.0, 100.0),
    "clip.generator": (0.0, math.inf),
    "clip.discriminator": (0.0, math.inf),
    "penalty.r1": (0.0, math.inf),
    "penalty.r2": (0.0, math.inf),
    "penalty.l2.discriminator": (0.1, math.inf),
    "augmentation": (0.0, 1.0),
    "instance_noise": (0.0, 10.0),
    "weight_clip": (0.0, math.inf),
    "feature_matching": (0.0, math.inf),
    "spectrum_matching": (0.0, math.inf),
    "lecam": (0.0, math.inf),
    "average.half_life": (500.0, math.inf),
    "skip_broken": (0.0, 1.0),
    "top_k": (1.0, 1.0),
    "auxiliary": (1.0, math.inf),
}
WITH_PENALTY = {"penalty.r1": 1.0, "penalty.r2": 1.0}
GAMES = {
    "bare": {},
    "penalised": WITH_PENALTY,
    "clipped weights": {"weight_clip": 0.01},
    "augmented": {"augmentation": 0.5},
    "few fakes": {"top_k": 0.1},
    "much momentum": {"momentum.generator": 0.9, "momentum.discriminator": 0.9},
    "all": WITH_PENALTY | {"weight_clip": 0.01, "augmentation": 0.2, "instance_noise": 0.1, "feature_matching": 0.5},
}
SIGNALS = {
    "generator/gradient_norm": 0.5,
    "discriminator/gradient_norm": 2.0,
    "generator/update": 0.008,
    "discriminator/update": 0.2,
    "penalty/r1": 30.0,
    "control/penalty.r1": 1.0,
    "generator/auxiliary": 0.5,
}
"""What every record of a patient shows: a discriminator with long steps, a penalty and other terms that weigh much."""


class Patient:
    """Controls that are turned as a treatment does it."""

    def __init__(self, given: dict[str, float], paces: dict[str, float] | None = None) -> None:
        self.controls = Controls(TOTAL)
        for name, (value, high) in KNOBS.items():
            low = 1.0 if name.startswith("steps.") else 0.0
            self.controls.declare(name, given.get(name, value), low, high)
        self.standing: Turns = {}
        self.history = History(TOTAL)
        for place in range(1, 31):
            self.history.add(place * 100, SIGNALS | {"round": float(place)})
        self.paces = {"generator": 0.008, "discriminator": 0.2} if paces is None else paces

    def wants(self, name: str) -> Turns:
        return INTERVENTIONS[name].turns(Bench(self.controls, self.standing, self.history, self.paces))

    def take(self, name: str) -> Turns:
        turns = self.wants(name)
        self.standing |= turns
        for control, (factor, shift) in turns.items():
            self.controls.turn(control, by=OWNER, factor=factor, shift=shift)
        return turns


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("name", INTERVENTIONS)
def test_it_turns_what_is_there_within_its_room_and_has_an_end(name: str, game: str) -> None:
    patient = Patient(GAMES[game])
    for _ in range(30):
        before = dict(patient.controls)
        turns = patient.take(name)
        if not turns:
            break
        assert turns.keys() <= KNOBS.keys()
        for control, (factor, shift) in turns.items():
            low, high = patient.controls.room(control)
            assert factor >= 0 and math.isfinite(factor) and math.isfinite(shift)
            assert low <= before[control] * 1.0 <= high
            assert low <= patient.controls[control] <= high
    else:
        pytest.fail("it never ends")
    assert patient.take(name) == {}, "what has nothing to give goes on to give nothing"


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_the_first_time_it_changes_something_or_gives_nothing(name: str) -> None:
    for given_values in GAMES.values():
        patient = Patient(given_values)
        before = dict(patient.controls)
        turns = patient.take(name)
        changed = {control for control, value in patient.controls.items() if value != before[control]}
        assert changed == turns.keys()
        assert INTERVENTIONS[name].meaning[0].islower()


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_it_gives_nothing_where_nothing_is_there(name: str) -> None:
    assert INTERVENTIONS[name].turns(Bench(Controls(TOTAL), {}, History(TOTAL), {})) == {}


@pytest.mark.parametrize(
    ("name", "given_values", "values"),
    [
        ("slower-players", {}, {"learning_rate.generator": 0.0005, "learning_rate.discriminator": 0.001}),
        ("slower-generator", {}, {"learning_rate.generator": 0.0005}),
        ("back-matching", {}, {"feature_matching": 50.0}),
        ("faster-generator", {}, {"learning_rate.generator": 0.004}),
        # a quarter of the generator's steps would lead nowhere in a run of this length
        ("back-slower", {}, {"learning_rate.discriminator": 0.0005}),
        ("stronger-penalty", WITH_PENALTY, {}),
        ("stronger-penalty", {}, {"penalty.r1": 0.1, "penalty.r2": 0.1}),
        ("lighter-discriminator", WITH_PENALTY, {"penalty.r1": 0.25, "penalty.r2": 0.25}),
        ("lighter-discriminator", {"weight_clip": 0.01}, {"weight_clip": 0.04}),
        ("more-discriminator-steps", {}, {"steps.discriminator": 2.0}),
        ("augmentation", {"augmentation": 0.5}, {"augmentation": 0.8}),
        ("augmentation", {"augmentation": 0.8}, {}),
        ("back-clip", {}, {"clip.generator": 1.0, "clip.discriminator": 4.0}),
        ("back-clip", {"clip.generator": 0.3}, {"clip.discriminator": 4.0}),
        ("back-guard", {}, {"skip_broken": 1.0}),
        ("shorter-steps", {}, {"learning_rate.discriminator": 0.0001}),
        ("back-shorter-steps", {}, {"learning_rate.discriminator": 0.0001}),
        ("back-calm", {"momentum.generator": 0.5}, {}),
        ("back-calm", {"momentum.generator": 0.9}, {"momentum.generator": 0.0}),
        (
            "back-calm",
            {"momentum.discriminator": 0.9},
            {"momentum.discriminator": 0.0, "learning_rate.discriminator": 0.002 * 0.013 / (2.2 * 0.2)},
        ),
        ("back-trim", {}, {"max_gain.generator": 2.0}),
        ("back-spectrum", {}, {"spectrum_matching": 1.0}),
        ("back-shorter-steps", {"learning_rate.discriminator": 2.0}, {"learning_rate.discriminator": 0.001}),
        ("shorter-steps", {"learning_rate.discriminator": 2.0}, {"learning_rate.discriminator": 0.1}),
        ("back-lighter", WITH_PENALTY, {"penalty.r1": 0.05 / 30, "penalty.r2": 0.05 / 30}),
        ("back-lighter", {"weight_clip": 0.01}, {"weight_clip": 0.64}),
        ("back-all-fakes", {"top_k": 0.1}, {"top_k": 1.0}),
        ("back-all-fakes", {}, {}),
        ("back-slighter-terms", {}, {"auxiliary": 1 / 30}),
        ("back-slighter-terms", {"auxiliary": 0.0}, {}),
        ("add-penalty", {}, {"penalty.r1": 0.1, "penalty.r2": 0.1}),
        ("back-add-penalty", WITH_PENALTY, {}),
        ("back-penalty-pace", WITH_PENALTY, {}),
        ("back-penalty-pace", {}, {"penalty.r1": 0.1, "penalty.r2": 0.1, "learning_rate.discriminator": 0.0001}),
    ],
)
def test_values_by_hand(name: str, given_values: dict[str, float], values: dict[str, float]) -> None:
    patient = Patient(given_values)
    before = dict(patient.controls)
    patient.take(name)
    changed = {control: value for control, value in patient.controls.items() if value != before[control]}
    assert changed == pytest.approx(values)


def test_the_pace_is_set_by_the_first_steps_of_players_far_off() -> None:
    assert Patient({}, {"generator": 0.04, "discriminator": 0.02}).wants("pace") == {}
    patient = Patient({}, {"generator": 0.8, "discriminator": 0.02})
    patient.take("pace")
    assert patient.controls["learning_rate.generator"] == pytest.approx(0.001 * 0.015 / 0.8)
    assert patient.controls["learning_rate.discriminator"] == pytest.approx(0.002)
    # in 1,000 rounds .1 over their root is the shortest step
    slow = played(0.001, 0.02, {})
    slow.take("pace")
    assert slow.controls["learning_rate.generator"] == pytest.approx(0.015)


@pytest.mark.parametrize(("course", "factor"), [([0.03] * 30, 1.0), ([20.0, *[0.3] * 29], 0.05 / 20), ([0.9] * 3, 1.0)])
def test_terms_that_have_had_their_way_are_weighed_by_how_they_began(course: list[float], factor: float) -> None:
    patient = Patient({})
    patient.history = History(TOTAL)
    for place, value in enumerate(course, start=1):
        patient.history.add(place * 100, {"generator/auxiliary": value})
    patient.take("back-slighter-terms")
    assert patient.controls["auxiliary"] == pytest.approx(factor)


@pytest.mark.parametrize(("weighed", "factor"), [(0.02, 4.0), (0.45, 4.0), (0.6, 1.0)])
def test_penalties_that_weigh_much_are_not_raised(weighed: float, factor: float) -> None:
    patient = Patient({"penalty.r1": 2.0})
    for place in range(31, 61):
        patient.history.add(place * 100, {"penalty/r1": weighed / 2.0, "control/penalty.r1": 2.0})
    patient.take("stronger-penalty")
    assert patient.controls["penalty.r1"] == 2.0 * factor


@pytest.mark.parametrize(("weighed", "factor"), [(0.0005, 30.0), (0.01, 1.0), (0.0, 1.0)])
def test_penalties_that_weigh_nothing_are_raised_with_the_pace(weighed: float, factor: float) -> None:
    patient = played(0.0004, 0.01, {"penalty.r1": 0.25, "learning_rate.generator": 0.0001})
    for place in range(1, 31):
        patient.history.add(place * 100, {"penalty/r1": weighed / 0.25, "control/penalty.r1": 0.25})
    assert "learning_rate.generator" in patient.take("back-pace")
    assert patient.controls["penalty.r1"] == pytest.approx(0.25 * factor)


def test_rates_that_rise_are_held_where_they_began() -> None:
    patient = Patient({})
    rising = ScheduleConfig(kind="linear", value=0.001, end=0.5)
    patient.controls.declare("learning_rate.generator", rising, 0.0, 10.0)
    patient.controls.at(0)
    assert patient.controls.risen("learning_rate.generator") == 1.0
    assert "learning_rate.generator" not in patient.wants("back-shorter-steps")
    patient.controls.at(TOTAL // 4)
    assert patient.take("back-shorter-steps") == {"learning_rate.generator": (0.0, 0.001)}
    for clock in (0, TOTAL // 4, TOTAL):
        patient.controls.at(clock)
        assert patient.controls["learning_rate.generator"] == pytest.approx(0.001)
    patient.take("slower-generator")
    assert patient.controls["learning_rate.generator"] == pytest.approx(0.0005), "what is held can be lowered"


def test_a_warm_up_does_not_rise() -> None:
    patient = Patient({})
    patient.controls.declare("learning_rate.generator", ScheduleConfig(value=0.001, warm_up=1_000), 0.0, 10.0)
    for clock in (100, 500, 1_000, TOTAL):
        patient.controls.at(clock)
        assert patient.controls.risen("learning_rate.generator") == 1.0
    assert patient.controls.first("learning_rate.generator") == 0.001


def test_the_pace_is_left_alone_behind_clipped_weights() -> None:
    assert Patient({"weight_clip": 0.01}, {"generator": 0.8, "discriminator": 0.8}).wants("pace") == {}


@given(names=st.lists(st.sampled_from([*INTERVENTIONS]), max_size=12), game=st.sampled_from([*GAMES]))
def test_any_row_of_them_keeps_every_control_in_its_room(names: list[str], game: str) -> None:
    patient = Patient(GAMES[game])
    for name in names:
        patient.take(name)
    for control, value in patient.controls.items():
        low, high = patient.controls.room(control)
        assert low <= value <= high and math.isfinite(value)
    assert patient.controls["steps.discriminator"] <= 5
    assert patient.controls["augmentation"] <= 0.9
    assert all(factor <= 64 and shift <= 50 for factor, shift in patient.standing.values())


def test_a_control_of_a_player_that_a_schedule_has_brought_to_0_is_left_alone() -> None:
    assert Patient({"learning_rate.generator": 0.0}).wants("slower-generator") == {}


def played(generator: float, discriminator: float, given: dict[str, float], start: float = 0.0) -> Patient:
    """A patient whose steps are of these lengths beside the weights; ``start`` is the discriminator's very first."""
    patient = Patient(given, {"generator": generator, "discriminator": discriminator})
    patient.history = History(TOTAL)
    for place in range(1, 31):
        found = {"generator/update": generator, "discriminator/update": start if start and place < 3 else discriminator}
        patient.history.add(place * 100, found | {"round": float(place)})
    return patient


def test_a_player_with_short_steps_gets_the_rate_of_an_opponent_whose_steps_are_sound() -> None:
    slow = {"learning_rate.generator": 1e-4, "learning_rate.discriminator": 1e-3}
    patient = played(0.002, 0.012, slow)
    patient.take("back-pace")
    assert patient.controls["learning_rate.generator"] == pytest.approx(1e-3)
    assert patient.controls["learning_rate.discriminator"] == pytest.approx(1e-3)
    # an opponent that is itself far off is no guide, nor is a rate at which the steps would be long
    astray = played(0.002, 0.2, slow)
    astray.take("back-pace")
    assert astray.controls["learning_rate.generator"] == pytest.approx(1e-4 * 0.015 / 0.002)
    far = played(0.002, 0.012, slow | {"learning_rate.discriminator": 0.1})
    far.take("back-pace")
    assert far.controls["learning_rate.generator"] == pytest.approx(1e-4 * 0.015 / 0.002)


def test_weights_that_grew_under_the_first_steps_do_not_hide_how_long_these_were() -> None:
    patient = played(0.03, 0.006, {"learning_rate.discriminator": 0.3}, start=0.54)
    patient.take("back-shorter-steps")
    assert patient.controls["learning_rate.discriminator"] == pytest.approx(0.001), "the generator's"
    assert patient.controls["learning_rate.generator"] == pytest.approx(0.001)


def test_of_players_far_apart_the_slow_one_is_raised_where_it_can_bear_the_others_rate() -> None:
    rates = {"learning_rate.generator": 3e-3, "learning_rate.discriminator": 1e-3}
    patient = played(0.035, 0.0045, rates)
    patient.take("back-shorter-steps")
    assert patient.controls["learning_rate.discriminator"] == pytest.approx(3e-3)
    assert patient.controls["learning_rate.generator"] == pytest.approx(3e-3)
    # twelve times as long steps would be too long for it: so the fast one is slowed
    patient = played(0.05, 0.007, rates | {"learning_rate.generator": 1.2e-2})
    patient.take("back-shorter-steps")
    assert patient.controls["learning_rate.generator"] == pytest.approx(1e-3)
    assert patient.controls["learning_rate.discriminator"] == pytest.approx(1e-3)


def test_a_rate_that_rises_is_held_and_then_set_by_its_steps() -> None:
    patient = played(0.03, 0.2, {})
    patient.controls = Controls(TOTAL)
    rising = ScheduleConfig(kind="linear", value=1e-3, end=2e-2)
    patient.controls.declare("learning_rate.discriminator", rising, 0.0, 10.0)
    patient.controls.at(50_000)
    patient.take("back-shorter-steps")
    assert patient.controls["learning_rate.discriminator"] == pytest.approx(1e-3)
    patient.take("back-shorter-steps")
    assert patient.controls["learning_rate.discriminator"] == pytest.approx(1e-3 * 0.01 / 0.2)
