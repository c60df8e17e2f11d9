"""The ward's cells are what they say, its figures follow their definitions, and it takes up where it was stopped."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError, Stopped

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = ("judge", "overhead", "ward", "ward_cells", "ward_cost", "ward_judge", "ward_pictures", "ward_report")

NAMES = ("ward", "ward_cells", "ward_judge", "ward_pictures", "ward_report")


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """The ward's own modules, which import each other by name."""
    before = dict(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in NAMES}
    for name in SCRIPTS:
        if name not in before:
            sys.modules.pop(name, None)


@pytest.fixture
def ward(scripts: dict[str, ModuleType]) -> ModuleType:
    return scripts["ward"]


@pytest.fixture
def cells(scripts: dict[str, ModuleType]) -> ModuleType:
    return scripts["ward_cells"]


@pytest.fixture
def report(scripts: dict[str, ModuleType]) -> ModuleType:
    return scripts["ward_report"]


def test_every_illness_has_its_cells(cells: ModuleType) -> None:
    from steadygan.health.illnesses import ILLNESSES

    assert set(cells.WARD) == set(ILLNESSES)
    assert len(cells.WARD) >= 14
    assert set(cells.QUICK) <= set(cells.WARD)


def test_the_halves_share_neither_severity_nor_seed(cells: ModuleType) -> None:
    assert not set(cells.SEVERITIES["tune"]) & set(cells.SEVERITIES["score"])
    seeds = {half: {unit.seed for unit in cells.units() if unit.half == half} for half in cells.HALVES}
    assert not seeds["tune"] & seeds["score"]
    for illness, (tuned, scored) in cells.WARD.items():
        assert not set(zip(tuned, cells.SEVERITIES["tune"], strict=True)) & set(
            zip(scored, cells.SEVERITIES["score"], strict=True)
        ), illness


def test_the_units_are_those_of_the_protocol(cells: ModuleType) -> None:
    units = cells.units()
    assert len({unit.key for unit in units}) == len(units)
    for half in cells.HALVES:
        ill = [unit for unit in units if unit.half == half and unit.illness]
        assert len(ill) == len(cells.WARD) * 3 * cells.SEEDS
        recipes = {cells.SETTINGS[unit.setting].recipe for unit in ill}
        assert len(recipes) >= 3
        assert {cells.SETTINGS[unit.setting].data for unit in ill} >= {"digits"}
    healthy = [unit for unit in units if unit.half == "score" and not unit.illness]
    from steadygan.recipes import RECIPES

    assert len(healthy) >= 60
    assert {cells.SETTINGS[unit.setting].recipe for unit in healthy} <= set(RECIPES)


