"""Run folders that cannot be written, resumed or read; checkpoints that are broken, foreign or hostile."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from steadygan.errors import SteadyganError


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").iterdir())


def edit(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


def test_a_run_is_never_overwritten(call: Any, run: Path, small: tuple[str, ...]) -> None:
    before = content(run)
    fault = call("train", "digits", *small, "--out", run).fault()
    assert fault == (
        f"{run} is not empty; runs are never overwritten: go on with `steadygan resume {run}`, or choose another --out"
    )
    assert content(run) == before


@pytest.mark.parametrize(
    ("out", "answer"),
    [
        ("file", "file is a file: name a folder with --out"),
        ("file/run", "cannot create file/run (not a directory): choose another place with --out"),
        ("full", "full is not empty; runs are never overwritten: choose another --out"),
        ("/proc/run", "cannot create /proc/run ("),
        ("", ". is not empty"),
    ],
)
def test_out_where_no_run_can_be_made(call: Any, out: str, answer: str) -> None:
    Path("file").touch()
    Path("full").mkdir()
    Path("full/notes.txt").touch()
    # told before the data are looked for
    assert answer in call("train", "no/such/data", "--out", out).fault()
    assert sorted(path.name for path in Path().rglob("*")) == ["file", "full", "notes.txt"]


def test_no_write_permission_where_runs_go_by_default(call: Any) -> None:
    Path("runs").touch()
    assert "cannot create runs/new" in call("train", "digits").fault()


@pytest.mark.parametrize("command", ["resume", "sample"])
def test_a_run_that_is_none(call: Any, command: str) -> None:
    Path("file").touch()
    Path("empty").mkdir()
    assert call(command, "nowhere").fault() == "no run at nowhere: give the folder that `steadygan train` printed"
    assert call(command, "file").fault() == "file is a file: give the folder that `steadygan train` printed"
    assert call(command, "empty").fault() == "empty is not a run folder (it has no config.json): give a run's folder"
    assert not any(Path("empty").iterdir())


def test_resume_with_changed_settings_shows_the_difference(call: Any, run: Path) -> None:
    edit(run, lambda config: config.update(batch=32) or config["players"]["generator"].update(steps=2))
    before = content(run)
    fault = call("resume", run).fault()
    assert "batch was 16, is 32" in fault
    assert "players.generator.steps was 1, is 2" in fault
    assert "put them back, or start a new run" in fault
    assert content(run) == before


def test_resume_with_changed_data_refuses_and_with_moved_data_goes_on(
    call: Any, images: Path, small: tuple[str, ...]
) -> None:
    call("train", images, *small, "--out", "run").fine()
    moved = images.rename("moved")
    fault = call("resume", "run").fault()
    assert f"data source '{images}' does not exist" in fault
    assert "set data.source in run/config.json to where the data are now" in fault
    edit(Path("run"), lambda config: config["data"].update(source="moved"))
    call("resume", "run").fine()
    next(moved.iterdir()).unlink()
    before = content(Path("run"))
    assert "the data was " in call("resume", "run").fault()
    assert content(Path("run")) == before


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("{", "config.json is damaged ("),
        ("[]", "config.json is damaged (it is no table of settings)"),
        ('{"players": {}, "qqqq": 1}', "config.json: unknown setting 'qqqq': remove it"),
        ('{"format": 99}', "config.json was written by a later steadygan: upgrade steadygan"),
        ("{}", "config.json: players is missing: give it a value"),
    ],
)
def test_a_damaged_config(call: Any, run: Path, text: str, answer: str) -> None:
    (run / "config.json").write_text(text)
    for command in ("resume", "sample", "info"):
        assert answer in call(command, run).fault()


def test_a_truncated_checkpoint_falls_back_to_the_last_good_one(call: Any, run: Path, trained: Path) -> None:
    weights = checkpoints(run)[-1] / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "192 images seen" in call("sample", run, "--out", "a.png").fine()
    said = call("resume", run).fine()
    assert "skipped the checkpoint 000000000256-000: weights.safetensors is truncated or changed" in said
    assert content(checkpoints(run)[-1]) == content(checkpoints(trained)[-1])


def test_a_hostile_checkpoint_is_never_executed(call: Any, run: Path) -> None:
    for path in [*checkpoints(run)[-1].iterdir()]:
        path.write_bytes(pickle.dumps(Evil()))
    assert "192 images seen" in call("sample", run, "--out", "a.png").fine()
    call("resume", run).fine()
    assert not Path("pwned").exists()


def test_no_good_checkpoint_at_all(call: Any, run: Path) -> None:
    for path in checkpoints(run):
        (path / "manifest.json").write_bytes(pickle.dumps(Evil()))
    assert f"{run} has no usable checkpoint (000000000256-000: " in call("sample", run).fault()
    shutil.rmtree(run / "checkpoints")
    assert f"{run} has no usable checkpoint: train first" in call("sample", run).fault()
    assert not Path("pwned").exists()


def test_a_checkpoint_of_another_run(call: Any, run: Path, small: tuple[str, ...]) -> None:
    call("train", "digits", *small, "--set", "latent.size=7", "--out", "other").fine()
    shutil.rmtree(run / "checkpoints")
    shutil.copytree("other/checkpoints", run / "checkpoints")
    assert "its weights are not those of config.json" in call("sample", run).fault()
    assert "latent.size was 7, is 100" in call("resume", run).fault()


def test_history_that_was_cut_is_not_lost_silently(call: Any, run: Path) -> None:
    (run / "records.jsonl").write_text("")
    assert "records.jsonl is shorter than at the checkpoint" in call("resume", run).fault()


@pytest.mark.parametrize(
    "shortage",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
    ],
)
@pytest.mark.parametrize("place", ["session.running.wire", "session.running.loop", "session.planning.measure"])
def test_out_of_memory_says_which_settings_to_lower(
    call: Any, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, place: str, shortage: Exception
) -> None:
    def short(*_: object, **__: object) -> None:
        raise shortage

    monkeypatch.setattr(f"steadygan.{place}", short)
    monkeypatch.setattr("steadygan.session.planning.choose_threads", lambda config, data: config)
    flags = small if "planning" not in place else ("--recipe", "mlp", "--minutes", "1", "--set", "batch=16")
    fault = call("train", "digits", *flags, "--out", "run").fault()
    assert fault.startswith("out of memory with batch 16")
    assert "accumulate=2" in fault
    assert "capacity" in fault
    assert "image_size" in fault
    assert not Path("run").exists()


def test_maps_that_view_cannot_read_are_told_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    from steadygan import api

    def views(*_: object) -> None:
        torch.zeros(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).view(2, -1)

    monkeypatch.setattr("steadygan.session.running.wire", views)
    with pytest.raises(SteadyganError, match="channels lie last in memory: set channels_last=false, or call reshape"):
        api.start(api.plan("digits", recipe="mlp", images=64, set=["channels_last=true"]))
    with pytest.raises(RuntimeError, match="view size"):
        api.start(api.plan("digits", recipe="mlp", images=64, set=["channels_last=false"]))


def test_other_errors_are_not_taken_for_a_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    from steadygan import api

    def broken(*_: object) -> None:
        raise RuntimeError("the expanded size of the tensor must match")

    monkeypatch.setattr("steadygan.session.running.wire", broken)
    with pytest.raises(RuntimeError, match="expanded size"):
        api.start(api.plan("digits", recipe="mlp", images=64))


SHORT = """
import resource, sys
from steadygan.cli import commands
from steadygan.cli.main import main
size = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 600_000_000, resource.RLIM_INFINITY))
sys.argv = ["steadygan", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc and RLIMIT_AS")
def test_memory_truly_short(tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", np.zeros((70_000, 16, 16), np.uint8))
    words = ("train", "many.npy", "--recipe", "r3", "--images", "65536", "--set", "batch=65536", "--out", "run")
    done = subprocess.run(
        [sys.executable, "-c", SHORT, *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("steadygan: out of memory with batch 65536")
    assert "set accumulate=2" in line
    assert not (tmp_path / "run").exists()


def test_a_stop_is_told_with_the_way_on(call: Any, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C and SIGTERM do: the round is finished, all is saved, the status is 128 and the signal's number."""
    import signal

    from steadygan.cli.progress import Terminal

    told = Terminal.record

    def record(self: Terminal, line: Any, pace: Any, health: str) -> None:
        told(self, line, pace, health)
        if line["images_seen"] == 128:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Terminal, "record", record)
    said = call("train", "digits", *small, "--out", "run")
    assert (said.status, said.err) == (143, "")
    assert "stopped by SIGTERM at " in said.out
    assert said.out.endswith("go on with: steadygan resume run\n")
    assert "done: 256 images seen" in call("resume", "run").fine()
