"""A pyramid of networks: a small image first, then at each finer size what the enlarged one lacks (Denton et al. 2015).

One generator and one discriminator hold all levels. The reals' pyramid is made by averaging 2 x 2 pixels, an image is
enlarged bilinearly, and odd sides are halved upwards, so that 28 x 28 has levels of 7, 14 and 28 and 45 x 30 of
12 x 8, 23 x 15 and 45 x 30.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks.contract import (
    Body,
    Discriminator,
    Generator,
    check_latent,
    finished_discriminator,
    finished_generator,
    judged_shape,
    label_embedding,
)
from steadygan.networks.layers import Crop, Halve, ImageConv2d, PadToEven, PlainConvTranspose2d, Upsample
from steadygan.networks.options import Options, resolve
from steadygan.networks.sizes import COARSEST, Shape, Size, check_image_shape, stage_sizes

COARSE_ENOUGH = 7
"""A pyramid that is left to itself has no level of a smaller side below one that halving twice could not reach."""
LAYERS = 3
"""Most halvings of a level's discriminator."""
WIDEST = 4
"""Levels are at most this many times as wide as the finest one."""


def level_sizes(shape: Shape, levels: int = 0) -> list[Size]:
    """Sizes of the levels, the coarsest first; 0 levels: down to a side of 7 to 13, but at least two levels.

    Raises:
        SteadyganError: more levels than the image can be halved for.
    """
    sizes = stage_sizes(shape[1], shape[2])
    if levels > len(sizes):
        raise SteadyganError(
            f"a pyramid of {levels} levels does not reach {shape[1]}x{shape[2]}: halving ends at "
            f"{sizes[0][0]}x{sizes[0][1]} after {len(sizes) - 1} steps",
            f"choose at most {len(sizes)} levels, or larger images",
        )
    wanted = levels or max(2, sum(min(size) >= COARSE_ENOUGH for size in sizes))
    return sizes[-wanted:]


