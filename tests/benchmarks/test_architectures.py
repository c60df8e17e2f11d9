"""Random architectures: nets are drawn as said, arms play the same ones, and the counting is right."""

from __future__ import annotations

import importlib
import itertools
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def architectures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("architectures")


def row(key: str, score: float, **more: Any) -> dict[str, Any]:
    facts = {"images": 10, "seconds": 1.0, "real_score": 7.0, "judge_accuracy": 0.9, "frechet": 1.0}
    return {"key": key, "score": score, **facts, **more}


def some_rows(module: ModuleType) -> dict[str, dict[str, Any]]:
    """A reference of score 5, so that 3.76 is needed; one net whose last arm is missing."""
    scores = {"plain": (2.0, 4.0), "wgan-gp": (2.0, 2.0), "default": (4.0, 2.0), "default+health": (4.0, 3.8)}
    found = [row(f"reference/{seed}", 5.0) for seed in range(3)]
    found += [row(f"{arm}/{net}", score) for arm, both in scores.items() for net, score in enumerate(both)]
    found += [row(f"{arm}/2", 5.0) for arm in list(module.ARMS)[:-1]]
    found[-4] = found[-4] | {"last_score": 1.0}
    return {entry["key"]: entry for entry in found}


def test_every_choice_is_drawn_and_players_are_drawn_apart(architectures: ModuleType) -> None:
    nets = [architectures.draw_net(number) for number in range(architectures.NETS)]
    assert nets == [architectures.draw_net(number) for number in range(architectures.NETS)]
    for name, values in architectures.SPACE.items():
        for player in ("generator", "discriminator"):
            assert {net[player][name] for net in nets} == set(values)
        assert any(net["generator"][name] != net["discriminator"][name] for net in nets)
    assert len({json.dumps(net) for net in nets}) > 0.9 * len(nets)


def test_arms_differ_in_nothing_but_recipe_rates_normalisation_and_health(architectures: ModuleType) -> None:
    for number in range(20):
        found = {arm: architectures.settings_of(architectures.Cell(arm, number, 100)) for arm in architectures.ARMS}
        differing = ("discriminator.network.normalisation=", "health.", "optimizer.learning_rate=")
        shared = {
            tuple(text for text in settings if not any(name in text for name in differing))
            for _, settings in found.values()
        }
        assert len(shared) == 1
        default, treated = found["default"], found["default+health"]
        assert default[0] == treated[0] == "r3"
        assert default[1][:-1] == treated[1][:-1]
        assert (default[1][-1], treated[1][-1]) == ("health.mode=off", "health.mode=mend")
        normalised = architectures.draw_net(number)["discriminator"]["normalised"]
        for arm, kind in (("plain", "batch"), ("wgan-gp", "layer"), ("default", "layer")):
            wanted = kind if normalised else "none"
            assert f"discriminator.network.normalisation={wanted}" in found[arm][1]


def test_the_nets_are_what_the_settings_say(architectures: ModuleType) -> None:
    from steadygan.networks import build_discriminator, build_generator
    from steadygan.recipes import build
    from steadygan.recipes.facts import DataFacts
    from steadygan.session.settings import apply

    data = architectures.DataConfig(source="fashion-mnist")
    facts = DataFacts("fashion-mnist", 57_000, (1, 28, 28), 10, data)
    for number, arm in itertools.product(range(3), architectures.ARMS):
        recipe, settings = architectures.settings_of(architectures.Cell(arm, number, 100))
        config = apply(build(recipe, facts), settings)
        net = architectures.draw_net(number)
        with torch.random.fork_rng():
            generator = build_generator(config.players["generator"].network, (1, 28, 28), 64)
            discriminator = build_discriminator(config.players["discriminator"].network, (1, 28, 28))
        layers = [part for part in discriminator.modules() if isinstance(part, torch.nn.Conv2d)]
        assert len(layers) == 3 * net["discriminator"]["depth"]
        images = generator(torch.randn(2, 64))
        assert images.shape == (2, 1, 28, 28)
        assert bool(discriminator(images).isfinite().all())


def test_runs_come_net_by_net_over_all_arms(architectures: ModuleType) -> None:
    options = architectures.options_from(["--nets", "3"])
    found = architectures.cells(options)
    assert [cell.arm for cell in found[:3]] == ["reference"] * 3
    for net in range(3):
        part = found[3 + 4 * net : 7 + 4 * net]
        assert [cell.arm for cell in part] == list(architectures.ARMS)
        assert {cell.number for cell in part} == {net}


