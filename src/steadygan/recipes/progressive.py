"""Progressive growing. Paper: Karras et al. 2018, "Progressive growing of GANs"."""

from __future__ import annotations

from steadygan.config import LatentConfig, PenaltyConfig, RunConfig, constant
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run, scarce


def progressive(facts: DataFacts) -> RunConfig:
    """Networks that start at 4x4 and fade larger sizes in during the first half; equalised rates, R1 and R2.

    The paper has the Wasserstein loss with its gradient penalty; relativistic pairing learns faster here.
    """
    capacity = 32 if facts.device != "cpu" else 16 if facts.pixels <= 32 * 32 else 8
    players = {
        "generator": player("progressive", capacity, rate=1e-2, betas=(0.0, 0.99)),
        "discriminator": player("progressive", capacity, rate=1e-2, betas=(0.0, 0.99), minibatch_std=True),
    }
    penalties = {"r1": PenaltyConfig(weight=constant(0.5)), "r2": PenaltyConfig(weight=constant(0.5))}
    return run(
        "progressive",
        facts,
        players,
        game="progressive",
        loss="relativistic",
        penalties=penalties,
        latent=LatentConfig(size=64),
        augmentation=scarce(facts),
        images=250_000,
    )
