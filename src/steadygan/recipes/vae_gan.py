"""A variational autoencoder that looks with a discriminator's eyes. Paper: Larsen et al. 2016."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.encoding import judged
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def vae_gan(facts: DataFacts) -> RunConfig:
    """VAE-GAN: DCGAN players, images compared in the discriminator's features, non-saturating loss."""
    players = {
        "encoder": player("dcgan", 16, rate=1e-3),
        "generator": player("dcgan", 16, rate=1e-3),
        "discriminator": player("dcgan", 16, rate=1e-3),
    }
    settings = {"game": "vae-gan", "latent": LatentConfig(size=32), **judged(facts)}
    return run("vae-gan", facts, players, images=400_000, **settings)
