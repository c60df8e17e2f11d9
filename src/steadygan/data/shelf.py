"""Where shards lie, on this machine or at any address that fsspec knows, and how ranges of their bytes are read."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import itertools
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from steadygan.data.decode import EXTENSIONS
from steadygan.data.threads import Threads
from steadygan.errors import SteadyganError

BLOCK = 1 << 20
"""Bytes of a shard that are read together; a member belongs to the block in which it begins."""
KEPT = 288
"""Blocks from elsewhere that are kept in memory: two windows of the order and what is read beside them."""
TIMEOUT = 60.0
"""Seconds without any answer after which an address counts as out of reach."""
PAUSES = (0.5, 2.0)
"""Seconds before another try where an address fails."""
MOST = 1_000_000
_REMOTE = re.compile(r"[A-Za-z][\w+.-]*(::[A-Za-z][\w+.-]*)*://")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{},]*(?:,[^{},]*)+)\}")

Result = TypeVar("Result")


class Shelf(Protocol):
    """Shards that can be read by range.

    Attributes:
        names: each shard's path or address.
        sizes: bytes of each; -1: it cannot be had.
        stamp: changes when the shards may have.
        far: whether the bytes come from elsewhere.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    stamp: str
    far: bool

    def open(self, shard: int) -> BinaryIO:
        """A seekable file of a whole shard; OSError where it cannot be had."""

    def read(self, shard: int, start: int, size: int) -> bytes:
        """Bytes of a shard, fewer where it ends; OSError or SteadyganError where they cannot be had."""

    def soon(self, shard: int, start: int, size: int) -> None:
        """Say that a block, its first member at ``start``, will be read soon."""


def is_address(source: str) -> bool:
    """Whether a source is an address, such as ``s3://bucket/shards``."""
    return _REMOTE.match(source) is not None


def names_shards(source: str) -> bool:
    """Whether a source names shards: an address, ``.tar`` files, or a folder with such and no images beside them."""
    if is_address(source):
        return True
    path = Path(source).expanduser()
    if path.is_dir():
        try:
            endings = {os.path.splitext(name)[1].lower() for name in os.listdir(path)}
        except OSError:  # whoever lists its images says so
            return False
        return ".tar" in endings and not endings & EXTENSIONS
    return re.search(r"\.(tar|tgz)(\.\w+)?$", source, re.IGNORECASE) is not None


def find(source: str) -> Shelf:
    """The shards that a source names: one file, a folder of them, ``{000..099}`` and ``{a,b}`` spelt out, or ``*``.

    Raises:
        SteadyganError: there are none, or the address cannot be reached.
    """
    return Remote(source) if is_address(source) else Local(source)


def expand(source: str) -> list[str]:
    """``a{08..10}`` as a08, a09, a10, and ``{x,y}`` as x and y, for every pair of braces.

    Raises:
        SteadyganError: a range that ends before it begins, or that is absurdly long.
    """
    parts: list[list[str]] = []
    end = 0
    for found in _RANGE.finditer(source):
        first, last, words = found.groups()
        parts.append([source[end : found.start()]])
        parts.append(words.split(",") if words is not None else _numbers(found.group(), first, last))
        end = found.end()
    return ["".join(names) for names in itertools.product(*parts, [source[end:]])]


def _numbers(what: str, first: str, last: str) -> list[str]:
    width = max(len(first), len(last)) if "0" in (first[0], last[0]) else 0
    if not 0 <= int(last) - int(first) < MOST:
        raise SteadyganError(f"the range {what} names no shards, or too many", "write it as {000..099}")
    return [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]


class Local:
    """Shards on a disk of this machine; the system keeps in memory what was read."""

    far = False

    def __init__(self, source: str) -> None:
        self.names = tuple(_local_names(source))
        found = [_status(name) for name in self.names]
        self.sizes = tuple(-1 if status is None else status.st_size for status in found)
        times = [0 if status is None else status.st_mtime_ns for status in found]
        self.stamp = _stamp(
            [(os.path.realpath(name), *rest) for name, *rest in zip(self.names, self.sizes, times, strict=True)]
        )

    def open(self, shard: int) -> BinaryIO:
        return open(self.names[shard], "rb")

    def read(self, shard: int, start: int, size: int) -> bytes:
        # Opened for each read, which costs microseconds, since a set may have more shards than a process has files.
        descriptor = os.open(self.names[shard], os.O_RDONLY)
        try:
            return os.pread(descriptor, size, start)
        finally:
            os.close(descriptor)

    def soon(self, shard: int, start: int, size: int) -> None:
        if not hasattr(os, "posix_fadvise"):
            return
        with contextlib.suppress(OSError):  # whoever reads says so
            descriptor = os.open(self.names[shard], os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


def _local_names(source: str) -> list[str]:
    plain = str(Path(source).expanduser())
    if os.path.exists(plain):
        return sorted(glob.glob(os.path.join(glob.escape(plain), "*.tar"))) if os.path.isdir(plain) else [plain]
    expanded = [name for pattern in expand(plain) for name in _matching(pattern)]
    if not any(map(os.path.exists, expanded)):
        raise SteadyganError(f"data source {source!r}: no shard is called so", "check the path and the range")
    return expanded


def _matching(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern)) if any(mark in pattern for mark in "*?[") else [pattern]


def _status(name: str) -> os.stat_result | None:
    try:
        return os.stat(name)
    except OSError:
        return None