def test_any_beginning_of_the_work_is_a_fair_sample(cells: ModuleType) -> None:
    """All first seeds come before any second one, and the halves alternate."""
    ill = [unit for unit in cells.units() if unit.illness]
    first = ill[: len(ill) // cells.SEEDS]
    assert {unit.seed for unit in first} == set(cells.FIRST_SEED.values())
    assert len({(unit.half, unit.illness, unit.severity) for unit in first}) == len(first)
    assert [unit.half for unit in ill[:4]] == ["tune", "score", "tune", "score"]


def test_where_somebody_falls_ill_there_are_healthy_runs(cells: ModuleType) -> None:
    units = cells.units()
    for half in cells.HALVES:
        for setting in cells.ill_settings(half):
            seeds = [u.seed for u in units if u.half == half and u.setting == setting and not u.illness]
            assert len(seeds) == cells.SEEDS


@pytest.mark.parametrize("half", ["tune", "score"])
def test_every_cell_can_be_made_ill(cells: ModuleType, half: str) -> None:
    """No illness is refused by the recipe that it is paired with."""
    from steadygan import recipes
    from steadygan.config import DataConfig
    from steadygan.health.illnesses import sicken_config
    from steadygan.recipes.facts import DataFacts
    from steadygan.session import settings

    place = cells.HALVES.index(half)
    for illness, cell in cells.WARD.items():
        for name, severity in zip(cell[place], cells.SEVERITIES[half], strict=True):
            setting = cells.SETTINGS[name]
            shape = (1, 8, 8) if setting.data == "digits" else (1, 16, 16)
            facts = DataFacts(setting.data, 1700, shape, 10, DataConfig(source=setting.data))
            config = settings.apply(recipes.build(setting.recipe, facts), setting.settings)
            config = config.model_copy(update={"images": setting.images})
            ill = sicken_config(f"{illness}:{severity:g}", config)
            assert 0 <= cells.onset(f"{illness}:{severity:g}", ill) < ill.images


@given(st.integers(1, 400), st.data())
def test_wilson_holds_the_share_and_stays_between_0_and_1(scripts: dict[str, ModuleType], of: int, data: Any) -> None:
    hits = data.draw(st.integers(0, of))
    low, high = scripts["ward_report"].wilson(hits, of)
    assert 0 <= low <= hits / of + 1e-12
    assert hits / of - 1e-12 <= high <= 1
    assert low < high


def test_wilson_is_the_textbooks(report: ModuleType) -> None:
    low, high = report.wilson(0, 60)
    assert (low, round(high, 4)) == (0.0, 0.0602)
    low, high = report.wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert report.wilson(0, 0) == (0.0, 1.0)


def test_the_interval_of_a_median_holds_it(report: ModuleType) -> None:
    values = [float(i) for i in range(1, 102)]
    low, high = report.bootstrap_median(values)
    assert 35 < low < 51 < high < 67
    assert report.bootstrap_median([3.0]) == (3.0, 3.0)


def row(key: str, arm: str, **given: Any) -> dict[str, Any]:
    half, illness, setting, seed = key.split("/")
    name, _, severity = illness.partition(":")
    return {
        "key": f"v1/{key}/{arm}",
        "half": half,
        "illness": "" if name == "healthy" else name,
        "severity": float(severity or 0),
        "setting": setting,
        "seed": int(seed),
        "arm": arm,
        "images": 1000,
        "images_seen": 1000,
        "died": "",
        "last": 10.0,
        "best": 9.0,
        "best_at": 900,
        "onset": 0,
        "diagnoses": [],
        "first_ranking": [],
        "last_ranking": [],
        "acted": False,
        "proofs": [0, 0],
        "kinds": {},
        "events": [],
        "seconds": 1.0,
        **given,
    }


def ward_of(*rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {found["key"]: found for found in rows}


def healthy(half: str, seed: int, last: float, **given: Any) -> dict[str, Any]:
    return row(f"{half}/healthy/digits-dcgan/{seed}", "on", last=last, **given)


SEEN = {
    "diagnoses": [[300, "collapse"], [100, "stall"]],
    "first_ranking": ["collapse"],
    "last_ranking": ["stall", "collapse"],
}


def test_ill_is_judged_by_the_untreated_twin(report: ModuleType) -> None:
    ill = "score/collapse:1.5/digits-dcgan/5000"
    rows = ward_of(
        *(healthy("score", seed, last) for seed, last in enumerate((8.0, 10.0, 30.0))),
        row(ill, "treated", last=11.0, best=10.5, acted=True, **SEEN),
        row(ill, "untreated", last=12.6),
    )
    (case,) = report.cases(rows)
    assert case.healthy == 10.0
    assert case.ill(1.25) and not case.ill(1.5)
    assert case.detected and case.named() and case.named("first")
    assert case.cured() and case.cured("last")
    assert case.delay == pytest.approx(0.3)


def test_a_run_that_was_left_alone_is_its_own_twin(report: ModuleType) -> None:
    ill = "score/collapse:1.5/digits-dcgan/5000"
    rows = ward_of(healthy("score", 0, 10.0), row(ill, "treated", last=13.0, best=11.0))
    (case,) = report.cases(rows)
    assert case.untreated is case.treated
    assert case.ill() and not case.detected
    assert case.cured() and not case.cured("last"), "keeping the best counts, and is told apart"


def test_a_run_that_waits_for_its_twin_is_not_counted_yet(report: ModuleType) -> None:
    ill = row("score/collapse:1.5/digits-dcgan/5000", "treated", acted=True)
    assert report.cases(ward_of(healthy("score", 0, 10.0), ill)) == []


def test_the_dead_are_ill_and_halves_are_kept_apart(report: ModuleType) -> None:
    ill = "score/collapse:1.5/digits-dcgan/5000"
    rows = ward_of(
        healthy("score", 0, 10.0),
        healthy("tune", 0, 1000.0),
        row(ill, "treated", last=None, best=None, died="it died", **SEEN),
    )
    (case,) = report.cases(rows)
    assert case.healthy == 10.0
    assert case.ill() and case.ill(2.0) and not case.cured() and not case.cured("last")


def test_a_wrong_name_is_wrong_and_a_third_place_too_late(report: ModuleType) -> None:
    ill = "score/collapse:1.5/digits-dcgan/5000"
    seen = SEEN | {"last_ranking": ["stall", "drift", "collapse"], "first_ranking": ["stall"]}
    (case,) = report.cases(ward_of(healthy("score", 0, 10.0), row(ill, "treated", last=99.0, **seen)))
    assert case.detected and not case.named() and not case.named("first")


def test_harm_is_against_the_control_of_the_same_seed(report: ModuleType) -> None:
    on = healthy("score", 0, 10.0, acted=True, best=11.5)
    control = row("score/healthy/digits-dcgan/0", "off", last=10.0, best=None)
    ((first, second),) = report.healthy_pairs(ward_of(on, control))
    assert report.harm(first, second) == pytest.approx(0.15)
    assert report.harmed(first, second)
    assert not report.harmed(on | {"best": 10.9}, control)
    assert report.harmed(on | {"best": None, "last": None}, control)
    assert report.harmed(on | {"best": None, "last": math.inf}, control)


def test_the_table_shows_every_figure(report: ModuleType) -> None:
    ill = "score/collapse:1.5/digits-dcgan/5000"
    rows = ward_of(
        healthy("score", 0, 10.0),
        healthy("score", 1, 11.0, diagnoses=[[100, "stall"]]),
        row(ill, "treated", last=11.0, best=10.5, acted=True, **SEEN),
        row(ill, "untreated", last=80.0),
    )
    shown = report.table(rows)
    assert "| detected | 100.0% (1/1;" in shown
    assert "| false alarms in healthy runs | 50.0% (1/2;" in shown
    assert "| `collapse` | 1/1 | 1/1 | 1/1 | 1/1 |" in shown
    assert report.ward_pictures.bars(report.by_illness(rows, "score"))[:4] == b"\x89PNG"
    assert "detected" in report.summary(rows)
    assert "–" in report.table({}), "a ward without results is a table without figures"


def test_the_page_keeps_what_stands_around_the_figures(
    report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.MARKS[0]}\nold\n{report.MARKS[1]}\nafter\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "IMAGES", tmp_path / "images")
    report.write(ward_of(healthy("score", 0, 10.0)))
    report.write(ward_of(healthy("score", 0, 10.0)))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert text.count("Made by `python benchmarks/ward.py --jobs 4`") == 1
    assert (tmp_path / "images" / "ward-illnesses.png").stat().st_size > 0


def test_the_cost_is_told_where_it_was_measured(report: ModuleType, tmp_path: Path) -> None:
    assert report.cost_table(tmp_path / "none.json") == []
    cell = {"data": "mnist", "milliseconds_a_round": 41.26, "cost": 0.021, "cost_of_the_sums": 0.0249}
    (tmp_path / "cost.json").write_text(json.dumps({"cells": {"dcgan": cell | {"interval": [0.01, 0.03]}}}))
    shown = report.cost_table(tmp_path / "cost.json")
    assert "| `dcgan` on mnist | 41.3 | +2.1% (+1.0% to +3.0%) | +2.5% |" in shown


EVENTS = [
    {"images_seen": 10, "attempt": 0, "kind": "best"},
    {"images_seen": 20, "attempt": 0, "kind": "diagnosis", "case": 1, "diagnosis": "stall"},
    {"images_seen": 60, "attempt": 0, "kind": "diagnosis", "case": 2, "diagnosis": "blow-up", "ranking": ["blow-up"]},
    {"images_seen": 60, "attempt": 0, "kind": "intervention", "case": 2, "intervention": "clip"},
    {"images_seen": 80, "attempt": 1, "kind": "proof", "case": 2, "cured": True},
    {"images_seen": 90, "attempt": 1, "kind": "diagnosis", "case": 3, "diagnosis": "finished"},
]


def test_events_are_told_in_short(ward: ModuleType) -> None:
    found = ward.told(EVENTS, onset=50)
    assert found["diagnoses"] == [[20, "stall"], [60, "blow-up"]]
    assert found["first_ranking"] == found["last_ranking"] == ["blow-up"], "what came before the onset is no detection"
    assert found["acted"] and found["proofs"] == [1, 0]
    assert found["events"][1] == [60, "diagnosis", "blow-up"] and found["events"][2] == [60, "intervention", "clip"]
    assert not ward.told(EVENTS[:3], 0)["acted"]
    assert ward.told([], 0)["first_ranking"] == []


def test_the_course_of_a_run_is_drawn(ward: ModuleType, report: ModuleType, tmp_path: Path) -> None:
    pictures = report.ward_pictures
    records = [
        {"images_seen": 10 * i, "attempt": int(i > 7), "discriminator/win_rate": 0.5, "health/distance": 1 / (i + 1)}
        for i in range(11)
    ]
    records[3]["health/distance"] = None
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, EVENTS)))
    assert pictures.course(tmp_path)[:4] == b"\x89PNG"
    first, second = pictures.stretches(records, "health/distance")
    assert [clock for clock, _ in first] == [0, 10, 20, 40, 50, 60, 70] and len(second) == 3
    (tmp_path / "records.jsonl").write_text('{"images_seen": 1}')
    with pytest.raises(SteadyganError, match="no records with signals"):
        pictures.course(tmp_path)


