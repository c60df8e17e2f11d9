"""What people ask of a run while it goes on: heard, answered, told, and heard again at the same place after a kill."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from steadygan.errors import Stopped
from steadygan.game import checkpoint
from steadygan.health.illnesses import sicken_config
from steadygan.runtime.folder import RunFolder
from steadygan.session import planning
from steadygan.session.running import Run, open_run
from steadygan.session.watching import Silent
from steadygan.session.wishes import LATE

SLOWER = {"wish": "turn", "by": "anna", "control": "learning_rate.generator", "factor": 0.25}
BACK = {"wish": "back", "by": "ben", "to": "healthy"}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadygan.report.outputs.finish", lambda run: None)
    monkeypatch.setattr("os.fsync", lambda handle: None)


def lines(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


class Person(Silent):
    """Writes a wish when the clock shows a certain number for the first time."""

    def __init__(self, run: Path, plan: Mapping[int, Mapping[str, Any] | list[Mapping[str, Any]]]) -> None:
        self.run, self.plan, self.told = run, dict(plan), list[str]()

    def record(self, line: Mapping[str, Any], pace: Any, health: str) -> None:
        wishes = self.plan.pop(int(line["images_seen"]), [])
        for number, wish in enumerate(wishes if isinstance(wishes, list) else [wishes]):
            RunFolder(self.run).append("wishes.jsonl", {"id": f"{line['images_seen']}-{number}"} | dict(wish))

    def event(self, text: str) -> None:
        self.told.append(text)


def play(lab: Any, run: Path, plan: Mapping[int, Any], *given: str, illness: str = "") -> Person:
    """A run of 96 images in rounds of 8 that somebody wishes things of."""
    config = lab.config("mlp", "health.mode=watch", "health.every=16", "health.count=16", *given)
    if illness:
        config = planning.settle(sicken_config(illness, config).model_copy(update={"sicken": illness}))
    RunFolder(run).create(config.model_dump_json(indent=1))
    person = Person(run, plan)
    go_on(lab, run, person)
    return person


def go_on(lab: Any, run: Path, person: Silent | None = None) -> Run:
    folder, config = open_run(run)
    one = Run(folder, config, lab.data, person)
    one.conduct()
    return one


def wished(run: Path) -> list[dict[str, Any]]:
    return [event for event in lines(run, "events.jsonl") if event["kind"] == "wish"]


def test_a_control_that_is_turned_shows_in_events_answers_and_records(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    person = play(lab, run, {40: SLOWER})
    (event,) = wished(run)
    assert event == {
        "images_seen": 40, "attempt": 0, "kind": "wish", "wish": "turn", "id": "40-0", "by": "person:anna",
        "done": True, "words": "learning_rate.generator at 0.25 times its plan", "control": "learning_rate.generator",
        "factor": 0.25,
    }  # fmt: skip
    wish, answer = lines(run, "wishes.jsonl")
    assert answer == {"answer": wish["id"], "images_seen": 40, "attempt": 0, "done": True, "words": event["words"]}
    rates = {line["images_seen"]: line["control/learning_rate.generator"] for line in lines(run, "records.jsonl")}
    assert rates[48] == rates[96] == pytest.approx(rates[40] * 0.25)
    assert rates[8] == rates[40]
    assert [text for text in person.told if "anna" in text] == [
        "[40 images] anna: learning_rate.generator at 0.25 times its plan"
    ]


def test_a_turn_can_be_taken_back_and_two_people_do_not_undo_each_other(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    halves = SLOWER | {"by": "ben", "factor": 0.5}
    play(lab, run, {16: [SLOWER, halves], 48: SLOWER | {"factor": 1.0}})
    rates = {line["images_seen"]: line["control/learning_rate.generator"] for line in lines(run, "records.jsonl")}
    assert rates[24] == pytest.approx(rates[16] / 8)
    assert rates[56] == rates[96] == pytest.approx(rates[16] / 2)
    assert wished(run)[-1]["words"] == "learning_rate.generator as planned again"


def test_going_back_raises_the_attempt_and_keeps_what_people_turned(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    play(lab, run, {24: SLOWER, 64: BACK}, "health.mode=mend")
    told = {event["wish"]: event for event in wished(run)}
    assert told["back"]["done"], told["back"]["words"]
    records = lines(run, "records.jsonl")
    place = next(i for i, line in enumerate(records) if line["images_seen"] == 64) + 1
    assert records[place]["images_seen"] == 8, "healthy is the snapshot from before the first round"
    assert records[place]["attempt"] == records[place - 1]["attempt"] + 1
    assert records[-1]["images_seen"] == 96
    turns = checkpoint.read(checkpoint.listed(run / "checkpoints")[0])["state"]["controls"]["learning_rate.generator"]
    assert turns["person:anna"] == [0.25, 0.0]


@pytest.mark.parametrize("illness", ["", "bursts:2"])
def test_a_run_that_was_wished_of_ends_in_the_same_bits_wherever_it_was_killed(
    illness: str, lab: Any, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    pause = [{"wish": "pause", "by": "a"}, {"wish": "go-on", "by": "a"}]
    plan = {16: SLOWER, 40: pause, 64: [BACK, SLOWER | {"shift": 1e-4}], 80: SLOWER | {"control": "nonsense"}}
    play(lab, whole, plan, "health.mode=mend", illness=illness)
    expected, told, asked = lab.outcome(whole), lines(whole, "events.jsonl"), (whole / "wishes.jsonl").read_bytes()
    assert [event["wish"] for event in wished(whole)] == ["turn", "pause", "go-on", "back", "turn", "turn"]
    names = lab.checkpoints(whole)
    assert any(name.endswith("-001") for name in names)
    for keep in range(len(names)):
        again = lab.cut(whole, tmp_path / f"again-{keep}", keep)
        lab.conduct(again)
        assert lab.outcome(again).differences(expected) == []
        assert lines(again, "events.jsonl") == told
        assert (again / "wishes.jsonl").read_bytes() == asked, "nothing is answered twice"


def test_stop_saves_and_leaves_and_resume_goes_on(lab: Any, tmp_path: Path) -> None:
    run, still = tmp_path / "run", tmp_path / "still"
    with pytest.raises(Stopped, match="stopped by person:anna at 48 images; everything is saved") as caught:
        play(lab, run, {48: {"wish": "stop", "by": "anna"}})
    assert caught.value.code == 143
    assert checkpoint.listed(run / "checkpoints")[0].name == "000000000048-000"
    go_on(lab, run)
    play(lab, still, {})
    assert lab.outcome(run).differences(lab.outcome(still)) == ["state.json"], "it knows how long events.jsonl is"
    assert [event["words"] for event in wished(run)] == ["saved and stopped; resume goes on"]


def test_end_finishes_for_good(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    play(lab, run, {48: {"wish": "end", "by": "anna"}})
    assert lines(run, "records.jsonl")[-1]["images_seen"] == 48
    go_on(lab, run)
    assert lines(run, "records.jsonl")[-1]["images_seen"] == 48, "an ended run has nothing to go on with"


def test_a_paused_run_waits_until_it_is_told_to_go_on(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def wake() -> None:
        while not (run / "events.jsonl").is_file() or not wished(run):
            time.sleep(0.02)
        seen.append(lines(run, "records.jsonl")[-1]["images_seen"])
        time.sleep(0.5)
        seen.append(lines(run, "records.jsonl")[-1]["images_seen"])
        folder = RunFolder(run)
        folder.append("wishes.jsonl", {"id": "x", **SLOWER})
        folder.append("wishes.jsonl", {"id": "y", "wish": "go-on", "by": "ben"})

    seen: list[int] = []
    other = threading.Thread(target=wake)
    other.start()
    play(lab, run, {40: {"wish": "pause", "by": "anna"}})
    other.join()
    assert seen == [40, 40]
    assert [(event["wish"], event["images_seen"]) for event in wished(run)] == [
        ("pause", 40), ("turn", 40), ("go-on", 40),
    ]  # fmt: skip
    assert lines(run, "records.jsonl")[-1]["images_seen"] == 96


def test_a_signal_ends_a_pause_and_saves(lab: Any, tmp_path: Path) -> None:
    import os
    import signal

    run = tmp_path / "run"

    def interrupt() -> None:
        while not (run / "events.jsonl").is_file() or not wished(run):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(Stopped, match="stopped by SIGTERM at 40 images"):
        play(lab, run, {40: {"wish": "pause", "by": "anna"}})
    other.join()
    go_on(lab, run)
    assert lines(run, "records.jsonl")[-1]["images_seen"] == 96, "it is not paused any more"


def test_what_was_asked_of_a_run_that_stood_still_is_refused(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        play(lab, run, {48: {"wish": "stop", "by": "anna"}})
    RunFolder(run).append("wishes.jsonl", {"id": "old", "wish": "end", "by": "ben"})
    go_on(lab, run)
    assert lines(run, "records.jsonl")[-1]["images_seen"] == 96
    assert lines(run, "wishes.jsonl")[-1] == {
        "answer": "old", "images_seen": 56, "attempt": 0, "done": False, "words": f"not done: {LATE}"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"wish": "turn", "control": "learning_rate.generater", "factor": 2}, "did you mean 'learning_rate.generator'"),
        ({"wish": "turn", "control": ["x"], "factor": 2}, "there is no control"),
        ({"wish": "turn", "control": "learning_rate.generator", "factor": "much"}, "must be numbers"),
        ({"wish": "turn", "control": "learning_rate.generator", "factor": None}, "must be numbers"),
        ({"wish": "turn", "control": "learning_rate.generator", "factor": -1}, "a factor lies between"),
        ({"wish": "turn", "control": "learning_rate.generator", "shift": "inf"}, "a shift is finite"),
        ({"wish": "back", "to": "yesterday"}, "no snapshot 'yesterday' is kept"),
        ({"wish": "back", "to": ["healthy"]}, "no snapshot"),
        ({"wish": "back"}, "no snapshot None"),
        ({"wish": "go-on"}, "the run is not paused"),
        ({"wish": "fly"}, "nobody knows the wish 'fly'"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_refused_and_the_run_goes_on(
    wish: dict[str, Any], why: str, lab: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    play(lab, run, {40: wish})
    (event,) = wished(run)
    assert not event["done"]
    assert why in event["words"]
    assert event["by"] == "person:somebody"
    assert lines(run, "records.jsonl")[-1]["images_seen"] == 96
    assert {line["control/learning_rate.generator"] for line in lines(run, "records.jsonl")} == {
        lines(run, "records.jsonl")[0]["control/learning_rate.generator"]
    }


def test_lines_that_are_no_wishes_are_passed_over(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rubbish = b'\xff\xfe\n[1]\n{"wish": 3, "id": "a"}\n{"wish": "pause"}\n{"answer": "a"}\n{"answer": {}, "words": 1}\n'
    rubbish += b"[" * 100_000 + b'\n\n{"wish": "pause", "id": "half'
    config = lab.config("mlp")
    RunFolder(run).create(config.model_dump_json(indent=1))
    (run / "wishes.jsonl").write_bytes(rubbish)
    go_on(lab, run)
    assert lines(run, "records.jsonl")[-1]["images_seen"] == 96
    assert wished(run) == []
    assert (run / "wishes.jsonl").read_bytes() == rubbish


def test_a_run_from_before_there_were_wishes_resumes(finished: Path, lab: Any, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 3)
    (run / "wishes.jsonl").unlink(missing_ok=True)
    lab.conduct(run)
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_the_lock_tells_whether_somebody_trains_and_looking_does_not_disturb(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert not RunFolder(run).held()
    RunFolder(run).create(lab.config("mlp").model_dump_json(indent=1))
    assert not RunFolder(run).held()
    halt = threading.Event()

    def look() -> None:
        while not halt.is_set():
            RunFolder(run).held()

    other = threading.Thread(target=look)
    other.start()
    try:
        for _ in range(50):
            with RunFolder(run):
                assert RunFolder(run).held()
    finally:
        halt.set()
        other.join()
    assert not RunFolder(run).held()
    shutil.rmtree(run)
