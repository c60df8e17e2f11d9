"""Autoencoders: their latents held to the prior by a discriminator, or by a divergence."""

from __future__ import annotations

import math

from steadygan.config import PlayerConfig, RunConfig
from steadygan.recipes.encoding import drawn, narrow
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run

NOISE = 0.5
"""Standard deviation of the pixel noise that the variational autoencoder assumes, for pixels from -1 to 1."""


def _both(facts: DataFacts) -> dict[str, PlayerConfig]:
    return {"encoder": player("dcgan", 16, rate=1e-3), "generator": player("dcgan", 16, rate=1e-3)}


def aae(facts: DataFacts) -> RunConfig:
    """Adversarial autoencoder: DCGAN encoder and generator, a fully connected discriminator of latents."""
    players = {**_both(facts), "discriminator": player("mlp", 16, rate=1e-3, depth=3)}
    settings = {"game": "adversarial-autoencoder", "latent": narrow(facts), **drawn(facts)}
    return run("aae", facts, players, images=400_000, **settings)


def vae(facts: DataFacts) -> RunConfig:
    """Variational autoencoder, without any opponent: the yardstick of the families that encode."""
    options = {"prior": 2 * NOISE**2 / math.prod(facts.shape)}
    settings = {"game": "variational-autoencoder", "options": options, "latent": narrow(facts), **drawn(facts)}
    return run("vae", facts, _both(facts), images=400_000, **settings)
