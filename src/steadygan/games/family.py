"""What makes a family of GANs: its players, its latents and its moves, and nothing that the engine already has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from steadygan.config import RunConfig, ScheduleConfig, Settings
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move
from steadygan.games.adversarial import AdversarialGame
from steadygan.games.latents import LATENTS, Latent
from steadygan.networks import build_discriminator, build_generator
from steadygan.objectives.adversarial import AdversarialLoss


class NoOptions(Settings):
    """A family without settings of its own."""


@dataclass(frozen=True)
class Kit:
    """What moves are made of: the run's settings, and what the session has looked up and opened for them.

    ``options`` are the family's own, checked; ``adversarial`` is the standard game as the settings have it, for
    families that change a part of it or play some of it.
    """

    config: RunConfig
    options: Any
    loss: AdversarialLoss
    latent: Latent
    data: DataSet
    adversarial: AdversarialGame


Players = Mapping[str, nn.Module]
Builder = Callable[[RunConfig, Any, Latent], nn.Module]
"""From the run's settings, the family's options and the latent to a player's network."""

Knob = tuple[ScheduleConfig | float, float, float]
"""A control of a family's own: its schedule, and the range that it is kept within."""

KNOBS = frozenset(
    {
        *("penalties", "augmentation", "instance_noise", "top_k", "weight_clip"),
        *("feature_matching", "spectrum_matching", "lecam", "auxiliary"),
    }
)
"""Controls of the standard game that a family's moves may heed; most are settings, too."""


def generator(config: RunConfig, options: Any, latent: Latent) -> nn.Module:
    """The generator that the settings name, for the family's latents."""
    return build_generator(config.players["generator"].network, shape(config), latent.size, config.classes)


def discriminator(config: RunConfig, options: Any, latent: Latent) -> nn.Module:
    """The discriminator that the settings name, for as many images at once as are packed."""
    channels, height, width = shape(config)
    packed = (channels * config.packing, height, width)
    return build_discriminator(config.players["discriminator"].network, packed, config.classes)


def reading(outputs: Callable[[RunConfig, Any], int], *, tied: bool = False) -> Builder:
    """Builder of a discriminator that reads as many values off its features as the game needs, besides the logit."""

    def build(config: RunConfig, options: Any, latent: Latent) -> nn.Module:
        own = config.players["discriminator"]
        network = own.network.model_copy(update={"outputs": outputs(config, options), "tied": tied})
        players = config.players | {"discriminator": own.model_copy(update={"network": network})}
        return discriminator(config.model_copy(update={"players": players}), options, latent)

    return build


def read_classes(players: Players, images: Tensor, options: Any) -> Tensor:
    """Probabilities (N, K) of the classes that a discriminator reads off images."""
    judge: Any = players["discriminator"]
    probabilities: Tensor = judge.read(judge.features(images)).softmax(1)
    return probabilities


def check_reader(config: RunConfig) -> None:
    """Raise SteadyganError where a discriminator cannot read values off single images of unknown class."""
    network = config.players["discriminator"].network
    if network.outputs or network.tied:
        raise SteadyganError(
            f"the game {config.game!r} decides itself what its discriminator reads", "leave outputs and tied out"
        )
    if config.packing > 1:
        raise SteadyganError(f"the game {config.game!r} reads single images and no packs", "set packing=1")
    if network.conditional:
        raise SteadyganError(
            f"the discriminator of the game {config.game!r} must not be told the classes",
            "set discriminator.network.conditional=false",
        )


def plain_latent(config: RunConfig, options: Any) -> Latent:
    """Latents of the distribution that the settings name."""
    return Latent(config.latent.size, LATENTS[config.latent.distribution])


def judge(players: Players, images: Tensor, label: Tensor | None) -> Tensor:
    """Logits (N,) of images, as health asks for them."""
    logits: Tensor = players["discriminator"](images, label)
    return logits


def shape(config: RunConfig) -> tuple[int, int, int]:
    """Channels, height and width of a sample. Raises SteadyganError before a run is planned."""
    if config.shape is None:
        raise SteadyganError("the config has no shape", "plan the run with its data first")
    return config.shape


@dataclass(frozen=True)
class Family:
    """A game as the session wires it.

    Args:
        moves: what the players do in a round.
        options: model of the settings that only this game has.
        players: builder of each player's network; the settings' ``players`` have the same names.
        latent: what the generator is driven by.
        averages: players whose average is kept and saved; ``generator`` makes the samples.
        judge: logits of images for health; None where no player judges images.
        encode: from the averages, images and labels to latents; None where nothing encodes.
        classify: from the averages, images and options to probabilities (N, K) of classes; None where nothing can.
        controls: further controls by name.
        knobs: controls of the standard game that the moves heed; without ``auxiliary`` nobody weighs down the terms
            that the family has besides the adversarial loss, since they are what it is for.
        check: raises SteadyganError where settings, options and data do not fit the game.
    """

    moves: Callable[[Kit], tuple[Move, ...]]
    options: type[Settings] = NoOptions
    players: Mapping[str, Builder] = field(
        default_factory=lambda: {"generator": generator, "discriminator": discriminator}
    )
    latent: Callable[[RunConfig, Any], Latent] = plain_latent
    averages: tuple[str, ...] = ("generator",)
    judge: Callable[[Players, Tensor, Tensor | None], Tensor] | None = judge
    encode: Callable[[Players, Tensor, Tensor | None], Tensor] | None = None
    classify: Callable[[Players, Tensor, Any], Tensor] | None = None
    controls: Callable[[RunConfig, Any], Mapping[str, Knob]] = lambda config, options: {}
    knobs: frozenset[str] = KNOBS
    check: Callable[[RunConfig, Any, DataSet], None] = lambda config, options, data: None
