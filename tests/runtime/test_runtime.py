"""Files that are whole or absent, the run folder, seeds, devices."""

from __future__ import annotations

import errno
import json
import math
import os
import platform
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.runtime import devices, seeding, storage
from steadygan.runtime.folder import LINES, WISHES, RunFolder, plain

FULL = OSError(errno.ENOSPC, "No space left on device")


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise FULL


# Storage


@pytest.mark.parametrize("broken", ["os.fsync", "os.replace"])
def test_a_file_is_old_or_new_and_nothing_else_is_left(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    storage.write_file(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(broken, refuse)
        with pytest.raises(OSError, match="No space"):
            storage.write_file(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    storage.write_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_space_is_asked_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    assert storage.free_bytes(deep) == pytest.approx(storage.free_bytes(tmp_path), rel=0.1)
    storage.require_space(deep, 1, "this")
    with pytest.raises(SteadyganError, match=r"this needs .* but the disk of .* has .* free") as caught:
        storage.require_space(deep, 2**62, "this")
    assert caught.value.code == 1


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (3e15, "3000.0 TB")]
)
def test_sizes_in_words(count: float, text: str) -> None:
    assert storage.size(count) == text


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SteadyganError, match="cannot create"):
        storage.make_folder(tmp_path / "file" / "run")


def test_reasons_in_words() -> None:
    assert storage.reason(FULL) == "the disk is full"
    assert storage.reason(PermissionError(errno.EACCES, "Permission denied")) == "permission denied"
    assert storage.reason(KeyError("x")) == "KeyError: 'x'"


# The run folder


def test_a_new_run_has_all_files_and_is_never_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create('{"seed": 1}')
    assert {path.name for path in folder.path.iterdir()} == {"config.json", "samples", "checkpoints", *LINES, WISHES}
    assert folder.read_config() == '{"seed": 1}'
    with pytest.raises(SteadyganError, match="never overwritten.*steadygan resume"):
        folder.create("{}")
    assert folder.read_config() == '{"seed": 1}'


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.touch"])
def test_a_new_run_on_a_full_disk_is_one_line(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broken, refuse)
    with pytest.raises(SteadyganError, match="cannot write in .* \\(the disk is full\\)"):
        RunFolder(tmp_path / "run").create("{}")


def test_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "config.json").write_bytes(b"\xff\xfe\x00")
    for name, complaint in {
        "absent": "no run at",
        ".": "is not a run folder",
        "bytes": "cannot read .*config.json",
        "file": "is a file",
    }.items():
        with pytest.raises(SteadyganError, match=complaint):
            RunFolder(tmp_path / name).read_config()
    with pytest.raises(SteadyganError, match="is a file"):
        RunFolder(tmp_path / "file").check_free()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(line=st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_lines_are_strict_json_and_numbers_keep_their_bits(
    line: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.append("records.jsonl", line)

    def loud(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    (text,) = (folder.path / "records.jsonl").read_text().splitlines()
    assert json.loads(text, parse_constant=loud) == plain(line)


def test_numbers_that_are_not_finite_become_null() -> None:
    assert plain({"a": math.nan, "b": [math.inf, (1.5, -math.inf)]}) == {"a": None, "b": [None, [1.5, None]]}


@given(before=st.integers(0, 5), after=st.integers(0, 5))
def test_cutting_back_keeps_exactly_what_was_there(
    before: int, after: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    for number in range(before):
        folder.append("records.jsonl", {"n": number})
    positions = folder.positions()
    kept = (folder.path / "records.jsonl").read_bytes()
    for number in range(after):
        folder.append("records.jsonl", {"n": -number})
    folder.append("events.jsonl", {"late": True})
    folder.cut_back(positions)
    assert (folder.path / "records.jsonl").read_bytes() == kept
    assert (folder.path / "events.jsonl").read_bytes() == b""


def test_a_file_that_was_shortened_or_taken_away_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append("records.jsonl", {"n": 1})
    positions = folder.positions()
    (tmp_path / "records.jsonl").unlink()
    with pytest.raises(SteadyganError, match="shorter than at the checkpoint"):
        folder.cut_back(positions)


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    with RunFolder(tmp_path), pytest.raises(SteadyganError, match="another process"), RunFolder(tmp_path):
        pass
    with RunFolder(tmp_path):
        pass


# Seeds


@given(st.lists(st.integers(0, 2**40) | st.text(max_size=4), min_size=1, max_size=4))
def test_seeds_depend_on_every_part_and_its_place(parts: list[int | str]) -> None:
    seed = seeding.derive(*parts)
    assert 0 <= seed < 2**63
    assert seeding.derive(*parts) == seed
    assert seeding.derive(*parts, 0) != seed
    assert seeding.derive("x", *parts) != seed


def test_known_seeds_stay_what_they_are() -> None:
    """Old runs must go on in the same bits under a later version."""
    assert seeding.derive(0, 0, 0, 0) == 3128230165554297703
    assert seeding.derive("networks", 7) == 8543606932715324868


def test_reseeding_and_generators_of_their_own() -> None:
    seeding.reseed(1, 2)
    first = torch.rand(3)
    own = torch.rand(3, generator=seeding.generator("sample", 0))
    seeding.reseed(1, 2)
    torch.rand(3, generator=seeding.generator("sample", 0))
    assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.rand(3, generator=seeding.generator("sample", 0)), own)


# Devices


@pytest.mark.parametrize(
    ("name", "complaint"), [("gpu", "unknown device 'gpu'"), ("meta", "'meta' is not supported"), ("cuda:99", "cuda")]
)
def test_devices_that_are_not_there(name: str, complaint: str) -> None:
    with pytest.raises(SteadyganError, match=complaint):
        devices.choose_device(name)


def test_devices_and_precisions_that_are() -> None:
    cpu = devices.choose_device("cpu")
    assert cpu.type == "cpu"
    assert devices.choose_device("auto").type in ("cpu", "cuda")
    kinds = {name: devices.choose_precision(name, cpu) for name in ("auto", "float32", "float64", "bfloat16")}
    assert list(kinds.values()) == [torch.float32, torch.float32, torch.float64, torch.bfloat16]
    assert 1 <= devices.idle_cores() <= devices.cores()


def test_threads_and_determinism_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark

    def fail() -> None:
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), devices.computing(2, deterministic=True):
        fail()
    now = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    assert now == before
    monkeypatch.setattr(os, "getloadavg", refuse)
    assert devices.idle_cores() >= 1


def test_memory_is_kept_where_the_c_library_can_be_asked() -> None:
    assert devices.keep_memory() is (platform.libc_ver()[0] == "glibc")


def test_another_c_library_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not devices.keep_memory()
    with devices.computing(1, deterministic=True):
        pass
