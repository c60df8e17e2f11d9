"""Processes that are asked to stop, and processes that are shot."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steadygan.runtime.folder import RunFolder

LONG = ("images=4000", "record_every=40", "checkpoint_every=400", "sample_every=2000")


def launch(path: Path, config: str) -> subprocess.Popen[str]:
    """``steadygan resume`` in a process of its own, on a run that has been laid out and not begun."""
    if not path.exists():
        RunFolder(path).create(config)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "steadygan", "resume", str(path)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def until(process: subprocess.Popen[str], happens: Callable[[], bool]) -> bool:
    """Wait for it, as long as the process lives; whether it happened."""
    while process.poll() is None:
        if happens():
            return True
        time.sleep(0.0005)
    return False


def partial(path: Path) -> bool:
    """Whether a checkpoint is being written."""
    with contextlib.suppress(OSError):
        return any(name.endswith(".partial") for name in os.listdir(path / "checkpoints"))
    return False


@pytest.fixture(scope="module")
def reference(digits: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Never stopped runs by their settings, made when first asked for."""
    return {}


def never_stopped(lab: Any, reference: dict[str, Any], tmp_path: Path, config: Any) -> Any:
    key = config.model_dump_json()
    if key not in reference:
        lab.start(tmp_path / "never-stopped", config)
        reference[key] = lab.outcome(tmp_path / "never-stopped")
    return reference[key]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_round_and_saves(
    number: signal.Signals, code: int, lab: Any, tmp_path: Path, reference: dict[str, Any]
) -> None:
    run, config = tmp_path / "run", lab.config("mlp", *LONG)
    process = launch(run, config.model_dump_json(indent=1))
    records = run / "records.jsonl"
    assert until(process, lambda: records.stat().st_size > 0), process.communicate()[0]
    process.send_signal(number)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == code, told
    assert f"stopped by {number.name}" in told
    assert f"steadygan resume {run}" in told.replace("\n", "")
    stopped = int(lab.checkpoints(run)[-1].split("-")[0])
    assert 0 < stopped < config.images
    lab.conduct(run)
    assert lab.diary.begun == [stopped], "nothing was lost"
    assert lab.outcome(run).differences(never_stopped(lab, reference, tmp_path, config)) == []


def test_a_killed_run_ends_in_the_same_bits(
    lab: Any, tmp_path: Path, reference: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = tmp_path / "run", lab.config("mlp", *LONG, "images=1600", "checkpoint_every=8", "keep=3")
    chance, kills = random.Random(0), 0
    for moment in ("mid-checkpoint", "any", "mid-checkpoint"):
        stood = lab.checkpoints(run)[-1:]
        process = launch(run, config.model_dump_json(indent=1))
        if until(process, lambda stood=stood: lab.checkpoints(run)[-1:] != stood):  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.1))
            if moment == "any" or until(process, lambda: partial(run)):
                process.kill()
                kills += 1
        process.communicate(timeout=60)
    assert kills >= 2
    monkeypatch.setattr("os.fsync", lambda handle: None)
    lab.conduct(run)
    assert not partial(run)
    assert lab.outcome(run).differences(never_stopped(lab, reference, tmp_path, config)) == []