def test_wilson_intervals_are_those_of_the_books(architectures: ModuleType) -> None:
    low, high = architectures.wilson(48, 50)
    assert (round(low, 4), round(high, 4)) == (0.8654, 0.9890)
    assert architectures.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert architectures.wilson(0, 0) == (0.0, 1.0)


def test_mcnemar_is_the_exact_binomial_test(architectures: ModuleType) -> None:
    assert architectures.mcnemar(0, 0) == 1.0
    assert architectures.mcnemar(6, 0) == pytest.approx(2 / 64)
    assert architectures.mcnemar(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)


def test_mcnemar_is_even_handed_and_a_probability(architectures: ModuleType) -> None:
    for first, second in itertools.product(range(0, 60, 7), repeat=2):
        found = architectures.mcnemar(first, second)
        assert found == architectures.mcnemar(second, first)
        assert 0 < found <= 1


def test_success_is_counted_from_one_and_over_complete_nets_only(architectures: ModuleType) -> None:
    rows = some_rows(architectures)
    assert architectures.threshold(rows) == pytest.approx(1 + 0.69 * 4)
    assert architectures.balanced(rows) == [0, 1]
    text = architectures.table(rows)
    assert "| `plain` | non-saturating, no penalty | 1 of 2 | 50.0% |" in text
    assert "| `default+health` | the same, health on | 2 of 2 | 100.0% |" in text
    assert "| `wgan-gp` | 2 | 0 | 0.5 |" in text
    assert "1 of 2 runs with health on succeed" in text


def test_a_table_goes_between_its_own_marks(architectures: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    ends = "<!-- figures of benchmarks/{0}.py -->old<!-- end of {0}.py -->"
    page.write_text(f"# A\n{ends.format('one')}\nbetween\n{ends.format('two')}\nafter\n")
    architectures.write_table(page, "two", "new")
    text = page.read_text()
    assert ends.format("one") in text
    assert "-->\n\nnew\n\n<!-- end of two.py -->\nafter\n" in text


def test_a_line_that_a_kill_cut_off_is_taken_away(architectures: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    architectures.append(out, {"key": "a/0", "value": 1})
    with out.open("a") as file:
        file.write('{"key": "a/1", "val')
    assert set(architectures.read_rows(out)) == {"a/0"}
    architectures.append(out, {"key": "a/2", "value": 2})
    assert [json.loads(line)["key"] for line in out.read_text().splitlines()] == ["a/0", "a/2"]


def test_no_run_begins_after_the_limit(architectures: ModuleType, tmp_path: Path) -> None:
    assert architectures.run_all(len, ["a"], tmp_path / "rows.jsonl", 1, 0.0) == 0
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_run_is_judged_by_its_best_generator(
    architectures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(run: Path, *, best: bool = False) -> str:
        return "best" if best else "last"

    monkeypatch.setattr(architectures.steadygan, "load", load)
    scores = {"best": 4.0, "last": 2.0}

    def judge(trained: str) -> dict[str, float]:
        return {"score": scores[trained]}

    assert architectures.judged(tmp_path, judge, {}) == {"score": 2.0}
    (tmp_path / "best").mkdir()
    assert architectures.judged(tmp_path, judge, {}) == {"score": 4.0, "last_score": 2.0}


def test_a_run_without_a_generator_fails_and_wrong_settings_are_raised(
    architectures: ModuleType, tmp_path: Path
) -> None:
    nothing = {"score": 1.0}
    assert architectures.judged(tmp_path / "nowhere", lambda trained: {"score": 9.0}, nothing) == nothing
    with pytest.raises(architectures.SteadyganError):
        architectures.train(tmp_path / "run", "digits", "dcgan", 64, 0, ["no.such.setting=1"])


def test_a_tiny_run_is_trained_and_judged(
    architectures: ModuleType, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEADYGAN_DATA", str(real_data))
    architectures.fashion.cache_clear()
    architectures.jury.cache_clear()
    monkeypatch.setattr(architectures, "SAMPLES", 128)
    architectures.train_judge(tmp_path / "judge.pt", 12_800)
    found = architectures.play(architectures.Cell("plain", 0, 96), tmp_path)
    assert found["key"] == "plain/0"
    assert found["judge_accuracy"] > 0.5
    assert found["real_score"] > 2.0
    assert 1.0 <= found["score"] < found["real_score"]
    assert math.isfinite(found["frechet"])
    assert not list((tmp_path / "runs").iterdir())
