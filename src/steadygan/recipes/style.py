"""Images drawn in styles. Papers: Karras et al. 2019 (StyleGAN), Karras et al. 2020 (StyleGAN2)."""

from __future__ import annotations

from steadygan.config import LatentConfig, PenaltyConfig, RunConfig, constant
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run, scarce


def style(facts: DataFacts) -> RunConfig:
    """Mapping, modulated convolutions, noise, mixing and path length regularisation; relativistic pairing, R1 and R2.

    The papers have the non-saturating loss with lazy R1.
    """
    capacity = 32 if facts.device != "cpu" else 12 if facts.pixels <= 32 * 32 else 8
    players = {
        "generator": player("style", capacity, rate=1e-2, betas=(0.0, 0.99)),
        "discriminator": player("style", capacity, rate=1e-2, betas=(0.0, 0.99), minibatch_std=True),
    }
    penalties = {"r1": PenaltyConfig(weight=constant(0.5)), "r2": PenaltyConfig(weight=constant(0.5))}
    return run(
        "style",
        facts,
        players,
        game="style",
        loss="relativistic",
        penalties=penalties,
        latent=LatentConfig(size=64),
        augmentation=scarce(facts),
        images=200_000,
    )
