"""The space in which a check-up compares images, and the distance and spread there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 32
"""Longest side at which images are looked at; larger ones are reduced first."""
COMPONENTS = 48
"""Principal components that are kept."""
FITTED = 1024
"""Rows that the components are fitted on."""
ROWS_A_COMPONENT = 8
"""Rows that a component asks for: fewer would fit the rows and not the data."""
WHITENING = 0.25
"""Power of a component's variance that it is divided by: 0 leaves pixels as they are, 0.5 is full whitening."""
LEAST = 1e-3
"""A component's variance counts as at least this share of the first one's: rounding must not be blown up."""


def reduced(images: Tensor, side: int = SIDE) -> Tensor:
    """Images (N, C, H, W) with sides of at most ``side`` pixels, reduced without aliasing; small ones as they are."""
    height, width = images.shape[-2:]
    shrink = max(height, width) / side
    if shrink <= 1.0:
        return images
    size = (max(1, round(height / shrink)), max(1, round(width / shrink)))
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


@dataclass(frozen=True)
class Space:
    """Principal components of reduced real images, half whitened, and how much of an image they leave out.

    ``f_i = u_i · (x - m) / max(v_i, v_1 / 1000)^(1/4)`` for the first 48 components u_i with variance v_i, in units in
    which the mean square of a real component is 1; the last feature is ``asinh((r - E r) / σ_r)`` of the length r of
    what the components leave out, mean and deviation over the reals. So fine noise and blur are seen though no
    component shows them. Needs no training and no random numbers.
    """

    mean: Tensor
    basis: Tensor
    """(D, F): unit columns."""
    scale: Tensor
    """(F,)"""
    rest: tuple[float, float]
    """Mean and standard deviation of the length that is left out."""

    @classmethod
    @torch.no_grad()
    def of(cls, reals: Tensor) -> Space:
        """Fitted on real images (N, C, H, W), N at least 2."""
        values = reduced(reals[:FITTED].float()).flatten(1)
        rows = values.cpu().double()
        centre = rows.mean(0)
        rows = rows - centre
        variance, basis = _components(rows, min(COMPONENTS, max(1, len(rows) // ROWS_A_COMPONENT)))
        first = float(variance[0])
        scale = variance.clamp(min=max(first * LEAST, 1e-12)).pow(-WHITENING)
        seen = rows @ basis
        size = float((seen * scale).square().mean().sqrt())
        scale = scale / size if size > 0 else torch.ones_like(scale)
        left = (rows.square().sum(1) - seen.square().sum(1)).clamp(min=0).sqrt()
        own = reals.device
        # components that hold nearly everything leave a rest that is rounding: it must not become a feature
        spread = max(float(left.std()), 0.02 * float(rows.square().sum(1).mean().sqrt()), 1e-6)
        return cls(centre.float().to(own), basis.float().to(own), scale.float().to(own), (float(left.mean()), spread))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Features (N, F + 1), float32 on the CPU, of images (N, C, H, W)."""
        rows = reduced(images.float()).flatten(1) - self.mean
        seen = rows @ self.basis
        left = (rows.square().sum(1) - seen.square().sum(1)).clamp(min=0).sqrt()
        # the logarithm far out keeps this one feature from outweighing all others
        odd = ((left - self.rest[0]) / self.rest[1]).asinh()
        return torch.cat([seen * self.scale, odd[:, None]], 1).cpu()


def _components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Variances (F,) and unit directions (D, F) of the largest components of centred rows (N, D)."""
    samples, width = rows.shape
    if width <= samples:
        values, vectors = torch.linalg.eigh(rows.T @ rows / samples)
        return values.flip(0)[:count].clamp(min=0), vectors.flip(1)[:, :count]
    values, vectors = torch.linalg.eigh(rows @ rows.T / samples)
    values, vectors = values.flip(0)[:count].clamp(min=0), vectors.flip(1)[:, :count]
    directions = rows.T @ vectors
    return values, directions / directions.norm(dim=0).clamp(min=1e-12)


def energy_distance(real: Tensor, fake: Tensor, real_spread: float, fake_spread: float) -> float:
    """``2 E|x - y| - E|x - x'| - E|y - y'|`` over all pairs of different rows (N, D) and (M, D), unbiased.

    The spreads are the mean pairwise distances of either side. A kernel distance (its kernel is ``-|x - y|``) that
    grows no faster than the features themselves, so that one mad sample does not drown the others. 0 on average for
    equal laws. Paper: Sejdinovic et al. 2013, Equivalence of Distance-Based and RKHS-Based Statistics.
    """
    return 2.0 * float(torch.cdist(fake.double(), real.double()).mean()) - real_spread - fake_spread
