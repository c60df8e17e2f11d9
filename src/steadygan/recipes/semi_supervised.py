"""A classifier from a hundred labels and many images without. Paper: Salimans et al. 2016."""

from __future__ import annotations

from steadygan.config import AugmentationConfig, HealthConfig, LatentConfig, RunConfig, constant
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def semi_supervised(facts: DataFacts) -> RunConfig:
    """A classifier taught by 100 labels, the other images and the fakes of a generator that matches features.

    The discriminator has no batch normalisation, whose statistics of three kinds of batches would fit none of them, and
    sees every image shifted, which a hundred labels alone cannot teach it. Health tells and does not treat: its cures
    are for the fakes, and the classifier is what is wanted here.
    """
    players = {
        "generator": player("dcgan", 16, rate=1e-3),
        "discriminator": player("dcgan", 24, rate=5e-4, normalisation="none", initialisation="he", dropout=0.3),
    }
    shifts = AugmentationConfig(policy=("translate",), strength=constant(1.0))
    settings = {
        "latent": LatentConfig(size=64),
        "augmentation": shifts,
        "images": 200_000,
        "health": HealthConfig(mode="watch"),
    }
    return run("semi-supervised", facts, players, game="semi-supervised", **settings)
