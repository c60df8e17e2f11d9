"""The cache of decoded images: built once, in parallel, then read as a memory map.

A cache is a folder named by its key: ``rows.u8`` (the rows, raw uint8, (N, C, H, W)), ``hashes.npy`` ((N,) uint64),
``labels.npy`` ((N,) int64, only with labels) and ``index.json``. A set that is decoded when it is read has no rows but
``places.npy`` ((N, 3) int64, where each image lies). A cache is written beside its place and renamed whole, so that a
killed build leaves nothing that is ever read, and of two builds at the same time the first to end wins.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadygan.data.order import Rows
from steadygan.data.split import row_hashes
from steadygan.data.workers import available_cores, in_parallel
from steadygan.errors import SteadyganError

FORMAT = 1
PLACES = "places.npy"
"""Version of the cache's layout and of the decoding; part of every key."""
BLOCK_BYTES = 4 << 20
SHORT = 0.5
"""Seconds of decoding below which one process is enough."""
STALE = 3600.0
"""Seconds after which what a dead process left half built is swept away."""

View = Callable[[Path, tuple[int, ...]], "Rows | None"]
"""From a finished cache's folder and (N, C, H, W) to its rows; None where they are damaged."""
Progress = Callable[[str, int, int], None]
"""Called with the stage in words, the images done and the images in all."""


@dataclass(frozen=True)
class Block:
    """What became of a range of items.

    Attributes:
        rows: (n, C, H, W) uint8, the items that could be read, in order.
        kept: (n,) which items they are, counted over the whole set.
        bad: path and reason of the others.
        found: how often each kind of thing was seen, by fact and value, e.g. ``("sizes_found", "92x112")``.
    """

    rows: npt.NDArray[np.uint8]
    kept: npt.NDArray[np.int64]
    bad: list[tuple[str, str]] = field(default_factory=list)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True)
class Job:
    """A set that can be decoded range by range, in any order.

    Attributes:
        what: the set, named for errors.
        count: number of items, good or bad.
        shape: channels, height and width of a row.
        block: decodes items ``start`` to ``stop``; called in forked processes.
        labels: (count,) class of each item, or None.
        label_names: names of the classes.
        facts: what was found and decided so far.
        refused: path and reason of what was turned away before.
        places: (count, 3) where each item lies; then that is kept and no row, and images are decoded when read.
        forks: whether ``block`` may be called in forked processes; otherwise in threads.
    """

    what: str
    count: int
    shape: tuple[int, int, int]
    block: Callable[[int, int], Block]
    labels: npt.NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()
    places: npt.NDArray[np.int64] | None = None
    forks: bool = True


@dataclass(frozen=True)
class Stored:
    """A finished cache, its rows mapped read-only, or decoded when they are read."""

    images: Rows
    hashes: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.int64] | None
    label_names: tuple[str, ...]
    facts: dict[str, Any]
    quarantine: tuple[tuple[str, str], ...]
    content: str


