"""Modes: how many a set of samples reaches, how evenly, and how large the generator's support seems to be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError

CHUNK = 4096
"""Samples compared with all centres at once."""


class ModeCount(NamedTuple):
    """Modes reached by ``samples`` samples out of ``of``, and the KL divergence of their shares to the target's (nats).

    ``floor`` is the KL that a perfect sampler of uniform modes scores on average at this number of samples.
    """

    modes: int
    of: int
    samples: int
    kl: float
    floor: float


class Coverage(NamedTuple):
    """2-D modes ``found`` out of ``of``; shares (0 to 1) of good samples, and of the rarest and commonest mode."""

    found: int
    of: int
    high_quality: float
    smallest: float
    largest: float


class Support(NamedTuple):
    """Effective number of distinct samples, with the ends of a 95 % interval; infinite where no duplicate was seen."""

    size: float
    low: float
    high: float


def stacked_index(digits: Tensor, base: int = 10) -> Tensor:
    """Mode indices (N,) of classes (N, C), read as the digits of a number: Stacked MNIST has ``10³`` modes.

    Raises:
        SteadyganError: for another shape, or a class outside ``0 .. base - 1``.
    """
    if digits.dim() != 2 or digits.shape[1] == 0 or digits.is_floating_point():
        raise SteadyganError(f"classes of shape {tuple(digits.shape)}", "give integers (N, C), one class a channel")
    if len(digits) and not 0 <= int(digits.min()) <= int(digits.max()) < base:
        raise SteadyganError(f"classes from {int(digits.min())} to {int(digits.max())}", f"keep them below {base}")
    powers = torch.tensor([base**place for place in range(digits.shape[1])][::-1])
    index: Tensor = (digits.long().cpu() * powers).sum(1)
    return index


def mode_count(modes: Tensor, of: int, target: Tensor | None = None) -> ModeCount:
    """Count the modes among indices (N,) in ``0 .. of - 1`` and compare their shares with the target's.

    ``KL = Σ p log(p / q)`` with the shares p of the samples and q of the target (of,), uniform where it is None; in
    nats, 0 or more, at most ``log(of)`` for the uniform one. Stacked MNIST's protocol is 26,000 samples of 1,000 modes.
    Papers: Metz et al. 2017, Unrolled GANs; Lin et al. 2018, PacGAN.

    Raises:
        SteadyganError: for no samples, an index outside, or a target that is not ``of`` positive shares.
    """
    if modes.dim() != 1 or len(modes) == 0 or modes.is_floating_point():
        raise SteadyganError(f"modes of shape {tuple(modes.shape)}", "give integers (N,), at least one")
    if of < 1 or int(modes.min()) < 0 or int(modes.max()) >= of:
        raise SteadyganError(f"modes from {int(modes.min())} to {int(modes.max())} of {of}", "count them from 0")
    wanted = torch.full((of,), 1.0 / of, dtype=torch.float64) if target is None else target.double().cpu()
    if wanted.shape != (of,) or not bool((wanted > 0).all()) or not bool(wanted.isfinite().all()):
        raise SteadyganError(f"target shares of shape {tuple(wanted.shape)}", f"give {of} positive shares")
    counts = torch.bincount(modes.cpu(), minlength=of).double()
    shares = counts / counts.sum()
    kl = torch.special.xlogy(shares, shares / (wanted / wanted.sum())).sum()
    return ModeCount(int((counts > 0).sum()), of, len(modes), max(0.0, float(kl)), perfect_kl(of, len(modes)))


def perfect_kl(of: int, samples: int) -> float:
    """The mean KL to uniform that ``samples`` perfect samples of ``of`` equal modes score; exact, in nats.

    ``of · E[(x / n) log(of · x / n)]`` with x binomial (n, 1 / of); about ``(of - 1) / 2n`` for large n.

    Raises:
        SteadyganError: for fewer than one mode or sample.
    """
    if of < 1 or samples < 1:
        raise SteadyganError(f"{samples} samples of {of} modes", "give at least 1 of each")
    if of == 1:
        return 0.0
    hits = torch.arange(0, samples + 1, dtype=torch.float64)
    total = torch.tensor(samples + 1.0, dtype=torch.float64)
    ways = total.lgamma() - (hits + 1).lgamma() - (total - hits).lgamma()
    chance = (ways - hits * math.log(of) + (samples - hits) * math.log1p(-1.0 / of)).exp()
    share = hits / samples
    return float(of * (chance * torch.special.xlogy(share, of * share)).sum())


def mode_coverage(samples: Tensor, centres: Tensor, std: float, within: float = 3.0, at_least: int = 1) -> Coverage:
    """Modes of a mixture with known centres (K, D) that samples (N, D) reach, and the share of good samples.

    A sample is good within ``within`` standard deviations of its nearest centre; a mode is found where ``at_least``
    good samples are nearest to it. In 2-D a perfect sampler has 98.89 % good samples within 3. Paper: Lin et al. 2018.

    Raises:
        SteadyganError: for shapes that do not fit, no samples, NaN, or a spread that is not positive.
    """
    if samples.dim() != 2 or centres.dim() != 2 or samples.shape[1] != centres.shape[1]:
        shapes = f"samples {tuple(samples.shape)} with centres {tuple(centres.shape)}"
        raise SteadyganError(shapes, "give (N, D) and (K, D)")
    if len(samples) == 0 or len(centres) == 0 or not std > 0 or not within > 0:
        raise SteadyganError(
            f"{len(samples)} samples, {len(centres)} centres and a spread of {std:g}", "give some of each"
        )
    points = _finite(samples)
    distance, nearest = _nearest_centre(points, _finite(centres))
    good = distance <= within * std
    counts = torch.bincount(nearest[good], minlength=len(centres))
    smallest, largest = float(counts.min()) / len(points), float(counts.max()) / len(points)
    return Coverage(int((counts >= at_least).sum()), len(centres), float(good.double().mean()), smallest, largest)


@dataclass(frozen=True)
class Bins:
    """Clusters of real features: centres (K, D), and how many of the ``count`` real samples fell into each (K,)."""

    centres: Tensor
    counts: Tensor
    count: int

    def assign(self, features: Tensor) -> Tensor:
        """The bin (N,) of each of the features (N, D).

        Raises:
            SteadyganError: for another width, or a value that is not finite.
        """
        if features.dim() != 2 or features.shape[1] != self.centres.shape[1]:
            wanted = self.centres.shape[1]
            raise SteadyganError(f"features of shape {tuple(features.shape)}", f"give (N, {wanted}), as the bins were")
        return _nearest_centre(_finite(features), self.centres)[1]


class BinTest(NamedTuple):
    """Statistically different bins: their number, their share (NDB/K), and the Jensen-Shannon divergence (bits).

    ``z`` (K,) is the two-proportion statistic of each bin: above 0 the fakes have more there than the reals.
    """

    different: int
    share: float
    divergence: float
    z: Tensor


def fit_bins(real: Tensor, bins: int = 100, seed: int = 0) -> Bins:
    """Cluster real features (N, D) into ``bins`` by k-means, the same for the same seed on any number of threads.

    Raises:
        SteadyganError: for fewer than two samples a bin, another shape, or a value that is not finite.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if real.dim() != 2 or bins < 2 or len(real) < 2 * bins:
        raise SteadyganError(
            f"{bins} bins of features of shape {tuple(real.shape)}", "give 2 or more bins, and 2 samples a bin"
        )
    values = _finite(real)
    with threadpool_limits(1):
        fitted = KMeans(bins, n_init=1, random_state=seed).fit(values.numpy())
    centres = torch.from_numpy(fitted.cluster_centers_).double()
    found = _nearest_centre(values, centres)[1]
    return Bins(centres, torch.bincount(found, minlength=bins), len(values))


