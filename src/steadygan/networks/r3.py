"""The default pair: residual, without normalisation, in the manner of R3GAN (Huang et al. 2024).

What is kept of the paper: blocks of 1 x 1, 3 x 3 and 1 x 1 convolutions whose last one starts at 0 (Fix-up), leaky
ReLU with weights scaled for it, smooth resampling kept apart from the convolutions, a learned basis of maps that the
latent modulates at the generator's start, and a convolution as large as the map, channel by channel, at the
discriminator's end.
What differs is for the sake of small machines: no groups and no inner widening, which cost a CPU more than they give,
and no blocks at full resolution above 16 pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
from steadygan.networks.layers import Crop, Halve, PadToEven, PlainConv2d, ResidualBlock, SmoothDoubling, Upsample
from steadygan.networks.options import Options, resolve
from steadygan.networks.sizes import Shape, Size, check_image_shape, stage_sizes, stage_widths

FULL_RESOLUTION_LIMIT = 16
"""Images up to this size have blocks at full resolution, larger ones from half resolution downwards."""
SHALLOW_LIMIT = 64
"""Images up to this size have one block at each size by default, larger ones two."""
BASIS_FACTOR = 4
"""Maps in the generator's basis over the width of its coarsest stage. More maps give a narrow
network more ways to begin an image, at the coarsest size where they are cheap."""
FEATURES_FACTOR = 2
"""Features of the discriminator over the width of its coarsest stage."""


class R3Block(ResidualBlock):
    """x + branch(x): 1 x 1, 3 x 3, 1 x 1, an activation between; the last starts at 0."""

    def __init__(self, options: Options, width: int) -> None:
        super().__init__()
        bias = options.bias
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 1, bias=bias),
            *options.after(width),
            nn.Conv2d(width, width, 3, padding=1, bias=bias),
            *options.after(width),
            PlainConv2d(width, width, 1),
        )

    def branch_layers(self) -> list[nn.Module]:
        """The three convolutions."""
        return [layer for layer in self.branch if isinstance(layer, nn.Conv2d)]

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        out: Tensor = values + self.branch(values)
        return out


class Basis(nn.Module):
    """A learned map for each channel, times an affine function of the latent: (N, Z) to (N, C, h, w)."""

    def __init__(self, latent: int, width: int, size: Size) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(width, *size))
        self.modulate = nn.Linear(latent, width)

    def forward(self, latent: Tensor) -> Tensor:
        """maps[c] * modulate(latent)[n, c]."""
        factors: Tensor = self.modulate(latent)
        return self.maps * factors[:, :, None, None]


def _sizes(shape: Shape) -> list[Size]:
    """Sizes at which blocks stand, coarsest first."""
    sizes = stage_sizes(shape[1], shape[2])
    return sizes if max(shape[1:]) <= FULL_RESOLUTION_LIMIT else sizes[:-1]


def _depth(config: NetworkConfig, shape: Shape) -> int:
    return config.depth or (1 if max(shape[1:]) <= SHALLOW_LIMIT else 2)


def _resolve(config: NetworkConfig) -> Options:
    return resolve(config, activation="leaky-relu", normalisation="none", initialisation="fixup")


def _to_image(width: int, shape: Shape, finest: Size) -> list[nn.Module]:
    if finest == shape[1:]:
        return [PlainConv2d(width, shape[0], 3, padding=1)]
    return [SmoothDoubling(width, shape[0], 4, 2, 1), Crop((shape[1], shape[2]))]


def _from_image(width: int, shape: Shape, finest: Size) -> list[nn.Module]:
    if finest == shape[1:]:
        return [PlainConv2d(shape[0], width, 3, padding=1)]
    return [PadToEven(), PlainConv2d(shape[0], width, 4, 2, 1)]


def r3_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int) -> Generator:
    """Modulated basis, residual blocks, bilinear doubling between sizes, and a 4 x 4 convolution to the image.

    The image goes through a leaky tanh unless another output is asked for.

    ``capacity`` is the width at the finest size with blocks (half the image's, or the image's own up to 16 pixels),
    doubled at each coarser one up to 8x; ``depth`` is the number of blocks at each size.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    check_latent(latent)
    options = _resolve(config)
    embedding = label_embedding(config, latent, classes)
    inputs = latent + (embedding.embedding_dim if embedding else 0)
    sizes = _sizes(shape)
    widths = stage_widths(len(sizes), config.capacity)
    maps = BASIS_FACTOR * widths[0]
    layers: list[nn.Module] = [Basis(inputs, maps, sizes[0]), PlainConv2d(maps, widths[0], 1)]
    for step, (width, size) in enumerate(zip(widths, sizes, strict=True)):
        if step:
            if width != widths[step - 1]:
                layers.append(PlainConv2d(widths[step - 1], width, 1))
            layers.append(Upsample(size, "bilinear"))
        layers += [R3Block(options, width) for _ in range(_depth(config, shape))]
    layers += [options.activate(), *_to_image(widths[-1], shape, sizes[-1])]
    return finished_generator(Sequence(*layers), options, latent, shape, config.output or "leaky-tanh", embedding)


def r3_discriminator(config: NetworkConfig, shape: Shape, classes: int) -> Discriminator:
    """A 4 x 4 convolution from the image, residual blocks, averaging between sizes, a depth-wise basis at the end.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    options = _resolve(config)
    sizes = _sizes(shape)[::-1]
    widths = stage_widths(len(sizes), config.capacity)[::-1]
    layers = _from_image(widths[0], judged_shape(config, shape, classes), sizes[0])
    for step, width in enumerate(widths):
        if step:
            layers.append(Halve())
            if width != widths[step - 1]:
                layers.append(PlainConv2d(widths[step - 1], width, 1))
        layers += [R3Block(options, width) for _ in range(_depth(config, shape))]
    width, features = widths[-1], FEATURES_FACTOR * widths[-1]
    layers += [*options.statistic_tail(width), options.activate(), nn.Conv2d(width, features, 1), options.activate()]
    layers += [PlainConv2d(features, features, sizes[-1], groups=features), nn.Flatten()]
    return finished_discriminator(Sequence(*layers), features, options, shape, config, classes)