def default_folder() -> Path:
    """``$STEADYGAN_CACHE``, or ``~/.cache/steadygan``."""
    given = os.environ.get("STEADYGAN_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "steadygan"


def key_of(*parts: object) -> str:
    """The name of a cache: a hash of everything that decides what stands in it."""
    return hashlib.blake2b(repr((FORMAT, *parts)).encode(errors="surrogateescape"), digest_size=16).hexdigest()


def mapped(folder: Path, shape: tuple[int, ...]) -> Rows | None:
    """The rows in a cache, mapped; None where they are not all there."""
    rows = folder / "rows.u8"
    if rows.stat().st_size != math.prod(shape):
        return None
    return np.memmap(rows, dtype=np.uint8, mode="r", shape=shape)


def load(folder: Path, view: View = mapped) -> Stored | None:
    """The finished cache in ``folder``, or None where there is none or it is damaged."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        shape = tuple(index["shape"])
        if index["format"] != FORMAT or (rows := view(folder, shape)) is None:
            return None
        hashes = np.load(folder / "hashes.npy", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False) if index["labelled"] else None
        if len(hashes) != shape[0] or (labels is not None and len(labels) != shape[0]):
            return None
        return Stored(
            images=rows,
            hashes=hashes,
            labels=labels,
            label_names=tuple(index["label_names"]),
            facts=index["facts"],
            quarantine=tuple((path, reason) for path, reason in index["quarantine"]),
            content=index["content"],
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def build(
    folder: Path, job: Job, *, progress: Progress | None = None, workers: int | None = None, view: View = mapped
) -> Stored:
    """Decode a set into the cache ``folder`` and open it.

    Args:
        folder: where the cache shall stand; anything there that ``load`` could not read is replaced.
        job: the set.
        progress: told after every block.
        workers: decoding processes; None: one a core, or none beside this one where that takes no time.
        view: how the finished cache is read.

    Raises:
        SteadyganError: not an image can be read, or the folder cannot be written or is too full.
    """
    making = folder.with_name(f".building-{folder.name}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        _check_space(folder.parent, job)
        making.mkdir()
        _fill(making, job, progress, workers)
        _move_in(making, folder, view)
    except OSError as fault:
        remedy = "free some space or set STEADYGAN_CACHE to a folder that can be written"
        raise SteadyganError(f"cannot write the cache in {folder.parent}: {fault.strerror or fault}", remedy) from fault
    finally:
        shutil.rmtree(making, ignore_errors=True)
    stored = load(folder, view)
    if stored is None:
        raise SteadyganError(f"the cache {folder} vanished while it was opened", "start again")
    return stored


def _fill(making: Path, job: Job, progress: Progress | None, workers: int | None) -> None:
    hashes, kept, bad, found, done = [], [], list(job.refused), Counter[tuple[str, str]](), 0
    with (making / "rows.u8").open("wb", buffering=0) as file:
        for block, numbers in _blocks(job, workers):
            if job.places is None:
                _write_all(file.fileno(), np.ascontiguousarray(block.rows))
            hashes.append(numbers)
            kept.append(block.kept)
            bad.extend(block.bad)
            found.update(block.found)
            done += len(block.kept) + len(block.bad)
            if progress is not None:
                progress("decoding images", done, job.count)
        os.fsync(file.fileno())
    joined = np.concatenate(hashes)
    if not len(joined):
        first = "; ".join(f"{path}: {reason}" for path, reason in bad[:3])
        raise SteadyganError(
            f"none of the {len(bad)} images in {job.what} can be read ({first})", "check that they open in a viewer"
        )
    labels = None if job.labels is None else job.labels[np.concatenate(kept)]
    if job.places is not None:
        (making / "rows.u8").unlink()
        np.save(making / PLACES, job.places[np.concatenate(kept)])
    content = hashlib.blake2b(joined.astype("<u8").tobytes(), digest_size=16)
    content.update(repr((job.shape, job.label_names)).encode(errors="surrogateescape"))
    np.save(making / "hashes.npy", joined)
    if labels is not None:
        content.update(labels.astype("<i8").tobytes())
        np.save(making / "labels.npy", labels)
    index = {
        "format": FORMAT,
        "shape": (len(joined), *job.shape),
        "labelled": labels is not None,
        "label_names": job.label_names,
        "facts": job.facts | _facts(found),
        "quarantine": bad,
        "content": content.hexdigest(),
    }
    (making / "index.json").write_text(json.dumps(index), encoding="utf-8")
    for path in making.iterdir():
        with path.open("rb") as written:
            os.fsync(written.fileno())


def _blocks(job: Job, workers: int | None) -> Iterator[tuple[Block, npt.NDArray[np.uint64]]]:
    """All blocks in order, with the hashes of their rows.

    A first small one, timed, decides how large the others are and whether processes pay.
    """
    begun = time.perf_counter()
    first = min(32, job.count)
    yield _hashed(job.block, 0, first)
    each = (time.perf_counter() - begun) / max(1, first)
    if workers is None:
        workers = available_cores() if each * (job.count - first) > SHORT else 1
    step = max(1, min(BLOCK_BYTES // math.prod(job.shape), int(0.25 / max(each, 1e-9)), 1024))
    ranges = ((start, min(start + step, job.count)) for start in range(first, job.count, step))
    yield from in_parallel(partial(_hashed, job.block), ranges, workers, forks=job.forks)


def _hashed(block: Callable[[int, int], Block], start: int, stop: int) -> tuple[Block, npt.NDArray[np.uint64]]:
    made = block(start, stop)
    return made, row_hashes(made.rows)


def _facts(found: Counter[tuple[str, str]]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for (fact, value), count in found.most_common():
        facts.setdefault(fact, {})[value] = count
    return {fact: _shortened(values) for fact, values in facts.items()}


def _shortened(values: dict[str, int], most: int = 8) -> dict[str, int]:
    if len(values) <= most:
        return values
    kept = dict(list(values.items())[: most - 1])
    return kept | {f"{len(values) - len(kept)} others": sum(values.values()) - sum(kept.values())}


def _write_all(descriptor: int, rows: npt.NDArray[np.uint8]) -> None:
    view = rows.reshape(-1).data
    while len(view):
        view = view[os.write(descriptor, view) :]


def _check_space(folder: Path, job: Job) -> None:
    need = job.count * ((math.prod(job.shape) if job.places is None else 0) + 64) + (1 << 20)
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SteadyganError(
            f"the cache of {job.what} needs {need / 1e9:.2f} GB, but {folder} has {free / 1e9:.2f} GB free",
            "free some space, set STEADYGAN_CACHE to another disk, or choose a smaller data.image_size",
        )


def _move_in(making: Path, folder: Path, view: View) -> None:
    for _ in range(3):
        try:
            making.rename(folder)
            return
        except OSError:
            if load(folder, view) is not None:  # another process was first; its rows are the same
                return
            if not folder.exists():
                raise
            broken = making.with_name(f"{making.name}-broken")
            folder.rename(broken)
            shutil.rmtree(broken, ignore_errors=True)
    raise OSError(f"cannot move the finished cache to {folder}")


def _sweep(parent: Path) -> None:
    """Remove what builds on this machine left behind when they were killed."""
    for left in parent.glob(f".building-*-{socket.gethostname()}-*"):
        process = left.name.removesuffix("-broken").split("-")[-2]
        try:
            os.kill(int(process), 0)
        except (ProcessLookupError, ValueError):
            newest = max((entry.stat().st_mtime for entry in left.glob("*")), default=left.stat().st_mtime)
            if time.time() - newest > STALE:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue
