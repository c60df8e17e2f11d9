"""The sliced Wasserstein distance between two sets of features: exact in one dimension, averaged over directions."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.frechet import checked_pair

BLOCK = 32
"""Directions that are projected at once."""


class SlicedDistance(NamedTuple):
    """A sliced Wasserstein distance, with the error that comes from the choice of directions alone."""

    value: float
    standard_error: float
    projections: int
    order: int


def wasserstein_1d(real: Tensor, fake: Tensor, *, order: int = 2) -> Tensor:
    """The p-th power of the Wasserstein-p distance of each column of (N, P) to that of (M, P): P values, exact.

    ``∫ |F⁻¹(q) - G⁻¹(q)|^p dq`` over the quantiles q of both samples; N and M may differ.

    Raises:
        SteadyganError: for an order other than 1 or 2, empty sides, or shapes that do not fit.
    """
    if order not in (1, 2):
        raise SteadyganError(f"a Wasserstein distance of order {order}", "give order 1 or 2")
    real, fake = (side.double() for side in checked_pair(real, fake, least=1))
    first, second = real.sort(0).values, fake.sort(0).values
    n, m = len(first), len(second)
    if n == m:
        return (first - second).abs().pow(order).mean(0)
    # Quantiles in units of 1/(N M), where the steps of both sides are whole numbers and meet exactly.
    edges = torch.unique(torch.cat([torch.arange(n + 1) * m, torch.arange(1, m) * n]))
    widths = edges.diff().to(first) / (n * m)
    starts = edges[:-1].to(first.device)
    powers: Tensor = widths @ (first[starts // m] - second[starts // n]).abs().pow(order)
    return powers


def sliced_wasserstein(
    real: Tensor, fake: Tensor, *, order: int = 2, projections: int = 512, seed: int = 0
) -> SlicedDistance:
    """The sliced Wasserstein-1 or -2 distance of features (N, D) to (M, D), in the features' unit; 0 or more.

    ``(mean over directions u of W_p(u·x, u·y)^p)^(1/p)`` over ``projections`` directions drawn evenly from the sphere;
    for D = 1 the one direction is exact. A shift by δ gives ``|δ|/√D`` for p = 2. The standard error is that of the
    mean over directions (delta method for p = 2), not that of the samples. The order of the rows does not matter
    beyond 1e-12.

    Paper: Bonneel et al. 2015, Sliced and Radon Wasserstein Barycenters of Measures.

    Raises:
        SteadyganError: for empty sides, shapes that do not fit, NaN or infinity, an order other than 1 or 2, or no
            projections.
    """
    if projections < 1:
        raise SteadyganError(f"{projections} projections", "give at least 1")
    real, fake = (side.double() for side in checked_pair(real, fake, least=1))
    width = real.shape[1]
    if width == 1:
        return SlicedDistance(float(wasserstein_1d(real, fake, order=order)[0]) ** (1.0 / order), 0.0, 1, order)
    source = torch.Generator().manual_seed(seed)
    directions = torch.randn(width, projections, generator=source, dtype=torch.float64).to(real.device)
    directions /= directions.norm(dim=0)
    parts = torch.split(directions, BLOCK, 1)
    powers = torch.cat([wasserstein_1d(real @ part, fake @ part, order=order) for part in parts])
    mean = float(powers.mean())
    if not math.isfinite(mean):
        raise SteadyganError("features too large for a sliced distance", "scale them to a sensible range")
    error = float(powers.std()) / math.sqrt(projections) if projections > 1 else math.nan
    value = mean ** (1.0 / order)
    if order == 2:
        error = error / (2.0 * value) if value > 0.0 else 0.0
    return SlicedDistance(value, error, projections, order)
