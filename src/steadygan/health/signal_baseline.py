"""What a check-up compares with: everything that depends on real images alone, measured once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.diversity import mean_pairwise_distance
from steadygan.evaluation.memorisation import exact_duplicates
from steadygan.evaluation.modes import Bins, bin_test, fit_bins
from steadygan.evaluation.spectrum import Spectrum, compare_power, power_spectrum
from steadygan.health.signal_features import FITTED, Space, energy_distance, reduced
from steadygan.runtime import seeding

CLUSTERS = 20
"""Clusters of the reals: few enough that a sample of 256 fills every one of a fair size."""
A_CLUSTER = 10
"""Fewest real images that a cluster is asked for."""
NEIGHBOUR_SIDE = 16
"""Longest side at which copies are looked for: pixels, since fitted components would favour what they are fitted on."""
SPECTRAL_NUMBERS = 1_000_000
"""Pixel values whose spectrum is taken: large images are so many fewer."""
SATURATED = 0.99
"""Values beyond this are at the end of their range."""
PART = 8
"""Fewest rows that a floor is taken from."""


def shares(images: Tensor) -> Tensor:
    """Shares (3,) of values below -.99, between, and above .99."""
    counts = [int(torch.count_nonzero(mask)) for mask in (images < -SATURATED, images > SATURATED)]
    low, high = (count / images.numel() for count in counts)
    return torch.tensor([low, 1.0 - low - high, high], dtype=torch.float64)


def spectral_count(images: Tensor) -> int:
    """As many images as hold at most a million values, at least 16."""
    return max(16, SPECTRAL_NUMBERS // images[:1].numel())


def power(images: Tensor) -> Tensor | None:
    """Mean power (C, H, W) of the images (N, C, H, W); None for sides below 4 pixels, which have no spectrum."""
    return power_spectrum(images[: spectral_count(images)]) if min(images.shape[-2:]) >= 4 and len(images) else None


def fine_bands(spectrum: Spectrum) -> float:
    """Root mean square difference of log power over rings above half the Nyquist frequency, in decibels."""
    fine = spectrum.frequencies > 0.25
    return float((spectrum.fake - spectrum.real)[fine].square().mean().sqrt()) if bool(fine.any()) else 0.0


def clear_of_chance(bins: Bins, features: Tensor) -> float:
    """Share of the reals' clusters that none of the features (N, D) falls in, less what chance gives, at least 0."""
    counts = torch.bincount(bins.assign(features), minlength=len(bins.counts))
    expected = (1.0 - bins.counts.double() / bins.count).pow(len(features)).mean()
    return max(0.0, float((counts == 0).double().mean() - expected))


def neighbours_view(images: Tensor) -> Tensor:
    """Rows (N, D) in which copies are looked for: pixels of at most 16 x 16."""
    return reduced(reduced(images.float()), NEIGHBOUR_SIDE).flatten(1).cpu()


