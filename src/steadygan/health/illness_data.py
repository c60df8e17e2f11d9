"""Illnesses of the data: other sets, and batches that are not what they should be."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from steadygan.config import RunConfig
from steadygan.data.dataset import DataSet
from steadygan.game.move import Batch, Draw
from steadygan.runtime import processes, seeding

LEAST_HELD_OUT = 8
"""A set of few images keeps this many held out, where it has them."""
COPIED = 8
"""Images whose copies make up a share of a set."""
SHIFT_AT = 0.5
"""Share of the run after which a shift of the data begins."""
RANGE = float(2**63)


def small_data(data: DataSet, count: float, seed: int) -> DataSet:
    """``count`` images in all, drawn from the rows for training and those held out in the proportion that they have."""
    wanted = max(2, round(count))
    held = round(wanted * len(data.held_out) / max(1, len(data)))
    held = min(len(data.held_out), max(LEAST_HELD_OUT if wanted > 4 * LEAST_HELD_OUT else 1, held))
    train = _some(data.train, max(1, wanted - held), "small-data", seed)
    held_out = _some(data.held_out, held, "small-data-held-out", seed)
    return _changed(data, train, held_out, f"small-data {wanted}", seed)


def duplicates(data: DataSet, share: float, seed: int) -> DataSet:
    """A ``share`` of the training rows are a few images over and over, and as many held-out ones repeat the same."""
    few = _some(data.train, COPIED, "duplicates", seed)

    def repeated(rows: npt.NDArray[np.int64], name: str) -> npt.NDArray[np.int64]:
        kept = _some(rows, len(rows) - round(share * len(rows)), name, seed)
        return np.sort(np.concatenate([kept, np.resize(few, len(rows) - len(kept))]))

    train, held_out = repeated(data.train, "duplicates-train"), repeated(data.held_out, "duplicates-held-out")
    return _changed(data, train, held_out, f"duplicates {share:g}", seed)


def corrupt_batches(draw: Draw, share: float, config: RunConfig) -> Draw:
    """A ``share`` of the batches are uniform noise; which ones depends on seed, attempt and position alone."""

    def corrupt(batch: Batch, place: tuple[int, int]) -> Batch:
        if _chance("corrupt", config.seed, *place) >= share:
            return batch
        source = seeding.generator("corrupt-noise", config.seed, *place)
        sides, parts = batch.real.shape[1:], config.accumulate
        noise = processes.drawn(len(batch.real), lambda count: torch.rand(count, *sides, generator=source), parts)
        noise = noise.to(batch.real) * 2 - 1
        return batch._replace(real=_laid_out(noise, batch.real))

    return _wrapped(draw, corrupt)


def data_shift(draw: Draw, share: float, config: RunConfig) -> Draw:
    """From the middle of the run on, a ``share`` of every batch are negatives: dark is light and light is dark."""

    def shift(batch: Batch, place: tuple[int, int]) -> Batch:
        if place[1] < SHIFT_AT * config.images:
            return batch
        source = seeding.generator("shift", config.seed, *place)
        count, parts = len(batch.real), config.accumulate
        turned = processes.drawn(count, lambda number: torch.rand(number, generator=source), parts) < share
        sign = torch.where(turned, -1.0, 1.0).to(batch.real)
        return batch._replace(real=batch.real * sign.view(-1, *(1,) * (batch.real.ndim - 1)))

    return _wrapped(draw, shift)


def _wrapped(draw: Draw, change: Callable[[Batch, tuple[int, int]], Batch]) -> Draw:
    """The draw with every batch changed by what it is and by (attempt, position)."""

    def drawn(position: int, count: int, attempt: int) -> Batch:
        return change(draw(position, count, attempt), (attempt, position))

    return drawn


def _chance(*place: int | str) -> float:
    """A number of [0, 1) that is always the same at the same place."""
    return seeding.derive(*place) / RANGE


def _laid_out(images: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(like).copy_(images)


def _some(rows: npt.NDArray[np.int64], count: int, name: str, seed: int) -> npt.NDArray[np.int64]:
    """``count`` of the rows, ascending; the same for the same seed, and fewer are a part of more."""
    order = torch.randperm(len(rows), generator=seeding.generator("illness", name, seed)).numpy()
    return np.sort(rows[order[:count]])


def _changed(
    data: DataSet, train: npt.NDArray[np.int64], held_out: npt.NDArray[np.int64], what: str, seed: int
) -> DataSet:
    """The set with other rows; its images stay where they lie."""
    identity = repr((data.fingerprint, what, seed))
    facts = {**data.facts, "train": len(train), "held_out": len(held_out), "illness": what}
    return dataclasses.replace(
        data,
        train=train,
        held_out=held_out,
        facts=facts,
        fingerprint=hashlib.blake2b(identity.encode(), digest_size=16).hexdigest(),
    )
