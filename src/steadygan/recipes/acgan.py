"""Class labels given to the generator and told by the discriminator. Paper: Odena et al. 2017."""

from __future__ import annotations

from steadygan.config import RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.r3 import small


def acgan(facts: DataFacts) -> RunConfig:
    """AC-GAN: the generator is asked for a class, and the discriminator says which one it sees."""
    return small("acgan", facts, {"generator": {"conditional": True}}, game="acgan")
