"""Autoencoders: their latents held to the prior by a discriminator, or by a divergence."""

from __future__ import annotations

import math

from steadygan.config import LatentConfig, PlayerConfig, RunConfig
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run

NOISE = 0.5
"""Standard deviation of the pixel noise that the variational autoencoder assumes, for pixels from -1 to 1."""


def _both(facts: DataFacts) -> dict[str, PlayerConfig]:
    return {"encoder": player("dcgan", 16, rate=1e-3), "generator": player("dcgan", 16, rate=1e-3)}


def aae(facts: DataFacts) -> RunConfig:
    """Adversarial autoencoder: DCGAN encoder and generator, a small discriminator of latents, N(0, I) in 16 values."""
    judge = player("mlp", 16, rate=1e-3, hidden=(256, 256))
    players = {**_both(facts), "discriminator": judge}
    latent = LatentConfig(size=16)
    return run("aae", facts, players, game="adversarial-autoencoder", latent=latent, images=400_000)


def vae(facts: DataFacts) -> RunConfig:
    """Variational autoencoder, without any opponent: the yardstick of the families that encode."""
    options = {"prior": 2 * NOISE**2 / math.prod(facts.shape)}
    settings = {"game": "variational-autoencoder", "options": options, "latent": LatentConfig(size=16)}
    return run("vae", facts, _both(facts), images=400_000, **settings)
