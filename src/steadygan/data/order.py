"""The order in which training reads rows: a function of where the run is, not of how it got there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Order:
    """An endless sequence of epochs, each a permutation of ``rows`` that depends on (seed, attempt, epoch) alone.

    Position ``p`` lies in epoch ``p // len(rows)``. Any position can be read at once, so that resume and replay need
    no history; only the permutation read last is kept.

    Args:
        rows: indices of the rows to read, at least one.
        seed: seed of the run, at least 0.

    Raises:
        ValueError: there are no rows, or the seed is negative.
    """

    def __init__(self, rows: npt.NDArray[np.int64], seed: int) -> None:
        if len(rows) == 0:
            raise ValueError("an order needs at least one row")
        if seed < 0:
            raise ValueError(f"seed {seed} is negative")
        self.rows = np.asarray(rows, dtype=np.int64)
        self.seed = seed
        self._kept: tuple[tuple[int, int], npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def epoch(self, number: int, *, attempt: int = 0) -> npt.NDArray[np.int64]:
        """All rows once, in the order of epoch ``number``: (len(rows),) int64."""
        place = (attempt, number)
        if self._kept is None or self._kept[0] != place:
            # Sorting raw bits, because only the bit generators' streams are promised to stay over numpy's versions.
            bits = np.random.Philox(np.random.SeedSequence((self.seed, attempt, number)))
            keys = np.asarray(bits.random_raw(len(self.rows)))
            self._kept = place, self.rows[np.argsort(keys, kind="stable")]
        return self._kept[1]

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
