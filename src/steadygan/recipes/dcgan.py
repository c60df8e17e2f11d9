"""Deep convolutional players. Paper: Radford et al. 2016; least squares: Mao et al. 2017."""

from __future__ import annotations

from steadygan.config import LatentConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def dcgan(facts: DataFacts) -> RunConfig:
    """DCGAN with batch normalisation in both players, non-saturating loss, Adam 1e-3 with beta1 = 0.5.

    The paper's rate is 2e-4, for networks four times as wide; narrow ones learn far faster at this rate.
    """
    players = {"generator": player("dcgan", 32, rate=1e-3), "discriminator": player("dcgan", 32, rate=1e-3)}
    return run("dcgan", facts, players, latent=LatentConfig(size=100), images=400_000)


def lsgan(facts: DataFacts) -> RunConfig:
    """The players of DCGAN with the least-squares loss."""
    config = dcgan(facts)
    return config.model_copy(update={"recipe": "lsgan", "loss": "least-squares"})
