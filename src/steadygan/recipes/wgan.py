"""Wasserstein games. Papers: Arjovsky et al. 2017 (clipping); Gulrajani et al. 2017 (gradient penalty)."""

from __future__ import annotations

from steadygan.config import LatentConfig, PenaltyConfig, RunConfig, constant
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def wgan(facts: DataFacts) -> RunConfig:
    """Weights clipped to 0.01, RMSprop 5e-5, five discriminator steps a round, as in the paper."""
    players = {
        "generator": player("dcgan", 32, rate=5e-5, optimizer="rmsprop", betas=(0.0, 0.99)),
        "discriminator": player("dcgan", 32, rate=5e-5, optimizer="rmsprop", betas=(0.0, 0.99), steps=5),
    }
    settings = {"loss": "wasserstein", "weight_clip": constant(0.01), "images": 2_000_000}
    return run("wgan", facts, players, latent=LatentConfig(size=100), **settings)


def wgan_gp(facts: DataFacts) -> RunConfig:
    """Gradient penalty 10 instead of clipping, no batch normalisation in the discriminator, Adam 1e-4 (0, 0.9)."""
    players = {
        "generator": player("dcgan", 32, rate=1e-4, betas=(0.0, 0.9)),
        "discriminator": player("dcgan", 32, rate=1e-4, betas=(0.0, 0.9), steps=5, normalisation="none"),
    }
    penalties = {"gradient": PenaltyConfig(weight=constant(10.0))}
    return run("wgan-gp", facts, players, loss="wasserstein", penalties=penalties, images=2_000_000)
