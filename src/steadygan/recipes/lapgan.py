"""A pyramid of adversarial games. Paper: Denton et al. 2015 (LAPGAN)."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run, scarce


def lapgan(facts: DataFacts) -> RunConfig:
    """A small image from noise, then detail added at each doubling, every level against its own discriminator.

    Convolutions with batch normalisation at all levels (the paper has linear layers at the coarsest), Adam 1e-3.
    """
    players = {"generator": player("pyramid", 24, rate=1e-3), "discriminator": player("pyramid", 24, rate=1e-3)}
    settings = {"game": "lapgan", "latent": LatentConfig(size=100), "augmentation": scarce(facts), "images": 300_000}
    return run("lapgan", facts, players, **settings)
