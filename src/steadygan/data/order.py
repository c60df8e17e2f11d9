"""The order in which training reads rows: a function of where the run is, not of how it got there."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

WINDOW = 128
"""Blocks whose rows are shuffled together."""
AHEAD = 2
"""Batches that are made ready before they are asked for."""


@runtime_checkable
class Lazy(Protocol):
    """Rows that are made when they are read, and lie in blocks.

    Attributes:
        shape: (N, C, H, W).
        blocks: (N,) number of the block in which each row lies, ascending.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def blocks(self) -> npt.NDArray[np.int32]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, where: int | slice | npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]: ...

    def expect(self, rows: npt.NDArray[np.int64]) -> None:
        """Make a batch of rows ready."""

    def soon(self, rows: npt.NDArray[np.int64]) -> None:
        """Bring the blocks of rows near."""


Rows = npt.NDArray[np.uint8] | Lazy
"""Rows (N, C, H, W) of uint8, as an array, or made when they are read."""


class Order:
    """An endless sequence of epochs, each a permutation of ``rows`` that depends on (seed, attempt, epoch) alone.

    Position ``p`` lies in epoch ``p // len(rows)``. Any position can be read at once, so that resume and replay need
    no history; only the two permutations read last are kept.

    With ``blocks``, rows are read so that those of a block come close to each other: in every epoch the blocks are
    shuffled, ``WINDOW`` blocks after each other make a window, and all rows of a window are shuffled together. A set of
    one window is ordered as without blocks.

    Args:
        rows: indices of the rows to read, at least one.
        seed: seed of the run, at least 0.
        blocks: (len(rows),) number of the block in which each row lies; None: where rows lie does not matter.

    Raises:
        ValueError: there are no rows, or the seed is negative.
    """

    def __init__(self, rows: npt.NDArray[np.int64], seed: int, blocks: npt.NDArray[np.int32] | None = None) -> None:
        if len(rows) == 0:
            raise ValueError("an order needs at least one row")
        if seed < 0:
            raise ValueError(f"seed {seed} is negative")
        self.rows = np.asarray(rows, dtype=np.int64)
        self.seed = seed
        found = None if blocks is None else np.unique(blocks, return_inverse=True)
        self._blocks = None if found is None or len(found[0]) <= WINDOW else found[1].reshape(-1)
        self._count = 0 if found is None else len(found[0])
        self._kept: dict[tuple[int, int], npt.NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def epoch(self, number: int, *, attempt: int = 0) -> npt.NDArray[np.int64]:
        """All rows once, in the order of epoch ``number``: (len(rows),) int64."""
        place = (attempt, number)
        if place not in self._kept:
            # Sorting raw bits, because only the bit generators' streams are promised to stay over numpy's versions.
            bits = np.random.Philox(np.random.SeedSequence((self.seed, attempt, number)))
            keys = np.asarray(bits.random_raw(len(self.rows)))
            if self._blocks is None:
                order = np.argsort(keys, kind="stable")
            else:
                turn = np.argsort(np.argsort(np.asarray(bits.random_raw(self._count)), kind="stable"))
                order = np.lexsort((keys, (turn // WINDOW)[self._blocks]))
            while len(self._kept) > 1:
                self._kept.pop(next(iter(self._kept)))
            self._kept[place] = self.rows[order]
        return self._kept[place]

    def take(
        self, position: int, count: int, *, attempt: int = 0, rank: int = 0, world: int = 1
    ) -> npt.NDArray[np.int64]:
        """The rows at ``position`` to ``position + count``; with several processes, one rank's contiguous share.

        The shares of ranks 0 to ``world - 1``, joined in order, are the batch that one process would read. A batch may
        straddle epochs.

        Args:
            position: where in the sequence, in images since the start (``images_seen``).
            count: size of the global batch.
            attempt: number of rollbacks so far.
            rank: this process, from 0.
            world: number of processes.

        Raises:
            ValueError: a number is out of its range.
        """
        if position < 0 or count < 0 or attempt < 0 or not 0 <= rank < world:
            raise ValueError(
                f"cannot take {count} rows at {position}, attempt {attempt}, for rank {rank} of {world} processes"
            )
        start, stop = position + count * rank // world, position + count * (rank + 1) // world
        parts: list[npt.NDArray[np.int64]] = []
        while start < stop:
            number, offset = divmod(start, len(self.rows))
            part = self.epoch(number, attempt=attempt)[offset : offset + stop - start]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


class ReadAhead(Order):
    """An order over lazy rows that has what comes next made ready while the batch before it is played.

    The order itself is that of ``Order`` with the blocks of the rows. The next ``AHEAD`` batches are decoded, and the
    blocks of the next window are brought near from the middle of this one on: sooner, they would push out those of
    this one where two windows are kept.
    """

    def __init__(self, rows: npt.NDArray[np.int64], seed: int, images: Lazy) -> None:
        blocks = images.blocks[rows]
        super().__init__(rows, seed, blocks)
        self._images = images
        self._ahead = len(rows) * WINDOW // max(1, 2 * self._count)

    def take(
        self, position: int, count: int, *, attempt: int = 0, rank: int = 0, world: int = 1
    ) -> npt.NDArray[np.int64]:
        def at(start: int) -> npt.NDArray[np.int64]:
            return super(ReadAhead, self).take(start, count, attempt=attempt, rank=rank, world=world)

        found = at(position)
        for step in range(AHEAD + 1):
            self._images.expect(at(position + step * count))
        if self._blocks is not None:
            self._images.soon(at(position + self._ahead))
        return found
