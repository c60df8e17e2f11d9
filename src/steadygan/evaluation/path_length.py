"""Perceptual path length: how fast the image changes, to a feature network's eye, on a walk through latent space."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError

Sample = Callable[[Tensor], Tensor]
"""From latents (N, L) to images (N, C, H, W)."""
Distance = Callable[[Tensor, Tensor], Tensor]
"""From two sets of images to one distance (N,) a pair, of second order in small changes, as squared ones are."""


class PathLength(NamedTuple):
    """Mean of ``kept`` path lengths with its standard error; ``lengths`` (N,) are all, before any were cut off."""

    mean: float
    error: float
    kept: int
    lengths: Tensor


def path_length(
    sample: Sample,
    distance: Distance,
    start: Tensor,
    finish: Tensor,
    *,
    path: Literal["sphere", "line"] = "sphere",
    where: Literal["anywhere", "start"] = "anywhere",
    epsilon: float = 1e-4,
    trim: float = 0.01,
    seed: int = 0,
    chunk: int = 64,
) -> PathLength:
    """Mean of ``distance(sample(z(t)), sample(z(t + ε))) / ε²`` over walks from ``start`` to ``finish`` (N, L).

    ``t`` is uniform in [0, 1] (``anywhere``) or 0 (``start``). ``sphere`` turns from one latent to the other at an even
    angle (for normal and spherical latents), ``line`` goes straight (uniform latents, or a mapped space). The share
    ``trim`` of the smallest and of the largest lengths is left out. With ``squared_distance(features)``, linear
    features B and a linear generator A, on lines between N(0, I) latents, the mean is ``2 tr((BA)ᵀ(BA))``.

    Numbers compare only under one distance, path, place, epsilon and trim. Float32 generators keep about three digits
    at 1e-4: hand them a larger epsilon, or float64. Paper: Karras et al. 2019, A Style-Based Generator Architecture.

    Raises:
        SteadyganError: for latents that do not fit, a name or number that cannot be used, or a length that is NaN.
    """
    _check(start, finish, path, where, epsilon, trim)
    source = torch.Generator().manual_seed(seed)
    times = torch.rand(len(start), 1, generator=source, dtype=torch.float64) if where == "anywhere" else None
    found = []
    with torch.no_grad():
        for at in range(0, len(start), chunk):
            one, two = start[at : at + chunk], finish[at : at + chunk]
            time = torch.zeros(len(one), 1, dtype=torch.float64) if times is None else times[at : at + chunk]
            time = time.to(one.device)
            here = sample(between(one, two, time, path)), sample(between(one, two, time + epsilon, path))
            found.append(distance(*here).detach().double().cpu().flatten() / epsilon**2)
    lengths = torch.cat(found)
    if len(lengths) != len(start) or not bool(lengths.isfinite().all()):
        raise SteadyganError(
            f"{len(lengths)} path lengths for {len(start)} walks, or some that are not finite",
            "check that the distance gives one number a pair, and the generator finite images",
        )
    cut = int(trim * len(lengths))
    kept = lengths.sort().values[cut : len(lengths) - cut]
    error = float(kept.std()) / math.sqrt(len(kept)) if len(kept) > 1 else math.inf
    return PathLength(float(kept.mean()), error, len(kept), lengths)


def squared_distance(features: Callable[[Tensor], Tensor]) -> Distance:
    """The squared Euclidean distance (N,) of two sets of images in ``features``, a function from images to (N, ...)."""

    def distance(first: Tensor, second: Tensor) -> Tensor:
        difference = features(first).double() - features(second).double()
        return difference.flatten(1).square().sum(1)

    return distance


def between(start: Tensor, finish: Tensor, time: Tensor, path: Literal["sphere", "line"]) -> Tensor:
    """The latents (N, L) at ``time`` (N, 1) on the ways from ``start`` (0) to ``finish`` (1), in the type of ``start``.

    ``line``: ``(1 - t) a + t b``. ``sphere``: ``(sin((1 - t) ω) a + sin(t ω) b) / sin ω`` with the angle ω between
    them; a line where they are parallel. Latents of one length keep it on the sphere.
    """
    a, b = start.double(), finish.double()
    if path == "line":
        return (a + time * (b - a)).to(start.dtype)
    lengths = a.norm(dim=1, keepdim=True) * b.norm(dim=1, keepdim=True)
    cosine = (a * b).sum(1, keepdim=True) / lengths.clamp(min=1e-300)
    angle = cosine.clamp(-1, 1).acos()
    straight = angle.sin() < 1e-9
    divisor = torch.where(straight, torch.ones_like(angle), angle.sin())
    left = torch.where(straight, 1 - time, ((1 - time) * angle).sin() / divisor)
    right = torch.where(straight, time, (time * angle).sin() / divisor)
    return (left * a + right * b).to(start.dtype)


def _check(start: Tensor, finish: Tensor, path: str, where: str, epsilon: float, trim: float) -> None:
    if start.dim() != 2 or start.shape != finish.shape or start.numel() == 0:
        raise SteadyganError(
            f"latents of shape {tuple(start.shape)} and {tuple(finish.shape)}", "give two tables (N, L) of one shape"
        )
    if path not in ("sphere", "line") or where not in ("anywhere", "start"):
        raise SteadyganError(f"path {path!r} at {where!r}", "use sphere or line, and anywhere or start")
    if not (0 < epsilon < 1 and 0 <= trim < 0.5):
        raise SteadyganError(f"epsilon {epsilon:g} and trim {trim:g}", "keep epsilon in (0, 1) and trim in [0, 0.5)")
