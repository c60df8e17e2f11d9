"""Networks that grow: images of a coarse size at first, finer ones faded in (Karras et al. 2018).

Images are of full size outside, whatever the stage: the generator enlarges what it makes, the discriminator reduces
what it sees. So data, health, samples and checkpoints need not know the stage, which is a buffer of each network and
travels with its weights.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from steadygan.config import NetworkConfig
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
from steadygan.networks.equalised import equalise
from steadygan.networks.layers import Halve, PlainConv2d, Upsample
from steadygan.networks.normalisations import PixelNorm
from steadygan.networks.options import Options, resolve
from steadygan.networks.sizes import Shape, check_image_shape, stage_sizes, stage_widths


class Growth(nn.Module):
    """How far a network has grown: stage k plays at size k, k + 0.3 fades 0.3 of size k + 1 in.

    A new network has its last stage. In training the value that was set last is kept beside the buffer, since to ask
    the buffer each time would make a GPU wait.
    """

    stage: Tensor

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last
        self.register_buffer("stage", torch.tensor(float(last)))
        self._known: float | None = None

    def grow(self, stage: float) -> None:
        """Set the stage, held within 0 and the last one."""
        # as the buffer keeps it in float32, so that a resumed run fades by the very same share
        value = float(torch.tensor(min(max(stage, 0.0), float(self.last)), dtype=torch.float32))
        if value != self._known:
            self.stage.fill_(value)
            self._known = value

    def at(self) -> tuple[int, float]:
        """The size that is played, and its share of the image; the rest is of the size before."""
        if self._known is None or not self.training:
            value = float(self.stage)
        else:
            value = self._known
        level = math.ceil(value)
        return level, 1.0 - (level - value)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._known = None
        super()._load_from_state_dict(*args, **kwargs)


class GrowingGenerator(Body):
    """(N, Z) to (N, C, H, W): a start at the coarsest size, a block for each finer one, a 1 x 1 way out of each."""

    def __init__(self, config: NetworkConfig, options: Options, shape: Shape, latent: int) -> None:
        super().__init__()
        sizes = stage_sizes(shape[1], shape[2])
        widths = stage_widths(len(sizes), config.capacity)
        coarse = (widths[0], *sizes[0])
        self.growth = Growth(len(sizes) - 1)
        self.start = nn.Sequential(
            PixelNorm(), nn.Linear(latent, math.prod(coarse)), nn.Unflatten(1, coarse), *options.after(widths[0])
        )
        self.doublings = nn.ModuleList(Upsample(size, "nearest") for size in sizes[1:])
        self.blocks = nn.ModuleList(
            _convolutions(options, [before, *[width] * (config.depth or 1)]) for before, width in pairwise(widths)
        )
        self.images = nn.ModuleList(PlainConv2d(width, shape[0], 1) for width in widths)

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """The image at the present stage, enlarged to full size."""
        level, share = self.growth.at()
        maps: Tensor = self.start(values)
        below = maps
        for step in range(level):
            below = maps
            maps = self.blocks[step](self.doublings[step](maps))
        image: Tensor = self.images[level](maps)
        if share < 1.0:
            image = torch.lerp(self.doublings[level - 1](self.images[level - 1](below)), image, share)
        for step in range(level, self.growth.last):
            image = self.doublings[step](image)
        return image


class GrowingDiscriminator(Body):
    """(N, C, H, W) to (N, F): a 1 x 1 way in at each size, a block from each size to the coarser one, an end."""

    def __init__(self, config: NetworkConfig, options: Options, shape: Shape) -> None:
        super().__init__()
        sizes = stage_sizes(shape[1], shape[2])
        widths = stage_widths(len(sizes), config.capacity)
        self.growth = Growth(len(sizes) - 1)
        self.images = nn.ModuleList(
            nn.Sequential(nn.Conv2d(shape[0], width, 1), *options.after(width, normalised=False)) for width in widths
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*_convolutions(options, [*[width] * (config.depth or 1), coarser]), Halve())
            for coarser, width in pairwise(widths)
        )
        self.halve = Halve()
        end = [*options.statistic_tail(widths[0]), nn.Conv2d(widths[0], widths[0], sizes[0]), options.activate()]
        self.end = nn.Sequential(*end, nn.Flatten())
        self.width = widths[0]

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """Features of images of full size, reduced to the present stage."""
        level, share = self.growth.at()
        for _ in range(level, self.growth.last):
            values = self.halve(values)
        maps: Tensor = self.images[level](values)
        for step in range(level - 1, -1, -1):
            maps = self.blocks[step](maps)
            if step == level - 1 and share < 1.0:
                maps = torch.lerp(self.images[step](self.halve(values)), maps, share)
        features: Tensor = self.end(maps)
        return features


def _convolutions(options: Options, widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=options.bias), *options.after(after)]
    return nn.Sequential(*layers)


def progressive_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int) -> Generator:
    """Convolutions with pixel normalisation and leaky ReLU between doublings; equalised rates; a leaky tanh ends it.

    ``capacity`` is the width at full resolution, doubled at each coarser size up to 8x; ``depth`` convolutions stand at
    each size (the paper has two).

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    check_latent(latent)
    options = resolve(config, activation="leaky-relu", normalisation="pixel", initialisation="he")
    embedding = label_embedding(config, latent, classes)
    body = GrowingGenerator(config, options, shape, latent + (embedding.embedding_dim if embedding else 0))
    generator = finished_generator(body, options, latent, shape, config.output or "leaky-tanh", embedding)
    equalise(generator, options.activation)
    return generator


def progressive_discriminator(config: NetworkConfig, shape: Shape, classes: int) -> Discriminator:
    """The generator's mirror: leaky ReLU, averaging between sizes, equalised rates, no normalisation.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    options = resolve(config, activation="leaky-relu", normalisation="none", initialisation="he")
    body = GrowingDiscriminator(config, options, judged_shape(config, shape, classes))
    discriminator = finished_discriminator(body, body.width, options, shape, config, classes)
    equalise(discriminator, options.activation)
    return discriminator
