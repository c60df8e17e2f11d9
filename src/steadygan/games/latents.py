"""Latents: the generator's random input, by distribution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def normal(
    count: int, size: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """N(0, I), (count, size)."""
    return torch.randn(count, size, generator=generator, device=device)


def uniform(
    count: int, size: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """U(-1, 1), (count, size)."""
    return torch.rand(count, size, generator=generator, device=device) * 2 - 1


def sphere(
    count: int, size: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Normal scaled to length sqrt(size), so that every latent is as long as a typical normal one, (count, size)."""
    latent = normal(count, size, generator, device)
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True)
    scaled: Tensor = latent * (size**0.5 / length.clamp_min(1e-12))
    return scaled


Latents = Callable[[int, int, torch.Generator | None, torch.device | None], Tensor]

LATENTS: dict[str, Latents] = {"normal": normal, "uniform": uniform, "sphere": sphere}
