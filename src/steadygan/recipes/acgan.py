"""Class labels given to the generator and told by the discriminator. Paper: Odena et al. 2017."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def acgan(facts: DataFacts) -> RunConfig:
    """AC-GAN: the generator is asked for a class, and the discriminator says which one it sees."""
    players = {
        "generator": player("dcgan", 24, rate=1e-3, conditional=True),
        "discriminator": player("dcgan", 24, rate=1e-3),
    }
    return run("acgan", facts, players, game="acgan", latent=LatentConfig(size=64), images=200_000)
