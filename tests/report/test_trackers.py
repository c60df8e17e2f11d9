"""Runs handed on to Weights & Biases and MLflow: every point once, nothing sent unasked; with stand-ins for both."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import steadygan
from steadygan.errors import SteadyganError, Stopped
from steadygan.report.trackers import TRACKERS
from steadygan.session.watching import Silent

SMALL = (
    *("threads=1", "batch=16", "sample_count=4", "sample_every=64", "checkpoint_every=64"),
    *("generator.network.hidden=[16]", "discriminator.network.hidden=[16]"),
)


class Kept:
    """What a stand-in was given: scalars by name, pictures, and how it was opened and closed."""

    def __init__(self) -> None:
        self.scalars: dict[str, list[tuple[int, float]]] = {}
        self.pictures: list[tuple[int, str]] = []
        self.opened: list[dict[str, Any]] = []
        self.closed = 0

    def begin(self, **how: Any) -> None:
        self.scalars, self.pictures = {}, []
        self.opened.append(how)

    def add(self, seen: int, name: str, value: float) -> None:
        self.scalars.setdefault(name, []).append((seen, value))


def fake_wandb(kept: Kept) -> ModuleType:
    class Run:
        def define_metric(self, name: str, step_metric: str = "") -> None:
            assert (name, step_metric) in (("images_seen", ""), ("*", "images_seen"))

        def log(self, values: dict[str, Any]) -> None:
            seen = values.pop("images_seen")
            for name, value in values.items():
                if name == "samples":
                    kept.pictures.append((seen, value))
                else:
                    kept.add(seen, name, value)

        def finish(self) -> None:
            kept.closed += 1

    def init(**how: Any) -> Run:
        kept.begin(**how)
        (Path(how["dir"]) / "something").touch()
        return Run()

    module = ModuleType("wandb")
    vars(module).update(init=init, Image=lambda path: path, Settings=lambda **settings: settings)
    return module


def fake_mlflow(kept: Kept) -> ModuleType:
    class Client:
        def __init__(self, tracking_uri: str) -> None:
            kept.begin(uri=tracking_uri, parameters={})

        def get_experiment_by_name(self, name: str) -> None:
            assert name == "steadygan"

        def create_experiment(self, name: str) -> str:
            return "1"

        def create_run(self, experiment: str, run_name: str) -> Any:
            kept.opened[-1]["name"] = run_name
            return SimpleNamespace(info=SimpleNamespace(run_id="r"))

        def log_param(self, run: str, key: str, value: str) -> None:
            assert len(value) <= 500
            kept.opened[-1]["parameters"][key] = value

        def log_batch(self, run: str, metrics: list[tuple[str, float, int, int]]) -> None:
            for name, value, _, seen in metrics:
                kept.add(seen, name, value)

        def log_artifact(self, run: str, path: str, place: str) -> None:
            assert place == "samples"
            kept.pictures.append((int(Path(path).stem), path))

        def set_terminated(self, run: str) -> None:
            kept.closed += 1

    module = ModuleType("mlflow")
    module.MlflowClient = Client  # type: ignore[attr-defined]
    return module


@pytest.fixture(params=["wandb", "mlflow"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Kept]:
    found = Kept()
    name: str = request.param
    module = {"wandb": fake_wandb, "mlflow": fake_mlflow}[name](found)
    entities = ModuleType("mlflow.entities")
    entities.Metric = lambda *values: values  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one, *rest: module if one == name else there(one, *rest))
    for variable in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return name, found


def check(run: Path, kept: Kept) -> None:
    records = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    names = {name for line in records for name, value in line.items() if "/" in name and value is not None}
    assert set(kept.scalars) == names
    for name, points in kept.scalars.items():
        assert points == [(line["images_seen"], line[name]) for line in records if line.get(name) is not None]
    grids = sorted((run / "samples").glob("[0-9]*.png"))
    assert kept.pictures == [(int(path.stem), str(path)) for path in grids]


class StopAt(Silent):
    def record(self, line: Any, pace: object, health: str) -> None:
        if line["images_seen"] == 112:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)


def test_every_point_is_there_once_however_often_the_run_is_resumed(kept: tuple[str, Kept], tmp_path: Path) -> None:
    name, found = kept
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        steadygan.train("digits", recipe="mlp", images=192, out=run, set=[*SMALL, f"{name}=true"], watcher=StopAt())
    check(run, found)
    steadygan.resume(run)
    check(run, found)
    assert len(found.opened) == found.closed == 2 and (run / name).is_dir()


def test_nothing_leaves_the_machine_unasked(
    kept: tuple[str, Kept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, found = kept
    steadygan.train("digits", recipe="mlp", images=32, out=tmp_path / "first", set=[*SMALL, f"{name}=true"])
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    steadygan.train("digits", recipe="mlp", images=32, out=tmp_path / "second", set=[*SMALL, f"{name}=true"])
    first, second = found.opened
    if name == "wandb":
        assert (first["mode"], second["mode"]) == ("offline", "online")
        assert (first["project"], first["name"], first["dir"]) == (
            "steadygan",
            "first",
            str(tmp_path / "first" / "wandb"),
        )
        assert first["config"]["images"] == 32
    else:
        assert (first["uri"], second["uri"]) == ((tmp_path / "first" / "mlflow").as_uri(), "http://localhost:5000")
        assert first["name"] == "first" and first["parameters"]["images"] == "32"


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_a_package_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    package = TRACKERS[name].package
    monkeypatch.setattr(importlib.util, "find_spec", lambda one, *rest: None if one == package else there(one, *rest))
    with pytest.raises(SteadyganError, match=rf"{name}=true needs a package .*install steadygan\[{name}\]"):
        steadygan.train("digits", recipe="mlp", images=32, out=tmp_path / "run", set=[*SMALL, f"{name}=true"])
    assert not (tmp_path / "run").exists()


def test_what_fails_on_the_way_does_not_lose_the_run(
    kept: tuple[str, Kept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = kept

    def gone(*_: object, **__: object) -> None:
        raise RuntimeError("the server is gone")

    for method in ("scalars", "image", "close"):
        monkeypatch.setattr(TRACKERS[name], method, gone)
    given = [*SMALL, f"{name}=true"]
    assert steadygan.train("digits", recipe="mlp", images=32, out=tmp_path / "run", set=given).images_seen == 32
    monkeypatch.setattr(TRACKERS[name], "open", gone)
    with pytest.raises(
        SteadyganError, match=f"{name} cannot be written .the server is gone.: mend that, or set {name}"
    ):
        steadygan.train("digits", recipe="mlp", images=32, out=tmp_path / "other", set=given)
