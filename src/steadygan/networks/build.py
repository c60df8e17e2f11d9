"""From settings to networks: by name in the tables, or by ``module:function`` for code outside the package."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError, unknown
from steadygan.networks.attention import sagan_discriminator, sagan_generator
from steadygan.networks.contract import DiscriminatorFactory, GeneratorFactory
from steadygan.networks.coupled import coupled_discriminator, coupled_generator
from steadygan.networks.dcgan import dcgan_discriminator, dcgan_generator
from steadygan.networks.mlp import mlp_discriminator, mlp_generator
from steadygan.networks.progressive import progressive_discriminator, progressive_generator
from steadygan.networks.pyramid import pyramid_discriminator, pyramid_generator
from steadygan.networks.r3 import r3_discriminator, r3_generator
from steadygan.networks.sizes import Shape
from steadygan.networks.sngan import sngan_discriminator, sngan_generator
from steadygan.networks.style import style_discriminator, style_generator

GENERATORS: dict[str, GeneratorFactory] = {
    "mlp": mlp_generator,
    "dcgan": dcgan_generator,
    "sngan": sngan_generator,
    "r3": r3_generator,
    "coupled": coupled_generator,
    "sagan": sagan_generator,
    "progressive": progressive_generator,
    "pyramid": pyramid_generator,
    "style": style_generator,
}
"""Name of a family to the maker of its generator."""

DISCRIMINATORS: dict[str, DiscriminatorFactory] = {
    "mlp": mlp_discriminator,
    "dcgan": dcgan_discriminator,
    "sngan": sngan_discriminator,
    "r3": r3_discriminator,
    "coupled": coupled_discriminator,
    "sagan": sagan_discriminator,
    "progressive": progressive_discriminator,
    "pyramid": pyramid_discriminator,
    "style": style_discriminator,
}
"""Name of a family to the maker of its discriminator."""


def build_generator(config: NetworkConfig, shape: Shape, latent: int, classes: int = 0) -> nn.Module:
    """The generator that ``config`` names, initialised: ``forward(latent (N, Z), label=None)`` to (N, C, H, W).

    Raises:
        SteadyganError: an unknown name or option, a shape or size out of range.
    """
    return _module(config, _find(config.name, "generator", GENERATORS)(config, shape, latent, classes))


def build_discriminator(config: NetworkConfig, shape: Shape, classes: int = 0) -> nn.Module:
    """The discriminator that ``config`` names, initialised: ``forward(images, label=None)`` to logits (N,).

    Raises:
        SteadyganError: an unknown name or option, a shape or size out of range.
    """
    return _module(config, _find(config.name, "discriminator", DISCRIMINATORS)(config, shape, classes))


def parameters_count(module: nn.Module) -> int:
    """Number of learned values in a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def _find(name: str, kind: str, table: Mapping[str, Callable[..., nn.Module]]) -> Callable[..., nn.Module]:
    if name in table:
        return table[name]
    if ":" not in name:
        raise unknown(kind, name, table)
    path, _, attribute = name.partition(":")
    try:
        found: Any = getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SteadyganError(f"{kind} {name!r} cannot be imported ({error})", "check module:function") from error
    if not callable(found):
        raise SteadyganError(f"{kind} {name!r} is not a function", "name a function that returns a module")
    maker: Callable[..., nn.Module] = found
    return maker


def _module(config: NetworkConfig, made: object) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise SteadyganError(
            f"network {config.name!r} gave a {type(made).__name__}", "its function must return a torch module"
        )
    return made