def bin_test(bins: Bins, fake: Tensor, significance: float = 0.05) -> BinTest:
    """NDB/K: the bins in which the share of fakes (N, D) differs from the share of reals.

    Two-proportion z-test with the pooled share in each bin; under the null about ``significance`` of the bins differ,
    so NDB/K near .05 is as good as real. At least 10 samples a bin on either side make the normal law fair.
    Paper: Richardson and Weiss 2018, On GANs and GMMs.

    Raises:
        SteadyganError: for no fakes, another width, a value that is not finite, or a significance outside (0, 1).
    """
    if not 0 < significance < 1 or len(fake) == 0:
        raise SteadyganError(f"{len(fake)} fakes at significance {significance:g}", "give fakes, and a level as 0.05")
    counts = torch.bincount(bins.assign(fake), minlength=len(bins.counts)).double()
    first, second = bins.counts.double() / bins.count, counts / len(fake)
    pooled = (bins.counts + counts) / (bins.count + len(fake))
    error = (pooled * (1 - pooled) * (1 / bins.count + 1 / len(fake))).sqrt()
    # a bin without anything on either side, or with everything, holds no difference
    z = torch.where(error > 0, (second - first) / error.clamp(min=1e-300), torch.zeros_like(error))
    limit = float(torch.special.ndtri(torch.tensor(1 - significance / 2, dtype=torch.float64)))
    different = int((z.abs() > limit).sum())
    middle = (first + second) / 2
    bits = (torch.special.xlogy(first, first / middle) + torch.special.xlogy(second, second / middle)).nansum()
    return BinTest(different, different / len(z), max(0.0, float(bits) / (2 * math.log(2))), z)


def birthday_support(samples: int, pairs: int) -> Support:
    """The effective size of a generator's support from the ``pairs`` of duplicates among ``samples`` samples.

    ``n (n - 1) / 2 pairs`` estimates ``1 / Σ p²``: for a uniform law the number of its outcomes, else a lower bound on
    it. The 95 % interval takes the pairs as Poisson, which is fair where duplicates are few. Paper: Arora and Zhang
    2018, Do GANs Learn the Distribution? (duplicates in a batch of s at even odds: support of about s²).

    Raises:
        SteadyganError: for fewer than two samples, or more pairs than there are.
    """
    every = samples * (samples - 1) // 2
    if samples < 2 or not 0 <= pairs <= every:
        raise SteadyganError(f"{pairs} duplicate pairs among {samples} samples", "give 2 or more samples, pairs >= 0")
    most, least = _poisson_mean(pairs, 0.025), _poisson_mean(pairs - 1, 0.975) if pairs else 0.0
    size = every / pairs if pairs else math.inf
    return Support(size, max(1.0, every / most), every / least if least else math.inf)


def _poisson_mean(count: int, chance: float) -> float:
    """The mean of the Poisson law under which ``count`` or fewer have this chance."""
    low, high = 0.0, 4.0 * count + 50.0
    shape = torch.tensor(count + 1.0, dtype=torch.float64)
    for _ in range(100):
        middle = (low + high) / 2
        tail = float(torch.special.gammaincc(shape, torch.tensor(middle, dtype=torch.float64)))
        low, high = (middle, high) if tail > chance else (low, middle)
    return (low + high) / 2


def _nearest_centre(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    starts = range(0, max(1, len(points)), CHUNK)
    found = [torch.cdist(points[start : start + CHUNK], centres).min(1) for start in starts]
    return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])


def _finite(values: Tensor) -> Tensor:
    values = values.detach().to(device="cpu", dtype=torch.float64)
    if not bool(values.isfinite().all()):
        raise SteadyganError("samples that hold NaN or infinity", "check the samples and the feature network")
    return values
