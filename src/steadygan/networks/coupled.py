"""Coupled pairs: networks that all domains share but for the layers next to the image (Liu and Tuzel 2016)."""

from __future__ import annotations

import copy

from torch import nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks.contract import Body, Discriminator, Generator, Sequence, needed_classes
from steadygan.networks.dcgan import dcgan_discriminator, dcgan_generator
from steadygan.networks.layers import PlainConv2d
from steadygan.networks.options import Options, resolve
from steadygan.networks.several import Forked
from steadygan.networks.sizes import Shape


def coupled_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int) -> Generator:
    """The generator of ``dcgan``, shared up to maps of the image's size, of which each domain makes images its own way.

    The same latent under the labels 0 and 1 gives a pair: what is shared decides what is shown, a 5 x 5 convolution of
    each domain's own how. As many maps as ``capacity`` says have every pixel in them, so that such a convolution is
    enough to draw the outline of what another fills. Without labels there is one domain, and the network is that of
    ``dcgan``.

    Raises:
        SteadyganError: fewer than two domains, a shape or an option out of range.
    """
    if not config.conditional:
        return dcgan_generator(config, shape, latent, classes)
    options = _checked(config, classes, "relu")
    generator = dcgan_generator(_plain(config), (config.capacity, *shape[1:]), latent, 0)
    maps = nn.Sequential(*_layers(generator.body), *options.after(config.capacity))
    own = PlainConv2d(config.capacity, shape[0], 5, padding=2)
    generator.body = Forked(maps, _copies(own, classes), last=True)
    generator.labelled, generator.shape = True, shape
    options.finish(generator)
    return generator


def coupled_discriminator(config: NetworkConfig, shape: Shape, classes: int) -> Discriminator:
    """The discriminator of ``dcgan`` with a first layer of each domain's own; the label is the domain.

    Raises:
        SteadyganError: fewer than two domains, a shape or an option out of range.
    """
    if not config.conditional:
        return dcgan_discriminator(config, shape, classes)
    options = _checked(config, classes, "leaky-relu")
    discriminator = dcgan_discriminator(_plain(config), shape, 0)
    layers = _layers(discriminator.body)
    convolutions = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    cut = convolutions[1] if len(convolutions) > 1 else len(layers) - 1
    discriminator.body = Forked(layers[cut:], _copies(layers[:cut], classes), last=False)
    options.finish(discriminator)
    return discriminator


def _checked(config: NetworkConfig, classes: int, activation: str) -> Options:
    """The options of the whole network, or SteadyganError where it cannot be coupled."""
    if needed_classes(config, classes) < 2:
        raise SteadyganError(
            "coupled networks need two domains or more, and the data have one",
            'set data.domains, e.g. data.domains=["plain","negative"], or sort images into a sub-folder a domain',
        )
    options = resolve(config, activation=activation, normalisation="batch", initialisation="dcgan")
    if options.virtual:
        raise SteadyganError(
            "normalisation 'virtual-batch' keeps one reference batch, and coupled networks have one a domain",
            "choose 'batch' or 'layer'",
        )
    return options


def _plain(config: NetworkConfig) -> NetworkConfig:
    """The same network for one domain, not yet finished: spectral normalisation is put on when all layers are there."""
    return config.model_copy(update={"name": "dcgan", "conditional": False, "spectral_norm": False})


def _layers(body: Body) -> nn.Sequential:
    assert isinstance(body, Sequence)
    return body.layers


def _copies(layers: nn.Module, count: int) -> list[nn.Module]:
    return [copy.deepcopy(layers) for _ in range(count)]
