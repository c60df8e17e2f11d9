"""What can go wrong around a run: broken checkpoints, full disks, NaN, two processes, changed settings and data."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from steadygan.errors import SteadyganError, Stopped
from steadygan.game import checkpoint
from steadygan.runtime.folder import RunFolder
from steadygan.session import running

MARKER = "STEADYGAN_TEST_MARKER"


class Evil:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def truncated(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def flipped(folder: Path) -> None:
    path = folder / "state.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def foreign(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "holiday.jpg").write_bytes(b"\xff\xd8\xff")


def malicious(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(pickle.dumps(Evil(folder.parents[2] / "executed")))


def sealed_pickle(folder: Path) -> None:
    """The same with a manifest that vouches for it."""
    malicious(folder)
    seal(folder)


def seal(folder: Path) -> None:
    import hashlib

    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def changed(key: str, value: Any) -> Callable[[Path], None]:
    """A checkpoint that vouches for itself, with one value of its state set to something else."""

    def change(folder: Path) -> None:
        tree = json.loads((folder / "state.json").read_text())
        *way, last = key.split(".")
        place = tree
        for part in way:
            place = place[part]
        place[last] = value
        (folder / "state.json").write_text(json.dumps(tree))
        seal(folder)

    return change


def later(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": checkpoint.FORMAT + 1}))


DAMAGES = {
    "truncated": truncated,
    "flipped byte": flipped,
    "no manifest": without("manifest.json"),
    "no weights": without("weights.safetensors"),
    "foreign folder": foreign,
    "pickle": malicious,
    "sealed pickle": sealed_pickle,
    "later format": later,
    "of another run": changed("config.seed", 77),
    "of other data": changed("data", "0" * 64),
    "hostile tree": changed("state.players", []),
    "hostile tensor": changed("state.counters", {"$tensor": "not there"}),
    "hostile positions": changed("lines", {"records.jsonl": "all"}),
    "hostile strides": changed("state.memory", {"x": {"$tensor": "state/nothing", "strides": [2**60]}}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_checkpoint_is_skipped_with_a_warning(damage: str, lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 3)
    newest = run / "checkpoints" / lab.checkpoints(run)[-1]
    DAMAGES[damage](newest)
    lab.conduct(run)
    assert [text for text in lab.diary.events if newest.name in text], lab.diary.events
    assert lab.diary.begun == [32], "the last good one"
    assert not (tmp_path / "executed").exists()
    assert not list(tmp_path.rglob("executed"))
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_the_evil_pickle_would_have_worked(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Evil(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


def test_with_no_good_checkpoint_it_starts_anew_in_the_same_bits(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 2)
    for path in (run / "checkpoints").iterdir():
        truncated(path)
    lab.conduct(run)
    assert lab.diary.begun == [0]
    assert len(lab.diary.events) == 2
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_leftovers_are_ignored_and_swept(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 2)
    left = run / "checkpoints" / ".000000000041-000.partial"
    shutil.copytree(run / "checkpoints" / lab.checkpoints(run)[-1], left)
    lab.conduct(run)
    assert not left.exists()
    assert lab.diary.events == []
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_a_finished_run_stays_as_it_is(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 99)
    before = {path: path.stat().st_mtime_ns for path in (run / "checkpoints").rglob("*")}
    lab.conduct(run)
    assert {path: path.stat().st_mtime_ns for path in (run / "checkpoints").rglob("*")} == before
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_broken_newer_checkpoints_do_not_push_good_ones_out(lab: Any, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    lab.start(whole, lab.config("mlp", "keep=2"))
    assert lab.checkpoints(whole) == ["000000000080-000", "000000000096-000"]
    run = lab.cut(whole, tmp_path / "run", 1)
    good = run / "checkpoints" / "000000000080-000"
    for images in (82, 85, 88):
        broken = run / "checkpoints" / f"{images:012d}-000"
        shutil.copytree(good, broken)
        truncated(broken)
    keeper = checkpoint.Keeper(run / "checkpoints", 2)
    keeper.save(checkpoint.read(good), 81, 0)
    assert keeper.wait() is None
    assert {"000000000080-000", "000000000081-000"} <= set(lab.checkpoints(run))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((), [64, 80, 96]),
        (("milestones=24",), [24, 48, 72, 80, 96]),
        (("milestones=32", "keep=1"), [32, 64, 96]),
        (("checkpoint_every=1000",), [96]),
    ],
)
def test_what_is_kept(given: tuple[str, ...], kept: list[int], lab: Any, tmp_path: Path) -> None:
    lab.start(tmp_path / "run", lab.config("mlp", "keep=3", *given))
    assert [int(name.split("-")[0]) for name in lab.checkpoints(tmp_path / "run")] == kept


def test_a_milestone_at_a_stop_stays_a_milestone(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    folder = RunFolder(run)
    folder.create(lab.config("mlp", "milestones=32", "keep=1").model_dump_json())
    one = running.Run(*running.open_run(run), lab.data)
    monkeypatch.setattr(one, "_record", lambda record: setattr(one, "_stop", 15 if record.images_seen == 32 else 0))
    with pytest.raises(Stopped):
        one.conduct()
    monkeypatch.undo()
    lab.conduct(run)
    assert "000000000032-000" in lab.checkpoints(run)


@pytest.mark.parametrize("key", ["seed", "batch", "loss", "players.generator.network.capacity"])
def test_resume_with_changed_settings_shows_the_difference(key: str, lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 2)
    tree = json.loads((run / "config.json").read_text())
    *way, last = key.split(".")
    place = tree
    for part in way:
        place = place[part]
    old, place[last] = place[last], "hinge" if last == "loss" else place[last] + 8
    (run / "config.json").write_text(json.dumps(tree))
    with pytest.raises(SteadyganError, match=f"{key} was {old!r}, is {place[last]!r}"):
        lab.conduct(run)
    assert lab.checkpoints(run) == lab.checkpoints(finished)[:2]


def test_settings_that_do_not_touch_the_trajectory_may_change(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 3)
    tree = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(tree | {"keep": 1, "milestones": 64, "why": "other"}))
    lab.conduct(run)
    assert lab.checkpoints(run) == ["000000000064-000", "000000000096-000"]
    found = lab.outcome(run).differences(lab.outcome(finished))
    assert found == ["state.json"], "which holds the config, and marks milestones"


def test_resume_with_changed_data_is_refused(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 2)
    with pytest.raises(SteadyganError, match="the data was .* is 111111111111"):
        lab.conduct(run, replace(lab.data, fingerprint="1" * 64))


@pytest.mark.parametrize("name", ["records.jsonl", "metrics.jsonl"])
def test_lines_are_cut_back(name: str, lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 3)
    with open(run / name, "a") as file:
        file.write('{"images_seen":1,"half a li')
    lab.conduct(run)
    assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_a_shorter_records_file_is_refused(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 3)
    (run / "records.jsonl").write_bytes((run / "records.jsonl").read_bytes()[:100])
    with pytest.raises(SteadyganError, match="records.jsonl is shorter than at the checkpoint"):
        lab.conduct(run)


def test_two_processes_on_one_run_are_refused(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 3)
    hold = "import sys, pathlib; from steadygan.runtime.folder import RunFolder\n"
    hold += "with RunFolder(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(SteadyganError, match="another process is training"):
            lab.conduct(run)
        other.communicate(b"")
    lab.conduct(run)


# NaN


@pytest.mark.parametrize("given", [(), ("record_every=1000", "checkpoint_every=8")], ids=["recorded", "unrecorded"])
def test_nan_stops_in_one_line_and_is_never_saved(given: tuple[str, ...], lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    blow_up = '{"kind":"step","value":0.001,"factor":1e37,"every":40}'
    settings = (
        f"discriminator.optimizer.learning_rate={blow_up}",
        "discriminator.optimizer.name=sgd",
        "health.mode=watch",
    )
    with pytest.raises(SteadyganError, match=r"became (nan|inf|-inf|NaN or infinite)") as caught:
        lab.start(run, lab.config("wgan-gp", *settings, *given, "discriminator.steps=1"))
    assert caught.value.code == 1
    assert "\n" not in str(caught.value)
    names = lab.checkpoints(run)
    assert names
    assert int(names[-1].split("-")[0]) < 96
    for name in names:
        tensors: dict[str, torch.Tensor] = {}
        checkpoint.flatten(checkpoint.read(run / "checkpoints" / name), "", tensors)
        assert checkpoint.not_finite(tensors) is None


def test_a_moment_that_overflowed_is_not_saved_either(tmp_path: Path) -> None:
    keeper = checkpoint.Keeper(tmp_path, 3)
    tree = {"state": {"optimizers": {"generator": {"square": torch.tensor([1.0, float("inf")])}}}}
    with pytest.raises(SteadyganError, match="optimizers/generator/square became NaN or infinite"):
        keeper.save(tree, 8, 0)
    assert list(tmp_path.iterdir()) == []


# Disks that refuse


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """While ``on``, nothing can be flushed inside checkpoints."""
    switch = {"on": False}
    real = os.fsync

    def refuse(handle: int) -> None:
        target = os.readlink(f"/proc/self/fd/{handle}")
        if switch["on"] and "/checkpoints/" in target:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    return switch


def test_disk_full_in_mid_checkpoint(
    lab: Any, finished: Path, tmp_path: Path, full_disk: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full from 32 to 64 images: told, nothing lost, and the end is as ever."""
    original = running.Run._record

    def record(self: running.Run, record: Any) -> None:
        if self.keeper._thread is not None:
            self.keeper._thread.join()  # a write that is under way shall see the disk as it was when it began
        full_disk["on"] = 32 <= record.images_seen < 64
        original(self, record)

    monkeypatch.setattr(running.Run, "_record", record)
    lab.start(tmp_path / "run", lab.config())
    assert len([text for text in lab.diary.events if "the disk is full" in text]) == 2
    assert [int(name.split("-")[0]) for name in lab.checkpoints(tmp_path / "run")] == [16, 64, 80, 96]
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))
    assert lab.outcome(tmp_path / "run").differences(lab.outcome(finished)) == []


