"""Spectral normalisation in a residual discriminator, hinge loss. Paper: Miyato et al. 2018."""

from __future__ import annotations

from steadygan.config import RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def sngan(facts: DataFacts) -> RunConfig:
    """ResNet players, hinge loss, Adam (0, 0.9), the discriminator's rate twice the generator's (TTUR)."""
    players = {
        "generator": player("sngan", 16, rate=2e-4, betas=(0.0, 0.9)),
        "discriminator": player("sngan", 16, rate=4e-4, betas=(0.0, 0.9)),
    }
    return run("sngan", facts, players, loss="hinge", images=400_000)
