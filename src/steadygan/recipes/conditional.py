"""Class labels given to both players. Papers: Mirza and Osindero 2014 (maps); Miyato and Koyama 2018 (projection)."""

from __future__ import annotations

from typing import Literal

from steadygan.config import LatentConfig, PlayerConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def cgan(facts: DataFacts) -> RunConfig:
    """Conditional GAN: the discriminator gets learned maps of the label beside the image."""
    return _conditional("cgan", facts, "concatenation")


def cgan_projection(facts: DataFacts) -> RunConfig:
    """Conditional GAN: the discriminator adds the label's direction in its features to the logit."""
    return _conditional("cgan-projection", facts, "projection")


def labelled(capacity: int = 24) -> PlayerConfig:
    """The convolutional player that learns fastest on a CPU, with labels."""
    return player("dcgan", capacity, rate=1e-3, conditional=True)


def _conditional(name: str, facts: DataFacts, condition: Literal["projection", "concatenation"]) -> RunConfig:
    judge = labelled()
    judge.network.condition = condition
    players = {"generator": labelled(), "discriminator": judge}
    return run(name, facts, players, latent=LatentConfig(size=64), images=200_000)
