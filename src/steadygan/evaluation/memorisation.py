"""Memorisation: fakes that copy the training set, and fakes that copy one another."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError

CHUNK = 1024
"""Rows compared with all others at once."""
CANDIDATES = 4
"""Neighbours found by fast distances whose true distances are then taken."""


class Neighbours(NamedTuple):
    """Distance (N,) to the nearest reference of each sample, and its index (N,)."""

    distances: Tensor
    indices: Tensor


class Memorisation(NamedTuple):
    """Whether fakes lie nearer to the training set than unseen real samples of the same law would let them.

    ``share``: of the fakes, those nearer to a training than to any held-out sample (ties count half); ``by_chance``:
    its mean where training has left no trace; ``z``: the difference in standard deviations of that null, ``p`` its
    one-sided chance. ``copying_z``: the distances of fakes to training ranked against those of held-out samples to
    training (below -3: fakes are too near). ``training`` and ``held_out``: the neighbours, so that pairs can be shown.
    """

    share: float
    by_chance: float
    z: float
    p: float
    copying_z: float
    training: Neighbours
    held_out: Neighbours

    def nearest_pairs(self, count: int) -> Tensor:
        """Indices (count, 3) of fake, nearest training and nearest held-out sample, the most suspicious first.

        Most suspicious is the smallest ratio of the distance to training to the distance to held-out.
        """
        ratio = self.training.distances / self.held_out.distances.clamp(min=1e-300)
        order = ratio.argsort(stable=True)[:count]
        return torch.stack([order, self.training.indices[order], self.held_out.indices[order]], 1)


class Duplicates(NamedTuple):
    """Number of duplicate pairs and their indices (P, 2), at most as many as asked for, with distances (P,), nearest
    first; ``samples`` is how many samples have a duplicate at all."""

    pairs: int
    samples: int
    indices: Tensor
    distances: Tensor


def nearest(samples: Tensor, references: Tensor) -> Neighbours:
    """The nearest reference (M, D) of each sample (N, D) by Euclidean distance; an exact copy has distance 0.

    Candidates come from fast products, their distances are then taken in float64: chunks change nothing.

    Raises:
        SteadyganError: for shapes that do not fit, an empty side, or a value that is not finite.
    """
    first, second = _table(samples, "samples"), _table(references, "references")
    _same_width(first, second)
    return _nearest(first, second, itself=False)


def nearest_other(samples: Tensor) -> Neighbours:
    """The nearest *other* sample of each sample (N, D), N at least 2. Raises SteadyganError as ``nearest`` does."""
    values = _table(samples, "samples")
    if len(values) < 2:
        raise SteadyganError("the nearest other of one sample", "give at least 2")
    return _nearest(values, values, itself=True)


def memorisation(fake: Tensor, training: Tensor, held_out: Tensor) -> Memorisation:
    """Compare the distances of fakes (N, D) to the training set (M, D) and to held-out real samples (H, D).

    If training left no trace, training and held-out samples are exchangeable, so the nearest of all is a training one
    with chance ``M / (M + H)``. The spread under this null is exact for random exchanges of the two: with ``c`` the
    fakes whose nearest neighbour a real sample is, ``Var = N⁻² M H / (M + H) · var(c)``; many fakes around one
    real sample thus count as little as they should. ``copying_z`` is the rank test of Meehan et al. 2020 over the whole
    space, A Non-Parametric Test to Detect Data-Copying in Generative Models.

    Features of the same network on all three, or pixels. Exact duplicates must not straddle the split.

    Raises:
        SteadyganError: for shapes that do not fit, an empty set, or a value that is not finite.
    """
    fakes, seen, unseen = _table(fake, "fakes"), _table(training, "training samples"), _table(held_out, "held-out")
    _same_width(fakes, seen)
    _same_width(fakes, unseen)
    near, far = _nearest(fakes, seen, itself=False), _nearest(fakes, unseen, itself=False)
    weight = (near.distances < far.distances).double() + 0.5 * (near.distances == far.distances)
    counts = torch.zeros(len(seen) + len(unseen), dtype=torch.float64)
    counts.index_add_(0, near.indices, weight)
    counts.index_add_(0, far.indices + len(seen), 1 - weight)
    chance = len(seen) / len(counts)
    spread = math.sqrt(len(seen) * len(unseen) / len(counts) * float(counts.var())) / len(fakes)
    share = float(weight.mean())
    z = (share - chance) / spread if spread > 0 else 0.0
    copying = _rank_z(near.distances, _nearest(unseen, seen, itself=False).distances)
    return Memorisation(share, chance, z, 0.5 * math.erfc(z / math.sqrt(2)), copying, near, far)


def exact_duplicates(samples: Tensor, limit: int = 1000) -> Duplicates:
    """Samples (N, ...) that are the same in every value. Raises SteadyganError for none, or NaN."""
    values = _table(samples.flatten(1) if samples.dim() > 1 else samples, "samples")
    _, group, sizes = torch.unique(values, dim=0, return_inverse=True, return_counts=True)
    sizes = sizes.double()
    pairs = int((sizes * (sizes - 1) / 2).sum())
    order = group.argsort(stable=True)
    ends = sizes.long().cumsum(0)
    found: list[tuple[int, int]] = []
    for place in (sizes > 1).nonzero().flatten().tolist():
        members = order[int(ends[place] - sizes[place]) : int(ends[place])].tolist()
        found += [(a, b) for at, a in enumerate(members) for b in members[at + 1 : at + 2 + limit - len(found)]]
        if len(found) >= limit:
            break
    indices = torch.tensor(sorted(found[:limit]), dtype=torch.long).reshape(-1, 2)
    return Duplicates(pairs, int(sizes[sizes > 1].sum()), indices, torch.zeros(len(indices), dtype=torch.float64))


def near_duplicates(samples: Tensor, radius: float, limit: int = 1000) -> Duplicates:
    """Pairs of samples (N, D) within ``radius`` of one another, exact ones among them; at most ``limit`` are listed.

    Distances at the radius are right to about 1e-7 of the largest length. ``near_radius`` gives a radius.

    Raises:
        SteadyganError: for a radius below 0, another shape, or a value that is not finite.
    """
    values = _table(samples, "samples")
    if not (math.isfinite(radius) and radius >= 0):
        raise SteadyganError(f"a radius of {radius:g}", "give a distance of 0 or more")
    values = values.double() - values.double().mean(0)
    lengths = values.square().sum(1)
    slack = 1e-14 * float(lengths.max())
    pairs, touched = 0, torch.zeros(len(values), dtype=torch.bool)
    kept_pairs, kept = torch.empty(0, 2, dtype=torch.long), torch.empty(0, dtype=torch.float64)
    for start in range(0, len(values), CHUNK):
        rows = values[start : start + CHUNK]
        squares = lengths[start : start + CHUNK, None] + lengths[None, start:] - 2 * rows @ values[start:].T
        close = (squares <= radius**2 + slack).triu(1).nonzero()
        pairs += len(close)
        touched[close.flatten() + start] = True
        distance = squares[close[:, 0], close[:, 1]].clamp(min=0)
        kept_pairs, kept = torch.cat([kept_pairs, close + start]), torch.cat([kept, distance])
        order = kept.argsort(stable=True)[:limit]
        kept_pairs, kept = kept_pairs[order], kept[order]
    exact = (values[kept_pairs[:, 0]] - values[kept_pairs[:, 1]]).norm(dim=1)
    order = exact.argsort(stable=True)
    return Duplicates(pairs, int(touched.sum()), kept_pairs[order], exact[order])


def near_radius(real: Tensor, share: float = 0.01) -> float:
    """The distance within which this share of real samples (N, D) have another real sample.

    What counts as a near duplicate among fakes is thus as rare among the same number of reals.

    Raises:
        SteadyganError: for a share outside (0, 1), fewer than two samples, or a value that is not finite.
    """
    if not 0 < share < 1:
        raise SteadyganError(f"a share of {share:g}", "give one between 0 and 1")
    distances = nearest_other(real).distances.sort().values
    return float(distances[int(share * (len(distances) - 1))])


def _nearest(samples: Tensor, references: Tensor, itself: bool) -> Neighbours:
    centre = references.double().mean(0)
    fast = (references.double() - centre).to(references.dtype)
    lengths = fast.square().sum(1)
    take = min(CANDIDATES + itself, len(references))
    distances, indices = [], []
    for start in range(0, len(samples), CHUNK):
        rows = samples[start : start + CHUNK].double()
        scores = lengths - 2 * (rows - centre).to(fast.dtype) @ fast.T
        if itself:
            scores[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = math.inf
        found = scores.topk(take - itself, largest=False).indices.sort(1).values
        true = (rows[:, None] - references[found].double()).square().sum(2).sqrt()
        best = true.min(1)
        distances.append(best.values)
        indices.append(found.gather(1, best.indices[:, None])[:, 0])
    return Neighbours(torch.cat(distances), torch.cat(indices))


def _rank_z(first: Tensor, second: Tensor) -> float:
    """Mann-Whitney's statistic in standard deviations, ties counted half: below 0 the first are smaller."""
    together = torch.cat([first, second])
    _, group, sizes = torch.unique(together, return_inverse=True, return_counts=True)
    ends = sizes.cumsum(0).double()
    ranks = (ends - (sizes.double() - 1) / 2)[group]
    n, m, total = len(first), len(second), len(together)
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    ties = float((sizes.double() ** 3 - sizes).sum()) / (total * (total - 1))
    spread = math.sqrt(max(0.0, n * m / 12 * (total + 1 - ties)))
    return (u - n * m / 2) / spread if spread > 0 else 0.0


def _table(values: Tensor, what: str) -> Tensor:
    if values.dim() != 2 or 0 in values.shape:
        raise SteadyganError(f"{what} of shape {tuple(values.shape)}", "give a table (N, D), one row a sample")
    values = values.detach().cpu()
    values = values if values.dtype == torch.float64 else values.float()
    if not bool(values.isfinite().all()):
        raise SteadyganError(f"{what} that hold NaN or infinity", "check the samples and the feature network")
    return values


def _same_width(first: Tensor, second: Tensor) -> None:
    if first.shape[1] != second.shape[1]:
        raise SteadyganError(
            f"features of width {first.shape[1]} and {second.shape[1]}", "use one feature network for all samples"
        )
