"""Traits of a picture that need no network: thickness, slant, brightness, size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Trait = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) in [-1, 1] to a value each, (N,)."""


def light(images: Tensor) -> Tensor:
    """Mean of the channels, 0 (dark) to 1 (light), (N, H, W) float64."""
    return (images.detach().double().mean(1) + 1) / 2


def ink(images: Tensor) -> Tensor:
    """How far each pixel is from the background, the median of the picture's edge; 0 to 1, (N, H, W)."""
    grey = light(images)
    edge = torch.cat([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], 1)
    found: Tensor = (grey - edge.median(1).values[:, None, None]).abs()
    return found


def brightness(images: Tensor) -> Tensor:
    """Mean of all pixels, 0 to 1, (N,)."""
    return light(images).mean((1, 2))


def size(images: Tensor) -> Tensor:
    """Mean distance (root of the mean square) of the ink from its centre, in pixels, (N,)."""
    across, down, _ = _moments(images)
    return (across + down).sqrt()


def slant(images: Tensor) -> Tensor:
    """How far the ink leans to the right, in degrees from upright: atan(-cov(x, y) / var(y)), y downwards, (N,)."""
    _, down, both = _moments(images)
    return torch.rad2deg(torch.atan(-both / down.clamp_min(1e-9)))


def thickness(images: Tensor) -> Tensor:
    """Width of the strokes in pixels: twice the ink's area over the length of its outline, (N,).

    The outline is the ink's total variation, for which a stroke of width w and length l has about 2 l.
    """
    pad = torch.nn.functional.pad(ink(images), (1, 1, 1, 1))
    across, down = pad[:, 1:, 1:] - pad[:, 1:, :-1], pad[:, 1:, 1:] - pad[:, :-1, 1:]
    outline = (across.square() + down.square()).sqrt().sum((1, 2))
    return 2 * pad.sum((1, 2)) / outline.clamp_min(1e-6)


def _moments(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Variance across, variance down and covariance of the places of the ink, in pixels squared."""
    weight = ink(images)
    weight = weight / weight.sum((1, 2), keepdim=True).clamp_min(1e-9)
    y = torch.arange(weight.shape[1], dtype=torch.float64, device=weight.device)[None, :, None]
    x = torch.arange(weight.shape[2], dtype=torch.float64, device=weight.device)[None, None, :]
    x = x - (weight * x).sum((1, 2), keepdim=True)
    y = y - (weight * y).sum((1, 2), keepdim=True)
    return (weight * x * x).sum((1, 2)), (weight * y * y).sum((1, 2)), (weight * x * y).sum((1, 2))


TRAITS: dict[str, tuple[Trait, str]] = {
    "thickness": (thickness, "pixels"),
    "slant": (slant, "degrees"),
    "brightness": (brightness, "of 1"),
    "size": (size, "pixels"),
}
"""Trait and unit by name."""


def traits_of(images: Tensor) -> dict[str, Tensor]:
    """Every trait by name, each (N,) float64."""
    return {name: trait(images).cpu() for name, (trait, _) in TRAITS.items()}
