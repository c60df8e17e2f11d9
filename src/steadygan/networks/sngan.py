"""ResNets with spectral normalisation (Miyato et al. 2018; conditional form: Miyato and Koyama 2018)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.networks.contract import (
    Body,
    Discriminator,
    Generator,
    check_latent,
    finished_discriminator,
    judged_shape,
    needed_classes,
)
from steadygan.networks.layers import Halve, MinibatchStd, PlainConv2d, ResidualBlock, Upsample
from steadygan.networks.normalisations import ClassAffine
from steadygan.networks.options import Options, resolve
from steadygan.networks.sizes import Shape, Size, check_image_shape, stage_sizes, stage_widths


def _disturbance(options: Options) -> nn.Module:
    return nn.Sequential(*options.disturb())


class LabelledNorm(nn.Module):
    """The normalisation of the options, with scale and shift by class where there are classes."""

    def __init__(self, options: Options, channels: int, classes: int) -> None:
        super().__init__()
        self.plain = options.normalise(channels)
        self.by_class = ClassAffine(channels, classes) if classes else None

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """(N, C, H, W) to the same shape."""
        normal: Tensor = self.plain(values)
        if self.by_class is not None:
            normal = self.by_class(normal, label)
        return normal


class GeneratorBlock(ResidualBlock):
    """Norm, activation, (doubling), 3 x 3, norm, activation, 3 x 3; the shortcut is doubled and mixed 1 x 1."""

    def __init__(self, options: Options, before: int, width: int, classes: int, size: Size | None) -> None:
        super().__init__()
        self.first_norm = LabelledNorm(options, before, classes)
        self.second_norm = LabelledNorm(options, width, classes)
        self.first = nn.Conv2d(before, width, 3, padding=1, bias=options.bias)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = PlainConv2d(before, width, 1) if before != width else nn.Identity()
        self.activate, self.disturb = options.activate(), _disturbance(options)
        self.resize = Upsample(size, "nearest") if size else nn.Identity()

    def branch_layers(self) -> list[nn.Module]:
        """The two 3 x 3 convolutions."""
        return [self.first, self.second]

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """(N, before, h, w) to (N, width, H, W)."""
        branch = self.resize(self.activate(self.first_norm(values, label)))
        branch = self.first(branch)
        branch = self.second(self.disturb(self.activate(self.second_norm(branch, label))))
        out: Tensor = self.resize(self.shortcut(values)) + branch
        return out


class GeneratorBody(Body):
    """Linear map, residual blocks, norm, activation, 3 x 3 convolution to the image."""

    def __init__(self, config: NetworkConfig, options: Options, shape: Shape, latent: int, classes: int) -> None:
        super().__init__()
        sizes = stage_sizes(shape[1], shape[2])
        widths = stage_widths(len(sizes), config.capacity)
        self.coarse = (widths[0], *sizes[0])
        self.project = nn.Linear(latent, math.prod(self.coarse))
        blocks: list[nn.Module] = []
        for before, width, size in zip(widths, widths[1:], sizes[1:], strict=False):
            blocks.append(GeneratorBlock(options, before, width, classes, size))
            blocks += [GeneratorBlock(options, width, width, classes, None) for _ in range((config.depth or 1) - 1)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = options.normalise(widths[-1])
        self.activate = options.activate()
        self.to_image = PlainConv2d(widths[-1], shape[0], 3, padding=1)

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """(N, Z) to (N, C, H, W)."""
        maps = self.project(values).unflatten(1, self.coarse)
        for block in self.blocks:
            maps = block(maps, label)
        image: Tensor = self.to_image(self.activate(self.norm(maps)))
        return image


class DiscriminatorBlock(ResidualBlock):
    """Activation, 3 x 3, activation, 3 x 3, (halving); the shortcut is mixed 1 x 1 and halved.

    The first block of a network has no activation before its first convolution, since images are no features.
    """

    def __init__(self, options: Options, before: int, width: int, *, halve: bool, first: bool = False) -> None:
        super().__init__()
        start = [] if first else [options.normalise(before), options.activate()]
        self.start = nn.Sequential(*start)
        self.first = nn.Conv2d(before, width, 3, padding=1)
        self.between = nn.Sequential(options.normalise(width), options.activate(), _disturbance(options))
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = PlainConv2d(before, width, 1) if halve or before != width else nn.Identity()
        self.resize = Halve() if halve else nn.Identity()

    def branch_layers(self) -> list[nn.Module]:
        """The two 3 x 3 convolutions."""
        return [self.first, self.second]

    def forward(self, values: Tensor) -> Tensor:
        """(N, before, H, W) to (N, width, H, W), or half of that."""
        branch = self.second(self.between(self.first(self.start(values))))
        out: Tensor = self.shortcut(self.resize(values)) + self.resize(branch)
        return out


class DiscriminatorBody(Body):
    """Halving blocks, one plain block, activation, sum over pixels."""

    def __init__(self, config: NetworkConfig, options: Options, shape: Shape) -> None:
        super().__init__()
        stages = len(stage_sizes(shape[1], shape[2])) - 1
        blocks: list[nn.Module] = []
        before = shape[0]
        for step, width in enumerate(stage_widths(stages, config.capacity)[::-1]):
            blocks.append(DiscriminatorBlock(options, before, width, halve=True, first=step == 0))
            blocks += [DiscriminatorBlock(options, width, width, halve=False) for _ in range((config.depth or 1) - 1)]
            before = width
        if options.minibatch_std:
            blocks += [MinibatchStd(), nn.Conv2d(before + 1, before, 3, padding=1)]
        blocks += [DiscriminatorBlock(options, before, before, halve=False), options.activate()]
        self.blocks = nn.Sequential(*blocks)
        self.width = before

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """(N, C, H, W) to (N, F)."""
        maps: Tensor = self.blocks(values)
        return maps.sum((2, 3))


def sngan_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int) -> Generator:
    """Residual blocks with batch norm and nearest upsampling; class-conditional batch norm when conditional.

    ``capacity`` is the width at full resolution, doubled at each coarser size up to 8x.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    check_latent(latent)
    options = resolve(config, activation="relu", normalisation="batch", initialisation="xavier")
    needed = needed_classes(config, classes)
    body = GeneratorBody(config, options, shape, latent, needed)
    generator = Generator(
        body, latent, shape, output=config.output or "tanh", labelled=needed > 0, virtual=options.virtual
    )
    options.finish(generator)
    return generator


def sngan_discriminator(config: NetworkConfig, shape: Shape, classes: int) -> Discriminator:
    """Residual blocks with spectral norm and global sum pooling; class projection when conditional.

    ``capacity`` is the width after the first block (half the image's size), doubled at each coarser one up to 8x.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    options = resolve(config, activation="relu", normalisation="none", initialisation="xavier", spectral_norm=True)
    body = DiscriminatorBody(config, options, judged_shape(config, shape, classes))
    return finished_discriminator(body, body.width, options, shape, config, classes)
