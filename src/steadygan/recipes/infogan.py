"""Codes in the latent that come to mean something, without labels. Paper: Chen et al. 2016."""

from __future__ import annotations

from steadygan.config import RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.r3 import small


def infogan(facts: DataFacts) -> RunConfig:
    """InfoGAN: a category and two values in the latent, which the discriminator reads off the image again."""
    return small("infogan", facts, {}, game="infogan")
