"""Health in real runs: the story told again from the records, the best average, and what is not used."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import steadygan
from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.game import checkpoint
from steadygan.health.illnesses import sicken_config
from steadygan.session import planning
from steadygan.session.diagnosing import diagnose
from steadygan.session.running import Run, open_run

OFTEN = ("health.every=16", "health.count=16", "record_every=8", "checkpoint_every=64", "images=480")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadygan.report.outputs.finish", lambda run: None)
    monkeypatch.setattr("os.fsync", lambda handle: None)


def ill(lab: Any, sicken: str, recipe: str, *given: str) -> RunConfig:
    config = lab.config(recipe, *OFTEN, "sample_every=240", *given)
    settled: RunConfig = planning.settle(sicken_config(sicken, config).model_copy(update={"sicken": sicken}))
    return settled


def lines(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


@pytest.mark.parametrize(
    ("sicken", "recipe"), [("collapse:3", "mlp"), ("weak-discriminator:3", "mlp"), ("generator-rate:3", "dcgan")]
)
def test_the_records_alone_tell_what_was_told_in_the_run(sicken: str, recipe: str, lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    lab.start(run, ill(lab, sicken, recipe, "health.mode=watch"))
    told = [event for event in lines(run, "events.jsonl") if event["kind"] == "diagnosis"]
    assert told, "the illness is found"
    found = diagnose(run)
    assert [(one.images_seen, one.name, one.finding.words) for one in found.told] == [
        (event["images_seen"], event["diagnosis"], event["words"]) for event in told
    ]
    open_cases = {event["case"] for event in told}
    open_cases -= {event["case"] for event in lines(run, "events.jsonl") if event["kind"] == "receded"}
    assert set(found.standing) == {event["diagnosis"] for event in told if event["case"] in open_cases}
    assert [event["kind"] for event in found.events] == [event["kind"] for event in lines(run, "events.jsonl")]


def test_the_best_average_is_not_clearly_worse_than_any_other(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    lab.start(run, lab.config("mlp", *OFTEN, "health.mode=watch"))
    checked = {line["images_seen"]: line for line in lines(run, "records.jsonl") if "health/distance" in line}
    best = steadygan.load(run, best=True)
    facts = checkpoint.facts(run / "best")
    assert best.images_seen == facts["images_seen"]
    chosen = checked[best.images_seen]
    assert facts["health/distance"] == chosen["health/distance"]
    least = min(line["health/distance"] for line in checked.values())
    assert chosen["health/distance"] <= 2 * least + 4 * chosen["health/distance_floor_spread"]
    assert best.sample(3).shape == (3, 1, 8, 8)
    if best.images_seen == 480:
        assert torch.equal(best.sample(3), steadygan.load(run).sample(3))


def test_a_run_without_health_has_no_best(lab: Any, tmp_path: Path) -> None:
    lab.start(tmp_path / "run", lab.config("mlp", "health.mode=off"))
    assert not (tmp_path / "run" / "best").exists()
    assert (tmp_path / "run" / "events.jsonl").read_text() == ""
    with pytest.raises(SteadyganError, match="no usable best average.*train with health on"):
        steadygan.load(tmp_path / "run", best=True)


def test_a_broken_best_is_refused_in_one_line(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    lab.start(run, lab.config("mlp", "health.every=32", "health.count=16"))
    weights = run / "best" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(SteadyganError, match=r"no usable best average \(best: .*truncated"):
        steadygan.load(run, best=True)
    assert steadygan.load(run).images_seen == 96, "the run itself is whole"


def test_what_is_forbidden_is_not_done_in_a_run(lab: Any, tmp_path: Path) -> None:
    used = {}
    for name, given in {"free": (), "bound": ('health.without=["back-pace", "pace", "back-guard"]',)}.items():
        with contextlib.suppress(SteadyganError):  # one may end in failure without the remedy that would have helped
            lab.start(tmp_path / name, ill(lab, "bursts:2", "mlp", *given))
        used[name] = [event["intervention"] for event in lines(tmp_path / name, "events.jsonl") if "turns" in event]
    assert used["free"] and used["bound"]
    assert not {"back-pace", "pace", "back-guard"} & set(used["bound"])


def test_no_rollbacks_means_none(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(SteadyganError, match="blow-up|became NaN") as caught:
        lab.start(run, ill(lab, "bursts:3", "mlp", "health.rollbacks=0"))
    assert caught.value.code == 1
    assert {line["attempt"] for line in lines(run, "records.jsonl")} == {0}
    assert not any("to" in event for event in lines(run, "events.jsonl"))
    for place in checkpoint.listed(run / "checkpoints"):
        tensors: dict[str, torch.Tensor] = {}
        checkpoint.flatten(checkpoint.read(place), "", tensors)
        assert checkpoint.not_finite(tensors) is None


def test_a_stop_while_an_illness_is_treated_is_made_good_for(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is asked to stop, as a signal does, after every one of its measured rounds around a rollback."""
    config = ill(lab, "bursts:2", "mlp", "images=400")
    whole = tmp_path / "whole"
    lab.start(whole, config)
    told, expected = lines(whole, "events.jsonl"), lab.outcome(whole)
    assert any("to" in event for event in told)
    halting = tmp_path / "halting"
    folder, _ = open_run(whole)
    type(folder)(halting).create(config.model_dump_json(indent=1))
    attend = Run._attend
    monkeypatch.setattr(Run, "_attend", lambda run, record: _stopping(run, attend(run, record), record.round))
    stops = 0
    while True:
        try:
            lab.conduct(halting)
        except steadygan.errors.Stopped:
            stops += 1
            assert stops < 60
        else:
            break
    assert stops > 2
    assert lab.outcome(halting).differences(expected) == []
    assert lines(halting, "events.jsonl") == told


def _stopping(run: Run, back: bool, number: int) -> bool:
    if number % 5 == 0:
        run._stop = 15
    return back


def test_the_game_as_it_was_left_by_a_mended_run_is_finite(lab: Any, tmp_path: Path) -> None:
    lab.start(tmp_path / "run", ill(lab, "bursts:2", "dcgan"))
    told = lines(tmp_path / "run", "events.jsonl")
    assert {event["diagnosis"] for event in told} >= {"blow-up"}
    assert steadygan.load(tmp_path / "run", best=True).sample(4).isfinite().all()
    for event in told:
        assert event["images_seen"] <= 480
        assert event["case"] >= 1
        assert event["diagnosis"] in {one["diagnosis"] for one in told if one["kind"] == "diagnosis"}
