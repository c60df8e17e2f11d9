"""Pairs of images and latents. Papers: Donahue et al. 2017 (BiGAN); Dumoulin et al. 2017 (ALI)."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.encoding import judged
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def bigan(facts: DataFacts) -> RunConfig:
    """BiGAN: DCGAN encoder, generator and discriminator of pairs, non-saturating loss, Adam 1e-3 with beta1 = 0.5."""
    players = {
        "encoder": player("dcgan", 16, rate=1e-3),
        "generator": player("dcgan", 16, rate=1e-3),
        "discriminator": player("dcgan", 16, rate=1e-3),
    }
    settings = {"game": "bigan", "latent": LatentConfig(size=32), **judged(facts)}
    return run("bigan", facts, players, images=400_000, **settings)


def ali(facts: DataFacts) -> RunConfig:
    """ALI: BiGAN with an encoder that gives a normal law of latents for each image."""
    return bigan(facts).model_copy(update={"recipe": "ali", "options": {"stochastic": True}})
