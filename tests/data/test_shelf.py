"""Shards elsewhere: read in blocks by address, tried again, and given up in words."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from steadygan.config import DataConfig
from steadygan.data import DataSet, open_data, shelf
from steadygan.data.lazy import Members
from steadygan.data.shelf import Remote, expand
from steadygan.errors import SteadyganError


def shards(folder: Path, count: int, each: int) -> None:
    """``count`` shards of ``each`` images of noise."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        with tarfile.open(folder / f"{number:03d}.tar", "w") as tar:
            for one in range(each):
                file = io.BytesIO()
                Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(file, "PNG")
                member = tarfile.TarInfo(f"{one:04d}.png")
                member.size = file.tell()
                file.seek(0)
                tar.addfile(member, file)


def opened(source: object, tmp_path: Path) -> DataSet:
    return open_data(DataConfig(source=str(source)), cache=tmp_path / "cache", workers=1)


class Moody(MemoryFileSystem):
    """Memory that fails, hangs and counts."""

    protocol = ("moody",)
    cachable = False
    store: ClassVar[dict[str, Any]] = {}
    failures = 0
    hanging = threading.Event()
    one_by_one = threading.Lock()
    reads: ClassVar[list[tuple[str, int, int]]] = []

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(path.replace("moody://", "memory://") if isinstance(path, str) else path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **rest: Any) -> bytes:
        Moody.reads.append((path, start or 0, end or 0))
        if Moody.hanging.is_set():
            time.sleep(3)
        if Moody.failures:
            Moody.failures -= 1
            raise ConnectionError("the line is down")
        # all threads share the file's place
        with Moody.one_by_one:
            found: bytes = super().cat_file(path, start=start, end=end, **rest)
        return found


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Three shards at ``moody://set``; beside them the same on the disk."""
    shards(tmp_path / "shards", 3, 30)
    fsspec.register_implementation("moody", Moody, clobber=True)
    system = Moody()
    for path in sorted((tmp_path / "shards").iterdir()):
        system.pipe(f"/set/{path.name}", path.read_bytes())
    monkeypatch.setattr(Moody, "failures", 0)
    monkeypatch.setattr(shelf, "PAUSES", (0.0, 0.0))
    Moody.reads.clear()
    yield "moody://set"
    Moody.hanging.clear()
    Moody.store.clear()


def small_blocks(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(shelf, "BLOCK", 8192)
    monkeypatch.setattr("steadygan.data.lazy.BLOCK", 8192)
    monkeypatch.setattr("steadygan.data.order.WINDOW", 3)
    monkeypatch.setattr(shelf, "KEPT", kept)


@pytest.mark.parametrize("place", ["", "/", "/*.tar", "/{000..002}.tar"])
def test_the_set_and_its_order_are_the_same_wherever_it_lies(
    tmp_path: Path, away: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, 8)
    here, there = opened(tmp_path / "shards", tmp_path), opened(f"{away}{place}", tmp_path)
    assert there.fingerprint == here.fingerprint
    order, other = here.order(5), there.order(5)
    for position in range(0, 200, 10):
        rows = order.take(position, 10)
        assert (other.take(position, 10) == rows).all()
        assert (there.rows(rows) == here.rows(rows)).all()


def drain(shelf: Remote) -> None:
    """Wait for what is read ahead: a thread that lags behind on a busy machine is not what is looked at."""
    for _, ahead in list(shelf._kept.values()):
        ahead.exception(timeout=30)


def test_training_reads_whole_blocks_and_keeps_few(tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, 8)
    data = opened(away, tmp_path)
    images = data.images
    assert isinstance(images, Members) and isinstance(images.shelf, Remote)
    blocks = int(images.blocks.max()) + 1
    assert blocks > 8
    drain(images.shelf)
    images.shelf._kept.clear()
    Moody.reads.clear()
    order = data.order(0)
    epoch = len(data.train) // 10 * 10
    for position in range(0, epoch, 10):
        data.rows(order.take(position, 10))
        drain(images.shelf)
    assert len(images.shelf._kept) <= 8
    # each block once, and what was read ahead of the next epoch: one window
    assert blocks <= len(Moody.reads) <= blocks + 3
    assert len(Moody.reads) < epoch / 2


def test_a_few_scattered_rows_are_read_alone(tmp_path: Path, away: str) -> None:
    data = opened(away, tmp_path)
    images = data.images
    assert isinstance(images, Members) and isinstance(images.shelf, Remote)
    images.shelf._kept.clear()
    Moody.reads.clear()
    data.rows([3, 50, 80])
    assert sorted(end - start for _, start, end in Moody.reads) == sorted(images.places[[3, 50, 80], 2].tolist())


def test_a_line_that_fails_twice_is_tried_again(tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened(away, tmp_path)
    wanted = opened(tmp_path / "shards", tmp_path).rows([3])
    assert isinstance(data.images, Members) and isinstance(data.images.shelf, Remote)
    data.images.shelf._kept.clear()
    monkeypatch.setattr(Moody, "failures", 2)
    assert (data.rows([3]) == wanted).all()
    data.images.shelf._kept.clear()
    monkeypatch.setattr(Moody, "failures", 3)
    with pytest.raises(SteadyganError, match=r"cannot read moody://set: the line is down.*check the address"):
        data.rows([3])


def test_an_address_that_never_answers_is_given_up(tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "TIMEOUT", 0.2)
    Moody.hanging.set()
    begun = time.monotonic()
    with pytest.raises(SteadyganError, match="did not answer within 0.2 seconds: check the address and the network"):
        opened(away, tmp_path)
    assert time.monotonic() - begun < 2.5


def test_without_fsspec_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(SteadyganError, match=r"install steadygan\[remote\]"):
        opened("s3://bucket/{000..009}.tar", tmp_path)


def test_braces() -> None:
    assert expand("a{08..10}b") == ["a08b", "a09b", "a10b"]
    assert expand("{a,b}/{0..1}") == ["a/0", "a/1", "b/0", "b/1"]
    assert expand("plain") == ["plain"]
    assert expand("{98..101}")[-1] == "101"
    assert np.unique([len(name) for name in expand("{000..999}")]).tolist() == [3]
