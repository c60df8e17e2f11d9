"""The cache: built once, whole or not at all, shared without harm."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steadygan.config import DataConfig
from steadygan.data import cache as caching
from steadygan.data import open_data
from steadygan.data.cache import Block, Job, build, load
from steadygan.errors import SteadyganError


def pictures(folder: Path, count: int = 40, size: int = 8) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:04d}.png")
    return folder


def job(count: int = 100, bad: tuple[int, ...] = ()) -> Job:
    rows = np.random.default_rng(1).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)

    def block(start: int, stop: int) -> Block:
        kept = np.array([place for place in range(start, stop) if place not in bad], dtype=np.int64)
        wrong = [(str(place), "broken") for place in range(start, stop) if place in bad]
        return Block(rows[kept], kept, wrong, Counter({("sizes_found", "4x4"): len(kept)}))

    return Job("the test set", count, (1, 4, 4), block, np.arange(count) % 3, ("a", "b", "c"), {"x": 1})


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".building")]


def test_what_is_built_is_what_is_loaded(tmp_path: Path) -> None:
    made = build(tmp_path / "key", job(bad=(0, 50, 99)), workers=1)
    again = load(tmp_path / "key")
    assert again is not None
    kept = [place for place in range(100) if place not in (0, 50, 99)]
    assert (np.asarray(again.images) == job().block(0, 100).rows[kept]).all()
    assert again.labels is not None
    assert again.labels.tolist() == [place % 3 for place in kept]
    assert again.quarantine == (("0", "broken"), ("50", "broken"), ("99", "broken"))
    assert again.facts == {"x": 1, "sizes_found": {"4x4": 97}}
    assert again.content == made.content
    assert not again.images.flags.writeable
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_changes_nothing(tmp_path: Path, workers: int) -> None:
    one = build(tmp_path / "one", job(3000, bad=(7, 2000)), workers=1)
    more = build(tmp_path / "more", job(3000, bad=(7, 2000)), workers=workers)
    assert one.content == more.content
    assert (np.asarray(one.images) == np.asarray(more.images)).all()
    assert one.quarantine == more.quarantine


def test_a_zip_is_read_right_by_several_processes(tmp_path: Path) -> None:
    pictures(tmp_path / "set", 400)
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    folder = open_data(DataConfig(source=str(tmp_path / "set")), cache=tmp_path / "a", workers=1)
    packed = open_data(DataConfig(source=str(tmp_path / "set.zip")), cache=tmp_path / "b", workers=3)
    assert (np.asarray(folder.images) == np.asarray(packed.images)).all()
    assert folder.fingerprint == packed.fingerprint


def test_progress_counts_every_item_once(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build(tmp_path / "key", job(500, bad=(3,)), progress=lambda *words: told.append(words), workers=1)
    assert told[-1][1:] == (500, 500)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_second_start_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DataConfig(source=str(pictures(tmp_path / "set")))
    first = open_data(config, cache=tmp_path / "cache")
    monkeypatch.setattr("steadygan.data.blocks.decode", None)
    second = open_data(config, cache=tmp_path / "cache")
    assert second.fingerprint == first.fingerprint
    assert second.facts == first.facts


def test_options_and_changed_files_make_a_cache_of_their_own(tmp_path: Path) -> None:
    folder, cache = pictures(tmp_path / "set"), tmp_path / "cache"
    made = [
        open_data(DataConfig(source=str(folder), **options), cache=cache).fingerprint
        for options in ({}, {"image_size": (12, 8)}, {"image_size": (12, 8), "fit": "pad"}, {"channels": 3})
    ]
    Image.new("L", (8, 8), 9).save(folder / "0000.png")
    made.append(open_data(DataConfig(source=str(folder)), cache=cache).fingerprint)
    assert len(set(made)) == 5
    assert len(list(cache.iterdir())) == 5


@pytest.mark.parametrize("damage", ["rows.u8", "index.json", "hashes.npy", "cut"])
def test_a_damaged_cache_is_built_again(tmp_path: Path, damage: str) -> None:
    config = DataConfig(source=str(pictures(tmp_path / "set")))
    first = open_data(config, cache=tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    if damage == "cut":
        os.truncate(folder / "rows.u8", 100)
    else:
        (folder / damage).unlink()
    again = open_data(config, cache=tmp_path / "cache")
    assert again.fingerprint == first.fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def block(start: int, stop: int) -> Block:
        if start:
            raise KeyboardInterrupt
        return job().block(start, stop)

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "key", Job("x", 100, (1, 4, 4), block), workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_build_is_no_cache_and_its_workers_die_with_it(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        import numpy as np
        from steadygan.data.cache import Block, Job, build
        def block(start, stop):
            if start:
                Path(sys.argv[2]).touch()
                time.sleep(60)
            return Block(np.zeros((stop - start, 1, 2, 2), np.uint8), np.arange(start, stop))
        build(Path(sys.argv[1]), Job("x", 5000, (1, 2, 2), block), workers=2)
    """)
    target, started = tmp_path / "cache" / "key", tmp_path / "started"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(target), str(started)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    wait_for(started.exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load(target) is None
    assert not target.exists()
    (left,) = leftovers(tmp_path / "cache")
    assert process.stdout is not None
    begun = time.monotonic()
    process.stdout.read()  # ends only when no worker holds the other end any more
    process.stdout.close()
    assert time.monotonic() - begun < 20
    build(target, job(), workers=1)
    assert leftovers(tmp_path / "cache") == [left], "what is fresh may belong to another machine's process"
    old = time.time() - 2 * caching.STALE
    for path in (tmp_path / "cache" / left).iterdir():
        os.utime(path, (old, old))
    build(tmp_path / "cache" / "other", job(), workers=1)
    assert leftovers(tmp_path / "cache") == []


def wait_for(done: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def _open(folder: str, cache: str, send: Any) -> None:
    send.send(open_data(DataConfig(source=folder), cache=Path(cache), workers=1).fingerprint)


def test_processes_that_build_at_the_same_time_do_no_harm(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", 150)
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    paths = (str(folder), str(tmp_path / "cache"), send)
    processes = [context.Process(target=_open, args=paths) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len({receive.recv() for _ in processes}) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_the_later_of_two_builds_takes_what_the_first_made(tmp_path: Path) -> None:
    def block(start: int, stop: int) -> Block:
        if not start:
            build(tmp_path / "key", job(), workers=1)
        return job().block(start, stop)

    plain = job()
    late = Job("x", 100, plain.shape, block, plain.labels, plain.label_names, plain.facts)
    assert len(build(tmp_path / "key", late, workers=1).images) == 100
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_full_disk_is_seen_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SteadyganError, match=r"needs .* GB, but .* has 0\.00 GB free: free some space"):
        build(tmp_path / "key", job(), workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(caching.os, "write", full)
    with pytest.raises(SteadyganError, match="cannot write the cache in .*: No space left on device: free some space"):
        build(tmp_path / "key", job(), workers=1)
    assert list(tmp_path.iterdir()) == []


def test_no_permission_to_write_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SteadyganError, match="cannot write the cache in .*file: .*STEADYGAN_CACHE"):
        build(tmp_path / "file" / "key", job(), workers=1)

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(SteadyganError, match="cannot write the cache in .*: Permission denied: .*STEADYGAN_CACHE"):
        build(tmp_path / "cache" / "key", job(), workers=1)


def test_a_worker_that_dies_is_one_line(tmp_path: Path) -> None:
    def block(start: int, stop: int) -> Block:
        if start:
            os.kill(os.getpid(), signal.SIGKILL)
        return job(5000).block(start, stop)

    with pytest.raises(SteadyganError, match="a decoding process died"):
        build(tmp_path / "key", Job("x", 5000, (1, 4, 4), block), workers=2)
    assert list(tmp_path.iterdir()) == []


def test_all_bad_is_an_error_and_no_cache(tmp_path: Path) -> None:
    with pytest.raises(
        SteadyganError, match=r"none of the 4 images in the test set can be read \(0: broken; 1: broken"
    ):
        build(tmp_path / "key", job(4, bad=(0, 1, 2, 3)), workers=1)
    assert list(tmp_path.iterdir()) == []


def test_the_index_is_plain_json(tmp_path: Path) -> None:
    build(tmp_path / "key", job(), workers=1)
    index = json.loads((tmp_path / "key" / "index.json").read_text())
    assert index["shape"] == [100, 1, 4, 4]
    assert (tmp_path / "key" / "rows.u8").stat().st_size == 1600
