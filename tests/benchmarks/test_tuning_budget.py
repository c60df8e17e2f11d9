"""Tuning budget: settings are drawn from the space as said, both arms play the same ones, and the sums are right."""

from __future__ import annotations

import importlib
import itertools
import math
from pathlib import Path
from statistics import mean
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def tuning(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("tuning_budget")


def row(key: str, frechet: float, **more: Any) -> dict[str, Any]:
    return {"key": key, "frechet": frechet, "seconds": 2.0, "blank": 900.0, "judge_accuracy": 0.99, **more}


def test_draws_fill_the_space_of_lucic(tuning: ModuleType) -> None:
    drawn = [tuning.draw_settings(number) for number in range(600)]
    assert drawn[:20] == [tuning.draw_settings(number) for number in range(20)]
    for values, low, high in (
        ([math.log10(one.rate) for one in drawn], -5, -2),
        ([one.beta1 for one in drawn], 0, 1),
        ([math.log10(one.penalty) for one in drawn], -1, 2),
    ):
        assert low <= min(values) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(values) <= high
        assert mean(values) == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert {one.steps for one in drawn} == {1, 5}
    assert {one.normalised for one in drawn} == {True, False}
    for name in tuning.OBJECTIVES:
        assert [one.objective for one in drawn[: tuning.DRAWS]].count(name) == tuning.DRAWS // len(tuning.OBJECTIVES)


def test_arms_differ_in_health_alone_and_settings_are_valid(tuning: ModuleType) -> None:
    from steadygan.recipes import build
    from steadygan.recipes.facts import DataFacts
    from steadygan.session.settings import apply

    facts = DataFacts("mnist", 57_000, (1, 12, 12), 10, tuning.DataConfig(source="mnist"))
    for number in range(12):
        off, on = (tuning.settings_of(tuning.Cell(arm, number, 100)) for arm in ("off", "on"))
        assert off[:-1] == on[:-1]
        assert (off[-1], on[-1]) == ("health.mode=off", "health.mode=mend")
        drawn, config = tuning.draw_settings(number), apply(build("dcgan", facts), on)
        loss, penalties = tuning.OBJECTIVES[drawn.objective]
        assert config.loss == loss
        assert {name: penalty.weight.value for name, penalty in config.penalties.items()} == dict.fromkeys(
            penalties, drawn.penalty
        )
        assert config.players["discriminator"].steps == drawn.steps
        for player in config.players.values():
            assert player.optimizer.learning_rate.value == drawn.rate
            assert player.optimizer.beta1 == drawn.beta1


def test_runs_come_draw_by_draw(tuning: ModuleType) -> None:
    found = tuning.cells(tuning.options_from(["--draws", "3"]))
    assert [cell.key for cell in found] == ["off/0", "on/0", "off/1", "on/1", "off/2", "on/2"]


def test_the_expected_best_is_the_mean_over_all_choices(tuning: ModuleType) -> None:
    values = [5.0, 1.0, 3.0, 3.0, 9.0, 2.0]
    for count in range(1, len(values) + 1):
        chosen = [min(some) for some in itertools.combinations(values, count)]
        assert tuning.best_of(values, count) == pytest.approx(mean(chosen))
    assert math.isnan(tuning.best_of(values, 7))
    assert math.isnan(tuning.best_of(values, 0))


def test_the_table_takes_whole_pairs_and_tells_better_from_worse(tuning: ModuleType) -> None:
    pairs = {0: (100.0, 50.0), 1: (100.0, 95.0), 2: (100.0, 120.0), 3: (400.0, 40.0)}
    found = [row(f"off/{number}", off) for number, (off, _) in pairs.items()]
    found += [row(f"on/{number}", on, last_frechet=500.0) for number, (_, on) in pairs.items()]
    found.append(row("off/4", 7.0))
    rows = {entry["key"]: entry for entry in found}
    assert tuning.balanced(rows) == [0, 1, 2, 3]
    text = tuning.table(rows)
    assert "| off | 4 | 100.0 | 100.0 | 175.0 | 400.0 | 2 |" in text
    assert "| on | 4 | 40.0 | 72.5 | 101.2 | 120.0 | 2 |" in text
    assert "| expected best of draws | 1 | 2 |" in text
    assert "made 2 better and 1 worse" in text
    assert "on over off, is 0.72" in text
    assert "have a median of 500.0" in text


def test_the_interval_of_a_ratio_holds_it(tuning: ModuleType) -> None:
    first = [float(value) for value in range(10, 50)]
    low, high = tuning.ratio_interval(first, [2 * value for value in first])
    assert low <= 0.5 <= high
    assert tuning.ratio_interval([3.0] * 5, [6.0] * 5) == (0.5, 0.5)


def test_finished_runs_are_not_run_again(tuning: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, asked = tmp_path / "rows.jsonl", list[str]()
    for entry in (row("off/0", 3.0, images=50), row("on/0", 2.0, images=50), row("off/1", 3.0, images=49)):
        tuning.shared.append(out, entry)

    def run_all(work: object, cells: list[Any], *rest: object) -> int:
        asked.extend(cell.key for cell in cells)
        return 0

    monkeypatch.setattr(tuning.shared, "run_all", run_all)
    tuning.main(["--draws", "2", "--images", "50", "--out", str(out)])
    assert asked == ["off/1", "on/1"]


def test_a_tiny_run_is_trained_and_judged(
    tuning: ModuleType, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (real_data / "judges" / "lenet_mnist.pth").is_file():
        pytest.skip("no judge among the real data")
    monkeypatch.setenv("STEADYGAN_DATA", str(real_data))
    monkeypatch.setattr(tuning, "SAMPLES", 128)
    tuning.mnist.cache_clear()
    tuning.jury.cache_clear()
    found = tuning.play(tuning.Cell("off", 5, 96), tmp_path)
    assert found["key"] == "off/5"
    assert found["settings"]["objective"] == "default"
    assert found["judge_accuracy"] > 0.95
    assert 0 < found["frechet"] <= found["blank"]
    assert not list((tmp_path / "runs").iterdir())
