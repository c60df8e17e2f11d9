"""Two-dimensional mixtures of Gaussians, on which dropped modes can be counted."""

from __future__ import annotations

import math

import torch


def ring(
    count: int, generator: torch.Generator, *, modes: int = 8, radius: float = 1.0, std: float = 0.01
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points of a mixture whose centres lie evenly on a circle.

    Args:
        count: number of points.
        generator: source of randomness; it decides the device.
        modes: number of Gaussians K.
        radius: of the circle.
        std: standard deviation of each Gaussian, in every direction.

    Returns:
        Points (count, 2) and centres (K, 2), both float32.
    """
    angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    centres = (radius * torch.stack((angles.cos(), angles.sin()), dim=1)).float()
    return _mixture(count, centres, std, generator)


def grid(
    count: int, generator: torch.Generator, *, side: int = 5, spacing: float = 2.0, std: float = 0.05
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points of a mixture whose centres lie on a square grid around the origin.

    Args:
        count: number of points.
        generator: source of randomness; it decides the device.
        side: Gaussians along one side; there are ``side * side``.
        spacing: distance between neighbouring centres.
        std: standard deviation of each Gaussian, in every direction.

    Returns:
        Points (count, 2) and centres (side * side, 2), both float32.
    """
    line = (torch.arange(side, dtype=torch.float32) - (side - 1) / 2) * spacing
    return _mixture(count, torch.cartesian_prod(line, line), std, generator)


def _mixture(
    count: int, centres: torch.Tensor, std: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    device = generator.device
    centres = centres.to(device)
    picked = torch.randint(len(centres), (count,), generator=generator, device=device)
    noise = torch.randn(count, 2, generator=generator, device=device)
    return centres[picked] + std * noise, centres
