"""Class labels given to both players. Papers: Mirza and Osindero 2014 (maps); Miyato and Koyama 2018 (projection)."""

from __future__ import annotations

from steadygan.config import RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.r3 import small


def cgan(facts: DataFacts) -> RunConfig:
    """Conditional GAN: the discriminator gets learned maps of the label beside the image."""
    return _conditional("cgan", facts, "concatenation")


def cgan_projection(facts: DataFacts) -> RunConfig:
    """Conditional GAN: the discriminator adds the label's direction in its features to the logit."""
    return _conditional("cgan-projection", facts, "projection")


def _conditional(name: str, facts: DataFacts, condition: str) -> RunConfig:
    return small(
        name,
        facts,
        {"generator": {"conditional": True}, "discriminator": {"conditional": True, "condition": condition}},
    )
