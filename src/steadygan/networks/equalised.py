"""Equalised learning rates: weights that are scaled when they are used (Karras et al. 2018)."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.utils import parametrize

from steadygan.networks.activations import gain
from steadygan.networks.initialisations import fans, weighted_layers
from steadygan.networks.layers import Unactivated


class Scaled(nn.Module):
    """A constant times what is learned."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        """The weight as the layer uses it, of any shape."""
        return values * self.factor

    def right_inverse(self, values: Tensor) -> Tensor:
        """What is learned where the layer is to use ``values``."""
        return values / self.factor


def equalise(module: nn.Module, activation: str) -> None:
    """Learn ``v`` with ``w = c v``, where ``c = gain / sqrt(inputs)`` is He's deviation of each layer.

    What the layers compute stays as it is. An optimizer that divides by the size of gradients, as Adam does, then moves
    every layer at a rate in proportion to its own scale. Layers whose weights are already made from others, as by
    spectral normalisation, are left alone.
    """
    for layer in weighted_layers(module):
        if not parametrize.is_parametrized(layer):
            boost = 1.0 if isinstance(layer, Unactivated) else gain(activation)
            parametrize.register_parametrization(layer, "weight", Scaled(boost / math.sqrt(fans(layer)[0])))
