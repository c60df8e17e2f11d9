"""Generators and discriminators: families in explicit tables, built from settings."""

from __future__ import annotations

from steadygan.networks.activations import ACTIVATIONS
from steadygan.networks.build import (
    DISCRIMINATORS,
    GENERATORS,
    build_discriminator,
    build_generator,
    parameters_count,
)
from steadygan.networks.contract import Discriminator, DiscriminatorFactory, Generator, GeneratorFactory
from steadygan.networks.encoders import (
    Encoder,
    Law,
    PairDiscriminator,
    build_encoder,
    build_latent_discriminator,
    build_pair_discriminator,
    pair,
)
from steadygan.networks.initialisations import INITIALISATIONS
from steadygan.networks.normalisations import NORMALISATIONS
from steadygan.networks.sizes import Shape, stage_sizes

__all__ = [
    "ACTIVATIONS",
    "DISCRIMINATORS",
    "GENERATORS",
    "INITIALISATIONS",
    "NORMALISATIONS",
    "Discriminator",
    "DiscriminatorFactory",
    "Encoder",
    "Generator",
    "GeneratorFactory",
    "Law",
    "PairDiscriminator",
    "Shape",
    "build_discriminator",
    "build_encoder",
    "build_generator",
    "build_latent_discriminator",
    "build_pair_discriminator",
    "pair",
    "parameters_count",
    "stage_sizes",
]