def _stamp(facts: Sequence[tuple[Any, ...]]) -> str:
    return hashlib.blake2b(repr(facts).encode(errors="surrogateescape"), digest_size=16).hexdigest()


class Remote:
    """Shards at an address, read in blocks by several threads and kept in memory within a bound.

    Every call has an end: it is tried anew ``PAUSES`` times, and given up when nothing came for ``TIMEOUT`` seconds.
    """

    far = True

    def __init__(self, source: str, threads: int = 8) -> None:
        self.source, self._kept = source, OrderedDict[tuple[int, int], tuple[int, Future[bytes]]]()
        self._lock, self._heard = threading.Lock(), time.monotonic()
        self._ahead, self._now = Threads(threads, "read ahead"), Threads(threads, "read")
        self._system: Any = None
        self.names = tuple(self._wait(self._now.submit(self._list)))
        if not self.names:
            raise SteadyganError(f"data source {source!r} holds no .tar shards", "check the address")
        found = [self._now.submit(self._info, name) for name in self.names]
        facts = [self._wait(one) for one in found]
        self.sizes = tuple(-1 if fact is None else int(fact[0]) for fact in facts)
        self.stamp = _stamp([(source, name, fact) for name, fact in zip(self.names, facts, strict=True)])
        if max(self.sizes) < 0:
            raise SteadyganError(f"none of the {len(self.names)} shards of {source} is there", "check the address")

    def open(self, shard: int) -> BinaryIO:
        return io.BufferedReader(_Whole(self, shard), 4 * BLOCK)

    def read(self, shard: int, start: int, size: int) -> bytes:
        with self._lock:
            kept = self._kept.get((shard, start // BLOCK))
            if kept is not None:
                self._kept.move_to_end((shard, start // BLOCK))
        if kept is not None and kept[0] <= start:
            with contextlib.suppress(CancelledError):  # pushed out by others just now
                whole = self._wait(kept[1])
                if start + size <= kept[0] + len(whole):
                    return whole[start - kept[0] : start - kept[0] + size]
        return self._wait(self._now.submit(self._fetch, shard, start, size))

    def soon(self, shard: int, start: int, size: int) -> None:
        place = (shard, start // BLOCK)
        with self._lock:
            kept = self._kept.get(place)
            # one that failed is not kept: the next to ask tries again
            if kept is None or (kept[1].done() and kept[1].exception() is not None):
                self._kept[place] = start, self._ahead.submit(self._fetch, shard, start, size)
            self._kept.move_to_end(place)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)[1][1].cancel()

    def _fetch(self, shard: int, start: int, size: int) -> bytes:
        return self._tried(lambda: bytes(self._system.cat_file(self.names[shard], start=start, end=start + size)))

    def _list(self) -> list[str]:
        self._system, place = _connect(self.source)
        names: list[str] = []
        for pattern in expand(place):
            if any(mark in pattern for mark in "*?["):
                names += sorted(self._tried(lambda pattern=pattern: self._system.glob(pattern)))  # type: ignore[misc]
            elif pattern.lower().endswith(".tar"):
                names.append(pattern)
            else:
                folder = f"{pattern.rstrip('/')}/*.tar"
                names += sorted(self._tried(lambda folder=folder: self._system.glob(folder)))  # type: ignore[misc]
        return names

    def _info(self, name: str) -> tuple[int, str] | None:
        """Size of a shard and what changes with its content; None: it is not there."""
        try:
            info = self._tried(lambda: self._system.info(name))
        except FileNotFoundError:
            return None
        marks = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")
        return int(info["size"]), repr([info[mark] for mark in marks if mark in info])

    def _tried(self, call: Callable[[], Result]) -> Result:
        for pause in (*PAUSES, None):
            try:
                return call()
            except (FileNotFoundError, PermissionError, NotImplementedError, ImportError):
                raise
            except Exception:  # every backend has faults of its own
                if pause is None:
                    raise
                time.sleep(pause)
            finally:
                self._heard = time.monotonic()
        raise AssertionError("the last try returns or raises")

    def _wait(self, future: Future[Result]) -> Result:
        begun = time.monotonic()
        while True:
            try:
                return future.result(min(1.0, TIMEOUT / 4))
            except (SteadyganError, CancelledError):
                raise
            except TimeoutError as fault:
                if time.monotonic() - max(begun, self._heard) > TIMEOUT or future.done():
                    what = f"{self.source} did not answer within {TIMEOUT:g} seconds"
                    raise SteadyganError(what, "check the address and the network, then start again") from fault
            except Exception as fault:
                words = " ".join(str(fault).split()) or type(fault).__name__
                raise SteadyganError(
                    f"cannot read {self.source}: {words}", "check the address, the permission to read, and the network"
                ) from fault


class _Whole(io.RawIOBase):
    """A shard elsewhere as a file."""

    def __init__(self, shelf: Remote, shard: int) -> None:
        self.shelf, self.shard, self.place = shelf, shard, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = offset + (0, self.place, self.shelf.sizes[self.shard])[whence]
        return self.place

    def readinto(self, buffer: Any) -> int:
        size = max(0, min(len(buffer), self.shelf.sizes[self.shard] - self.place))
        data = self.shelf.read(self.shard, self.place, size) if size else b""
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)


def _connect(source: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as fault:
        raise SteadyganError(f"{source} needs fsspec, which is not installed", "install steadygan[remote]") from fault
    try:
        return url_to_fs(source)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as fault:
        raise SteadyganError(
            f"cannot open {source}: {fault}", "install what fsspec needs for such addresses"
        ) from fault
