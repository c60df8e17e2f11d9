"""The real side of a comparison: which rows of a set it is, its features, read once and cached, and its floor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from steadygan.data.cache import default_folder
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.evaluation.features.reading import FeatureNetwork, Reading, read
from steadygan.evaluation.material import Material, Measured, Side
from steadygan.evaluation.metrics_table import METRICS
from steadygan.runtime import seeding, storage

Rows = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]

CUSTOMARY = 10_000
"""Images a side where nobody says how many."""
FEWEST = 10
"""Images below which nothing can be said about a set."""
LOOKED_AT = 2_000
"""Images a side whose pixels are kept for metrics that look at pixels."""
TRAINING = 20_000
"""Training images among which copies are looked for, at most."""
CHUNK = 256


def customary_count(data: DataSet, split: str = "train") -> int:
    """As many fakes as let the floor be measured with as many reals on either side, at most 10,000."""
    return max(1, min(CUSTOMARY, len(_part(data, split)) // 2))


class Reference:
    """Reals for ``count`` fakes to be compared with.

    The reals are ``count`` rows of the split in a fixed random order, or all where there are fewer. The floor compares
    them with the next ``count`` rows; where too few are left, the split is halved, and ``floor_count`` says how many
    are on either side then.

    Args:
        data: the real set.
        network: whose features.
        count: number of fakes; None: ``customary_count``.
        split: ``train``, ``held_out`` or ``all``.
        cache: folder of all caches; None: ``$STEADYGAN_CACHE``, then ``~/.cache/steadygan``.
        progress: told how many reals were read.

    Raises:
        SteadyganError: for fewer than ten reals.
    """

    def __init__(
        self,
        data: DataSet,
        network: FeatureNetwork,
        count: int | None = None,
        *,
        split: str = "train",
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.data, self.network, self.split, self.progress = data, network, split, progress
        self.cache = (cache or default_folder()) / "features"
        self.count = customary_count(data, split) if count is None else count
        part = _part(data, split)
        if len(part) < FEWEST:
            raise SteadyganError(
                f"{data.name} has {len(part)} real image(s) to compare with ({split})", f"give at least {FEWEST}"
            )
        order = torch.randperm(len(part), generator=seeding.generator("evaluation reals", 0)).numpy()
        self._order: Rows = part[order]
        self.real = self._side(self._order[: self.count])
        left = self._order[self.count : 2 * self.count]
        self.floor_count = self.count if len(left) == self.count else len(part) // 2
        self._left: Rows = left if len(left) == self.count else self._order[: 2 * self.floor_count]
        self._floors: dict[str, Mapping[str, Measured]] = {}

    def material(self, fake: Side, names: tuple[str, ...]) -> Material:
        """What the metrics ``names`` need, with ``fake`` on the fake side."""
        needs = frozenset().union(*(METRICS[name].needs for name in names))
        training = self._reading(self.data.train[:TRAINING]) if "training" in needs else None
        held_out = self._reading(self.data.held_out) if "held_out" in needs and len(self.data.held_out) else None
        return Material(self.real, fake, training, held_out)

    def floor(self, name: str) -> Mapping[str, Measured]:
        """The values of a metric with other reals in the place of the fakes; empty where it has a null of its own."""
        metric = METRICS[name]
        if name not in self._floors:
            measured = all(column.null is None for column in metric.columns.values()) and self.floor_count > 1
            self._floors[name] = metric.function(self._halves) if measured else {}
        return self._floors[name]

    @property
    def _halves(self) -> Material:
        if self.floor_count == self.count:
            return Material(self.real, self.real.once("floor", lambda: self._side(self._left)))
        first, second = self._left[: self.floor_count], self._left[self.floor_count :]
        return self.real.once("floor", lambda: Material(self._side(first), self._side(second)))

    def _side(self, rows: Rows) -> Side:
        return Side(self._reading(rows), self.data.rows(rows[:LOOKED_AT]))

    def _reading(self, rows: Rows) -> Reading:
        """Features of rows of the set, from the cache where they stand there."""
        key = hashlib.sha256(f"{self.data.fingerprint} {self.network.hash} {self.network.resize}".encode())
        key.update(np.ascontiguousarray(rows).tobytes())
        path = self.cache / f"{key.hexdigest()[:32]}.safetensors"
        if (stored := _load(path, len(rows))) is not None:
            return stored
        found = read(self.network, self._batches(rows))
        tensors = {"features": found.features.contiguous()}
        if found.probabilities is not None:
            tensors["probabilities"] = found.probabilities.contiguous()
        storage.make_folder(path.parent)
        with storage.writing(path):
            storage.write_file(path, safetensors.torch.save(tensors))
        return found

    def _batches(self, rows: Rows) -> Iterator[Tensor]:
        for start in range(0, len(rows), CHUNK):
            yield self.data.rows(rows[start : start + CHUNK])
            if self.progress is not None:
                self.progress("reading the reals", min(start + CHUNK, len(rows)), len(rows))


def _part(data: DataSet, split: str) -> Rows:
    if split == "all":
        return np.arange(len(data), dtype=np.int64)
    return data.held_out if split == "held_out" else data.train


def _load(path: Path, count: int) -> Reading | None:
    """A cached reading; None where there is none, or one that is broken."""
    try:
        tensors = safetensors.torch.load_file(path)
        found = Reading(tensors["features"], tensors.get("probabilities"))
    except (OSError, KeyError, safetensors.SafetensorError):
        return None
    return found if len(found.features) == count else None
