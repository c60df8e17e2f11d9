"""What a check-up compares with: everything that depends on real images alone, measured once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.diversity import mean_pairwise_distance
from steadygan.evaluation.memorisation import exact_duplicates
from steadygan.evaluation.modes import Bins, bin_test, fit_bins
from steadygan.evaluation.spectrum import Spectrum, compare_power, power_spectrum
from steadygan.health.signal_features import Space, energy_distance, reduced

CLUSTERS = 20
"""Clusters of the reals: few enough that a sample of 256 fills every one of a fair size."""
A_CLUSTER = 10
"""Fewest real images that a cluster is asked for."""
NEIGHBOUR_SIDE = 16
"""Longest side at which copies are looked for: pixels, since fitted components would favour what they are fitted on."""
SPECTRAL_NUMBERS = 4_000_000
"""Pixel values whose spectrum is taken: large images are so many fewer."""
SATURATED = 0.99
"""Values beyond this are at the end of their range."""
PART = 8
"""Fewest rows that a floor is taken from."""


def shares(images: Tensor) -> Tensor:
    """Shares (3,) of values below -.99, between, and above .99."""
    low = (images < -SATURATED).double().mean()
    high = (images > SATURATED).double().mean()
    return torch.stack([low, 1.0 - low - high, high]).cpu()


def spectral_part(images: Tensor) -> Tensor:
    """As many of the first images (N, C, H, W) as hold at most four million values, at least 16."""
    return images[: max(16, SPECTRAL_NUMBERS // max(1, images[0].numel()))]


def power(images: Tensor) -> Tensor | None:
    """Mean power (C, H, W) of the images (N, C, H, W); None for sides below 4 pixels, which have no spectrum."""
    return power_spectrum(spectral_part(images)) if min(images.shape[-2:]) >= 4 and len(images) else None


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
    return reduced(images.float(), NEIGHBOUR_SIDE).flatten(1).cpu()


@dataclass(frozen=True)
class Baseline:
    """The reals as a check-up sees them. Deterministic: equal images give equal values.

    ``facts`` holds numbers by name: ``distance_floor`` and ``distance_floor_spread`` (mean and standard deviation of
    ``distance`` between two sets of reals), ``diversity_floor`` (standard deviation of ``diversity`` between them),
    ``empty_floor``, ``uneven_floor``, ``checkerboard_floor``, ``bands_floor``, ``saturation_floor`` (the largest seen
    between reals), ``duplicates``, ``constant_images`` (shares of the real set) and ``clusters`` (their number).
    """

    space: Space
    real: Tensor
    """Features (N, F)."""
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

        ``reference`` shares no row with ``real``; where it has fewer than 8, the halves of ``real`` give the floors.

        Raises:
            SteadyganError: for fewer than 4 real images, or values that are not finite.
        """
        if len(real) < 4 or real.dim() != 4:
            raise SteadyganError(f"real images of shape {tuple(real.shape)}", "give at least 4 for a check-up")
        if not all(bool(images.isfinite().all()) for images in (real, held_out, reference)):
            raise SteadyganError("real images that hold NaN or infinity", "check the data")
        few = len(reference) < PART
        known = real if few else reference
        space = Space.of(known)
        features, seen = space(real), space(known)
        baseline = cls(
            space=space,
            real=features,
            blank=energy_distance(features, space(torch.zeros_like(real[:1])).expand(2, -1)),
            spread=mean_pairwise_distance(features),
            bins=_clusters(seen),
            power=power(real),
            shares=shares(real),
            training_view=torch.cat([neighbours_view(real), neighbours_view(reference)]),
            held_out_view=neighbours_view(held_out),
            facts={},
        )
        baseline.facts.update(_facts(baseline, known))
        baseline.facts.update(_floors(baseline, real, seen, known, few=few))
        return baseline


def _clusters(features: Tensor) -> Bins | None:
    """The clusters of real features; None for too few, or too alike, to have any."""
    count = min(CLUSTERS, len(features) // A_CLUSTER)
    if count < 2 or len(torch.unique(features, dim=0)) < 2 * count:
        return None
    return fit_bins(features, count)


def _facts(baseline: Baseline, known: Tensor) -> dict[str, float]:
    rows = known.flatten(1).cpu()
    span = known.flatten(2).amax(2) - known.flatten(2).amin(2)
    return {
        "duplicates": exact_duplicates(rows, limit=1).samples / len(rows),
        "constant_images": float((span.amax(1) < 1.0 / 255.0).double().mean()),
        "clusters": float(len(baseline.bins.counts) if baseline.bins else 0),
    }


def _floors(baseline: Baseline, real: Tensor, seen: Tensor, known: Tensor, *, few: bool) -> dict[str, float]:
    """How far two sets of reals are apart: one part of the known rows after another against ``real``."""
    half = len(real) // 2
    against = baseline.real[:half] if few else baseline.real
    size = half if few else min(len(real), max(PART, len(seen) // 4))
    starts = [half] if few else range(0, len(seen) - size + 1, size)
    parts = [seen[start : start + size] for start in starts]
    distances = torch.tensor([energy_distance(against, part) for part in parts], dtype=torch.float64)
    spreads = torch.tensor([mean_pairwise_distance(part) for part in parts], dtype=torch.float64)
    # the spread between equal laws goes with 1/n + 1/m: brought to sets of the size of ``real``
    scale = 2.0 / len(real) / (1.0 / len(against) + 1.0 / size)
    found = {"uneven_floor": bin_test(baseline.bins, baseline.real).share if baseline.bins else 0.0}
    found["empty_floor"] = clear_of_chance(baseline.bins, baseline.real) if baseline.bins else 0.0
    if baseline.blank > 0:
        unit = distances / baseline.blank
        found["distance_floor"] = float(unit.mean())
        found["distance_floor_spread"] = scale * float(unit.std() if len(unit) > 1 else unit.abs().sum())
    if baseline.spread > 0:
        unit = spreads / baseline.spread - 1.0
        found["diversity_floor"] = math.sqrt(scale) * float(unit.square().mean().sqrt())
    images = [known[start : start + size] for start in starts]
    found["saturation_floor"] = max(0.5 * float((shares(part) - baseline.shares).abs().sum()) for part in images)
    if baseline.power is not None:
        spectra = [compare_power(baseline.power, power_spectrum(spectral_part(part))) for part in images]
        found["checkerboard_floor"] = max(each.checkerboard for each in spectra)
        found["bands_floor"] = max(fine_bands(each) for each in spectra)
    return found
