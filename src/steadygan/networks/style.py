"""Networks that draw an image in styles (StyleGAN, Karras et al. 2019; modulated convolutions, Karras et al. 2020).

A latent is mapped to a style, a vector w without a fixed distribution; each layer of the synthesis gets its own affine
view of w, which scales its channels. So ``synthesise`` may be given one style for all layers or another one for each:
mixing, editing and directions all happen there.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks.activations import gain
from steadygan.networks.contract import (
    OUTPUTS,
    Body,
    Discriminator,
    Generator,
    check_latent,
    finished_discriminator,
    judged_shape,
    label_embedding,
)
from steadygan.networks.equalised import equalise
from steadygan.networks.layers import BatchWide, Halve, PlainConv2d, PlainLinear, Upsample
from steadygan.networks.normalisations import PixelNorm
from steadygan.networks.options import Options, resolve
from steadygan.networks.sizes import Shape, Size, check_image_shape, stage_sizes, stage_widths
from steadygan.runtime import processes

MAPPING_DEPTH = 4
"""Layers of the mapping; the paper has eight, for latents of 512."""
CALM = 0.1
"""Strength of the noise over what is learned: as with scaled weights, it must not outrun the layers around it."""
FORGETS = 0.005
"""Share of every training batch in the running mean of styles."""


class Mapping(BatchWide, nn.Module):
    """Latent to style: normalised to unit mean square, then linear layers as wide as the latent.

    They learn as fast as the other layers; the paper's hundredth of that would leave them as they are in a short run.

    ``running_mean`` is the centre that truncation pulls styles towards.
    """

    running_mean: Tensor

    def __init__(self, options: Options, inputs: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [PixelNorm()]
        for step in range(MAPPING_DEPTH):
            layers += [nn.Linear(width if step else inputs, width), options.activate()]
        self.layers = nn.Sequential(*layers)
        self.register_buffer("running_mean", torch.zeros(width))

    def forward(self, values: Tensor) -> Tensor:
        """(N, Z) to styles (N, W)."""
        styles: Tensor = self.layers(values)
        if self.training:
            with torch.no_grad():
                self.running_mean.lerp_(processes.mean(styles.detach().mean(0)).to(self.running_mean.dtype), FORGETS)
        return styles


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose output channels are then scaled back.

    With scales s = A w + 1 and weights v: ``y_j = d_j Σ_i v_ji * (s_i x_i)``, and with ``demodulate``
    ``d_j = 1 / sqrt(Σ_i,k (s_i v_jik)^2)``, else 1. Scaling the maps instead of the weights gives the same and needs no
    weights for each sample.
    """

    def __init__(self, before: int, width: int, kernel: int, style: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.conv = PlainConv2d(before, width, kernel, padding=kernel // 2, bias=False)
        self.affine = PlainLinear(style, before)
        self.demodulate = demodulate

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """(N, before, H, W) and styles (N, W) to (N, width, H, W)."""
        scales = self.affine(style) + 1.0
        out: Tensor = self.conv(maps * scales[:, :, None, None])
        if self.demodulate:
            power = scales.square() @ self.conv.weight.square().sum((2, 3)).T
            out = out * torch.rsqrt(power + 1e-8)[:, :, None, None]
        return out


class Noise(BatchWide, nn.Module):
    """Adds noise of one map for all channels, times a learned strength that starts at 0.

    Drawn anew for every sample in training; in eval mode always the same map, so that a latent is one image.
    """

    fixed: Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.register_buffer("fixed", torch.randn(1, 1, *size))
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        noise = self.fixed
        if self.training:
            noise = processes.noise(self.fixed.new_empty((len(maps), 1, *maps.shape[2:])))
        return maps + noise * (CALM * self.strength)


class StyledLayer(nn.Module):
    """(Doubling), modulated 3 x 3 convolution, noise, bias, activation with unit gain.

    A normalisation of the options takes the place of demodulation: with ``instance`` this is the first StyleGAN's
    layer, but for the order of its parts.
    """

    def __init__(self, options: Options, before: int, width: int, style: int, size: Size, *, double: bool) -> None:
        super().__init__()
        self.resize = Upsample(size, "bilinear") if double else nn.Identity()
        plain = options.normalisation == "none"
        self.conv = ModulatedConv2d(before, width, 3, style, demodulate=plain)
        self.normalise = options.normalise(width)
        self.noise = Noise(size)
        self.bias = nn.Parameter(torch.zeros(width))
        self.activate, self.gain = options.activate(), gain(options.activation)

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """(N, before, h, w) and styles (N, W) to (N, width, H, W)."""
        maps = self.noise(self.normalise(self.conv(self.resize(maps), style))) + self.bias[:, None, None]
        out: Tensor = self.activate(maps) * self.gain
        return out


class Synthesis(nn.Module):
    """Styles to images: a learned constant, layers at growing sizes, and a way out of each size; all are added up."""

    def __init__(self, config: NetworkConfig, options: Options, shape: Shape, style: int) -> None:
        super().__init__()
        sizes = stage_sizes(shape[1], shape[2])
        widths = stage_widths(len(sizes), config.capacity)
        depth = config.depth or 1
        self.constant = nn.Parameter(torch.randn(widths[0], *sizes[0]))
        self.blocks, self.images, self.doublings = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for step, (width, size) in enumerate(zip(widths, sizes, strict=True)):
            block = nn.ModuleList()
            for index in range(depth):
                first = step > 0 and index == 0
                block.append(
                    StyledLayer(options, widths[step - 1] if first else width, width, style, size, double=first)
                )
            self.blocks.append(block)
            self.images.append(ModulatedConv2d(width, shape[0], 1, style, demodulate=False))
            if step:
                self.doublings.append(Upsample(size, "bilinear"))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.layers = depth * len(sizes)

    def forward(self, styles: Tensor) -> Tensor:
        """(N, L, W), a style for each of the L layers, to (N, C, H, W); the way out of a size has its last style."""
        maps = self.constant.expand(len(styles), -1, -1, -1)
        image: Tensor | None = None
        place = 0
        for step, (block, out) in enumerate(zip(self.blocks, self.images, strict=True)):
            for layer in block:  # type: ignore[attr-defined]
                maps = layer(maps, styles[:, place])
                place += 1
            made = out(maps, styles[:, place - 1])
            image = made if image is None else self.doublings[step - 1](image) + made
        assert image is not None
        return image + self.bias[:, None, None]


class StyleBody(Body):
    """Mapping and synthesis, one after the other."""

    def __init__(self, mapping: Mapping, synthesis: Synthesis) -> None:
        super().__init__()
        self.mapping, self.synthesis = mapping, synthesis

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """(N, Z) to (N, C, H, W)."""
        styles = self.mapping(values)
        image: Tensor = self.synthesis(styles[:, None].expand(-1, self.synthesis.layers, -1))
        return image


class StyleGenerator(Generator):
    """A generator whose styles can be had and given: ``forward(z)`` is ``synthesise(map(z))``."""

    body: StyleBody

    @property
    def layers(self) -> int:
        """How many layers take a style, L."""
        return self.body.synthesis.layers

    def map(self, latent: Tensor, label: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Styles (N, W) of latents (N, Z) and labels (N,).

        ``truncation`` below 1 pulls them towards the mean style: ``m + t (w - m)``, fewer but more typical images.

        Raises:
            SteadyganError: latents of another size, or a missing label.
        """
        values, _ = self.entered(latent, label)
        styles: Tensor = self.body.mapping(values)
        if truncation != 1.0:
            styles = torch.lerp(self.body.mapping.running_mean.to(styles.dtype), styles, truncation)
        return styles

    def synthesise(self, styles: Tensor) -> Tensor:
        """Images (N, C, H, W) of styles: (N, W), or (N, L, W) with one for each layer, the coarsest first.

        Raises:
            SteadyganError: styles of another shape.
        """
        width = len(self.body.mapping.running_mean)
        if styles.ndim == 2:
            styles = styles[:, None].expand(-1, self.layers, -1)
        if styles.ndim != 3 or styles.shape[1:] != (self.layers, width):
            raise SteadyganError(
                f"styles of shape {tuple(styles.shape)} do not fit this generator",
                f"give (N, {width}) or (N, {self.layers}, {width})",
            )
        return OUTPUTS[self.output](self.body.synthesis(styles))


class StyleBlock(nn.Module):
    """3 x 3 convolutions, the last to the new width, halving; the shortcut is halved and mixed 1 x 1; sum over √2."""

    def __init__(self, options: Options, before: int, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for after in [*[before] * depth, width]:
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=options.bias), *options.after(after)]
        self.branch = nn.Sequential(*layers, Halve())
        self.shortcut = nn.Sequential(Halve(), PlainConv2d(before, width, 1, bias=False))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, H, W) to (N, width, H / 2, W / 2), rounded up."""
        out: Tensor = (self.branch(maps) + self.shortcut(maps)) / math.sqrt(2)
        return out


class StyleDiscriminatorBody(Body):
    """A 1 x 1 way in, residual blocks down to the coarsest size, an end with the batch's statistic."""

    def __init__(self, config: NetworkConfig, options: Options, shape: Shape) -> None:
        super().__init__()
        sizes = stage_sizes(shape[1], shape[2])
        widths = stage_widths(len(sizes), config.capacity)[::-1]
        layers: list[nn.Module] = [nn.Conv2d(shape[0], widths[0], 1), *options.after(widths[0], normalised=False)]
        layers += [StyleBlock(options, *pair, config.depth or 1) for pair in pairwise(widths)]
        self.width = widths[-1]
        layers += [*options.statistic_tail(self.width), nn.Conv2d(self.width, self.width, sizes[0])]
        self.layers = nn.Sequential(*layers, options.activate(), nn.Flatten())

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """(N, C, H, W) to (N, F)."""
        features: Tensor = self.layers(values)
        return features


def style_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int) -> StyleGenerator:
    """Mapping, then modulated convolutions at every size, whose images are added up; equalised rates.

    ``capacity`` is the width at full resolution, doubled at each coarser size up to 8x; ``depth`` layers stand at each
    size. The image goes through a leaky tanh unless another output is asked for. Its layers are demodulated, or
    normalised where a normalisation is asked for.

    Raises:
        SteadyganError: a shape out of range, unknown options, virtual batch normalisation.
    """
    check_image_shape(shape)
    check_latent(latent)
    options = resolve(config, activation="leaky-relu", normalisation="none", initialisation="he")
    if options.virtual:
        raise SteadyganError("the generator 'style' cannot have virtual-batch normalisation", "choose another one")
    embedding = label_embedding(config, latent, classes)
    mapping = Mapping(options, latent + (embedding.embedding_dim if embedding else 0), latent)
    body = StyleBody(mapping, Synthesis(config, options, shape, latent))
    labelled, output = embedding is not None, config.output or "leaky-tanh"
    generator = StyleGenerator(body, latent, shape, output=output, embedding=embedding, labelled=labelled)
    options.finish(generator)
    equalise(generator, options.activation)
    return generator


def style_discriminator(config: NetworkConfig, shape: Shape, classes: int) -> Discriminator:
    """Residual blocks with averaging, equalised rates, no normalisation.

    Raises:
        SteadyganError: a shape out of range, unknown options.
    """
    check_image_shape(shape)
    options = resolve(config, activation="leaky-relu", normalisation="none", initialisation="he")
    body = StyleDiscriminatorBody(config, options, judged_shape(config, shape, classes))
    discriminator = finished_discriminator(body, body.width, options, shape, config, classes)
    equalise(discriminator, options.activation)
    return discriminator
