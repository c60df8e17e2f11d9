"""Self-attention in residual networks with spectral normalisation in both players (Zhang et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadygan.config import NetworkConfig
from steadygan.networks.contract import (
    Discriminator,
    Generator,
    check_latent,
    finished_discriminator,
    judged_shape,
    needed_classes,
)
from steadygan.networks.layers import PlainConv2d
from steadygan.networks.options import resolve
from steadygan.networks.sizes import Shape, check_image_shape, stage_sizes, stage_widths
from steadygan.networks.sngan import DiscriminatorBody, GeneratorBody

LARGEST = 32
"""Attention compares every place with every fourth one, so it stands at sides of at most this many pixels."""
NARROWER = 8
"""Channels of the map over those of queries and keys."""


class SelfAttention(nn.Module):
    """x + γ o, where each place of o is a mean of all places, weighted by how well they answer it; γ starts at 0.

    With queries q, keys k and values v that are 1 x 1 convolutions of x, k and v pooled over 2 x 2 places:
    ``o_i = W Σ_j softmax_j(q_i · k_j) v_j``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // NARROWER), max(1, channels // 2)
        self.query = PlainConv2d(channels, narrow, 1, bias=False)
        self.key = PlainConv2d(channels, narrow, 1, bias=False)
        self.value = PlainConv2d(channels, half, 1, bias=False)
        self.project = PlainConv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor, label: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to the same shape; the label is not looked at."""
        queries = self.query(maps).flatten(2)
        keys = F.max_pool2d(self.key(maps), 2, ceil_mode=True).flatten(2)
        values = F.max_pool2d(self.value(maps), 2, ceil_mode=True).flatten(2)
        weights = (queries.transpose(1, 2) @ keys).softmax(2)
        mixed = (values @ weights.transpose(1, 2)).unflatten(2, maps.shape[2:])
        out: Tensor = maps + self.gamma * self.project(mixed)
        return out


def attended(shape: Shape) -> int:
    """The number, from the coarsest, of the size at which attention stands: half the image's, or the largest below 33.

    The paper has it at 32 x 32 of 128 x 128.
    """
    sizes = stage_sizes(shape[1], shape[2])[:-1]
    return max(index for index, size in enumerate(sizes) if index == 0 or max(size) <= LARGEST)


def sagan_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int) -> Generator:
    """The generator of ``sngan`` with self-attention at half the image's size and spectral normalisation.

    ``capacity`` is the width at full resolution, doubled at each coarser size up to 8x.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    check_latent(latent)
    options = resolve(config, activation="relu", normalisation="batch", initialisation="xavier", spectral_norm=True)
    needed = needed_classes(config, classes)
    body = GeneratorBody(config, options, shape, latent, needed)
    place = attended(shape)
    width = stage_widths(len(stage_sizes(shape[1], shape[2])), config.capacity)[place]
    body.blocks.insert(place * (config.depth or 1), SelfAttention(width))
    generator = Generator(
        body, latent, shape, output=config.output or "tanh", labelled=needed > 0, virtual=options.virtual
    )
    options.finish(generator)
    return generator


def sagan_discriminator(config: NetworkConfig, shape: Shape, classes: int) -> Discriminator:
    """The discriminator of ``sngan`` with self-attention at half the image's size; sum pooling, projection of labels.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    options = resolve(config, activation="relu", normalisation="none", initialisation="xavier", spectral_norm=True)
    body = DiscriminatorBody(config, options, judged_shape(config, shape, classes))
    stages, place = len(stage_sizes(shape[1], shape[2])) - 1, attended(shape)
    width = stage_widths(stages, config.capacity)[place]
    body.blocks.insert((stages - place) * (config.depth or 1), SelfAttention(width))
    return finished_discriminator(body, body.width, options, shape, config, classes)