def split_sizes(latent: int, levels: int) -> list[int]:
    """How many of the latent's values each level gets: half for the coarsest, the rest in equal parts.

    Raises:
        SteadyganError: fewer values than levels.
    """
    if latent < levels:
        raise SteadyganError(
            f"a latent of {latent} cannot be split over {levels} levels", "choose a larger latent.size"
        )
    each = max(1, latent // (2 * (levels - 1))) if levels > 1 else 0
    return [latent - each * (levels - 1), *[each] * (levels - 1)]


def level_widths(levels: int, capacity: int) -> list[int]:
    """Width of each level's maps, the coarsest first: ``capacity`` at the finest, doubling, at most 4 times as wide."""
    return [capacity * min(2**step, WIDEST) for step in reversed(range(levels))]


def beside(made: Tensor, coarse: Tensor) -> Tensor:
    """What a level's discriminator looks at: an image and the enlarged coarser one it was made from, (N, 2C, H, W)."""
    return torch.cat([made, coarse], 1)


class Base(nn.Module):
    """The coarsest level: (N, Z) to (N, C, h, w), a linear map and a transposed convolution."""

    def __init__(self, options: Options, latent: int, width: int, channels: int, size: Size) -> None:
        super().__init__()
        start = (2 * width, (size[0] + 1) // 2, (size[1] + 1) // 2)
        self.layers = nn.Sequential(
            nn.Linear(latent, math.prod(start), bias=options.bias),
            nn.Unflatten(1, start),
            *options.after(start[0]),
            nn.Conv2d(start[0], start[0], 3, padding=1, bias=options.bias),
            *options.after(start[0]),
            PlainConvTranspose2d(start[0], channels, 4, 2, 1),
            Crop(size),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """The small image."""
        image: Tensor = self.layers(latent)
        return image


class Refiner(nn.Module):
    """A finer level: part of the latent (N, Z) and the enlarged image (N, C, H, W) to what that image lacks."""

    def __init__(self, options: Options, latent: int, width: int, channels: int, size: Size, depth: int) -> None:
        super().__init__()
        self.grain_size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        grain = (width, (size[0] + 7) // 8, (size[1] + 7) // 8)
        self.look = nn.Sequential(PadToEven(), nn.Conv2d(channels, width, 4, 2, 1), options.activate())
        self.grain = nn.Sequential(nn.Linear(latent, math.prod(grain)), nn.Unflatten(1, grain), options.activate())
        layers: list[nn.Module] = []
        for _ in range(1 + depth):
            layers += [nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=options.bias), *options.after(2 * width)]
        self.layers = nn.Sequential(*layers, PlainConvTranspose2d(2 * width, channels, 4, 2, 1), Crop(size))

    def forward(self, latent: Tensor, coarse: Tensor) -> Tensor:
        """The difference (N, C, H, W), unbounded."""
        grain = F.interpolate(self.grain(latent), self.grain_size, mode="nearest")
        difference: Tensor = self.layers(torch.cat([self.look(coarse), grain], 1))
        return difference


class PyramidGenerator(Body):
    """All levels in a chain: (N, Z + E) to (N, C, H, W); the label's embedding goes to the coarsest level."""

    def __init__(
        self, config: NetworkConfig, options: Options, shape: Shape, latent: int, extra: int, levels: int
    ) -> None:
        super().__init__()
        self.sizes = level_sizes(shape, levels)
        self.parts = [*split_sizes(latent, len(self.sizes)), extra]
        widths = level_widths(len(self.sizes), config.capacity)
        self.base = Base(options, self.parts[0] + extra, widths[0], shape[0], self.sizes[0])
        finer = list(zip(self.parts[1:], widths[1:], self.sizes[1:], strict=False))
        depth = config.depth or 1
        self.refiners = nn.ModuleList(
            Refiner(options, part, width, shape[0], size, depth) for part, width, size in finer
        )
        self.enlarge = nn.ModuleList(Upsample(size, "bilinear") for size in self.sizes[1:])

    def split(self, values: Tensor) -> list[Tensor]:
        """Each level's part of the latent, the coarsest level's first."""
        base, *finer, extra = torch.split(values, self.parts, 1)
        return [torch.cat([base, extra], 1), *finer]

    def level(self, index: int, part: Tensor, coarse: Tensor | None) -> Tensor:
        """The image of a level from its part of the latent and the enlarged image of the level before."""
        if coarse is None:
            small: Tensor = self.base(part)
            return small
        finer: Tensor = coarse + self.refiners[index - 1](part, coarse)
        return finer

    def enlarged(self, index: int, image: Tensor) -> Tensor:
        """The image of the level before at the size of level ``index``."""
        larger: Tensor = self.enlarge[index - 1](image)
        return larger

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """The finest level's image, each level made from the one before."""
        parts = self.split(values)
        image = self.level(0, parts[0], None)
        for index in range(1, len(parts)):
            image = self.level(index, parts[index], self.enlarged(index, image))
        return image


class PyramidDiscriminator(Body):
    """(N, C, H, W) to the features of all levels side by side, each of its own network."""

    def __init__(self, config: NetworkConfig, options: Options, shape: Shape, levels: int) -> None:
        super().__init__()
        self.sizes = level_sizes(shape, levels)
        self.halve = Halve()
        self.enlarge = nn.ModuleList(Upsample(size, "bilinear") for size in self.sizes[1:])
        widths = level_widths(len(self.sizes), config.capacity)
        built = [
            _level_layers(options, shape[0] * (2 if index else 1), width, size, config.depth or 1)
            for index, (width, size) in enumerate(zip(widths, self.sizes, strict=True))
        ]
        self.levels = nn.ModuleList(layers for layers, _ in built)
        self.widths = [width for _, width in built]

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """The images at every level's size, the coarsest first."""
        found = [images]
        for _ in self.sizes[1:]:
            found.insert(0, self.halve(found[0]))
        return found

    def pairs(self, images: Tensor) -> list[Tensor]:
        """What each level looks at: the coarsest image alone, the others beside the enlarged one before."""
        found = self.pyramid(images)
        return [found[0], *(beside(fine, up(coarse)) for up, (coarse, fine) in self._steps(found))]

    def _steps(self, found: list[Tensor]) -> list[tuple[nn.Module, tuple[Tensor, Tensor]]]:
        return list(zip(self.enlarge, pairwise(found), strict=True))

    def only(self, index: int, pair: Tensor) -> Tensor:
        """Features of one level, those of the others left at 0."""
        features: Tensor = self.levels[index](pair)
        return F.pad(features, (sum(self.widths[:index]), sum(self.widths[index + 1 :])))

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """Features (N, F) of all levels."""
        return torch.cat([level(pair) for level, pair in zip(self.levels, self.pairs(values), strict=True)], 1)


def _level_layers(options: Options, channels: int, width: int, size: Size, depth: int) -> tuple[nn.Sequential, int]:
    """A level's convolutions of stride 2, one more at the last size, and how many features come out of them."""
    layers: list[nn.Module] = []
    before = channels
    for step in range(LAYERS):
        if step and min(size) <= COARSEST:
            break
        after = width * 2**step
        layers += [PadToEven(), ImageConv2d(before, after, 4, 2, 1, bias=options.bias or step == 0)]
        layers += options.after(after, normalised=step > 0)
        before, size = after, ((size[0] + 1) // 2, (size[1] + 1) // 2)
    for _ in range(depth):
        layers += [nn.Conv2d(before, before, 3, padding=1, bias=options.bias), *options.after(before)]
    layers += [*options.statistic_tail(before), nn.Flatten()]
    return nn.Sequential(*layers), before * math.prod(size)


def pyramid_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int, *, levels: int = 0) -> Generator:
    """The coarsest image from noise, then at each level a difference from noise and the enlarged image; batch norm.

    ``capacity`` is the width of the finest level, doubled at each coarser one up to 4x. What comes out is unbounded
    unless another output is asked for.

    Raises:
        SteadyganError: a shape out of range, unknown options, more levels than the image or the latent has room for.
    """
    check_image_shape(shape)
    check_latent(latent)
    options = resolve(config, activation="relu", normalisation="batch", initialisation="dcgan")
    embedding = label_embedding(config, latent, classes)
    extra = embedding.embedding_dim if embedding else 0
    body = PyramidGenerator(config, options, shape, latent, extra, levels)
    return finished_generator(body, options, latent, shape, config.output or "linear", embedding)


def pyramid_discriminator(config: NetworkConfig, shape: Shape, classes: int, *, levels: int = 0) -> Discriminator:
    """A network for each level, which looks at the image and at the enlarged one it was made from.

    The logit of an image is the sum of its levels' logits.

    Raises:
        SteadyganError: a shape out of range, unknown options, more levels than the image can be halved for.
    """
    check_image_shape(shape)
    options = resolve(config, activation="leaky-relu", normalisation="batch", initialisation="dcgan")
    body = PyramidDiscriminator(config, options, judged_shape(config, shape, classes), levels)
    return finished_discriminator(body, sum(body.widths), options, shape, config, classes)
