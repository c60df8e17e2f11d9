"""Activations by name, and the gain that keeps the variance of a signal through each of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
"""Slope of ``leaky-relu`` below zero, the usual one in adversarial networks (Radford et al. 2016)."""


class SoftplusShifted(nn.Module):
    """softplus(2x + 2) / 2 - 1, a smooth rectifier of the random networks in the WGAN-GP paper (Gulrajani 2017)."""

    def forward(self, values: Tensor) -> Tensor:
        """Elementwise; any shape, range (-1, inf)."""
        return F.softplus(2 * values + 2) / 2 - 1


class Maxout(nn.Module):
    """Largest of ``pieces`` linear maps: (N, width * pieces) to (N, width) (Goodfellow et al. 2013)."""

    def __init__(self, pieces: int = 5) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, values: Tensor) -> Tensor:
        """The maximum over each run of ``pieces`` neighbouring values."""
        return values.reshape(len(values), -1, self.pieces).amax(2)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(SLOPE),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus-shifted": SoftplusShifted,
    "maxout": Maxout,
}
"""Name to maker. ``maxout`` is for ``mlp`` only: it needs several linear maps a unit."""


@functools.cache
def gain(name: str) -> float:
    """Factor on weights that keeps a unit second moment: 1 / sqrt(E f(x)^2) for x ~ N(0, 1) (He et al. 2015)."""
    if name == "maxout":
        return 1 / math.sqrt(1.8)  # Second moment of the largest of five independent normals.
    points = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = torch.exp(-(points**2) / 2)
    moment = (ACTIVATIONS[name]()(points) ** 2 * density).sum() / density.sum()
    return 1 / math.sqrt(moment.item())
