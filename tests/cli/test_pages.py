"""The pages on the run folder and the command line say what is there."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steadygan.config import RunConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"


def section(page: str, title: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.split(rf"^##? {re.escape(title)}$", text, flags=re.MULTILINE)[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """Every name in the first column of a section's tables."""
    rows = re.findall(r"^\| (`[^|]+) \|", text, flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_file_of_a_run_is_documented(call: Any, small: tuple[str, ...]) -> None:
    pytest.importorskip("tensorboard")
    call("train", "digits", *small, "--set", "tensorboard=true", "--out", "run").fine()
    call("sample", "run").fine()
    documented = first_cells(section("run-folder.md", "The run folder"))
    there = {path.name + ("/" if path.is_dir() else "") for path in Path("run").iterdir()}
    assert there == documented
    checkpoint = next(Path("run/checkpoints").iterdir())
    assert re.fullmatch(r"\d{12}-\d{3}", checkpoint.name)
    documented = first_cells(section("run-folder.md", "`checkpoints/`"))
    assert {path.name for path in checkpoint.iterdir()} == documented


def test_every_key_of_the_config_is_documented(trained: Path) -> None:
    documented = first_cells(section("run-folder.md", "`config.json`"))
    assert documented == set(RunConfig.model_fields) == set(json.loads((trained / "config.json").read_text()))


def test_every_field_of_the_environment_is_documented(trained: Path) -> None:
    (sitting,) = json.loads((trained / "environment.json").read_text())["sittings"]
    assert first_cells(section("run-folder.md", "`environment.json`")) == set(sitting)


def test_every_field_of_a_record_is_documented(call: Any, small: tuple[str, ...]) -> None:
    further = ("lecam=0.1", "feature_matching=1.0", "penalties.r1.weight=1", "generator.weight_penalties.l2=0.1")
    flags = [word for one in further for word in ("--set", one)]
    call("train", "digits", *small, *flags, "--out", "run").fine()
    documented = first_cells(section("run-folder.md", "`records.jsonl`"))
    patterns = [re.sub(r"<\w+>", "[^/]+", name) for name in documented]
    names = {name for line in Path("run/records.jsonl").read_text().splitlines() for name in json.loads(line)}
    assert {name for name in names if not any(re.fullmatch(pattern, name) for pattern in patterns)} == set()
    assert {name for name in documented if "<" not in name} <= names
    for prefix in ("penalty/", "auxiliary/", "control/"):
        assert any(name.startswith(prefix) for name in names)


def event_rows() -> dict[str, set[str]]:
    """Every documented kind of event, with the fields that only it has."""
    rows = re.findall(
        r"^\| `([a-z-]+)` \| [^|]+ \| ?([^|]*) ?\|$", section("run-folder.md", "`events.jsonl`"), re.MULTILINE
    )
    return {kind: set(re.findall(r"`(\w+)`", fields)) for kind, fields in rows}


def test_every_kind_of_event_is_documented() -> None:
    """Against the code that writes them: hardly any run has all of them."""
    from steadygan.health import monitor, treatment

    sources = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in (monitor, treatment))
    kinds = set(re.findall(r'event\(\s*record, "([a-z-]+)"', sources))
    assert {"diagnosis", "intervention", "proof"} <= kinds
    assert kinds == set(event_rows())


def test_every_field_of_an_event_is_documented(call: Any) -> None:
    flags = ("--recipe", "mlp", "--images", "3000", "--seed", "1", "--threads", "1", "--set", "health.every=200")
    call("train", "digits", *flags, "--sicken", "collapse:severe", "--out", "run").fine()
    events = [json.loads(line) for line in Path("run/events.jsonl").read_text().splitlines()]
    always, rows = {"images_seen", "attempt", "kind", "case", "diagnosis"}, event_rows()
    assert {"diagnosis", "intervention", "proof"} <= {event["kind"] for event in events}
    for event in events:
        assert always <= set(event), event
        assert set(event) - always - {"to"} == rows[event["kind"]] - {"to"}, event
        assert "to" not in event or "to" in rows[event["kind"]]
    named = first_cells(section("run-folder.md", "`events.jsonl`"))
    assert always | set().union(*rows.values()) | set(rows) == named


def test_the_best_holds_what_the_page_says(trained: Path) -> None:
    from safetensors.numpy import load_file

    text = section("run-folder.md", "`best/`")
    assert {path.name for path in (trained / "best").iterdir()} == {
        path.name for path in next((trained / "checkpoints").iterdir()).iterdir()
    }
    assert all(f"`{name}`" in text for name in json.loads((trained / "best" / "state.json").read_text()))
    assert all(name.startswith("state/averages/") for name in load_file(trained / "best" / "weights.safetensors"))


def test_the_settings_that_may_change_are_the_documented_ones() -> None:
    from steadygan.session.environment import FREE

    (text,) = re.findall(r"Between two sittings (.+?) may be\s", section("run-folder.md", "`config.json`"), re.DOTALL)
    assert set(re.findall(r"`([^`]+)`", text)) == set(FREE)


def test_the_quarantine_has_the_documented_columns(trained: Path) -> None:
    with (trained / "quarantine.csv").open() as file:
        assert next(csv.reader(file)) == ["path", "reason"]


def test_the_weights_can_be_read_without_steadygan_or_torch(trained: Path) -> None:
    """The page's own example, in a process where neither can be imported."""
    example = re.findall(r"```python[^\n]*\n(.*?)```", section("run-folder.md", "Reading it"), re.DOTALL)[-1]
    assert len([line for line in example.splitlines() if line]) <= 6
    code = "import sys\nsys.modules['torch'] = sys.modules['steadygan'] = None\n" + example
    code += "print(sorted(average))"
    code = code.replace("runs/read", str(trained))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    import steadygan

    assert done.stdout.strip() == str(sorted(steadygan.load(trained).generator.state_dict()))
