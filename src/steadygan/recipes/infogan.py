"""Codes in the latent that come to mean something, without labels. Paper: Chen et al. 2016."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import batch_for, player, run, scarce


def infogan(facts: DataFacts) -> RunConfig:
    """InfoGAN: a category and two values in the latent, which the discriminator reads off the image again.

    As in the paper: batch normalisation, a fully connected layer at the inner end of both players, another one before
    the codes are read, and a generator that learns five times as fast as the discriminator. Ours are half as wide.
    """
    players = {
        "generator": player("dcgan", 24, rate=1e-3, hidden=(512,)),
        "discriminator": player("dcgan", 24, rate=2e-4, hidden=(512,), outputs_hidden=128),
    }
    return run(
        "infogan",
        facts,
        players,
        game="infogan",
        batch=min(2 * batch_for(facts), max(2, facts.count // 2)),
        latent=LatentConfig(size=62, distribution="uniform"),
        augmentation=scarce(facts),
        images=600_000,
    )
