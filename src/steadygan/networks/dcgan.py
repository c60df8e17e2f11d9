"""Strided convolutions with batch normalisation (Radford et al. 2016), for any size and depth."""

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
from steadygan.networks.layers import Crop, ImageConv2d, PadToEven, PlainConvTranspose2d
from steadygan.networks.options import Options, hidden_widths, resolve
from steadygan.networks.sizes import Shape, check_image_shape, stage_sizes, stage_widths


def _depth(config: NetworkConfig, stages: int) -> int:
    """Layers per resolution; images of one stage (below 16 pixels) get a second one, or nothing would be hidden."""
    return config.depth or (2 if stages == 1 else 1)


def _extras(options: Options, width: int, depth: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(depth - 1):
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=options.bias), *options.after(width)]
    return layers


def _connected(options: Options, inputs: int, config: NetworkConfig) -> tuple[list[nn.Module], int]:
    """Fully connected layers of the widths that ``hidden`` names, none without them, and the width they end with."""
    layers: list[nn.Module] = []
    for width in hidden_widths(config):
        layers += [nn.Linear(inputs, width, bias=options.bias), *options.after(width, vector=True)]
        inputs = width
    return layers, inputs


def dcgan_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int) -> Generator:
    """A linear map to the coarsest size, then transposed 4 x 4 convolutions of stride 2; ReLU, batch norm, tanh.

    ``capacity`` is the width of the last hidden map (half the image's size), doubled at each coarser one up to 8x.
    ``depth`` above 1 adds 3 x 3 convolutions at each hidden size; ``hidden`` names the widths of fully connected layers
    between the latent and the coarsest size (Chen et al. 2016 have one of 1,024).

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    check_latent(latent)
    options = resolve(config, activation="relu", normalisation="batch", initialisation="dcgan")
    embedding = label_embedding(config, latent, classes)
    inputs = latent + (embedding.embedding_dim if embedding else 0)
    sizes = stage_sizes(shape[1], shape[2])
    widths = stage_widths(len(sizes) - 1, config.capacity)
    depth = _depth(config, len(widths))
    coarse = (widths[0], *sizes[0])
    layers, inputs = _connected(options, inputs, config)
    layers += [nn.Linear(inputs, math.prod(coarse), bias=options.bias), nn.Unflatten(1, coarse)]
    layers += [*options.after(widths[0]), *_extras(options, widths[0], depth)]
    for before, width, size in zip(widths, widths[1:], sizes[1:-1], strict=False):
        layers += [nn.ConvTranspose2d(before, width, 4, 2, 1, bias=options.bias), Crop(size)]
        layers += [*options.after(width), *_extras(options, width, depth)]
    layers += [PlainConvTranspose2d(widths[-1], shape[0], 4, 2, 1), Crop(sizes[-1])]
    return finished_generator(Sequence(*layers), options, latent, shape, config.output or "tanh", embedding)


def dcgan_discriminator(config: NetworkConfig, shape: Shape, classes: int) -> Discriminator:
    """4 x 4 convolutions of stride 2 down to the coarsest size; leaky ReLU, batch norm but on the first layer.

    ``hidden`` names the widths of fully connected layers behind them, the last of which are the features.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    options = resolve(config, activation="leaky-relu", normalisation="batch", initialisation="dcgan")
    sizes = stage_sizes(shape[1], shape[2])
    widths = stage_widths(len(sizes) - 1, config.capacity)[::-1]
    depth = _depth(config, len(widths))
    layers: list[nn.Module] = []
    before = judged_shape(config, shape, classes)[0]
    for step, width in enumerate(widths):
        layers += [PadToEven(), ImageConv2d(before, width, 4, 2, 1, bias=options.bias or step == 0)]
        layers += [*options.after(width, normalised=step > 0), *_extras(options, width, depth)]
        before = width
    connected, features = _connected(options, before * math.prod(sizes[0]), config)
    layers += [*options.statistic_tail(before), nn.Flatten(), *connected]
    return finished_discriminator(Sequence(*layers), features, options, shape, config, classes)
