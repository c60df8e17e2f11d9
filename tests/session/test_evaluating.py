"""Measuring while a run goes on: outside the round, and the same lines after a resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steadygan.errors import SteadyganError
from steadygan.evaluation.protocol import Value
from steadygan.session.environment import differences

MEASURED = ("evaluate_every=32", "evaluate_count=60", "evaluate_features=pixels", 'evaluate_metrics=["fid","kid"]')


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadygan.report.outputs.finish", lambda run: None)
    monkeypatch.setattr("os.fsync", lambda handle: None)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_the_average_is_measured_at_its_milestones_and_at_the_end(lab: Any, tmp_path: Path) -> None:
    lab.start(tmp_path / "run", lab.config("mlp", *MEASURED, "evaluate_every=40"))
    found = lines(tmp_path / "run")
    assert [(line["images_seen"], line["metric"]) for line in found] == [
        (clock, metric) for clock in (40, 80, 96) for metric in ("fid", "kid")
    ]
    values = [Value.parse(line) for line in found]
    assert len({value.protocol.hash for value in values}) == 1
    assert values[0].protocol.averaged
    assert len({value.value for value in values if value.metric == "fid"}) == 3


def test_nothing_is_measured_unless_asked_for(finished: Path) -> None:
    assert lines(finished) == []


@pytest.mark.parametrize("features", ["pixels", "judge"])
def test_measuring_leaves_the_run_as_it_is(lab: Any, tmp_path: Path, features: str) -> None:
    lab.start(tmp_path / "plain", lab.config("dcgan"))
    lab.start(tmp_path / "measured", lab.config("dcgan", *MEASURED, f"evaluate_features={features}"))
    plain, measured = lab.outcome(tmp_path / "plain"), lab.outcome(tmp_path / "measured")
    assert set(measured.differences(plain)) == {"state.json"}  # the config, and where the lines end
    assert lines(tmp_path / "measured")


@pytest.mark.parametrize("keep", [1, 2, 4, 5])
def test_a_resumed_run_writes_the_same_values(lab: Any, tmp_path: Path, keep: int) -> None:
    lab.start(tmp_path / "whole", lab.config("dcgan", *MEASURED))
    again = lab.cut(tmp_path / "whole", tmp_path / "again", keep)
    lab.conduct(again)
    assert (again / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert lab.outcome(again).differences(lab.outcome(tmp_path / "whole")) == []


@pytest.mark.parametrize(
    ("given", "answer"),
    [('evaluate_metrics=["fdi"]', "did you mean 'fid'"), ("evaluate_features=pixle", "did you mean 'pixels'")],
)
def test_names_are_checked_before_the_run(given: str, answer: str, tmp_path: Path) -> None:
    import steadygan

    with pytest.raises(SteadyganError, match=answer):
        steadygan.train("digits", recipe="mlp", images=64, out=tmp_path / "run", set=[given])
    assert not (tmp_path / "run").exists()


def test_evaluate_and_compare_stand_at_the_top() -> None:
    import steadygan
    from steadygan import api

    assert (steadygan.evaluate, steadygan.compare) == (api.evaluate, api.compare)


def test_a_checkpoint_from_before_these_settings_is_still_of_the_same_run(lab: Any) -> None:
    config = lab.config("mlp")
    then = json.loads(config.model_dump_json())
    for name in [name for name in then if name.startswith("evaluate_")]:
        del then[name]
    assert differences(then, config, "a", "a") == []
    assert differences(then, lab.config("mlp", "evaluate_every=32"), "a", "a") == ["evaluate_every was 0, is 32"]
    assert differences({"nonsense": 1}, config, "a", "a")
