"""A classifier from a hundred labels and many images without. Paper: Salimans et al. 2016."""

from __future__ import annotations

from typing import Any

from steadygan.config import (
    AugmentationConfig,
    AverageConfig,
    HealthConfig,
    LatentConfig,
    RunConfig,
    ScheduleConfig,
    constant,
)
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run


def semi_supervised(facts: DataFacts) -> RunConfig:
    """A classifier taught by 100 labels, the other images and the fakes of a generator that matches features.

    The discriminator has no batch normalisation, whose statistics of three kinds of batches would fit none of them, and
    sees every image shifted, which a hundred labels alone cannot teach it. Health tells and does not treat: its cures
    are for the fakes, and the classifier is what is wanted here.
    """
    rate = ScheduleConfig(kind="cosine", value=3e-3)
    noisy: dict[str, Any] = {"normalisation": "none", "initialisation": "he", "hidden": (128,), "noise": 0.5}
    players = {
        "generator": player("dcgan", 16, rate=rate),
        "discriminator": player("dcgan", 16, rate=rate, **noisy),
    }
    shifts = AugmentationConfig(policy=("translate",), strength=constant(1.0))
    settings = {
        "latent": LatentConfig(size=64),
        "augmentation": shifts,
        "images": 600_000,
        "average": AverageConfig(half_life=constant(50_000)),
        "options": {"label_weight": 2.0, "own_weight": {"value": 2.0, "warm_up": 20_000}},
        "health": HealthConfig(mode="watch"),
    }
    return run("semi-supervised", facts, players, game="semi-supervised", **settings)