def test_disk_full_at_the_end(lab: Any, finished: Path, tmp_path: Path, full_disk: dict[str, bool]) -> None:
    run = lab.cut(finished, tmp_path / "run", 2)
    full_disk["on"] = True
    with pytest.raises(
        SteadyganError, match="the last checkpoint could not be written \\(the disk is full\\)"
    ) as caught:
        lab.conduct(run)
    assert caught.value.code == 1
    assert lab.checkpoints(run) == lab.checkpoints(finished)[:2]
    full_disk["on"] = False
    lab.conduct(run)
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of sixteen megabytes, where the test may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if not mount or os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root on Linux")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full(lab: Any, finished: Path, small_disk: Path) -> None:
    run = lab.cut(finished, small_disk / "run", 2)
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
    os.truncate(ballast, ballast.stat().st_size - 16 * 4096)
    with pytest.raises(SteadyganError, match="has .* free|the disk is full") as caught:
        lab.conduct(run)
    assert caught.value.code == 1
    assert lab.checkpoints(run) == lab.checkpoints(finished)[:2]
    ballast.unlink()
    lab.conduct(run)
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_a_disk_that_fills_during_the_run(
    lab: Any, finished: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Space was there when it was checked; a neighbour takes it, down to the last page, after 32 images."""
    run, ballast = small_disk / "run", small_disk / "ballast"
    original = running.Run._record

    def record(self: running.Run, record: Any) -> None:
        if record.images_seen == 32:
            with open(ballast, "wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    pass
        original(self, record)

    monkeypatch.setattr(running.Run, "_record", record)
    with pytest.raises(SteadyganError, match="the disk is full") as caught:
        lab.start(run, lab.config())
    assert caught.value.code == 1
    assert lab.checkpoints(run)
    ballast.unlink()
    monkeypatch.undo()
    lab.conduct(run)
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_a_sample_grid_that_cannot_be_written_does_not_stop_the_run(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 2)
    shutil.rmtree(run / "samples")
    (run / "samples").write_text("in the way")
    lab.conduct(run)
    assert any("sample grid could not be written" in text for text in lab.diary.events)
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_a_read_only_run_folder(lab: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lab.cut(finished, tmp_path / "run", 2)
    (run / ".lock").chmod(0o444)
    run.chmod(0o555)
    monkeypatch.chdir(run)
    root = os.geteuid() == 0
    try:
        os.seteuid(65534 if root else os.geteuid())  # root, whom no permission stops, steps down for a moment
        with pytest.raises(SteadyganError, match=r"cannot write in \. \(permission denied\)") as caught:
            lab.conduct(Path())
    finally:
        os.seteuid(0 if root else os.geteuid())
        run.chmod(0o755)
    assert caught.value.code == 1


def test_a_run_may_be_conducted_in_a_thread(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 5)
    thread = threading.Thread(target=lab.conduct, args=(run,))
    thread.start()
    thread.join()
    assert lab.outcome(run).differences(lab.outcome(finished)) == []


def test_every_sitting_is_noted(lab: Any, finished: Path, tmp_path: Path) -> None:
    run = lab.cut(finished, tmp_path / "run", 3)
    lab.conduct(run)
    sittings = json.loads((run / "environment.json").read_text())["sittings"]
    assert [sitting["images_seen"] for sitting in sittings] == [0, 48]
    (run / "environment.json").write_text("[]")
    lab.conduct(run)
    assert len(json.loads((run / "environment.json").read_text())["sittings"]) == 1