@dataclass(frozen=True)
class Baseline:
    """The reals as a check-up sees them. Deterministic: equal images give equal values.

    ``facts`` holds numbers by name: ``distance_floor`` and ``distance_floor_spread`` (mean and standard deviation of
    ``distance`` between two sets of reals), ``diversity_floor`` (standard deviation of ``diversity`` between them),
    ``uneven_floor``, ``empty_floor``, ``checkerboard_floor``, ``bands_floor``, ``saturation_floor`` (the largest seen
    between reals), ``duplicates``, ``constant_images`` (shares of the real set), and the numbers of ``clusters`` and of
    ``images``.
    """

    space: Space
    real: Tensor
    """Features (N + K, F) of the real images and the reference."""
    blank: float
    """Energy distance of a mid-grey image to the reals: the unit of ``distance``."""
    spread: float
    """Mean pairwise distance of the reals: the unit of ``diversity`` and ``displacement``."""
    bins: Bins | None
    power: Tensor | None
    shares: Tensor
    training_view: Tensor
    held_out_view: Tensor
    facts: dict[str, float]

    @classmethod
    @torch.no_grad()
    def of(cls, real: Tensor, held_out: Tensor, reference: Tensor) -> Baseline:
        """From images in [-1, 1]: ``real`` (N, C, H, W), ``held_out`` (M, ...), M may be 0, ``reference`` (K, ...).

        ``reference`` shares no row with ``real``; K may be 0.

        Raises:
            SteadyganError: for fewer than 4 real images, or values that are not finite.
        """
        if len(real) < 4 or real.dim() != 4:
            raise SteadyganError(f"real images of shape {tuple(real.shape)}", "give at least 4 for a check-up")
        if not all(bool(images.isfinite().all()) for images in (real, held_out, reference)):
            raise SteadyganError("real images that hold NaN or infinity", "check the data")
        images = torch.cat([real, reference])
        # a set may be sorted by class or by source, and parts of it are taken for the whole
        order = torch.randperm(len(images), generator=seeding.generator("check-up")).to(images.device)
        small = reduced(images.float())
        space = Space.of(small[order[:FITTED]])
        features = space(small)
        spread = mean_pairwise_distance(features)
        baseline = cls(
            space=space,
            real=features,
            blank=energy_distance(features, space(torch.zeros_like(real[:1])), spread, 0.0),
            spread=spread,
            bins=_clusters(features[len(real) :] if len(reference) >= len(real) else features),
            power=power(images[order[: spectral_count(images)]]),
            shares=shares(images),
            training_view=neighbours_view(small),
            held_out_view=neighbours_view(held_out),
            facts={},
        )
        baseline.facts.update(_facts(baseline, images))
        if baseline.bins:
            baseline.facts["uneven_floor"] = bin_test(baseline.bins, features[: len(real)]).share
        size = min(len(real), max(len(images) // 4, 2))
        baseline.facts.update(_floors(baseline, images, order, size))
        return baseline


def _clusters(features: Tensor) -> Bins | None:
    """The clusters of real features; None for too few, or too alike, to have any."""
    count = min(CLUSTERS, len(features) // A_CLUSTER)
    if count < 2 or len(torch.unique(features, dim=0)) < 2 * count:
        return None
    return fit_bins(features, count)


def _facts(baseline: Baseline, images: Tensor) -> dict[str, float]:
    rows = baseline.training_view
    span = images.flatten(2).amax(2) - images.flatten(2).amin(2)
    return {
        "duplicates": exact_duplicates(rows, limit=1).samples / len(rows),
        "constant_images": float((span.amax(1) < 1.0 / 255.0).double().mean()),
        "clusters": float(len(baseline.bins.counts) if baseline.bins else 0),
        "images": float(len(images)),
    }


def _floors(baseline: Baseline, images: Tensor, order: Tensor, size: int) -> dict[str, float]:
    """How far two sets of reals are apart: one part of ``size`` rows after another against all other rows."""
    starts, features = range(0, len(images) - size + 1, size), baseline.real[order.cpu()]
    found = _apart(baseline, features, starts, size)
    parts = [images[order[start : start + size]] for start in starts]
    found["saturation_floor"] = max(0.5 * float((shares(part) - baseline.shares).abs().sum()) for part in parts)
    if baseline.bins:
        tests = [features[start : start + size] for start in starts]
        found["empty_floor"] = max(clear_of_chance(baseline.bins, part) for part in tests)
    if baseline.power is not None:
        powers = [each for each in map(power, parts) if each is not None]
        spectra = [compare_power(baseline.power, each) for each in powers]
        found["checkerboard_floor"] = max(each.checkerboard for each in spectra)
        found["bands_floor"] = max(fine_bands(each) for each in spectra)
    return found


def _apart(baseline: Baseline, features: Tensor, starts: range, size: int) -> dict[str, float]:
    """Floors of distance and diversity, from all pairs of real features at once."""
    rows = features.double()
    pairs = torch.cdist(rows, rows).fill_diagonal_(0.0)
    total, every = float(pairs.sum()), len(rows)
    other = every - size
    distances, spreads = [], []
    for start in starts:
        part = slice(start, start + size)
        inside, edge = float(pairs[part, part].sum()), float(pairs[part].sum())
        between, outside = edge - inside, total - 2 * edge + inside
        spreads.append(inside / (size * (size - 1)))
        distances.append(2 * between / (size * other) - spreads[-1] - outside / (other * (other - 1)))
    found: dict[str, float] = {}
    # the spread between equal laws goes with 1/n + 1/m: from a part against the others to a part against all
    scale = (1.0 / every + 1.0 / size) / (1.0 / other + 1.0 / size)
    if baseline.blank > 0:
        unit = torch.tensor(distances, dtype=torch.float64) / baseline.blank
        found["distance_floor"] = float(unit.mean())
        found["distance_floor_spread"] = scale * float(unit.square().mean().sqrt())
    if baseline.spread > 0:
        unit = torch.tensor(spreads, dtype=torch.float64) / baseline.spread - 1.0
        found["diversity_floor"] = float(unit.square().mean().sqrt())
    return found
