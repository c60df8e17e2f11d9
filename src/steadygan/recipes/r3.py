"""The default family: relativistic pairing with R1 and R2 and residual players without normalisation.

Paper: Huang et al. 2024, "The GAN is dead; long live the GAN!" (R3GAN).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steadygan.config import LatentConfig, PenaltyConfig, RunConfig, constant
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run, scarce


def r3(facts: DataFacts) -> RunConfig:
    """Relativistic pairing, R1 and R2 on every round, Adam with beta1 = 0; augmentation where data are scarce.

    Narrow on a CPU, wider on a GPU, where width costs little (the rate is tuned on the CPU alone)."""
    rate = 1.5e-3 if facts.pixels <= 64 * 64 else 7.5e-4
    capacity = 24 if facts.device == "cpu" else 64
    players = {
        "generator": player("r3", capacity, rate=rate, betas=(0.0, 0.99)),
        "discriminator": player("r3", capacity, rate=rate, betas=(0.0, 0.99)),
    }
    penalties = {"r1": PenaltyConfig(weight=constant(0.5)), "r2": PenaltyConfig(weight=constant(0.5))}
    return run(
        "r3",
        facts,
        players,
        loss="relativistic",
        penalties=penalties,
        latent=LatentConfig(size=64),
        augmentation=scarce(facts),
        images=250_000,
    )


def digits(facts: DataFacts) -> RunConfig:
    """The default family for the 1,797 digits of 8x8 pixels: small, and readable within minutes on any machine."""
    config = r3(facts)
    return config.model_copy(update={"recipe": "digits", "images": 200_000})


def small(name: str, facts: DataFacts, networks: Mapping[str, Mapping[str, Any]], **settings: Any) -> RunConfig:
    """The default family for a recipe that teaches something else: narrower, and its networks changed by player."""
    config = r3(facts)
    players = {}
    for role, own in config.players.items():
        changes = {"capacity": own.network.capacity * 2 // 3, **networks.get(role, {})}
        players[role] = own.model_copy(update={"network": own.network.model_copy(update=changes)})
    return config.model_copy(update={"recipe": name, "players": players, "images": 150_000, **settings})
