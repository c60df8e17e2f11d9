"""A pyramid of adversarial games. Paper: Denton et al. 2015 (LAPGAN)."""

from __future__ import annotations

from steadygan.config import LatentConfig, PenaltyConfig, RunConfig, constant
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run, scarce


def lapgan(facts: DataFacts) -> RunConfig:
    """A small image from noise, then detail added at each doubling, every level against its own discriminator.

    Convolutions at all levels, relativistic pairing, R1 and R2 at each; the paper has linear layers at the coarsest
    level and the non-saturating loss, which learns far more slowly here.
    """
    capacity, rate, betas = 16, 1e-3, (0.0, 0.99)
    players = {
        "generator": player("pyramid", capacity, rate=rate, betas=betas),
        "discriminator": player("pyramid", capacity, rate=rate, betas=betas, normalisation="none", initialisation="he"),
    }
    return run(
        "lapgan",
        facts,
        players,
        game="lapgan",
        loss="relativistic",
        penalties={name: PenaltyConfig(weight=constant(0.3)) for name in ("r1", "r2")},
        latent=LatentConfig(size=100),
        augmentation=scarce(facts),
        images=150_000,
    )
