"""WebDataset shards as a source: looked through and checked once, then read where they lie, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadygan.config import DataConfig
from steadygan.data import shapes
from steadygan.data.blocks import read_block
from steadygan.data.cache import PLACES, Block, Job, Progress, key_of
from steadygan.data.decode import Target
from steadygan.data.lazy import Members
from steadygan.data.shelf import Shelf, find
from steadygan.data.tars import FIELD, Scanned, scan
from steadygan.data.workers import available_cores, in_parallel
from steadygan.errors import SteadyganError

ALONE = 256 << 20
"""Bytes of shards up to which one process looks through them."""
AWAY = 8
"""Shards elsewhere that are looked through at a time: what costs there is waiting."""
REMEDY = "fetch or pack it again"


@dataclass(frozen=True)
class Shards:
    """Shards before they are looked through: the key of their index, how it is made, and how it is read."""

    config: DataConfig
    shelf: Shelf
    progress: Progress | None = None
    workers: int | None = None

    @property
    def key(self) -> str:
        """The name of the index in the cache."""
        config = self.config
        return key_of("shards", self.shelf.stamp, config.label_field, config.image_size, config.channels, config.fit)

    def view(self, folder: Path, shape: tuple[int, ...]) -> Members | None:
        """The rows that the index in ``folder`` finds; None where it is damaged."""
        places = np.load(folder / PLACES, mmap_mode="r", allow_pickle=False)
        if places.shape != (shape[0], 3):
            return None
        return Members(self.shelf, places, Target((shape[2], shape[3]), shape[1], self.config.fit))

    def prepare(self) -> Job:
        """Look through all shards, settle size and channels, and say how the images are checked.

        Raises:
            SteadyganError: not an image is found, too many shards are lost, or no size can be settled.
        """
        what = f"the shards {self.config.source}"
        found = list(self._scanned())
        refused = [
            (name, f"{one.fault}: {REMEDY}") for name, one in zip(self.shelf.names, found, strict=True) if one.fault
        ]
        lost = sum(not len(one) for one in found)
        self._check(what, found, refused, lost)
        places, labels, names = _joined(found)
        if labels is not None and (labels < 0).any():
            named = Members(self.shelf, places, Target((1, 1), 1))
            bare = np.flatnonzero(labels < 0).tolist()
            refused += [(named.name(row), "it has no label, while others have") for row in bare]
            places, labels = places[labels >= 0], labels[labels >= 0]
        facts: dict[str, Any] = {"kind": "shards", "shards": len(found), "bytes": sum(map(_known, self.shelf.sizes))}
        facts["labels"] = (
            "cls or json" if names else f"none in cls, nor as {self.config.label_field or FIELD!r} in json"
        )
        facts |= {"members_ignored": ignored} if (ignored := sum(one.ignored for one in found)) else {}
        facts |= {"shards_lost": lost} if lost else {}
        return self._job(what, places, labels, names, facts, refused)

    def _job(
        self,
        what: str,
        places: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64] | None,
        names: tuple[str, ...],
        facts: dict[str, Any],
        refused: list[tuple[str, str]],
    ) -> Job:
        members = Members(self.shelf, places, Target((1, 1), 1))
        target, chosen = shapes.survey(
            self.config, what, len(members), members.name, lambda row: BytesIO(members.data(row))
        )
        return Job(
            what=what,
            count=len(places),
            shape=(target.channels, *target.size),
            block=partial(_checked, members, target),
            labels=labels,
            label_names=names,
            facts=facts | chosen,
            refused=tuple(refused),
            places=places,
            forks=not self.shelf.far,
        )

    def _check(self, what: str, found: list[Scanned], refused: list[tuple[str, str]], lost: int) -> None:
        first = "; ".join(f"{name}: {reason}" for name, reason in refused[:3])
        if not any(map(len, found)):
            raise SteadyganError(f"none of the {len(found)} shards of {what} can be used", first)
        refuse_lost(self.config, lost, len(found), first)

    def _scanned(self) -> Iterator[Scanned]:
        """What each shard holds, in order."""
        count = len(self.shelf.names)
        workers = self.workers or (available_cores() if not self.shelf.far else AWAY)
        small = sum(self.shelf.sizes) < ALONE and not self.shelf.far
        ranges = [(number, number + 1) for number in range(count)]
        task: Callable[[int, int], Scanned] = partial(_scan_one, self.shelf, self.config.label_field)
        results = in_parallel(task, ranges, 1 if small else min(workers, count), forks=not self.shelf.far)
        for done, one in enumerate(results, 1):
            if self.progress is not None:
                self.progress("looking through shards", done, count)
            yield one


def shards(config: DataConfig, progress: Progress | None, workers: int | None) -> Shards:
    """The shards that ``config.source`` names.

    Raises:
        SteadyganError: there are none, or they cannot be reached.
    """
    return Shards(config, find(config.source), progress, workers)


def _known(size: int) -> int:
    return max(0, size)


def refuse_lost(config: DataConfig, lost: int, count: int, first: str) -> None:
    """Nothing, or SteadyganError where more than a share of ``max_bad`` of the shards cannot be used."""
    if lost > config.max_bad * count:
        raise SteadyganError(
            f"{lost} of the {count} shards of {config.source} cannot be used ({first})",
            f"fetch or pack them again, or raise data.max_bad above {lost / count:.3f} (now {config.max_bad:g})",
        )


def _scan_one(shelf: Shelf, label_field: str | None, number: int, _: int) -> Scanned:
    if shelf.sizes[number] < 0:
        return Scanned(fault="it is not there")
    try:
        with shelf.open(number) as file:
            return scan(file, shelf.sizes[number], label_field)
    except OSError as fault:
        return Scanned(fault=f"it cannot be read ({fault.strerror or fault})")


def _checked(members: Members, target: Target, start: int, stop: int) -> Block:
    members.soon(np.arange(start, stop))
    return read_block(members.name, members.data, target, start, stop)


def _joined(found: list[Scanned]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None, tuple[str, ...]]:
    """Places (N, 3) of all samples; their classes, -1 where one has none, or None where none has; names of classes."""
    rows = [
        np.column_stack([np.full(len(one), number, np.int64), np.array(one.places, np.int64).reshape(-1, 2)])
        for number, one in enumerate(found)
    ]
    places = np.concatenate(rows)
    distinct = {label for one in found for label in one.labels if label is not None}
    if not distinct:
        return places, None, ()
    names = sorted(distinct, key=_in_order(distinct))
    number = {name: place for place, name in enumerate(names)}
    labels = np.fromiter((-1 if label is None else number[label] for one in found for label in one.labels), np.int64)
    return places, labels, tuple(names)


def _in_order(names: set[str]) -> Callable[[str], Any]:
    """Numbers by their value, words by the alphabet."""
    return int if all(name.lstrip("-").isdecimal() for name in names) else str
