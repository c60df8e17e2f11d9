"""Run folders read while they are written: tails, lists, rows and curves."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.runtime.folder import RunFolder
from steadygan.studio import curves
from steadygan.studio.curves import Curves, thinned
from steadygan.studio.library import DEPTH, Library
from steadygan.studio.run_view import RunView
from steadygan.studio.tail import Tail, last_line

from .conftest import add, make_run, record


def test_a_tail_gives_every_line_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    tail = Tail(path)
    assert tail.read() == (False, [])
    path.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    assert tail.read() == (False, [{"a": 1}, {"a": 2}])
    assert tail.read() == (False, [])
    with path.open("a") as file:
        file.write(': 3}\nrubbish\n[4]\n\n\xff\n{"a": 5}\n')
    assert tail.read() == (False, [{"a": 3}, {"a": 5}])
    path.unlink()
    assert tail.read() == (True, [])
    path.write_text('{"a": 6}\n')
    assert tail.read() == (False, [{"a": 6}])


def test_a_tail_begins_anew_where_the_file_was_cut_back_even_when_it_has_grown_again(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    tail = Tail(path)
    path.write_text("".join(f'{{"a": {n}}}\n' for n in range(10)))
    assert len(tail.read().lines) == 10
    path.write_text('{"a": 0}\n')
    assert tail.read() == (True, [{"a": 0}])
    path.write_text("".join(f'{{"b": {n}}}\n' for n in range(30)))
    news = tail.read()
    assert news.anew
    assert len(news.lines) == 30


@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_a_tail_misses_nothing_however_a_file_is_written(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tail") / "lines.jsonl"
    text = "".join(json.dumps({"n": n, "é": "ü"}, ensure_ascii=False) + "\n" for n in range(12)).encode()
    tail, found = Tail(path), list[dict[str, Any]]()
    for end in [*sorted(cuts), len(text)]:
        path.write_bytes(text[:end])
        news = tail.read()
        assert not news.anew
        found += news.lines
    assert [line["n"] for line in found] == list(range(12))


def test_the_last_line_is_found_without_reading_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert last_line(path) == {}
    path.write_text("x" * 200_000 + '\n{"a": 1}\n{"a": 2}\n{"a": 3')
    assert last_line(path) == {"a": 2}


def test_all_runs_of_a_folder_are_found_the_latest_first(runs: Path) -> None:
    os.utime(runs / "first" / "records.jsonl", (1e9, 1e9))
    os.utime(runs / "first" / "config.json", (1e9, 1e9))
    library = Library(runs)
    assert [place.name for place in library.places()] == ["older/second", "first"]
    assert library.find("older/second") == runs / "older" / "second"
    assert not library.single


def test_runs_are_not_sought_deeper_than_is_said(tmp_path: Path) -> None:
    levels = [f"level{n}" for n in range(DEPTH + 1)]
    for depth in range(1, DEPTH + 2):
        make_run(tmp_path.joinpath(*levels[: depth - 1], f"run{depth}"))
    assert {place.path.name for place in Library(tmp_path).places()} == {f"run{n}" for n in range(1, DEPTH + 1)}


def test_a_run_alone_is_a_library_of_one(runs: Path) -> None:
    library = Library(runs / "first")
    assert [place.name for place in library.places()] == ["first"]
    assert library.find("first") == (runs / "first").resolve()
    with pytest.raises(SteadyganError, match="no run 'second' here"):
        library.find("second")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../outside", "first/../../outside", "/etc", "first/", "first/samples", "holiday", "nothing",
     "first\0", "..\\outside", ".hidden", "linked", "a/b/c/d/e"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(name: str, runs: Path) -> None:
    (runs / "linked").symlink_to(runs.parent / "outside")
    make_run(runs / ".hidden")
    library = Library(runs)
    assert {place.name for place in library.places()} == {"first", "older/second"}
    with pytest.raises(SteadyganError, match="no run .* here: choose one of the list"):
        library.find(name)


def test_a_library_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SteadyganError, match="does not exist: give a folder that holds runs"):
        Library(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(SteadyganError, match="file is a file: give a folder"):
        Library(tmp_path / "file")


def test_a_row_says_how_a_run_stands(runs: Path) -> None:
    row = RunView("first", runs / "first").row()
    assert (row["state"], row["tone"], row["headline"]) == ("stopped", "idle", "Stopped at 400 of 800 images")
    assert (row["images_seen"], row["total"], row["grid"][0]) == (400, 800, 200)
    assert row["about"] == "digits · 8 × 8 · mlp"
    done = RunView("second", runs / "older" / "second").row()
    assert (done["state"], done["headline"], done["pace"]) == ("finished", "Finished", None)


def test_a_view_follows_a_run_that_goes_on(runs: Path) -> None:
    path = runs / "first"
    view = RunView("first", path)
    with RunFolder(path):
        assert view.row()["state"] == "running"
        add(path / "records.jsonl", record(408))
        pause = {"images_seen": 408, "attempt": 0, "kind": "wish", "wish": "pause", "by": "person:anna", "done": True}
        add(path / "events.jsonl", pause)
        row = view.row()
        assert (row["images_seen"], row["state"], row["headline"]) == (408, "paused", "Paused by anna")
        add(path / "records.jsonl", record(416))
        assert view.row()["state"] == "running", "a run that goes on is not paused, whoever told it so"
    assert view.row()["state"] == "stopped"


def test_the_pace_is_that_of_late_or_else_of_the_sitting(runs: Path) -> None:
    path = runs / "first"
    started = {"started": "2026-01-01T00:00:00+0000", "images_seen": 200}
    (path / "environment.json").write_text(json.dumps({"sittings": [started]}))
    begin = 1767225600.0
    os.utime(path / "records.jsonl", (begin + 10, begin + 10))
    os.utime(path / "config.json", (begin, begin))
    view = RunView("first", path)
    with RunFolder(path):
        row = view.row()
        assert row["pace"] == pytest.approx(20)
        assert row["seconds_left"] == pytest.approx(20)
        add(path / "records.jsonl", record(600))
        os.utime(path / "records.jsonl", (begin + 12, begin + 12))
        assert view.row()["pace"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "config.json is not JSON"),
        ("[1]", "config.json is not one of a steadygan run"),
        ('{"name": "package"}', "config.json is not one of a steadygan run"),
        ("[" * 100_000, "config.json is not JSON"),
    ],
)
def test_a_run_that_cannot_be_read_says_why(content: str, why: str, runs: Path) -> None:
    (runs / "first" / "config.json").write_text(content)
    row = RunView("first", runs / "first").row()
    assert (row["state"], row["headline"], row["detail"]) == ("damaged", "Cannot be read", why)


def test_whatever_stands_in_the_files_makes_a_row_and_details(runs: Path) -> None:
    path = runs / "first"
    odd = {"images": "many", "data": 3, "shape": [1], "health": None, "players": [1], "recipe": ["x"]}
    (path / "config.json").write_text(json.dumps(odd))
    (path / "environment.json").write_text('{"sittings": [5]}')
    add(path / "records.jsonl", {"images_seen": "x", "generator/loss": None, "control/a": "b", "attempt": None})
    odd_event = {"case": "x", "diagnosis": 7, "words": None, "by": 3, "wish": "turn", "done": True, "factor": "x"}
    kinds = ("diagnosis", "intervention", "proof", "wish", "stop", "receded", None)
    odd_events = [{"kind": kind} | odd_event for kind in kinds]
    add(path / "events.jsonl", *odd_events)
    (path / "samples" / "000000000999.png").mkdir()
    (path / "checkpoints" / "000000000400-000").mkdir()
    (path / "checkpoints" / "000000000400-000" / "state.json").write_text('{"state": {"snapshots": {"a": 1, "b": {}}}}')
    text = json.dumps(RunView("first", path).details(), allow_nan=False)
    assert json.loads(text)["snapshots"] == []


def test_details_have_controls_turns_and_snapshots(runs: Path) -> None:
    path = runs / "first"
    place = path / "checkpoints" / "000000000400-000"
    place.mkdir()
    snapshots = {"healthy": {"counters": {"images_seen": 320}}, "candidate": {"counters": {"images_seen": 400}}}
    (place / "state.json").write_text(json.dumps({"state": {"snapshots": snapshots}}))
    turn = {"kind": "wish", "wish": "turn", "control": "learning_rate.generator", "done": True, "images_seen": 80}
    said = [("anna", 0.5, True), ("ben", 2.0, True), ("ben", 1.0, True), ("cem", 3.0, False)]
    turns = [turn | {"by": f"person:{name}", "factor": factor, "done": done} for name, factor, done in said]
    add(path / "events.jsonl", *turns)
    found = RunView("first", path).details()
    assert [tuple(one) for one in found["controls"]] == [("learning_rate.generator", 0.0002)]
    assert found["turns"] == [["anna", "learning_rate.generator", 0.5, 0.0]]
    assert sorted(map(tuple, found["snapshots"])) == [("candidate", 400), ("healthy", 320)]


def test_curves_come_whole_first_and_then_bit_by_bit(runs: Path) -> None:
    path = runs / "first" / "records.jsonl"
    reader = Curves(path)
    whole = reader.news()
    assert whole is not None
    assert whole["anew"]
    assert len(whole["rows"]) == 50
    assert reader.news() is None
    add(path, record(408, **{"health/distance": 0.123456789, "generator/loss": None}))
    more = reader.news()
    assert more is not None
    assert not more["anew"]
    (row,) = more["rows"]
    found = dict(zip(more["names"], row, strict=True))
    assert (found["images_seen"], found["health/distance"], found["generator/loss"]) == (408, 0.12346, None)
    both = Curves(path).news()
    assert both is not None
    assert [row[both["names"].index("health/distance")] for row in both["rows"]][-2:] == ["", 0.12346]


def test_thinning_keeps_the_ends_and_every_spike() -> None:
    lines: list[dict[str, Any]] = [record(8 * n) for n in range(20_000)]
    for spike in (777, 7_777, 17_777):
        lines[spike]["generator/loss"] = 1e6
    lines[5] |= {"generator/loss": math.nan}
    kept = thinned(lines)
    assert len(kept) <= curves.MOST + 5 * 2 * curves.PEAKS
    assert [line["images_seen"] for line in kept] == sorted({line["images_seen"] for line in kept})
    assert kept[0] is lines[0]
    assert kept[-1] is lines[-1]
    assert [line["images_seen"] // 8 for line in kept if line["generator/loss"] == 1e6] == [777, 7_777, 17_777]


def test_a_page_that_is_open_for_long_is_thinned_again(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MOST", 30)
    path = runs / "first" / "records.jsonl"
    reader = Curves(path)
    seen, most = list[float](), 0
    for clock in range(408, 4000, 8):
        news = reader.news()
        if news is not None:
            seen = [*([] if news["anew"] else seen), *(row[0] for row in news["rows"])]
            most = max(most, len(seen))
        add(path, record(clock))
        assert seen == sorted(set(seen))
    assert seen[0] == 8
    assert seen[-1] == 3984
    assert most < 300
