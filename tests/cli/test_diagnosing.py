"""``steadygan diagnose`` and ``steadygan illnesses``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steadygan.health.diagnoses import DIAGNOSES
from steadygan.health.illnesses import ILLNESSES


def records(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_a_run_is_looked_at_without_being_changed(call: Any, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = call("diagnose", run).fine()
    assert said
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_tells_its_story_and_what_to_do(call: Any, run: Path) -> None:
    lines = (run / "records.jsonl").read_text().splitlines()
    last = json.loads(lines[-1]) | {"generator/loss": None}
    (run / "records.jsonl").write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    (run / "events.jsonl").write_text("")
    said = call("diagnose", run).fine()
    assert "[256 images] blow-up: the generator's loss is not finite\n" in said
    plain = " ".join(said.split())
    assert f"blow-up (to the end): {DIAGNOSES['blow-up'].meaning}; advice: {DIAGNOSES['blow-up'].advice}" in plain


def test_what_health_did_is_told_as_it_told_it(call: Any, run: Path) -> None:
    head = {"attempt": 0, "case": 1, "diagnosis": "stall"}
    records(
        run / "events.jsonl",
        head | {"images_seen": 64, "kind": "diagnosis", "words": "it stands"},
        head | {"images_seen": 64, "kind": "intervention", "words": "both learning rates halved", "turns": {}},
        head | {"images_seen": 12_800, "kind": "proof", "words": "recovered", "cured": True},
        head | {"images_seen": 13_000, "kind": "receded"},
    )
    said = call("diagnose", run).fine().splitlines()
    assert said[:4] == [
        "[64 images] stall: it stands",
        "[64 images] stall -> both learning rates halved",
        "[12.8k images] stall: proof: recovered",
        "[13k images] stall: no longer seen",
    ]


def test_a_table_of_another_program(call: Any) -> None:
    rows = [f"{step * 64},1.2,0.8" for step in range(1, 20)] + ["1280,nan,0.8"]
    Path("log.csv").write_text("\n".join(["step,d_loss,g_loss", *rows]) + "\n")
    said = call("diagnose", "log.csv").fine()
    assert "[1,280 images] blow-up: the discriminator's loss is not finite" in said
    told = said.replace("\n", " ")
    assert "cannot be told from these records:" in told
    assert all(name in told for name in ("copying", "overfitting", "collapse"))


def test_a_healthy_table(call: Any) -> None:
    lines = [{"Progress/kimg": place / 10, "Loss/D": 1.3, "Loss/G": 0.8} for place in range(1, 50)]
    said = call("diagnose", records(Path("stats.jsonl"), *lines)).fine()
    assert said.startswith("nothing amiss in what the records show\n")


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        (
            "log.csv",
            "time,lr\n1,2\n",
            "no figure in log.csv is known (found lr, time): name a column d_loss",
        ),
        ("log.csv", "", "no figure in log.csv is known (found nothing)"),
        ("log.jsonl", "what?\n", "log.jsonl is not one JSON object a line"),
        ("picture.png", "\0\1", "picture.png is not one JSON object a line"),
    ],
)
def test_a_file_that_says_nothing_is_refused(call: Any, name: str, text: str, answer: str) -> None:
    Path(name).write_text(text)
    said = call("diagnose", name)
    assert said.fault().startswith(answer)
    assert said.status == 2


def test_what_is_no_record_is_refused(call: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for words, answer in (
        (("nowhere",), "no run at nowhere"),
        (("folder",), "folder is not a run folder"),
        (("folder", "--total", "many"), "--total 'many' is not a whole number"),
        (("folder", "--totl", "3"), "unknown option --totl: did you mean --total?"),
    ):
        said = call("diagnose", *words)
        assert said.fault().startswith(answer)
        assert said.status == 2


def test_a_run_without_records_is_refused(call: Any, run: Path) -> None:
    (run / "records.jsonl").write_text("")
    assert "holds no records" in call("diagnose", run).fault()
    (run / "records.jsonl").unlink()
    assert "holds no records" in call("diagnose", run).fault()


def test_illnesses_are_listed_and_shown(call: Any) -> None:
    rows = call("illnesses").rows()
    assert rows.keys() >= ILLNESSES.keys()
    for name, illness in ILLNESSES.items():
        shown = call("illnesses", name).fine()
        assert shown.splitlines()[0].startswith(illness.meaning[:60])
        assert illness.expected[0] in shown
        assert f"severe {illness.parameters[2]:g}" in shown


def test_an_unknown_illness_names_the_nearest(call: Any) -> None:
    said = call("illnesses", "colapse")
    assert "did you mean 'collapse'?" in said.fault()
    assert said.status == 2


def test_a_run_is_made_ill_and_left_alone_when_told_so(call: Any, small: tuple[str, ...]) -> None:
    call("train", "digits", *small, "--out", "run", "--sicken", "weight-clip:severe", "--health", "watch")
    config = json.loads(Path("run/config.json").read_text())
    assert config["sicken"] == "weight-clip:severe"
    assert config["health"]["mode"] == "watch"
    kinds = {json.loads(line)["kind"] for line in Path("run/events.jsonl").read_text().splitlines()}
    assert kinds <= {"diagnosis", "receded"}
    assert call("diagnose", "run").status == 0


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (("--sicken", "colapse"), "did you mean 'collapse'?"),
        (("--sicken", "collapse:terrible"), "is no severity of an illness: choose mild, medium, severe or a number"),
        (("--sicken", "collapse:9"), "is no severity of an illness"),
        (("--health", "men"), "mend"),
        (("--set", 'health.without=["slower-playars"]'), "did you mean 'slower-players'?"),
        (("--set", "health.count=2"), "health.count"),
    ],
)
def test_bad_settings_of_health_leave_nothing_behind(
    call: Any, small: tuple[str, ...], flags: tuple[str, ...], answer: str
) -> None:
    said = call("train", "digits", *small, "--out", "run", *flags)
    assert answer in said.fault()
    assert said.status == 2
    assert not Path("run").exists()
