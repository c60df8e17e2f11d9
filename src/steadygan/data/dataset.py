"""A set of real images as training sees it: rows in a memory-mapped cache, labels and a fixed split."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from steadygan.data.order import Order, ReadAhead, Rows
from steadygan.data.split import row_hashes
from steadygan.errors import SteadyganError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class DataSet:
    """Real images of one shape, read row by row without decoding.

    Attributes:
        name: what the set is called, as given in ``DataConfig.source``.
        images: (N, C, H, W) uint8, usually a read-only memory map; of shards, rows that are decoded when read.
        labels: (N,) int64 class of each row, or None where the set has no classes.
        label_names: name of each class, in the order of the numbers in ``labels``.
        train: indices of the rows that training may see, ascending.
        held_out: indices of the rows kept away from training, ascending; may be empty.
        fingerprint: hash of the rows, the labels and the split; equal sets have equal fingerprints wherever they lie.
        facts: what was found and what was done to it, in words and numbers, for ``steadygan info``.
        quarantine: path and reason of every image that could not be read.
        hashes: (N,) uint64 hash of each row's bytes, as the cache has them; None: they are taken when asked for.
    """

    name: str
    images: Rows
    labels: npt.NDArray[np.int64] | None
    label_names: tuple[str, ...]
    train: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]
    fingerprint: str
    facts: dict[str, Any] = field(default_factory=dict)
    quarantine: tuple[tuple[str, str], ...] = ()
    hashes: npt.NDArray[np.uint64] | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a row."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def classes(self) -> int:
        """Number of classes; 0 where the set has no labels."""
        return len(self.label_names) if self.labels is not None else 0

    def __len__(self) -> int:
        return len(self.images)

    def order(self, seed: int) -> Order:
        """The order in which a run of this seed reads the training rows, such as suits where they lie."""
        if isinstance(self.images, np.ndarray):
            return Order(self.train, seed)
        return ReadAhead(self.train, seed, self.images)

    def rows(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> torch.Tensor:
        """The rows at ``indices`` as a fresh uint8 tensor (len(indices), C, H, W) in 0..255."""
        # Imported here so that building a cache costs no import of torch.
        import torch

        images = np.asarray(self.images) if isinstance(self.images, np.ndarray) else self.images
        picked = images[np.asarray(indices, dtype=np.int64)]
        return torch.from_numpy(np.ascontiguousarray(picked))

    def hashes_of(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Hashes (len(indices),) of the rows at ``indices``; equal rows have equal ones. Reads no row where it can."""
        return row_hashes(self.rows(indices).numpy()) if self.hashes is None else self.hashes[indices]


def write_quarantine(path: Path, quarantine: Sequence[tuple[str, str]]) -> None:
    """Write the images that could not be read, one line each with its reason, as CSV.

    Raises:
        SteadyganError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "reason"))
            writer.writerows(quarantine)
        temporary.replace(path)
    except OSError as fault:
        temporary.unlink(missing_ok=True)
        raise SteadyganError(f"cannot write {path}: {fault.strerror}", "give a folder that can be written") from fault