def test_only_what_changes_a_run_asks_for_its_twin(ward: ModuleType, cells: ModuleType) -> None:
    assert not ward.acted([{"kind": kind} for kind in ("diagnosis", "best", "proof")])
    for kind in ("intervention", "rollback", "undone", "given-up", "stop"):
        assert ward.acted([{"kind": kind}])
    unit = cells.Unit("tune", "collapse", 2.0, "digits-dcgan", 0)
    first = ward.Job(unit, "treated").key
    assert first == f"v{cells.VERSION}/tune/collapse:2/digits-dcgan/0/treated"
    assert not ward.finished(unit, {})
    assert ward.finished(unit, {first: {"acted": False}})
    assert not ward.finished(unit, {first: {"acted": True}})
    assert ward.finished(unit, {first: {"acted": True}, ward.Job(unit, "untreated").key: {}})


def test_the_dead_are_rows_and_a_stop_is_none(
    ward: ModuleType, cells: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ward.Job(cells.Unit("tune", "collapse", 2.0, "digits-dcgan", 0), "treated")

    def dies_of(error: Exception) -> str:
        def train(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(ward.steadygan, "train", train)
        found = ward.run_job(job, ward.Place(tmp_path / "ward.jsonl", tmp_path / "runs", keep=False))
        assert found["last"] is None and found["best"] is None and not found["acted"]
        return str(found["died"])

    assert dies_of(SteadyganError("the loss is not finite", "begin again")) == "the loss is not finite: begin again"
    assert dies_of(ValueError("of ours")) == "fault: ValueError: of ours"
    with pytest.raises(Stopped):
        dies_of(Stopped(15, 100))


def test_results_survive_a_torn_line_and_other_versions(ward: ModuleType, cells: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "ward.jsonl"
    key = f"v{cells.VERSION}/tune/healthy/digits-dcgan/0/on"
    ward.append(path, {"key": key})
    ward.append(path, {"key": "v0/old"})
    with path.open("a") as file:
        file.write('{"key": "v')
    ward.append(path, {"key": f"{key}2"})
    assert set(ward.read(path)) == {key, f"{key}2"}


def test_a_unit_goes_on_where_it_was_stopped(
    ward: ModuleType, cells: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[str] = []

    def run_job(job: Any, place: Any) -> dict[str, Any]:
        played.append(job.arm)
        return {"key": job.key, "acted": job.arm == "treated"}

    monkeypatch.setattr(ward, "run_job", run_job)
    unit = cells.Unit("tune", "collapse", 2.0, "digits-dcgan", 0)
    place = ward.Place(tmp_path / "ward.jsonl", tmp_path, keep=False)
    ward.play(unit, place, {ward.Job(unit, "treated").key: {"acted": True}})
    assert played == ["untreated"]
    ward.play(unit, place, {})
    assert played == ["untreated", "treated", "untreated"]
    assert ward.finished(unit, ward.read(place.results))
    healthy_unit = cells.Unit("tune", "", 0.0, "digits-dcgan", 0)
    ward.play(healthy_unit, place, {})
    assert played[3:] == ["on"], "nothing was done, so the run is its own control"


def test_the_command_line_chooses_the_units(ward: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def units(*arguments: str) -> list[Any]:
        return ward.chosen(ward.options_from(list(arguments)))  # type: ignore[no-any-return]

    assert {unit.half for unit in units("--half", "score")} == {"score"}
    assert {unit.illness for unit in units("--only", "collapse")} == {"", "collapse"}
    assert not any(unit.illness for unit in units("--healthy-only"))
    assert 0 < len(units("--quick")) < 20
    assert ward.main(["--list"]) == 0
    assert "hours of one core" in capsys.readouterr().out


def test_a_judge_tells_noise_from_digits(scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    judge = scripts["ward_judge"]
    network = judge.trained("digits", steps=60)
    monkeypatch.setattr(judge, "features_of", lambda data: network.features)
    judge.reference.cache_clear()
    real, _ = judge.real_images("digits", "test")
    noise = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    same, far = judge.distance("digits", real), judge.distance("digits", noise)
    judge.reference.cache_clear()
    assert abs(same) < 1e-3 < 1 < far
    assert judge.distance("digits", noise * math.nan) is None


@pytest.mark.slow
def test_a_ward_of_one_runs_from_end_to_end(
    ward: ModuleType, cells: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = cells.Setting("digits", "dcgan", 4_000, 1, 4)
    monkeypatch.setitem(cells.SETTINGS, "digits-dcgan", setting)
    place = ward.Place(tmp_path / "ward.jsonl", tmp_path / "runs", keep=False)
    for unit in (cells.Unit("tune", "", 0.0, "digits-dcgan", 0), cells.Unit("tune", "bursts", 3.0, "digits-dcgan", 0)):
        ward.play(unit, place, {})
    rows = list(ward.read(place.results).values())
    assert not any(found["died"].startswith("fault") for found in rows)
    assert rows[0]["arm"] == "on" and rows[0]["last"] > 0 and rows[0]["best"] > 0
    assert json.dumps(rows[1]).isascii()
    assert not any((tmp_path / "runs").iterdir())


def test_healthy_runs_show_what_a_perfect_cure_would(report: ModuleType) -> None:
    def healthy(*values: float) -> dict[str, dict[str, Any]]:
        rows = [row(f"score/healthy/digits-dcgan/{seed}", "on", last=value) for seed, value in enumerate(values)]
        return {one["key"]: one for one in rows}

    # the last one lies beyond 1.25 times 10, the others within that of 10.5 and of 15
    assert report.alike(healthy(10.0, 10.0, 11.0, 20.0)) == (3, 4)
    assert report.alike(healthy(10.0, 20.0)) == (0, 0), "one other run is no median"
