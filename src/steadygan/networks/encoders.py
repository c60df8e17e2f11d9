"""Networks from images to latents, and discriminators of pairs of both, around the bodies of the discriminators."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks.build import build_discriminator
from steadygan.networks.contract import check_latent
from steadygan.networks.layers import PlainLinear
from steadygan.networks.options import resolve
from steadygan.networks.sizes import Shape
from steadygan.runtime import processes

SPREAD_LIMIT = 8.0
"""Log variances are held within plus and minus this much: further out nothing changes but the rounding."""
WIDTH_FACTOR = 16
"""Width of the layers that join an image's features and a latent, over the capacity: 256 at a capacity of 16."""


class Law(NamedTuple):
    """What an encoder says of images: normal laws of latents (N, Z), or the latents themselves where it is sure."""

    mean: Tensor
    log_variance: Tensor | None

    def to(self, kind: torch.dtype) -> Law:
        """The same in another precision."""
        return Law(self.mean.to(kind), None if self.log_variance is None else self.log_variance.to(kind))

    def drawn(self) -> Tensor:
        """A latent of each law, ``mean + exp(log_variance / 2) * noise``, through which gradients flow; (N, Z)."""
        if self.log_variance is None:
            return self.mean
        # of the usual precision whatever the network's, like all latents: the random numbers are then the same
        sides, device = self.mean.shape[1:], self.mean.device
        noise = processes.drawn(len(self.mean), lambda count: torch.randn(count, *sides, device=device))
        return self.mean + (self.log_variance / 2).exp() * noise.to(self.mean.dtype)


class Encoder(nn.Module):
    """Images to latents.

    Args:
        network: what reads the values off images: ``features(images, label)`` and ``read(features)``.
        latent: Z.
        stochastic: whether Z more values are read, the log variances.
    """

    def __init__(self, network: nn.Module, latent: int, *, stochastic: bool) -> None:
        super().__init__()
        self.network, self.latent, self.stochastic = network, latent, stochastic

    @property
    def body(self) -> nn.Module:
        """The part of the network that sees the whole image, as other networks have it."""
        found: nn.Module = getattr(self.network, "body", self.network)
        return found

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Last hidden features (N, F) of images (N, C, H, W)."""
        found: Tensor = self.network.features(images, label)  # type: ignore[operator]
        return found

    def law(self, images: Tensor, label: Tensor | None = None) -> Law:
        """The laws of the latents of images (N, C, H, W), and of labels (N,) where the encoder takes them."""
        values: Tensor = self.network.read(self.features(images, label))  # type: ignore[operator]
        if not self.stochastic:
            return Law(values, None)
        mean, spread = values.chunk(2, 1)
        return Law(mean, SPREAD_LIMIT * (spread / SPREAD_LIMIT).tanh())

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """The likeliest latents (N, Z) of images (N, C, H, W)."""
        return self.law(images, label).mean


class PairDiscriminator(nn.Module):
    """Pairs of an image and a latent to logits, from the image's features and the latent's side by side.

    A pair is one row of values, the image's and then the latent's (``pair``), so that penalties see both halves.
    """

    def __init__(self, network: nn.Module, shape: Shape, latent: int, width: int) -> None:
        super().__init__()
        self.network, self.shape, self.latent = network, shape, latent
        self.latents = nn.Sequential(nn.Linear(latent, width), nn.LeakyReLU(0.2))
        self.joint = nn.Sequential(
            nn.Linear(2 * width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            PlainLinear(width, 1),
        )

    @property
    def body(self) -> nn.Module:
        """The part of the network that sees the whole image, as other networks have it."""
        found: nn.Module = getattr(self.network, "body", self.network)
        return found

    def forward(self, pairs: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (N,) of pairs (N, C * H * W + Z).

        Raises:
            SteadyganError: rows of another length.
        """
        pixels = math.prod(self.shape)
        if pairs.ndim != 2 or pairs.shape[1] != pixels + self.latent:
            raise SteadyganError(
                f"pairs of shape {tuple(pairs.shape)} do not fit this discriminator",
                f"give (N, {pixels + self.latent}): an image of {pixels} values and a latent of {self.latent}",
            )
        images, latent = pairs[:, :pixels].reshape(-1, *self.shape), pairs[:, pixels:]
        seen: Tensor = self.network.read(self.network.features(images, label))  # type: ignore[operator]
        values = torch.cat([nn.functional.leaky_relu(seen, 0.2), self.latents(latent)], 1)
        logits: Tensor = self.joint(values).squeeze(1)
        return logits


def pair(images: Tensor, latent: Tensor) -> Tensor:
    """Images (N, C, H, W) and latents (N, Z) side by side as rows (N, C * H * W + Z)."""
    return torch.cat([images.flatten(1), latent.to(images.dtype)], 1)


def build_encoder(
    config: NetworkConfig, shape: Shape, latent: int, classes: int = 0, *, stochastic: bool = False
) -> Encoder:
    """The body of the discriminator that ``config`` names, with ``latent`` values read off it, or twice as many.

    Labels, where it takes them, are seen as maps beside the image.

    Raises:
        SteadyganError: an unknown name or option, a shape or size out of range.
    """
    network = _reader(config, shape, classes, check_latent(latent) * (2 if stochastic else 1))
    return Encoder(network, latent, stochastic=stochastic)


def build_pair_discriminator(config: NetworkConfig, shape: Shape, latent: int, classes: int = 0) -> PairDiscriminator:
    """The discriminator that ``config`` names for the images, with three layers that join what it sees to latents.

    Raises:
        SteadyganError: an unknown name or option, a shape or size out of range.
    """
    width = WIDTH_FACTOR * config.capacity
    network = _reader(config, shape, classes, width)
    found = PairDiscriminator(network, shape, check_latent(latent), width)
    options = resolve(config, activation="leaky-relu", normalisation="none", initialisation="he")
    for part in (found.latents, found.joint):
        options.finish(part)
    return found


def build_latent_discriminator(config: NetworkConfig, latent: int, classes: int = 0) -> nn.Module:
    """The discriminator that ``config`` names for latents, given as (N, Z, 1, 1): an ``mlp`` can be built so.

    Raises:
        SteadyganError: an unknown name or option, or a network that takes images alone.
    """
    return build_discriminator(config, (check_latent(latent), 1, 1), classes)


def _reader(config: NetworkConfig, shape: Shape, classes: int, outputs: int) -> nn.Module:
    """A discriminator that has outputs alone and no logit of its own."""
    own = {"outputs": outputs, "tied": True, "condition": "concatenation"}
    return build_discriminator(config.model_copy(update=own), shape, classes)
