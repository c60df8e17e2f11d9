"""What families with an encoder share: the player, how it is asked, and which settings do not fit."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.game.move import Play
from steadygan.games.family import Players, shape
from steadygan.games.latents import Latent
from steadygan.networks import Encoder, Law, build_encoder

AVERAGES = ("generator", "encoder")
"""Players whose averages are kept, so that a trained run encodes and decodes."""


def encoder(config: RunConfig, options: Any, latent: Latent) -> Encoder:
    """The encoder that the settings name; it gives a law of latents where ``options.stochastic`` is set."""
    network = config.players["encoder"].network
    return build_encoder(network, shape(config), latent.size, config.classes, stochastic=options.stochastic)


def encode(players: Players, images: Tensor, label: Tensor | None) -> Tensor:
    """The likeliest latents (N, Z) of images."""
    latent: Tensor = players["encoder"](images, label)
    return latent


def law(play: Play, label: Tensor | None) -> Law:
    """What the encoder says of the batch's reals, in their precision."""
    network: Any = play.players["encoder"]
    said: Law = network.law(play.batch.real, label)
    return said.to(play.batch.real.dtype)


def check(config: RunConfig, *, flips: bool = False) -> None:
    """Raise SteadyganError for settings of the standard game that the moves of these families do not heed.

    Args:
        config: the settings.
        flips: whether the discriminator's labels can be flipped as in the standard game.
    """
    if config.players["encoder"].steps != 1:
        raise SteadyganError("the encoder learns in the generator's move", "set generator.steps instead")
    if config.packing > 1:
        raise SteadyganError(f"the game {config.game!r} cannot judge packs", "set packing=1")
    if config.label_flipping and not flips:
        raise SteadyganError(f"the game {config.game!r} has no use for label_flipping", "leave it out")
