"""Coupled generators. Paper: Liu and Tuzel 2016, Coupled Generative Adversarial Networks."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig, ScheduleConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def cogan(facts: DataFacts) -> RunConfig:
    """CoGAN: domains share all layers but those next to the image; a latent under each label gives a pair.

    Domains are the classes of the data, or ways to show them (``data.domains``)."""
    rate = ScheduleConfig(kind="cosine", value=1e-3)
    players = {
        "generator": player("coupled", 24, rate=rate, conditional=True),
        "discriminator": player("coupled", 24, rate=rate, conditional=True),
    }
    return run("cogan", facts, players, latent=LatentConfig(size=64), images=300_000)
