"""The Fréchet distance between two sets of features, each described by its mean and covariance.

With Inception's features it is the FID of Heusel et al. 2017; any other features give another scale, and the
number of samples belongs to the value (with fewer the distance is larger), so store both with it. All
arithmetic is float64 on the CPU: float32 is off in the third digit.
"""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.threads import solver_threads

TOLERATED_NEGATIVE = 1e-4
"""A negative eigenvalue of a covariance beyond this share of the largest one is taken for a fault, not for rounding."""

SMALLEST_PIVOT = 1e-11
"""A Cholesky factor is taken where its least pivot is at least this share of the largest; else eigenvectors serve."""

MOST_LOST = 3e-8
"""Share of the distance that rounding may take from the roots of eigenvalues before singular values serve."""


class FewSamplesWarning(UserWarning):
    """A value is finite but says little, since there are fewer samples than it needs."""


def checked_features(features: Tensor, name: str = "features", *, least: int = 2) -> Tensor:
    """The features (N, D) without their gradient, fit for a metric; the device and type stay as they are.

    Raises:
        SteadyganError: for another shape, whole or complex numbers, fewer than ``least`` rows, NaN or infinity.
    """
    if features.dim() != 2 or features.shape[1] == 0:
        raise SteadyganError(f"{name} of shape {tuple(features.shape)}", "give a table (N, D), one row a sample")
    if not features.is_floating_point():
        raise SteadyganError(f"{name} of type {features.dtype}", "convert them to float32 or float64")
    if len(features) < least:
        raise SteadyganError(f"{len(features)} row(s) of {name}", f"give at least {least}")
    # The extremes take no table of flags beside the features, and NaN is an extreme.
    if not all(bool(extreme.isfinite()) for extreme in torch.aminmax(features.detach())):
        raise SteadyganError(f"{name} that hold NaN or infinity", "check the samples and the feature network")
    return features.detach()


def checked_pair(real: Tensor, fake: Tensor, *, least: int = 2) -> tuple[Tensor, Tensor]:
    """Both sides' features, checked, and of one width.

    Raises:
        SteadyganError: as ``checked_features``, and where the widths differ.
    """
    real, fake = (
        checked_features(real, "real features", least=least),
        checked_features(fake, "fake features", least=least),
    )
    if real.shape[1] != fake.shape[1]:
        raise SteadyganError(
            f"features of width {real.shape[1]} and {fake.shape[1]}", "use one feature network for both sides"
        )
    return real, fake


class FeatureStatistics:
    """Mean and covariance of features that arrive in chunks, without keeping the features.

    Chunks may have any size and order and may be gathered in several places and merged: the result is the
    same to about 1e-12 of its size, also for features whose mean is large beside their spread.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Tensor | None = None
        self._scatter: Tensor | None = None

    def update(self, features: Tensor) -> None:
        """Take in a chunk of features (N, D); N may be 0.

        Raises:
            SteadyganError: for another shape, another D than before, or a value that is not finite.
        """
        if features.dim() != 2 or features.shape[1] == 0:
            raise SteadyganError(f"features of shape {tuple(features.shape)}", "give a table (N, D), one row a sample")
        if len(features) == 0:
            return
        values = features.detach().to(device="cpu", dtype=torch.float64)
        if not bool(values.isfinite().all()):
            raise SteadyganError("features that hold NaN or infinity", "check the samples and the feature network")
        mean = values.mean(0)
        centred = values - mean
        self._join(len(values), mean, centred.T @ centred)

    def merge(self, other: FeatureStatistics) -> None:
        """Take in all that another one has gathered, which is left as it is.

        Raises:
            SteadyganError: where its features have another width.
        """
        if other._mean is not None and other._scatter is not None:
            self._join(other.count, other._mean, other._scatter)

    def finish(self) -> tuple[Tensor, Tensor]:
        """The mean (D,) and the unbiased covariance (D, D), divided by N - 1; float64, on the CPU.

        More features may follow afterwards.

        Raises:
            SteadyganError: with fewer than two samples.
        """
        if self._mean is None or self._scatter is None or self.count < 2:
            raise SteadyganError(f"a covariance of {self.count} sample(s)", "give at least 2")
        covariance = self._scatter / (self.count - 1)
        return self._mean.clone(), (covariance + covariance.T) / 2.0

    def _join(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        # Joining centred sums, not raw second moments, keeps the digits that a large mean would swallow.
        if self._mean is None or self._scatter is None:
            self.count, self._mean, self._scatter = count, mean, scatter
            return
        if mean.shape != self._mean.shape:
            raise SteadyganError(
                f"features of width {len(mean)} after {len(self._mean)}", "use one feature network for all samples"
            )
        total = self.count + count
        step = mean - self._mean
        self._scatter = self._scatter + scatter + torch.outer(step, step) * (self.count * count / total)
        self._mean = self._mean + step * (count / total)
        self.count = total


def gaussian_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (D,) and the unbiased covariance (D, D) of features (N, D), in float64 on the CPU.

    Raises:
        SteadyganError: for fewer than two samples, another shape, or a value that is not finite.
    """
    statistics = FeatureStatistics()
    statistics.update(features)
    return statistics.finish()


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """The squared Fréchet (2-Wasserstein) distance between two Gaussians; 0 or more, never NaN.

    ``|m1 - m2|² + tr C1 + tr C2 - 2 tr (C1 C2)^½`` with means (D,) and covariances (D, D). With ``C = A Aᵀ`` from the
    eigenvectors of each, the last trace is the sum of the singular values of ``A1ᵀ A2``: no root of a product
    is taken, so covariances without full rank (N < D) lose no digits. Where the covariances are well-conditioned
    A is a Cholesky factor, and the roots of the eigenvalues of ``A1ᵀ C2 A1`` serve, if a bound on what rounding
    takes from them stays below 3e-8 of the distance (the error itself is then below 1e-9 for features as networks give
    them). ``solver_threads`` limits the threads.

    Papers: Dowson and Landau 1982; Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule.

    Raises:
        SteadyganError: for shapes that do not fit, values that are not finite, or a matrix that is no covariance.
    """
    first_mean, first = _checked(mean1, cov1)
    second_mean, second = _checked(mean2, cov2)
    if first_mean.shape != second_mean.shape:
        raise SteadyganError(
            f"features of width {len(first_mean)} and {len(second_mean)}", "use one feature network for both sides"
        )
    outer = (first_mean - second_mean).square().sum() + first.trace() + second.trace()
    if not bool(outer.isfinite()):
        raise SteadyganError("features too large for a Fréchet distance", "scale them to a sensible range")
    with solver_threads():
        cross = _root_trace(first, second, float(outer))
    return max(0.0, float(outer) - 2.0 * cross)


