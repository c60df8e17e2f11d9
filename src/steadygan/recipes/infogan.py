"""Codes in the latent that come to mean something, without labels. Paper: Chen et al. 2016."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def infogan(facts: DataFacts) -> RunConfig:
    """InfoGAN: a category and two values in the latent, which the discriminator reads off the image again."""
    players = {"generator": player("dcgan", 24, rate=1e-3), "discriminator": player("dcgan", 24, rate=1e-3)}
    return run("infogan", facts, players, game="infogan", latent=LatentConfig(size=62), images=200_000)
