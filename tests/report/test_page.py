"""The page about one run: all its parts, whatever is missing, damaged or hostile in the folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steadygan.report.page import run_page
from steadygan.report.reading import read_run

from .conftest import CONFIG, CURED, PROTOCOL, Make, Page, event, record, write_grids

Parse = Callable[[str], Page]
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def test_everything_is_on_it(make: Make, parse: Parse) -> None:
    metrics = [
        {"images_seen": seen, "metric": "fid", "value": 90.0 - seen / 200, "floor": 2.0}
        | {"protocol": PROTOCOL, "protocol_hash": "abc123"}
        for seen in (5000, 10_000)
    ]
    files = {
        "data.json": json.dumps(
            {"train": 900, "held_out": 100, "shape": [3, 8, 9], "classes": 2, "counts": {"cat": 450}}
        ),
        "neighbours.json": json.dumps({"searched": 900, "training": 900, "space": "pixels", "images_seen": 10_000}),
        "quarantine.csv": "path,reason\nbad.png,cut off\n",
        "environment.json": json.dumps({"sittings": [{"images_seen": 0, "steadygan": "9.9.9", "command": ["a", "b"]}]}),
        "command.txt": "steadygan train digits --images 10000\n",
    }
    run = make(events=CURED, metrics=metrics, files=files)
    for name in ("data.png", "neighbours.png"):
        Image.new("RGB", (40, 20)).save(run.path / name)
    page = parse(run_page(run))
    for words in (
        "got over it",
        "Samples of the averaged generator after 10,000 images",
        "The same latents over time",
        "abc123",
        "features: judge",
        "Distance to the real images",
        "Losses",
        "against collapse: back to the last healthy snapshot; back to 1,000 images",
        "900 of 900 training images",
        "9 × 8",
        "cat",
        "bad.png",
        "health.mode",
        "9.9.9",
        "steadygan train digits --images 10000",
        "@software{steadygan",
    ):
        assert words in page.words, words
    assert [one["id"] for one in page.all("section")] == [
        *("samples", "quality", "course", "neighbours", "data", "made-with", "again")
    ]
    assert {f"#{one['id']}" for one in page.all("section")} <= {one["href"] for one in page.all("a")}


def test_it_fetches_nothing_and_runs_no_other_script(make: Make, parse: Parse) -> None:
    text = run_page(make(events=CURED))
    page = parse(text)
    for _, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    assert set(re.findall(r"https?://[^\s\"'<>]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(", text)
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:") and "'sha256-" in policy


def test_the_slider_shows_every_grid_and_the_last_one_first(make: Make, parse: Parse) -> None:
    page = parse(run_page(make(grids=range(0, 2000, 100))))
    shown = [one for one in page.all("img") if "data-seen" in one]
    assert [one["data-seen"] for one in shown] == [f"{seen:,}" for seen in range(0, 2000, 100)]
    assert [number for number, one in enumerate(shown) if "hidden" not in one] == [19]
    (slider,) = page.all("input")
    assert (slider["max"], slider["value"]) == ("19", "19") and slider["aria-label"] == "Images seen"


def test_every_picture_and_figure_has_words(make: Make, parse: Parse) -> None:
    page = parse(run_page(make(events=CURED)))
    assert all(one.get("alt") for one in page.all("img"))
    drawn = [one for one in page.all("svg") if one.get("aria-hidden") != "true"]
    assert len(drawn) == 4 and all(one.get("aria-label") for one in drawn)


def test_what_happened_is_marked_and_can_be_reached(make: Make, parse: Parse) -> None:
    page = parse(run_page(make(events=CURED)))
    marks = page.all("g", "mark")
    reachable = [one for one in marks if one.get("tabindex") == "0"]
    assert [one["aria-label"] for one in reachable] == [
        "3,000 images: collapse: the generator makes a few kinds of samples only "
        "(samples are 0.1 as diverse as the data)",
        "3,000 images: against collapse: back to the last healthy snapshot; back to 1,000 images",
        "4,000 images: collapse: it helped: diversity 1.0 (was 0.1), recovered",
    ]
    panels = len(page.all("figure", "panel"))
    assert len(marks) == 3 * (panels + 1) and panels >= 3
    assert [one["class"].split()[1] for one in reachable if one["class"]] == ["diagnosis", "intervention", "helped"]


def test_hostile_text_stays_text(make: Make, parse: Parse) -> None:
    metric = {"images_seen": 5, "metric": EVIL, "value": 1.0, "protocol": {EVIL: EVIL}, "protocol_hash": EVIL}
    run = make(
        records=[record(5, **{f"{EVIL}/loss": 1.0})],
        events=[event(5, "diagnosis", EVIL, words=EVIL), event(6, EVIL, EVIL, words=EVIL, by=EVIL)],
        metrics=[metric],
        config={"recipe": EVIL, "data": {"source": EVIL}, EVIL: EVIL},
        files={
            "data.json": json.dumps({"train": 1, "counts": {EVIL: 1}, "facts": {EVIL: EVIL}, "classes": 1}),
            "neighbours.json": json.dumps({"space": EVIL}),
            "quarantine.csv": f'path,reason\n"{EVIL.replace(chr(34), chr(34) * 2)}",x\n',
            "environment.json": json.dumps({"sittings": [{EVIL: EVIL, "command": [EVIL]}]}),
            "command.txt": EVIL,
        },
        missing={"neighbours.json": EVIL},
    )
    page = parse(run_page(run))
    assert len(page.all("script")) == 1 and not any("onerror" in one for _, one in page.elements)
    assert page.words.count(EVIL) > 10


def test_a_page_of_an_ordinary_run_is_small(make: Make) -> None:
    rows = [record(25 * i, **{f"signal{j}/value": float(i % (j + 2)) for j in range(30)}) for i in range(1, 401)]
    run = make(records=rows, events=CURED)
    write_grids(run.path, range(100, 2000, 100), side=700)
    for name in ("data.png", "neighbours.png"):
        Image.effect_noise((1500, 1500), 90).save(run.path / name)
    (run.path / "neighbours.json").write_text('{"space": "pixels"}')
    (run.path / "data.json").write_text('{"train": 5}')
    text = run_page(read_run(run.path, run.config))
    assert 1_000_000 < len(text) < 5_000_000


def test_an_empty_folder(tmp_path: Path, parse: Parse) -> None:
    run = read_run(tmp_path, CONFIG)
    page = parse(run_page(run))
    assert "The run has no records yet" in page.words and "The run has no sample grids." in page.words
    assert "Not shown: the run has not written them." in page.words
    assert "Settings" in page.words


def test_reasons_are_given_for_what_could_not_be_made(make: Make, parse: Parse) -> None:
    page = parse(run_page(make(missing={"neighbours.json": "no checkpoint there", "data.json": "the data are gone"})))
    assert "Not shown: no checkpoint there." in page.words
    assert "Its figures are not shown: the data are gone." in page.words


@pytest.mark.parametrize("name", ["records.jsonl", "events.jsonl", "metrics.jsonl"])
def test_damaged_lines_are_left_out_and_told(make: Make, parse: Parse, name: str) -> None:
    run = make(events=CURED, metrics=[{"images_seen": 5, "metric": "fid", "value": 1.0}])
    path = run.path / name
    path.write_text(f"{{broken\n[1]\n{path.read_text()}")
    page = parse(run_page(read_run(run.path, run.config)))
    assert f"{name} is damaged: 2 lines left out." in page.words
    assert "got over it" in page.words or name == "events.jsonl"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.json", "{"),
        ("data.json", "[]"),
        ("neighbours.json", "nothing"),
        ("environment.json", "\x00"),
    ],
)
def test_damaged_files_are_left_out_and_told(make: Make, parse: Parse, name: str, text: str) -> None:
    page = parse(run_page(make(files={name: text})))
    assert f"{name} is damaged and left out." in page.words


@pytest.mark.parametrize(
    "files",
    [
        {"data.json": '{"train": "many", "shape": [1], "counts": {"a": "b"}, "facts": []}'},
        {"neighbours.json": '{"share": "much", "by_chance": null, "z": [], "images_seen": "late", "searched": {}}'},
        {"environment.json": '{"sittings": [{"images_seen": null, "command": 5}, 7]}'},
        {"environment.json": '{"sittings": 3}'},
        {"quarantine.csv": "path,reason\nalone\n"},
    ],
)
def test_odd_values_do_no_harm(make: Make, parse: Parse, files: dict[str, str]) -> None:
    run = make(files=files)
    for name in ("data.png", "neighbours.png"):
        Image.new("RGB", (40, 20)).save(run.path / name)
    assert "This run went well" in parse(run_page(run)).words


@pytest.mark.parametrize(
    "row",
    [
        {"images_seen": "5", "generator/loss": 1.0},
        {"images_seen": -5, "generator/loss": 1.0},
        {"images_seen": 5, "attempt": "x", "generator/loss": 1.0},
        {"generator/loss": 1.0},
    ],
)
def test_records_without_a_clock_are_left_out(make: Make, row: dict[str, Any]) -> None:
    assert make(records=[row, record(100)]).records == [record(100)]


def test_events_behind_the_last_record_stay_in_the_picture(make: Make, parse: Parse) -> None:
    page = parse(run_page(make(records=[record(100)], events=CURED)))
    places = [one["transform"] for one in page.all("g", "mark")]
    across = [float(str(place).removeprefix("translate(").split()[0]) for place in places]
    assert max(across) <= 900


def test_broken_pictures_are_left_out(make: Make, parse: Parse) -> None:
    run = make(grids=(0, 5000))
    (run.path / "samples" / "000000005000.png").write_bytes(b"no picture")
    assert "Samples of the averaged generator after 0 images" in parse(run_page(run)).words
    (run.path / "samples" / "000000000000.png").write_bytes(b"")
    assert "What it makes" not in parse(run_page(run)).words
