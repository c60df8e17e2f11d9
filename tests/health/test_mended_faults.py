"""Faults that a review of health found and that are mended: these tests keep them from coming back."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import steadygan
from steadygan.cli.main import main
from steadygan.config import HealthConfig
from steadygan.errors import SteadyganError
from steadygan.game.controls import Controls
from steadygan.game.orders import Best, Keep, Order, Rename, RollBack, Tell, Turn
from steadygan.game.round import Record
from steadygan.health import findings
from steadygan.health.diagnoses import Diagnosis
from steadygan.health.findings import Finding
from steadygan.health.foreign import known_as, read_foreign
from steadygan.health.history import History
from steadygan.health.interventions import INTERVENTIONS, OWNER, Bench, Intervention, Turns
from steadygan.health.monitor import Monitor
from steadygan.session.diagnosing import diagnose

STEP, EVERY, TOTAL = 10, 40, 10_000
"""Images a record, between check-ups, and of a run."""
HEALTHY = {"x": 1.0, "p": 0.0, "q": 0.0, "r": 0.0, "f": 0.0}
"""A loss and the signs of made-up illnesses, none of them present."""
Script = Sequence[Mapping[str, float]]
"""What differs from ``HEALTHY``, record by record; ``distance`` is for check-ups."""


def history(name: str, values: Sequence[float]) -> History:
    """One signal, a point every ``STEP`` images of a short run."""
    found = History(1000)
    for place, value in enumerate(values, 1):
        found.add(place * STEP, {name: value})
    return found


def bench(values: Mapping[str, float], standing: Mapping[str, tuple[float, float]]) -> Bench:
    """Controls of these values, turned by health as it says."""
    controls = Controls(1000)
    for name, value in values.items():
        controls.declare(name, value)
    apply(controls, standing)
    return Bench(controls, standing, History(1000), {})


def apply(controls: Controls, turns: Mapping[str, tuple[float, float]]) -> None:
    for name, (factor, shift) in turns.items():
        controls.turn(name, by=OWNER, factor=factor, shift=shift)


def flag(name: str) -> Callable[[History], Finding | None]:
    def look(course: History) -> Finding | None:
        return Finding(1.0, {name: course.last(name)}, name) if course.last(name, 0.0) > 0 else None

    return look


def illness(sign: str, remedy: str, urgency: int = 1, *, fatal: bool = False) -> Diagnosis:
    """Seen at the first record that bears the sign, with one remedy."""
    return Diagnosis("", (sign,), "", flag(sign), "record", 1, (remedy,), urgency, fatal=fatal)


def to(name: str, factor: float) -> Callable[[Bench], Turns]:
    """This factor, whatever stands."""
    return lambda bench: {name: (factor, 0.0)}


def times(name: str, factor: float) -> Callable[[Bench], Turns]:
    """This factor on top of what stands."""
    return lambda bench: {name: (bench.standing.get(name, (1.0, 0.0))[0] * factor, 0.0)}


class World:
    """A game of two knobs that obeys the monitor and writes down what it tells."""

    def __init__(self, diagnoses: Mapping[str, Diagnosis], interventions: Mapping[str, Intervention]) -> None:
        self.controls = Controls(TOTAL)
        self.controls.declare("a", 1.0)
        self.controls.declare("b", 1.0)
        self.monitor = Monitor(HealthConfig(every=EVERY), TOTAL, self.examine, diagnoses, interventions)
        self.images, self.attempt = 0, 0
        self.snapshots: dict[str, tuple[int, dict[str, Any]]] = {}
        self.now: Mapping[str, float] = {}
        self.events: list[dict[str, Any]] = []

    def examine(self, memory: Mapping[str, Tensor]) -> tuple[dict[str, float], dict[str, Tensor]]:
        return {"distance": self.now.get("distance", 0.01)}, {}

    def play(self, script: Script) -> World:
        for number, self.now in enumerate(script, 1):
            self.images += STEP
            signals: dict[str, Tensor | float] = {**HEALTHY, **self.now}
            signals.pop("distance", None)
            record = Record(self.images, number, self.attempt, True, signals)
            for order in self.monitor.read(record, self.controls):
                self.obey(order)
        return self

    def obey(self, order: Order) -> None:
        match order:
            case Turn(control, by, factor, shift):
                self.controls.turn(control, by=by, factor=factor, shift=shift)
            case Keep(name):
                self.snapshots[name] = self.images, self.controls.state_dict()
            case Rename(name, new):
                self.snapshots[new] = self.snapshots.pop(name)
            case RollBack(name):
                self.images, turned = self.snapshots[name]
                self.controls.load_state_dict(turned)
                self.attempt += 1
            case Tell(event, _):
                self.events.append(dict(event))

    def told(self, kind: str, key: str) -> list[Any]:
        """One entry of all events of a kind, in order."""
        return [event[key] for event in self.events if event["kind"] == kind]


# --- the monitor and its treatment


def test_best_is_not_written_where_this_check_up_has_no_distance() -> None:
    answers = iter([{"distance": 0.1}, {"broken": 1.0}])
    monitor = Monitor(HealthConfig(every=10), 100, lambda memory: (next(answers), {}))
    records = [Record(number * 10, number, 0, True, {"generator/loss": 1.0}) for number in (1, 2)]
    first, second = (monitor.read(record, Controls(100)) for record in records)
    assert [order.value for order in first if isinstance(order, Best)] == [0.1]
    assert [order for order in second if isinstance(order, Best)] == [], "broken weights replace the best ones"


def test_slower_players_never_become_faster() -> None:
    name = "learning_rate.generator"
    turns = INTERVENTIONS["slower-players"].turns(bench({name: 0.1}, {name: (1 / 1024, 0.0)}))
    assert not turns or turns[name][0] < 1 / 1024


@pytest.mark.parametrize("name", ["stronger-penalty", "lighter-discriminator"])
def test_penalties_that_stand_by_a_shift_can_be_changed_again(name: str) -> None:
    shifted = bench({"penalty.r1": 0.0, "penalty.r2": 0.0}, {"penalty.r1": (1.0, 0.1), "penalty.r2": (1.0, 0.1)})
    before = dict(shifted.controls)
    turns = INTERVENTIONS[name].turns(shifted)
    apply(shifted.controls, turns)
    assert not turns or dict(shifted.controls) != before, "the intervention changes nothing"


def test_a_fatal_illness_that_takes_over_a_case_has_its_own_number() -> None:
    diagnoses = {"fever": illness("f", "one"), "plague": illness("p", "two", 9, fatal=True)}
    interventions = {"one": Intervention("one", to("a", 0.5)), "two": Intervention("two", to("b", 0.5))}
    world = World(diagnoses, interventions).play([{}] * 5 + [{"f": 1.0}] * 3 + [{"f": 1.0, "p": 1.0}])
    case = dict(zip(world.told("diagnosis", "diagnosis"), world.told("diagnosis", "case"), strict=True))
    assert world.told("intervention", "case") == [case["fever"], case["plague"]]


def test_what_provoked_a_fatal_illness_does_not_stay_turned() -> None:
    diagnoses = {"fever": illness("f", "wild"), "plague": illness("p", "back", 9, fatal=True)}
    interventions = {
        "wild": Intervention("sixteen times", to("a", 16.0)),
        "back": Intervention("back", to("b", 0.5), rolls_back=True),
    }
    world = World(diagnoses, interventions).play([{}] * 5 + [{"f": 1.0}] * 3 + [{"p": 1.0}] + [{}] * 3)
    assert world.told("intervention", "intervention") == ["wild", "back"]
    assert world.controls["a"] == 1.0, "the game is back at the snapshot with the turn that made it blow up"


def test_a_rollback_leaves_no_turn_that_no_longer_stands() -> None:
    diagnoses = {"one": illness("p", "half", 5), "two": illness("q", "double", 5), "three": illness("r", "back", 5)}
    interventions = {
        "half": Intervention("half", times("a", 0.5)),
        "double": Intervention("double", times("a", 2.0)),
        "back": Intervention("back", times("b", 0.5), rolls_back=True),
    }
    # half is proved and snapshots hold it; double is proved as soon as it may be; the snapshot gone back to is older
    script: Script = [{}] * 3 + [{"p": 1.0}] + [{}] * 40 + [{"q": 1.0}] + [{}] * 25 + [{"r": 1.0}] + [{}] * 2
    world = World(diagnoses, interventions).play(script)
    assert world.told("intervention", "intervention") == ["half", "double", "back"]
    assert world.monitor.treatment.standing.keys() == {"b"}
    assert world.controls["a"] == 1.0, world.controls.state_dict()


def test_what_is_left_out_is_looked_up_in_the_table_that_was_given() -> None:
    own = {"own": Intervention("mine", lambda bench: {})}
    Monitor(HealthConfig(without=("own",), every=10), 100, lambda memory: ({}, {}), {}, own)
    with pytest.raises(SteadyganError, match="intervention"):
        Monitor(HealthConfig(without=("slower-players",), every=10), 100, lambda memory: ({}, {}), {}, own)


def test_the_state_within_a_case_is_strict_json() -> None:
    diagnoses = {"fever": Diagnosis("", ("discriminator/loss",), "", findings.blow_up, "record", 1, ("one",))}
    world = World(diagnoses, {"one": Intervention("one", to("a", 0.5))})
    world.play([{}] * 2 + [{"discriminator/loss": math.nan}])
    assert world.monitor.treatment.case is not None
    state = {name: value for name, value in world.monitor.state_dict().items() if name != "memory"}
    json.dumps(state, allow_nan=False)


# --- looks and statistics


def test_drift_bears_a_distance_of_0() -> None:
    found = findings.drift(history("health/distance", [0.0] * 3 + [5.0] * 60))
    assert found is None or math.isfinite(found.severity)


def test_the_severity_of_a_collapse_without_any_change_is_finite() -> None:
    found = findings.collapse(history("health/diversity", [0.01] * 90))
    assert found is not None
    assert math.isfinite(found.severity)


def test_the_same_batch_every_time_is_no_bad_data() -> None:
    same = [0.25] * 95
    same[60] = same[80] = 0.25 + 3e-8
    same[90] = 0.25 - 3e-8
    assert findings.bad_data(history("real/mean", same)) is None, "rounding is taken for other images"


# --- records of other programs, and diagnose


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("ragged.csv", "step,d_loss\n1,2,3\n", id="a row longer than the header"),
        pytest.param("kimg.csv", "kimg,d_loss\nnan,1\n", id="a clock of nan"),
        pytest.param("inf.csv", "kimg,d_loss\ninf,1\n", id="a clock of infinity"),
        pytest.param("long.csv", "step,d_loss\n1," + "9" * 200_000 + "\n", id="a very long field"),
        pytest.param("digits.jsonl", '{"d_loss": ' + "9" * 5000 + "}\n", id="too many digits"),
        pytest.param("huge.jsonl", '{"d_loss": 1' + "0" * 400 + "}\n", id="an integer beyond any float"),
        pytest.param("deep.jsonl", '{"d_loss": ' + "[" * 100_000 + "\n", id="deeply nested"),
    ],
)
def test_an_odd_file_is_read_or_refused_in_plain_words(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with contextlib.suppress(SteadyganError):
        read_foreign(tmp_path / name)


def test_of_two_clocks_the_finer_one_counts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,epoch,d_loss\n10,0,1\n20,0,1\n30,1,1\n")
    assert [line["images_seen"] for line in read_foreign(tmp_path / "a.csv")] == [10, 20, 30]


@pytest.mark.parametrize(
    "name", ["Loss/G/loss", "Loss/D/loss", "disc_loss", "gen_loss", "lossD", "G/loss", "train/d_loss"]
)
def test_common_names_of_losses_are_known(name: str) -> None:
    assert known_as(name)


def test_diagnose_bears_a_table_of_step_0_only(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,fid\n0,1.0\n")
    diagnose(tmp_path / "a.csv")


def test_diagnose_refuses_a_damaged_record_of_a_run_in_plain_words(tmp_path: Path) -> None:
    steadygan.train("digits", recipe="mlp", images=64, out=tmp_path / "run", set=["batch=16", "threads=1"])
    (tmp_path / "run" / "records.jsonl").write_text("{}\n")
    with pytest.raises(SteadyganError):
        diagnose(tmp_path / "run")


def test_diagnose_without_a_word_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["steadygan", "diagnose"])
    with pytest.raises(SystemExit) as leave:
        main()
    assert leave.value.code == 2
    assert capsys.readouterr().err.startswith("steadygan: diagnose needs")