def statistics_distance(real: FeatureStatistics, fake: FeatureStatistics) -> float:
    """The Fréchet distance of gathered statistics; warns where a side has no more samples than features.

    The distance is finite then, but mostly a measure of how few the samples are.

    Raises:
        SteadyganError: as ``FeatureStatistics.finish`` and ``frechet_distance``.

    Warns:
        FewSamplesWarning: where a covariance cannot have full rank (N <= D).
    """
    first, second = real.finish(), fake.finish()
    for name, count in (("real", real.count), ("fake", fake.count)):
        if count <= len(first[0]):
            warnings.warn(
                f"a Fréchet distance from {count} {name} samples in {len(first[0])} features is finite but far too"
                " large: give several times as many samples as features, or use the kernel distance",
                FewSamplesWarning,
                stacklevel=2,
            )
    return frechet_distance(*first, *second)


class FrechetInfinity(NamedTuple):
    """A Fréchet distance extrapolated to endlessly many samples, with the points that it was fitted to."""

    value: float
    """The intercept of the line; may be slightly below zero."""
    standard_error: float
    """Of the intercept, from the scatter of the points; the sets are shared by the points, so it is a lower bound."""
    slope: float
    """What one over the count adds: the bias at N samples is slope / N."""
    counts: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_infinity(
    real: Tensor,
    fake: Tensor,
    *,
    seed: int,
    points: int = 10,
    least: int | None = None,
    vary: Literal["fake", "both"] = "fake",
) -> FrechetInfinity:
    """The Fréchet distance that endlessly many fakes would have, from features (N, D) and (M, D).

    The bias falls as 1/N, so distances at ``points`` counts, evenly spaced in 1/N from ``least`` (default: the larger
    of a fifth of the fakes and 2 D, but at most half of them) to all fakes are fitted by a line in 1/N
    whose intercept is the value. Each point is the mean over as many disjoint random subsets as there are fakes for,
    which quiets the small counts. ``vary="both"`` takes equal numbers of both sides, and so removes the bias of few
    reals too; with ``"fake"``, as published, all reals are used each time.

    Paper: Chong and Forsyth 2020, Effectively Unbiased FID and Inception Score.

    Raises:
        SteadyganError: for shapes that do not fit, NaN or infinity, fewer than 3 points or 8 fakes (reals too where
            both vary), or a ``least`` outside 2 to the number of samples less 1.

    Warns:
        FewSamplesWarning: where ``least`` is not above the number of features; the line does not hold there.
    """
    real, fake = checked_pair(real, fake)
    most = min(len(real), len(fake)) if vary == "both" else len(fake)
    width = fake.shape[1]
    start = min(max(most // 5, 2 * width), most // 2) if least is None else least
    if points < 3 or most < 8 or not 2 <= start < most:
        raise SteadyganError(
            f"an extrapolation of {points} points from {start} to {most} samples", "give 3 points and 8 samples or more"
        )
    if start <= width:
        warnings.warn(
            f"an extrapolation from {start} samples in {width} features: give at least {4 * width} samples",
            FewSamplesWarning,
            stacklevel=2,
        )
    shares = torch.linspace(1.0 / start, 1.0 / most, points, dtype=torch.float64)
    counts = [round(1.0 / share) for share in shares.tolist()]
    source = torch.Generator().manual_seed(seed)
    whole = gaussian_statistics(real) if vary == "fake" else None
    distances = [_mean_distance(real, fake, whole, count, source) for count in counts]
    value, slope, error = _line([1.0 / count for count in counts], distances)
    return FrechetInfinity(value, error, slope, tuple(counts), tuple(distances))


def _mean_distance(
    real: Tensor, fake: Tensor, whole: tuple[Tensor, Tensor] | None, count: int, source: torch.Generator
) -> float:
    """The mean distance over disjoint random subsets of ``count`` fakes, to all reals or to as many of them."""
    fakes = torch.randperm(len(fake), generator=source).to(fake.device)
    reals = torch.randperm(len(real), generator=source).to(real.device)
    subsets = len(fake) // count if whole is not None else min(len(fake), len(real)) // count
    total = 0.0
    for part in (slice(place * count, (place + 1) * count) for place in range(subsets)):
        reference = gaussian_statistics(real[reals[part]]) if whole is None else whole
        total += frechet_distance(*reference, *gaussian_statistics(fake[fakes[part]]))
    return total / subsets


def _line(places: list[float], heights: list[float]) -> tuple[float, float, float]:
    """Intercept, slope, and the standard error of the intercept, of the line of least squares."""
    x, y = torch.tensor(places, dtype=torch.float64), torch.tensor(heights, dtype=torch.float64)
    spread = (x - x.mean()).square().sum()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    intercept = y.mean() - slope * x.mean()
    noise = (y - intercept - slope * x).square().sum() / (len(x) - 2)
    error = (noise * (1.0 / len(x) + x.mean().square() / spread)).sqrt()
    return float(intercept), float(slope), float(error)


def _root_trace(first: Tensor, second: Tensor, outer: float) -> float:
    """tr (C1 C2)^½, by the cheapest way that keeps the digits of the distance."""
    factor = _cholesky(first)
    if factor is not None:
        values = torch.linalg.eigvalsh(factor.T @ second @ factor).clamp(min=0.0)
        total = float(values.sqrt().sum())
        if _lost(values) <= MOST_LOST * abs(outer - 2.0 * total):
            return total
    left = _factor(first) if factor is None else factor
    right = _cholesky(second)
    return float(torch.linalg.svdvals(left.T @ (_factor(second) if right is None else right)).sum())


def _lost(values: Tensor) -> float:
    """What rounding takes from the sum of the roots of eigenvalues.

    Each is off by about eps times the largest, its root by that over twice the root; errors of either sign, so that
    they add as squares. What should be 0 is not, and such roots are all too large: they add as they are.
    """
    slip = torch.finfo(torch.float64).eps * values[-1]
    large = values > slip
    return float((slip / (2.0 * values[large].sqrt())).norm() + (~large).sum() * slip.sqrt())


def _cholesky(covariance: Tensor) -> Tensor | None:
    """L with ``L Lᵀ`` equal to the covariance, or None where it has next to no spread in some direction."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(covariance)
    pivots = factor.diagonal()
    if int(failed) or bool(pivots.min() ** 2 < SMALLEST_PIVOT * pivots.max() ** 2):
        return None
    return factor


def _checked(mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    if mean.dim() != 1 or len(mean) == 0 or covariance.shape != (len(mean), len(mean)):
        raise SteadyganError(
            f"a mean of shape {tuple(mean.shape)} with a covariance of shape {tuple(covariance.shape)}",
            "give (D,) and (D, D)",
        )
    mean = mean.detach().to(device="cpu", dtype=torch.float64)
    covariance = covariance.detach().to(device="cpu", dtype=torch.float64)
    if not (bool(mean.isfinite().all()) and bool(covariance.isfinite().all())):
        raise SteadyganError("feature statistics that hold NaN or infinity", "compute them again from sound features")
    return mean, (covariance + covariance.T) / 2.0


def _factor(covariance: Tensor) -> Tensor:
    """A (D, rank) with ``A Aᵀ`` equal to the covariance; directions that are only rounding are left out."""
    values, vectors = torch.linalg.eigh(covariance)
    largest = values[-1].clamp(min=0.0)
    if bool(values[0] < -TOLERATED_NEGATIVE * largest):
        raise SteadyganError(
            f"a covariance with the negative eigenvalue {float(values[0]):.3g}", "give a symmetric, positive matrix"
        )
    kept = values > largest * torch.finfo(torch.float64).eps * len(values)
    factor: Tensor = vectors[:, kept] * values[kept].sqrt()
    return factor
