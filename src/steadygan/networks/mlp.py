"""Fully connected networks, for small images and for plain vectors (2-D mixtures)."""

from __future__ import annotations

import math

from torch import nn

from steadygan.config import NetworkConfig
from steadygan.networks.contract import (
    Discriminator,
    Generator,
    Sequence,
    check_latent,
    finished_discriminator,
    finished_generator,
    judged_shape,
    label_embedding,
)
from steadygan.networks.layers import MinibatchStd, PlainLinear
from steadygan.networks.options import Options, hidden_widths, resolve
from steadygan.networks.sizes import Shape, check_any_shape

WIDTH_FACTOR = 4
"""Narrowest hidden width over ``capacity``: the default capacity 32 gives 128 and 256."""
WIDEST_FACTOR = 32
DEFAULT_DEPTH = 2


def mlp_widths(config: NetworkConfig) -> list[int]:
    """Hidden widths of a generator: ``hidden`` as it stands, or 4, 8, 16, 32, 32, ... times the capacity.

    Raises:
        SteadyganError: a width outside 1 to 65,536.
    """
    if config.hidden is not None:
        return hidden_widths(config)
    depth = config.depth or DEFAULT_DEPTH
    return [config.capacity * min(WIDTH_FACTOR * 2**step, WIDEST_FACTOR) for step in range(depth)]


def _hidden(options: Options, inputs: int, widths: list[int], *, skip_first: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    pieces = getattr(options.activate(), "pieces", 1)
    for step, width in enumerate(widths):
        normalised = not (skip_first and step == 0)
        layers.append(nn.Linear(inputs, width * pieces, bias=options.bias or not normalised))
        layers += options.after(width * pieces, normalised=normalised, vector=True)
        inputs = width
    return layers


def mlp_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int) -> Generator:
    """Latent, hidden layers, image; 100-128-256-784 with leaky ReLU at the default capacity and 28 x 28.

    Vectors (D, 1, 1) come out unbounded by default, images through tanh.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_any_shape(shape)
    check_latent(latent)
    options = resolve(config, activation="leaky-relu", normalisation="none", initialisation="he", maxout=True)
    embedding = label_embedding(config, latent, classes)
    inputs = latent + (embedding.embedding_dim if embedding else 0)
    widths = mlp_widths(config)
    layers = _hidden(options, inputs, widths, skip_first=False)
    layers += [PlainLinear(widths[-1] if widths else inputs, math.prod(shape)), nn.Unflatten(1, shape)]
    output = config.output or ("linear" if shape[1:] == (1, 1) else "tanh")
    return finished_generator(Sequence(*layers), options, latent, shape, output, embedding)


def mlp_discriminator(config: NetworkConfig, shape: Shape, classes: int) -> Discriminator:
    """Image, hidden layers, logit; 784-256-128-1 at the default capacity. No normalisation of the first layer.

    ``activation`` "maxout" gives the units of PacGAN's mixtures (Lin et al. 2018).

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_any_shape(shape)
    options = resolve(config, activation="leaky-relu", normalisation="none", initialisation="he", maxout=True)
    widths = mlp_widths(config)
    if config.hidden is None:
        widths.reverse()
    inputs = math.prod(judged_shape(config, shape, classes))
    layers = [nn.Flatten(), *_hidden(options, inputs, widths, skip_first=True)]
    features = widths[-1] if widths else inputs
    if options.minibatch_std:
        layers.append(MinibatchStd())
        features += 1
    return finished_discriminator(Sequence(*layers), features, options, shape, config, classes)
