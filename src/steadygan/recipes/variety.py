"""Ways to keep a generator from making the same few things; each is the recipe ``dcgan`` with one thing more."""

from __future__ import annotations

from typing import Any

from steadygan.config import PlayerConfig, RunConfig, constant
from steadygan.recipes.dcgan import dcgan
from steadygan.recipes.facts import DataFacts


def mad_gan(facts: DataFacts) -> RunConfig:
    """MAD-GAN: four generators of half the width, and a discriminator that tells which made a fake."""
    config = dcgan(facts)
    players = {**config.players, "generator": _network(config, "generator", capacity=16)}
    return _varied(config, "mad-gan", game="mad-gan", options={"generators": 4}, players=players)


def unrolled(facts: DataFacts) -> RunConfig:
    """Unrolled GAN: the generator learns through the discriminator's next answers."""
    return _varied(dcgan(facts), "unrolled", game="unrolled", options={"steps": 3}, images=150_000)


def pacgan(facts: DataFacts) -> RunConfig:
    """PacGAN: the discriminator judges two images at once, so that sameness shows."""
    return _varied(dcgan(facts), "pacgan", packing=2)


def consistency(facts: DataFacts) -> RunConfig:
    """Consistency regularisation: logits hold under small shifts of images and latents, images do not (bCR, zCR)."""
    return _varied(dcgan(facts), "consistency", game="consistency", images=200_000)


def feature_matching(facts: DataFacts) -> RunConfig:
    """Feature matching: fakes shall have the reals' mean features of the discriminator as well."""
    return _varied(dcgan(facts), "feature-matching", feature_matching=constant(1.0))


def minibatch_discrimination(facts: DataFacts) -> RunConfig:
    """Minibatch discrimination: the discriminator sees how close each image is to the others of its batch."""
    config = dcgan(facts)
    judge = _network(config, "discriminator", minibatch_discrimination=True)
    return _varied(config, "minibatch-discrimination", players={**config.players, "discriminator": judge})


def _network(config: RunConfig, name: str, **settings: Any) -> PlayerConfig:
    player = config.players[name]
    return player.model_copy(update={"network": player.network.model_copy(update=settings)})


def _varied(config: RunConfig, name: str, **settings: Any) -> RunConfig:
    return config.model_copy(update={"recipe": name, **settings})
