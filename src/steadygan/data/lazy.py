"""Rows that are decoded when they are read, for sets whose decoded images would not fit on a disk."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steadygan.data.decode import Target, Unreadable, decode, hush
from steadygan.data.files import MAX_BYTES
from steadygan.data.shelf import BLOCK, Shelf
from steadygan.data.tars import HEADER, member_name
from steadygan.data.threads import Threads
from steadygan.data.workers import available_cores
from steadygan.errors import SteadyganError

WAITING = 128 << 20
"""Decoded bytes that may wait for being asked for; four batches may in any case."""
FEWEST = 8
"""Images that are worth a thread."""
DENSE = 0.25
"""Share of a block's bytes from which the whole of it is fetched from elsewhere."""

Where = int | slice | npt.NDArray[np.int64] | list[int]


@dataclass(frozen=True)
class _Expected:
    """Rows that are being decoded, in parts."""

    rows: npt.NDArray[np.int64]
    parts: list[Future[npt.NDArray[np.uint8]]]


class Members:
    """Members of shards as rows (C, H, W), read and decoded on demand; nothing decoded is kept.

    It is read as an array is, by a number, a slice or an array of numbers. Members are found by the offset and size
    that an index holds. ``expect`` has a batch decoded by other threads before it is asked for, and ``soon`` has the
    blocks brought near in which rows lie. Both are advice: what is read never depends on them.

    Args:
        shelf: the shards.
        places: (N, 3) int64, for each row the shard, the offset and the size in bytes; may be a memory map.
        target: what every image is brought to.
        threads: how many decode ahead; None: one a core, at most 8.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shelf: Shelf, places: npt.NDArray[np.int64], target: Target, threads: int | None = None) -> None:
        self.shelf, self.places, self.target = shelf, places, target
        self.shape = (len(places), target.channels, *target.size)
        first, last = self._blocks()
        self._first, self._last = first, last
        self.blocks: npt.NDArray[np.int32] = np.repeat(np.arange(len(first), dtype=np.int32), last - first)
        self._threads = Threads(threads or min(8, available_cores()), "decode")
        hush()
        self._owner, self._lock = os.getpid(), threading.Lock()
        self._waiting: OrderedDict[int, _Expected] = OrderedDict()

    def _blocks(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The first row of each block, and the row behind its last."""
        if not len(self.places):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        shard, number = self.places[:, 0], self.places[:, 1] // BLOCK
        first = np.flatnonzero(np.r_[True, (np.diff(shard) != 0) | (np.diff(number) != 0)])
        return first, np.append(first[1:], len(self.places))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, where: Where) -> npt.NDArray[np.uint8]:
        if isinstance(where, (int, np.integer)):
            one: npt.NDArray[np.uint8] = self._rows(np.array([range(len(self))[where]]))[0]
            return one
        if isinstance(where, slice):
            return self._rows(np.arange(*where.indices(len(self))))
        rows = np.asarray(where, dtype=np.int64)
        outside = (rows < -len(self)) | (rows >= len(self))
        if outside.any():
            raise IndexError(f"row {rows[outside][0]} of {len(self)}")
        return self._rows(rows % max(1, len(self)))

    def expect(self, rows: npt.NDArray[np.int64]) -> None:
        """Have these rows, in this order, decoded in other threads; forgotten when too many others are."""
        if not len(rows):
            return
        first = int(rows[0])
        with self._lock:
            if first in self._waiting and np.array_equal(self._waiting[first].rows, rows):
                return
        self._advise(rows, 0.0)
        made = _Expected(rows, self._submit(rows))
        with self._lock:
            self._waiting.pop(first, None)
            self._waiting[first] = made
            most = WAITING // math.prod(self.shape[1:])
            while len(self._waiting) > 4 and sum(len(one.rows) for one in self._waiting.values()) > most:
                for part in self._waiting.popitem(last=False)[1].parts:
                    part.cancel()

    def soon(self, rows: npt.NDArray[np.int64]) -> None:
        """Have the blocks brought near in which these rows lie."""
        self._advise(rows, 0.0)

    def name(self, row: int) -> str:
        """What a row is called: its shard and the member's name there."""
        shard, offset, _ = self.places[row].tolist()
        try:
            return f"{self.shelf.names[shard]}: {member_name(self.shelf.read(shard, offset - HEADER, HEADER))}"
        except (OSError, SteadyganError):
            return f"{self.shelf.names[shard]}: the member at byte {offset}"

    def data(self, row: int) -> bytes:
        """The bytes of a row's image file.

        Raises:
            Unreadable: the shard cannot be read there, or the file is larger than ``MAX_BYTES``.
        """
        shard, offset, size = self.places[row].tolist()
        if size > MAX_BYTES:
            raise Unreadable(f"{size} bytes, more than {MAX_BYTES}")
        try:
            data = self.shelf.read(shard, offset, size)
        except OSError as fault:
            raise Unreadable(f"cannot be read: {fault.strerror or fault}") from fault
        if len(data) < size:
            raise Unreadable(f"only {len(data)} of {size} bytes are there")
        return data

    def _rows(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        if os.getpid() != self._owner:  # a forked process has none of the threads
            return self._decoded(rows)
        made: list[npt.NDArray[np.uint8]] = []
        place = 0
        while place < len(rows) and (ready := self._ready(rows[place:])) is not None:
            made += [part.result() for part in ready.parts]
            place += len(ready.rows)
        rest = rows[place:]
        if len(rest):
            self._advise(rest, DENSE)
            made += [part.result() for part in self._submit(rest)] if len(rest) > FEWEST else [self._decoded(rest)]
        return np.concatenate(made) if made else self._decoded(rows)

    def _ready(self, rows: npt.NDArray[np.int64]) -> _Expected | None:
        """What was expected and is the beginning of these rows; no longer expected then."""
        with self._lock:
            found = self._waiting.get(int(rows[0]))
            if found is None or not np.array_equal(found.rows, rows[: len(found.rows)]):
                return None
            return self._waiting.pop(int(rows[0]))

    def _submit(self, rows: npt.NDArray[np.int64]) -> list[Future[npt.NDArray[np.uint8]]]:
        count = max(1, min(self._threads.count, len(rows) // FEWEST))
        return [self._threads.submit(self._decoded, part) for part in np.array_split(rows, count)]

    def _decoded(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        made = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for place, row in enumerate(rows.tolist()):
            try:
                made[place] = decode(self.data(row), self.target)[0]
            except Unreadable as fault:
                raise SteadyganError(
                    f"{self.name(row)} could be read when the shards were looked through, and now cannot ({fault})",
                    "bring the shard back as it was and resume, or start again over the shards as they are now",
                    code=1,
                ) from fault
        return made

    def _advise(self, rows: npt.NDArray[np.int64], share: float) -> None:
        """Say which blocks will be read, where at least ``share`` of a block's rows are asked for."""
        if share and not self.shelf.far:
            return
        for block in self._dense(rows, share):
            first, last = self.places[self._first[block]], self.places[self._last[block] - 1]
            start = int(first[1])
            self.shelf.soon(int(first[0]), start, int(last[1] + last[2]) - start)

    def _dense(self, rows: npt.NDArray[np.int64], share: float) -> Iterable[int]:
        numbers, counts = np.unique(self.blocks[rows], return_counts=True)
        whole = self._last[numbers] - self._first[numbers]
        found: list[int] = numbers[counts >= share * whole].tolist()
        return found
