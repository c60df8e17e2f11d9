"""f-divergences as games. Paper: Nowozin, Cseke and Tomioka 2016, f-GAN."""

from __future__ import annotations

from steadygan.config import RunConfig
from steadygan.recipes.dcgan import dcgan
from steadygan.recipes.facts import DataFacts


def f_gan(facts: DataFacts) -> RunConfig:
    """f-GAN: the players of DCGAN and any f-divergence as the loss, whose bound stands in the records."""
    config = dcgan(facts)
    return config.model_copy(update={"recipe": "f-gan", "game": "f-gan", "loss": "f-squared-hellinger"})
