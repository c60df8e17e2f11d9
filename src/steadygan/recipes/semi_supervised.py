"""A classifier from a hundred labels and many images without. Paper: Salimans et al. 2016."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def semi_supervised(facts: DataFacts) -> RunConfig:
    """A classifier taught by 100 labels, the other images and the fakes of a generator that matches features."""
    players = {
        "generator": player("dcgan", 16, rate=1e-3),
        "discriminator": player("dcgan", 24, rate=1e-3, normalisation="none", initialisation="he"),
    }
    return run("semi-supervised", facts, players, game="semi-supervised", latent=LatentConfig(size=64), images=200_000)
