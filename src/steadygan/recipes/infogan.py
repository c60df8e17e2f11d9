"""Codes in the latent that come to mean something, without labels. Paper: Chen et al. 2016."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import batch_for, player, run


def infogan(facts: DataFacts) -> RunConfig:
    """InfoGAN: a category and two values in the latent, which the discriminator reads off the image again.

    Little noise beside the codes, a generator that learns twice as fast as its discriminator, and large batches where
    there are images enough.
    """
    players = {"generator": player("dcgan", 24, rate=1e-3), "discriminator": player("dcgan", 24, rate=5e-4)}
    batch = batch_for(facts) * (2 if facts.count >= 20_000 else 1)
    settings = {"game": "infogan", "options": {"noise": 0.1}, "latent": LatentConfig(size=30), "batch": batch}
    return run("infogan", facts, players, images=300_000, **settings)
