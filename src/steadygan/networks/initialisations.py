"""Initial weights by name. Every function draws from torch's global random numbers, in the order of the modules."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from steadygan.networks.activations import gain
from steadygan.networks.layers import ResidualBlock, SmoothDoubling, Unactivated

WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""Layers that the table initialises; embeddings and bases start as their makers leave them."""

Weighted = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


def weighted_layers(module: nn.Module) -> list[Weighted]:
    """Linear and convolutional layers in the order of the modules."""
    return [layer for layer in module.modules() if isinstance(layer, WEIGHTED)]


def fans(layer: Weighted) -> tuple[float, float]:
    """Inputs that one output sums over, and outputs that one input reaches; strides counted."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    area = math.prod(layer.kernel_size)
    inside, outside = area * layer.in_channels / layer.groups, area * layer.out_channels / layer.groups
    stride = math.prod(layer.stride)
    return (inside / stride, outside) if isinstance(layer, nn.ConvTranspose2d) else (inside, outside / stride)


def _gain(layer: nn.Module, activation: str) -> float:
    return 1.0 if isinstance(layer, Unactivated) else gain(activation)


def _zero_bias(layer: Weighted) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def dcgan(module: nn.Module, activation: str) -> None:
    """Weights N(0, .02), scales of batch norm N(1, .02), biases 0 (Radford et al. 2016)."""
    for layer in module.modules():
        if isinstance(layer, WEIGHTED):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            _zero_bias(layer)
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)


def orthogonal(module: nn.Module, activation: str) -> None:
    """Orthogonal weights times the gain of the activation (Saxe et al. 2014), biases 0."""
    for layer in weighted_layers(module):
        nn.init.orthogonal_(layer.weight, _gain(layer, activation))
        _zero_bias(layer)


def he(module: nn.Module, activation: str) -> None:
    """N(0, gain^2 / inputs), biases 0 (He et al. 2015)."""
    for layer in weighted_layers(module):
        nn.init.normal_(layer.weight, 0.0, _gain(layer, activation) / math.sqrt(fans(layer)[0]))
        _zero_bias(layer)


def xavier(module: nn.Module, activation: str) -> None:
    """U(-a, a), a = gain sqrt(6 / (inputs + outputs)), biases 0 (Glorot and Bengio 2010)."""
    for layer in weighted_layers(module):
        bound = _gain(layer, activation) * math.sqrt(6 / sum(fans(layer)))
        nn.init.uniform_(layer.weight, -bound, bound)
        _zero_bias(layer)


def fixup(module: nn.Module, activation: str) -> None:
    """He, with the branches of L residual blocks scaled so that the sum neither grows nor starts off (Zhang 2019).

    The last layer of a branch of m layers starts at 0, the others are scaled by L^(-1 / (2m - 2)).
    """
    he(module, activation)
    for layer in weighted_layers(module):
        if isinstance(layer, SmoothDoubling):
            layer.start_smooth()
    blocks = [block for block in module.modules() if isinstance(block, ResidualBlock)]
    with torch.no_grad():
        for block in blocks:
            *inner, last = [layer for layer in block.branch_layers() if isinstance(layer, WEIGHTED)]
            for weighted in inner:
                weighted.weight.mul_(len(blocks) ** (-1 / (2 * len(inner))))
            last.weight.zero_()


INITIALISATIONS: dict[str, Callable[[nn.Module, str], None]] = {
    "dcgan": dcgan,
    "orthogonal": orthogonal,
    "he": he,
    "xavier": xavier,
    "fixup": fixup,
}
"""Name to function of a module and the name of its activation."""
