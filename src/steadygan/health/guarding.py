"""Guards of the data: copies that are passed over, and reals unlike all that the set holds, which others replace.

Both wait for a control, so that they are health's to turn, and both are functions of the place on the clock alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from steadygan.data.dataset import DataSet
from steadygan.game.move import Batch, Draw
from steadygan.runtime import processes, seeding

DISTINCT, FAMILIAR = "distinct", "familiar"
"""Controls, on at 1: each distinct image once an epoch; strange reals replaced by familiar ones."""
KNOWN = 2000
"""Stored images that a real is compared with."""
PIXELS = 16 * 2**20
"""Values that they may have altogether."""
LEAST = 64
"""Fewer stored images than this say too little of what is strange."""
SIDE = 8
"""Side of the view in which images are compared."""
BEYOND = 1.5
"""How many times farther from all known images than 99 % of these are from each other makes an image strange."""
COPIES, SAME = 16, 1e-3
"""Nearest neighbours that are looked at for one that is no copy, and the distance up to which they are copies."""
CHUNK = 4096


def without_copies(data: DataSet) -> DataSet:
    """The set with each image once: the first row of its kind, and none held out that training sees.

    Images are the same where their bytes and their classes are.
    """
    seen: set[tuple[int, int]] = set()

    def first(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        kept = []
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            labels = np.zeros(len(part), np.int64) if data.labels is None else data.labels[part]
            keys = zip(data.hashes_of(part).tolist(), labels.tolist(), strict=True)
            for row, key in zip(part.tolist(), keys, strict=True):
                if key not in seen:
                    seen.add(key)
                    kept.append(row)
        return np.array(kept, dtype=np.int64)

    train = first(data.train)
    return dataclasses.replace(data, train=train, held_out=first(data.held_out))


class Guard:
    """What the guards know of a set, found out when it is first asked for.

    Args:
        data: the set as it is stored.
        batch: from rows to images as training sees them.
        flip: whether training mirrors images.
    """

    def __init__(self, data: DataSet, batch: Callable[[npt.NDArray[np.int64]], Batch], *, flip: bool) -> None:
        self.data, self._batch, self._flip = data, batch, flip

    def chosen(self, controls: Mapping[str, float]) -> DataSet:
        """The set as the controls want it read: as it is, or each image once."""
        return self._distinct if controls.get(DISTINCT, 0.0) > 0 else self.data

    def over(self, draw: Draw, controls: Mapping[str, float], seed: int, parts: int = 1) -> Draw:
        """``draw``, in whose batches familiar images stand in for strange ones while the control says so.

        ``parts`` are the micro-batches of a batch, by which several processes share it.
        """
        last: dict[tuple[int, int, int], Batch] = {}

        def drawn(position: int, count: int, attempt: int) -> Batch:
            batch, place = draw(position, count, attempt), (position, count, attempt)
            if not controls.get(FAMILIAR, 0.0) > 0 or self._known is None:
                return batch
            if place not in last:
                last.clear()
                last[place] = self._replaced(batch, seeding.generator(FAMILIAR, seed, *place), parts)
            return last[place]

        return drawn

    def strange(self, images: Tensor) -> Tensor:
        """Which images (N, C, H, W) in [-1, 1] are unlike all known ones: bool (N,); none where too few are known."""
        if self._known is None:
            return torch.zeros(len(images), dtype=torch.bool, device=images.device)
        nearest = torch.cdist(view(images), self._views).amin(1)
        return ~(nearest <= self._bound)

    def _replaced(self, batch: Batch, source: torch.Generator, parts: int) -> Batch:
        known = self._known
        assert known is not None, "asked for above"
        strange = self.strange(batch.real)
        count = len(known.real)
        rows = processes.drawn(len(strange), lambda size: torch.randint(count, (size,), generator=source), parts)
        rows = rows.to(strange.device)
        # chosen on the device, which nothing waits for
        real = torch.where(strange[:, None, None, None], known.real[rows], batch.real)
        real = torch.empty_like(batch.real).copy_(real)
        label = batch.label
        if label is not None and known.label is not None:
            label = torch.where(strange, known.label[rows], label)
        return Batch(real, label)

    @cached_property
    def _distinct(self) -> DataSet:
        return without_copies(self.data)

    @cached_property
    def _known(self) -> Batch | None:
        channels, height, width = self.data.shape
        count = min(KNOWN, max(LEAST, PIXELS // (channels * height * width)))
        rows = seeding.numpy_generator("familiar images").permutation(self.data.train)[:count]
        return self._batch(np.sort(rows)) if len(rows) >= LEAST else None

    @cached_property
    def _views(self) -> Tensor:
        assert self._known is not None, "asked for above"
        real = self._known.real
        return view(torch.cat([real, real.flip(-1)]) if self._flip else real)

    @cached_property
    def _bound(self) -> Tensor:
        """The distance to its nearest neighbour, copies left out, that 99 % of the known images keep, and half more."""
        assert self._known is not None, "asked for above"
        # mirror images lie near what they mirror, and would narrow it
        views = view(self._known.real)
        apart = torch.cat(
            [torch.cdist(some, views).topk(COPIES, largest=False).values for some in torch.split(views, 256)]
        )
        nearest = torch.where(apart > SAME, apart, torch.inf).amin(1)
        return BEYOND * torch.quantile(nearest[nearest.isfinite()], 0.99)


def view(images: Tensor) -> Tensor:
    """Images (N, C, H, W) as rows: brightness and roughness of each part of an 8 x 8 grid."""
    images = images.float()
    height, width = images.shape[-2:]
    size = (min(SIDE, height), min(SIDE, width))
    across, down = (images.diff(dim=dim).abs() for dim in (-1, -2))
    rough = (F.pad(across, (0, 1)) + F.pad(down, (0, 0, 0, 1))) / 2
    return torch.cat([F.adaptive_avg_pool2d(one, size).flatten(1) for one in (images, rough)], 1)
