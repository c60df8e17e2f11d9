"""The monitor as a machine: made-up illnesses, remedies and records go in, orders come out."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from steadygan.config import HealthConfig
from steadygan.errors import SteadyganError
from steadygan.game.controls import Controls
from steadygan.game.orders import Best, Keep, Order, Rename, RollBack, Stop, Tell, Turn
from steadygan.game.round import Record
from steadygan.health.diagnoses import Diagnosis
from steadygan.health.findings import Finding
from steadygan.health.history import History
from steadygan.health.interventions import INTERVENTIONS, OWNER, Bench, Intervention, Turns
from steadygan.health.lookout import CHECK_UP
from steadygan.health.monitor import Monitor
from steadygan.health.treatment import PROOF

STEP, EVERY, TOTAL = 10, 40, 6000
"""Images a record, between check-ups, and of a run."""


def flag(name: str) -> Callable[[History], Finding | None]:
    def look(history: History) -> Finding | None:
        value = history.last(name, 0.0)
        return Finding(value, {name: value}, f"{name} is {value:g}") if value > 0 else None

    return look


DIAGNOSES = {
    "plague": Diagnosis(
        "it kills", ("p",), "pray", flag("p"), "record", 1, ("back", "feature-matching", "back-slower"), 9, fatal=True
    ),
    "storm": Diagnosis("from outside", ("o",), "wait", flag("o"), "record", 1, (), 8, outside=True),
    "fever": Diagnosis(
        "it burns", ("f",), "rest", flag("f"), "record", 2, ("noise", "feature-matching", "augmentation", "back"), 3
    ),
    "rash": Diagnosis("it itches", ("r",), "salve", flag("health/rash"), "check-up", 2, ("pace", "augmentation"), 2),
    "mole": Diagnosis("it is there", ("m",), "leave it", flag("m"), "record", 1),
    "finished": Diagnosis("done", ("e",), "stop", flag("e"), "record", 1, (), 0),
}


def scale(name: str, by: float) -> Callable[[Bench], Turns]:
    return lambda bench: bench.scaled(name, by, 1 / 64, 64.0)


TREATMENTS = {
    "back": Intervention("back", scale("knob", 0.5), rolls_back=True),
    "back-slower": Intervention("back, slower", scale("knob", 0.25), rolls_back=True),
    "noise": Intervention("noise", lambda bench: bench.moved("dial", 0.1, 0.3)),
    "augmentation": Intervention("augmentation", scale("knob", 2.0)),
    "pace": Intervention("pace", scale("dial", 4.0)),
    "feature-matching": Intervention("nothing to give", lambda bench: {}),
}
Signs = Mapping[str, float]


class World:
    """A game of two knobs that obeys, and keeps a diary of what was ordered."""

    def __init__(self, signs: Callable[[World], Signs], total: int = TOTAL, **config: Any) -> None:
        self.signs, self.total = signs, total
        self.controls = Controls(total)
        self.controls.declare("knob", 1.0)
        self.controls.declare("dial", 0.1)
        given = {"every": EVERY, "rollbacks": 2, "replay": 10.0} | config
        self.monitor = Monitor(HealthConfig(**given), total, self.examine, DIAGNOSES, TREATMENTS)
        self.images, self.attempt, self.rounds = 0, 0, 0
        self.snapshots: dict[str, tuple[int, Any]] = {}
        self.ended = False
        self.now: Signs = {}
        self.diary: list[tuple[int, list[Order]]] = []

    def examine(self, memory: Mapping[str, Tensor]) -> tuple[dict[str, float], dict[str, Tensor]]:
        named = {n.removeprefix(CHECK_UP): value for n, value in self.now.items() if n.startswith(CHECK_UP)}
        return {"distance": 0.04} | named, {"count": memory.get("count", torch.zeros(())) + 1}

    def step(self) -> list[Order]:
        self.images, self.rounds = self.images + STEP, self.rounds + 1
        self.now = self.signs(self)
        shown: dict[str, Tensor | float] = {n: v for n, v in self.now.items() if not n.startswith(CHECK_UP)}
        orders = self.monitor.read(
            Record(self.images, self.rounds, self.attempt, True, {"loss": 1.0} | shown), self.controls
        )
        self.diary.append((self.images, orders))
        for order in orders:
            self.obey(order)
        return orders

    def obey(self, order: Order) -> None:
        match order:
            case Turn(control, by, factor, shift):
                self.controls.turn(control, by=by, factor=factor, shift=shift)
            case Keep(name):
                self.snapshots[name] = self.images, self.controls.state_dict()
            case Rename(name, to):
                self.snapshots[to] = self.snapshots.pop(name)
            case RollBack(name):
                self.images, turned = self.snapshots[name]
                self.controls.load_state_dict(turned)
                self.attempt += 1
            case Stop():
                self.ended = True

    def play(self, most: int = 2000) -> World:
        while self.images < self.total and not self.ended and len(self.diary) < most:
            self.step()
        return self

    def orders(self, *kinds: type) -> list[Any]:
        return [order for _, orders in self.diary for order in orders if isinstance(order, kinds)]

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return [dict(tell.event) for tell in self.orders(Tell) if not kinds or tell.event["kind"] in kinds]

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events()]


def between(low: int, high: int, name: str, value: float = 1.0) -> Callable[[World], Signs]:
    """A sign from one image to another, on the first attempt."""
    return lambda world: {name: value if low <= world.images < high and not world.attempt else 0.0}


def always(name: str, since: int = 0) -> Callable[[World], Signs]:
    return lambda world: {name: float(world.images >= since)}


# --- diagnoses


def test_a_healthy_run_gets_snapshots_and_a_best_and_nothing_else() -> None:
    world = World(lambda world: {}).play()
    assert world.events() == []
    assert {type(order) for order in world.orders(object)} == {Keep, Rename, Best}
    assert world.monitor.word() == "steady"


def test_a_diagnosis_is_told_once_and_so_is_its_end() -> None:
    world = World(lambda w: {"m": float(100 <= w.images < 300 or 400 <= w.images < 500)}).play()
    assert [(event["kind"], event["images_seen"], event["case"]) for event in world.events()] == [
        ("diagnosis", 100, 1),
        ("receded", 300, 1),
        ("diagnosis", 400, 2),
        ("receded", 500, 2),
    ]
    told = world.events("diagnosis")[0]
    assert told["words"] == "m is 1"
    assert (told["severity"], told["evidence"], told["ranking"], told["attempt"]) == (1.0, {"m": 1.0}, ["mole"], 0)


def test_what_is_not_confirmed_in_a_row_is_not_told() -> None:
    world = World(lambda w: {"f": float(w.rounds % 2)}).play()
    assert world.events() == []


def test_the_more_urgent_comes_first_in_the_ranking_and_the_treatment() -> None:
    world = World(lambda w: {"f": float(w.images > 90), "m": float(w.images > 100), "health/rash": 1.0}, rollbacks=0)
    world.play(14)
    assert [event["ranking"] for event in world.events("diagnosis")] == [["rash"], ["fever", "mole"], ["fever", "mole"]]
    world = World(lambda w: {"f": 1.0, "m": 1.0, "o": 1.0}).play(3)
    assert world.events("diagnosis")[-1]["ranking"] == ["storm", "fever", "mole"]


def test_what_may_follow_from_a_cause_outside_the_game_is_told_and_left_alone() -> None:
    world = World(lambda w: {"f": float(w.images >= 300), "o": float(100 <= w.images < 200)}).play()
    assert [event["diagnosis"] for event in world.events("diagnosis")] == ["storm", "fever"]
    assert world.events("intervention") == []
    world = World(lambda w: {"p": float(300 <= w.images < 400), "o": float(100 <= w.images < 200)}).play()
    assert world.events("intervention")[0]["diagnosis"] == "plague", "but for what is fatal"


def test_a_snapshot_from_before_the_first_round_is_what_an_early_illness_goes_back_to() -> None:
    world = World(between(10, 40, "p"))
    for order in world.monitor.begin():
        world.obey(order)
    assert world.snapshots["healthy"][0] == 0
    world.play()
    assert world.events("intervention")[0]["to"] == 0
    assert World(always("m"), rollbacks=0).monitor.begin() == World(always("m"), mode="watch").monitor.begin() == []


def test_a_sign_of_check_ups_is_counted_at_check_ups() -> None:
    world = World(lambda w: {"health/rash": 1.0}).play(60)
    assert [event["images_seen"] for event in world.events("diagnosis")] == [2 * EVERY]
    proof = world.events("proof")[0]
    assert proof["images_seen"] == (2 + PROOF["check-up"]) * EVERY


def test_rounds_that_are_not_measured_are_passed_over() -> None:
    world = World(always("m"))
    assert world.monitor.read(Record(50, 1, 0, False, {"m": 1.0}), world.controls) == []
    assert world.monitor.lookout.history.images_seen == 0


# --- interventions and proof


def test_what_helps_stays_and_closes_the_case() -> None:
    world = World(between(100, 200, "f")).play()
    assert world.kinds() == ["diagnosis", "intervention", "proof"]
    diagnosis, intervention, proof = world.events()
    assert diagnosis["images_seen"] == intervention["images_seen"] == 110
    assert intervention["intervention"] == "noise"
    assert intervention["turns"] == {"dial": {"factor": 1.0, "shift": 0.1}}
    assert proof["images_seen"] == 110 + PROOF["record"] * STEP
    assert proof["cured"] is True
    assert {event["case"] for event in world.events()} == {1}
    assert world.controls["dial"] == pytest.approx(0.2)
    assert world.monitor.word() == "steady"


def test_what_does_not_help_is_undone_and_the_next_thing_tried_until_all_is_given_up() -> None:
    world = World(always("f", 100)).play()
    assert world.kinds() == [
        "diagnosis",
        *("intervention", "proof", "undone"),
        *("intervention", "proof", "undone"),
        *("intervention", "proof"),  # what came with a rollback is put back with the case
        "given-up",
    ]
    assert [event["intervention"] for event in world.events("intervention")] == ["noise", "augmentation", "back"]
    assert [event["cured"] for event in world.events("proof")] == [False] * 3
    assert (world.controls["knob"], world.controls["dial"]) == (1.0, 0.1)
    assert world.events("given-up")[0]["diagnosis"] == "fever"
    assert not world.orders(Stop), "it is not fatal"
    assert world.images == TOTAL


def test_what_helped_a_little_is_built_upon_and_put_back_with_the_case() -> None:
    def signs(world: World) -> Signs:
        return {"f": float(world.images >= 100), "health/distance": 0.4 if world.controls["dial"] == 0.1 else 0.2}

    world = World(signs, without=("back",))
    world.play(9 + 1 + PROOF["record"] + 1)
    assert len(world.events("intervention")) == 2
    assert (world.controls["dial"], world.controls["knob"]) == (pytest.approx(0.2), 2.0)
    assert "undone" not in world.kinds()
    world.play()
    assert world.kinds()[-1] == "given-up"
    assert (world.controls["dial"], world.controls["knob"]) == (0.1, 1.0)


def test_turns_of_an_earlier_case_outlive_a_later_one_that_is_given_up() -> None:
    def signs(world: World) -> Signs:
        return {"f": float(100 <= world.images < 150), "health/rash": float(world.images >= 1000)}

    world = World(signs).play()
    assert [event["kind"] for event in world.events() if event["diagnosis"] == "rash"][-1] == "given-up"
    assert world.controls.turned("dial", OWNER) == (1.0, 0.1)
    assert world.controls.turned("knob", OWNER) == (1.0, 0.0)


def test_the_ladder_goes_on_where_it_was_left() -> None:
    world = World(lambda w: {"f": float(w.images % 1000 < 100 and w.images > 500)}).play()
    assert [event["intervention"] for event in world.events("intervention")] == ["noise", "augmentation", "back"]
    assert world.events("proof")[0]["cured"] is world.events("proof")[1]["cured"] is True
    assert "given-up" not in world.kinds()
    assert len(world.events("diagnosis")) >= 4, "it is told of even when nothing is left to try"


def test_health_leaves_what_others_have_turned() -> None:
    world = World(always("f", 100))
    world.controls.turn("dial", by="adaptive", shift=0.05)
    world.controls.turn("knob", by="person", factor=3.0)
    world.play()
    assert world.controls.turned("dial", "adaptive") == (1.0, 0.05)
    assert world.controls.turned("knob", "person") == (3.0, 0.0)
    assert (world.controls["knob"], world.controls["dial"]) == (3.0, pytest.approx(0.15))


@pytest.mark.parametrize("without", [("noise",), ("back",), ("noise", "augmentation", "back")])
def test_what_must_not_be_used_is_not(without: tuple[str, ...]) -> None:
    world = World(always("f", 100), without=without).play()
    used = [event["intervention"] for event in world.events("intervention")]
    assert used == [name for name in ("noise", "augmentation", "back") if name not in without]
    assert world.kinds()[-1] == "given-up"


def test_an_unknown_intervention_is_refused_with_the_nearest() -> None:
    with pytest.raises(SteadyganError, match=r"intervention.*augmentatoin.*did you mean 'augmentation'\?"):
        World(always("f"), without=("augmentatoin",))


# --- snapshots and rollbacks


def test_a_snapshot_is_healthy_when_the_next_check_up_agrees() -> None:
    world = World(lambda w: {"health/rash": float(w.images == 5 * EVERY)})
    places: list[tuple[int, int]] = []
    while world.images < 9 * EVERY:
        world.step()
        if world.images % EVERY == 0:
            places.append((world.images // EVERY, world.snapshots["healthy"][0]))
    # the first one stands until a check-up has agreed with another; at the fifth a sign is seen, confirmed or not
    assert places == [
        (1, STEP), (2, STEP), (3, 2 * EVERY), (4, 3 * EVERY), (5, 3 * EVERY),
        (6, 4 * EVERY), (7, 6 * EVERY), (8, 7 * EVERY), (9, 8 * EVERY),
    ]  # fmt: skip


def test_a_snapshot_of_a_game_that_gets_nowhere_is_not_kept() -> None:
    world = World(lambda w: {"health/distance": 0.8}).play(100)
    assert [order.name for order in world.orders(Keep)] == ["healthy"]
    assert world.snapshots["healthy"][0] == STEP


def test_a_fatal_illness_goes_back_and_changes_something() -> None:
    world = World(between(1000, 1100, "p")).play()
    assert world.kinds() == ["diagnosis", "intervention", "proof"]
    diagnosis, intervention, proof = world.events()
    assert (diagnosis["images_seen"], intervention["to"]) == (1000, 920)
    assert world.orders(RollBack) == [RollBack("healthy")]
    assert world.controls["knob"] == 0.5, "the turn is made after the rollback"
    assert proof["cured"] and proof["attempt"] == 1
    assert proof["images_seen"] >= 1000, "not before the place is passed at which it had been ill"


def test_a_fatal_illness_that_comes_again_ends_the_run_in_a_healthy_state() -> None:
    world = World(always("p", 1000)).play()
    assert world.kinds() == ["diagnosis", *("intervention", "proof") * 2, "given-up", "stop"]
    assert [event["to"] for event in world.events("intervention")] == [920, 920]
    assert [dict(event["turns"]["knob"])["factor"] for event in world.events("intervention")] == [0.5, 0.125]
    *_, back, told, stop = world.diary[-1][1]
    assert back == RollBack("healthy")
    assert isinstance(told, Tell) and told.event["kind"] == "stop"
    assert isinstance(stop, Stop) and stop.failed and stop.why and stop.remedy
    assert world.ended
    before = copy.deepcopy(world.monitor.state_dict())
    assert world.step() == [], "after the end there is nothing to order"
    assert repr(world.monitor.state_dict()) == repr(before)


def test_a_candidate_of_a_stretch_that_was_given_up_never_becomes_healthy() -> None:
    world = World(between(1010, 1100, "p"))
    while not world.attempt:
        world.step()
    assert world.images == 960
    while world.images < 1400:
        world.step()
        assert world.snapshots["healthy"][0] == world.monitor.treatment.kept["healthy"] <= world.images
        assert world.snapshots["healthy"][0] != 1000 or world.images > 1000


def test_rollbacks_are_counted_and_bounded() -> None:
    for most in range(4):
        world = World(always("p", 1000), rollbacks=most).play()
        back = len(world.events("intervention"))
        assert back == min(most, 2)
        assert world.ended
    assert not World(always("p", 1000), rollbacks=0).play().orders(RollBack, Keep)


def test_only_so_much_is_played_again() -> None:
    assert not World(always("p", 1000), replay=0.01).play().events("intervention")
    assert len(World(always("p", 1000), replay=0.02).play().events("intervention")) == 1


def test_there_is_no_going_back_from_what_comes_from_outside() -> None:
    world = World(lambda w: {"p": float(w.images >= 1000), "o": float(w.images >= 900)}).play()
    assert world.kinds() == ["diagnosis", "diagnosis", "given-up", "stop"]


def test_a_fatal_illness_takes_over_a_case() -> None:
    world = World(lambda w: {"f": float(w.images >= 500), "p": float(w.images == 600 and not w.attempt)})
    while not world.attempt:
        world.step()
    assert [(event["kind"], event["diagnosis"]) for event in world.events()] == [
        ("diagnosis", "fever"),
        ("intervention", "fever"),
        ("diagnosis", "plague"),
        ("proof", "fever"),
        ("intervention", "plague"),
    ]
    assert world.events("proof")[0]["cured"] is False


# --- watching, best and end


def test_watching_changes_nothing() -> None:
    signs: Callable[[World], Signs] = lambda w: {"f": float(w.images > 50), "p": float(w.images == 90)}  # noqa: E731
    world = World(signs, mode="watch").play()
    assert {event["kind"] for event in world.events()} == {"diagnosis", "receded"}
    assert {type(order) for order in world.orders(object)} == {Tell, Best}
    assert world.controls.state_dict() == {"knob": {}, "dial": {}}


def test_the_best_is_the_latest_that_is_not_clearly_worse_than_another() -> None:
    course = [0.5, 2.0, 0.2, 0.2, 0.9, 0.201, 0.05, 0.4]

    def signs(world: World) -> Signs:
        place = min(len(course), max(1, -(-world.images // EVERY))) - 1
        return {"health/distance": course[place], "health/distance_floor_spread": 0.005}

    world = World(signs, total=EVERY * len(course)).play()
    assert [order.value for order in world.orders(Best)] == [0.5, 0.2, 0.2, 0.201, 0.05]
    assert world.monitor.best == 0.05


def test_the_end_of_progress_ends_the_run_where_that_is_wanted() -> None:
    assert World(always("e", 500)).play().images == TOTAL
    world = World(always("e", 500), stop_when_finished=True).play()
    assert world.images == 500
    assert [order.failed for order in world.orders(Stop)] == [False]


def test_check_ups_come_at_their_interval_and_at_the_end() -> None:
    world = World(lambda w: {}, total=110).play()
    assert [place for place, orders in world.diary if any(isinstance(order, Best) for order in orders)] == [40, 80, 110]
    assert float(world.monitor.memory["count"]) == 3


def test_the_signals_of_a_check_up_join_the_record() -> None:
    world = World(lambda w: {})
    record = Record(EVERY, 1, 0, True, {"loss": 1.0})
    world.monitor.read(record, world.controls)
    assert record.signals["health/distance"] == 0.04
    assert world.monitor.lookout.history.last("health/distance") == 0.04


def test_every_intervention_and_diagnosis_of_the_real_tables_fits_the_other() -> None:
    from steadygan.health.diagnoses import DIAGNOSES as REAL

    for name, diagnosis in REAL.items():
        assert set(diagnosis.remedies) <= INTERVENTIONS.keys(), name
        assert diagnosis.confirm >= 1 and diagnosis.needs and diagnosis.meaning and diagnosis.advice
        assert not diagnosis.fatal or diagnosis.at == "record", "what ends a run is looked for at every record"


# --- any script whatever


SIGN = st.sampled_from([0.0, 0.0, 1.0])
MOMENT = st.fixed_dictionaries(
    {
        "p": st.sampled_from([0.0] * 12 + [1.0]),
        "f": SIGN,
        "m": SIGN,
        "o": st.sampled_from([0.0] * 20 + [1.0]),
        "health/rash": SIGN,
        "health/distance": st.sampled_from([0.9, 0.5, 0.1, 0.04, 0.01]),
    }
)
SCRIPT = st.lists(st.tuples(MOMENT, st.integers(1, 40)), min_size=1, max_size=16)


def scripted(script: list[tuple[dict[str, float], int]], total: int = 2000, **config: Any) -> World:
    """The script goes on by rounds, whatever the clock does; it is well when it has run out."""
    moments = [moment for moment, count in script for _ in range(count)]
    return World(lambda w: moments[w.rounds - 1] if w.rounds <= len(moments) else {}, total, **config)


@settings(max_examples=60)
@given(script=SCRIPT, rollbacks=st.integers(0, 3), mode=st.sampled_from(["mend", "mend", "watch"]))
def test_what_holds_of_every_course(script: list[tuple[dict[str, float], int]], rollbacks: int, mode: str) -> None:
    world = scripted(script, rollbacks=rollbacks, mode=mode)
    active: set[str] = set()
    while world.images < world.total and not world.ended:
        before, here, attempts = _turns(world), world.images + STEP, world.attempt
        orders = world.step()
        told = [dict(order.event) for order in orders if isinstance(order, Tell)]
        for event in told:
            if event["kind"] == "diagnosis":
                assert event["diagnosis"] not in active
                active.add(event["diagnosis"])
            elif event["kind"] == "receded" or (event["kind"] == "proof" and event["cured"]):
                active.remove(event["diagnosis"])
            elif event["kind"] == "intervention":
                assert event["turns"] and _turns(world) != before
                assert event.get("to", 0) <= here
                assert ("to" in event) == (world.attempt > attempts)
            assert event["images_seen"] == here
            json.dumps(event)
        assert active == world.monitor.active.keys()
        kept = world.monitor.treatment.kept
        assert {name: place for name, (place, _) in world.snapshots.items() if name in kept} == kept
        standing = {name: turn for name, turn in world.monitor.treatment.standing.items() if turn != (1.0, 0.0)}
        assert _turns(world) == standing or world.ended
        if mode == "watch":
            assert not any(isinstance(order, Turn | Keep | Rename | RollBack | Stop) for order in orders)
    assert world.attempt <= rollbacks + world.ended
    assert world.ended == any(event["kind"] == "stop" for event in world.events())
    numbers = [event["case"] for event in world.events("diagnosis")]
    assert numbers == list(range(1, len(numbers) + 1))


def _turns(world: World) -> dict[str, tuple[float, float]]:
    turned = {name: world.controls.turned(name, OWNER) for name in world.controls}
    return {name: turn for name, turn in turned.items() if turn != (1.0, 0.0)}


@settings(max_examples=60)
@given(script=SCRIPT, place=st.integers(0, 250))
def test_reloaded_anywhere_it_orders_the_same(script: list[tuple[dict[str, float], int]], place: int) -> None:
    world = scripted(script)
    world.play(place)
    fresh = scripted(script)
    state = copy.deepcopy(world.monitor.state_dict())
    state["history"] = json.loads(json.dumps(state["history"], allow_nan=False))
    fresh.monitor.load_state_dict(state)
    fresh.controls.load_state_dict(copy.deepcopy(world.controls.state_dict()))
    fresh.images, fresh.attempt, fresh.rounds, fresh.ended = world.images, world.attempt, world.rounds, world.ended
    fresh.snapshots = copy.deepcopy(world.snapshots)
    done = len(world.diary)
    world.play()
    fresh.play(2000 - done)
    assert repr(fresh.diary) == repr(world.diary[done:])
    assert repr(fresh.monitor.state_dict()) == repr(world.monitor.state_dict())


def test_a_state_before_any_check_up_is_plain() -> None:
    state = World(lambda w: {}).play(1).monitor.state_dict()
    assert state["best"] is None
    json.dumps(state, allow_nan=False)
    fresh = World(lambda w: {})
    fresh.monitor.load_state_dict(state)
    assert fresh.monitor.best == math.inf


def test_own_diagnoses_and_interventions_work_in_a_copy_of_the_tables() -> None:
    table = {"mole": replace(DIAGNOSES["mole"], remedies=("own",), confirm=1)}
    own = {"own": Intervention("mine", lambda bench: {"knob": (0.75, 0.0)} if not bench.standing else {})}
    world = World(always("m", 50))
    world.monitor = Monitor(HealthConfig(every=EVERY), TOTAL, world.examine, table, own)
    world.play(10)
    assert world.controls["knob"] == 0.75
