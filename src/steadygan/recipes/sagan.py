"""Self-attention. Paper: Zhang et al. 2019, "Self-attention generative adversarial networks"."""

from __future__ import annotations

from steadygan.config import RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run, scarce


def sagan(facts: DataFacts) -> RunConfig:
    """Self-attention in both players, spectral normalisation in both, hinge loss, the discriminator four times faster.

    The paper's rates are 1e-4 and 4e-4, for networks far wider; narrow ones learn faster at these.
    """
    players = {
        "generator": player("sagan", 16, rate=5e-4, betas=(0.0, 0.9)),
        "discriminator": player("sagan", 16, rate=2e-3, betas=(0.0, 0.9)),
    }
    return run("sagan", facts, players, loss="hinge", augmentation=scarce(facts), images=200_000)
