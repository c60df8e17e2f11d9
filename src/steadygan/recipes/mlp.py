"""The first GAN: fully connected players. Paper: Goodfellow et al. 2014."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def mlp(facts: DataFacts) -> RunConfig:
    """100 -> 128 -> 256 -> pixels against pixels -> 256 -> 128 -> 1, leaky ReLU, non-saturating loss."""
    players = {
        "generator": player("mlp", 32, hidden=(128, 256), activation="leaky-relu"),
        "discriminator": player("mlp", 32, hidden=(256, 128), activation="leaky-relu"),
    }
    return run("mlp", facts, players, latent=LatentConfig(size=100), images=2_000_000)
