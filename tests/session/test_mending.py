"""Health in real runs: watching changes no bit, and a run that was treated resumes as if it had never stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import steadygan
from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.game import checkpoint
from steadygan.health.illnesses import sicken_config, sicken_data
from steadygan.recipes import RECIPES
from steadygan.session import planning

OFTEN = ("health.every=16", "health.count=16", "record_every=8", "checkpoint_every=64", "sample_every=0", "batch=8")

REACHES = {"duplicates:2": "back-distinct", "corrupt-batches:2": "back-familiar"}
"""Remedies that must have been taken."""


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadygan.report.outputs.finish", lambda run: None)
    monkeypatch.setattr("os.fsync", lambda handle: None)


def ill(lab: Any, sicken: str, recipe: str, images: int, *given: str) -> RunConfig:
    config = lab.config(recipe, *OFTEN, f"images={images}", *given)
    config = sicken_config(sicken, config).model_copy(update={"sicken": sicken, "sample_every": 10**9})
    settled: RunConfig = planning.settle(config)
    return settled


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("recipe", RECIPES)
def test_watching_changes_no_bit(recipe: str, lab: Any, tmp_path: Path) -> None:
    found = {}
    for mode in ("watch", "off"):
        lab.start(tmp_path / mode, lab.config(recipe, *OFTEN, f"health.mode={mode}"))
        tree = checkpoint.read(checkpoint.listed(tmp_path / mode / "checkpoints")[0])["state"]
        found[mode] = {part: tree[part] for part in ("players", "averages", "optimizers", "memory", "counters")}
    tensors: list[dict[str, torch.Tensor]] = [{}, {}]
    plain = [checkpoint.flatten(found[mode], "", kept) for mode, kept in zip(found, tensors, strict=True)]
    assert plain[0] == plain[1]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    assert any("health/distance" in line for line in (tmp_path / "watch" / "records.jsonl").read_text().splitlines())
    assert "health/" not in (tmp_path / "off" / "records.jsonl").read_text()


@pytest.mark.parametrize(
    ("sicken", "recipe"),
    [
        ("generator-rate:3", "dcgan"),
        ("bursts:3", "mlp"),
        ("generator-rate:3", "digits"),
        ("duplicates:2", "mlp"),
        ("corrupt-batches:2", "mlp"),
    ],
)
def test_a_treated_run_that_was_stopped_anywhere_ends_in_the_same_bits(
    sicken: str, recipe: str, lab: Any, tmp_path: Path
) -> None:
    whole, lab = tmp_path / "whole", replace(lab, data=sicken_data(sicken, lab.data, 0))
    lab.start(whole, ill(lab, sicken, recipe, 800))
    told = events(whole)
    assert any(event["kind"] == "intervention" for event in told), "the illness provokes a treatment"
    assert any("to" in event for event in told), "and a rollback"
    assert REACHES.get(sicken) in {None, *(event.get("intervention") for event in told)}
    expected, names = lab.outcome(whole), lab.checkpoints(whole)
    attempts = {int(name.split("-")[1]) for name in names}
    assert max(attempts) >= 1
    for keep in sorted({2, len(names) // 2, len(names) - 1}):
        again = lab.cut(whole, tmp_path / f"again-{keep}", keep)
        lab.conduct(again)
        assert lab.outcome(again).differences(expected) == []
        assert events(again) == told
        best = [steadygan.load(path, best=True) for path in (whole, again)]
        assert best[0].images_seen == best[1].images_seen
        assert torch.equal(best[0].sample(4), best[1].sample(4))


def test_a_burst_is_survived_and_told(lab: Any, tmp_path: Path) -> None:
    lab.start(tmp_path / "run", ill(lab, "bursts:2", "dcgan", 800))
    told = events(tmp_path / "run")
    assert next(event["diagnosis"] for event in told if event["kind"] == "diagnosis") == "blow-up"
    assert any(event["kind"] == "proof" and event["cured"] for event in told)
    tensors: dict[str, torch.Tensor] = {}
    checkpoint.flatten(checkpoint.read(checkpoint.listed(tmp_path / "run" / "checkpoints")[0]), "", tensors)
    assert checkpoint.not_finite(tensors) is None
    lines = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    attempts = [line["attempt"] for line in lines]
    assert attempts == sorted(attempts)
    assert attempts[-1] >= 1
    assert lines[-1]["images_seen"] == 800


def test_where_nothing_helps_the_run_ends_in_one_line_with_something_to_sample(lab: Any, tmp_path: Path) -> None:
    blow_up = '{"kind":"step","value":0.001,"factor":1e37,"every":40}'
    given = (f"discriminator.optimizer.learning_rate={blow_up}", "discriminator.optimizer.name=sgd")
    with pytest.raises(SteadyganError, match="stopped at .* images: blow-up: ") as caught:
        lab.start(tmp_path / "run", lab.config("wgan-gp", *OFTEN, *given, "discriminator.steps=1", "images=400"))
    assert caught.value.code == 1
    assert "\n" not in str(caught.value)
    kinds = [event["kind"] for event in events(tmp_path / "run")]
    assert kinds[-2:] == ["given-up", "stop"]
    assert steadygan.load(tmp_path / "run").sample(4).isfinite().all()
    with pytest.raises(SteadyganError) as again:
        lab.conduct(tmp_path / "run")
    assert (str(again.value), again.value.code) == (str(caught.value), 1), "an ended run says again why it ended"
    assert [event["kind"] for event in events(tmp_path / "run")] == kinds, "and has nothing to go on with"


def test_adaptive_augmentation_and_health_turn_the_same_knob_without_undoing_each_other(
    lab: Any, tmp_path: Path
) -> None:
    ada = ("augmentation.adaptive=true", 'augmentation.policy=["translate"]', "augmentation.speed=100")
    run = tmp_path / "run"
    lab.start(run, ill(lab, "bursts:2", "dcgan", 800, *ada, "augmentation.target=0.01"))
    state = checkpoint.read(checkpoint.listed(run / "checkpoints")[0])["state"]
    assert state["controls"]["augmentation"]["adaptive"][1] == state["companions"]["augmentation"]["shift"]
    assert any(turns.keys() == {"health"} for turns in state["controls"].values())
