"""InfoGAN: a part of the latent is a code that can be read off the image again, and so comes to mean something."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from steadygan.config import RunConfig, Scheduled, Settings, constant
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms
from steadygan.games.adversarial import Seen
from steadygan.games.family import KNOBS, Family, Kit, Knob, Players, check_reader, generator, reading
from steadygan.games.latents import LATENTS, Code, Latent, coded


class Options(Settings):
    """What only this game has."""

    categories: int = Field(10, ge=2, le=10_000)
    """Choices of the code ``category``, drawn evenly."""
    values: int = Field(2, ge=0, le=100)
    """Codes ``value1``, ``value2``, ... of U(-1, 1)."""
    noise: float = Field(1.0, gt=0.0, le=10.0)
    """Factor on the noise; where it is small beside the codes, these decide what is shown."""
    category_weight: Scheduled = constant(1.0)
    """Weight of reading the category, for both players; the paper's is 1."""
    value_weight: Scheduled = constant(0.1)
    """Weight of reading the values; smaller, since a density's logarithm has another scale."""


@dataclass(frozen=True)
class Information:
    """Lower bound of the mutual information of codes and images, as extra terms of the standard game.

    ``I(c; G(z, c)) >= E log Q(c | G(z, c)) + H(c)``, where H(c) is constant and Q is read off the discriminator's
    features: class logits of the category, means of the values under a normal distribution of deviation 1/2.
    """

    codes: Mapping[str, Code]

    def read(self, play: Play, seen: Seen) -> Terms:
        """``-log Q(code | fake)``; (N,) for the category and for all values together.

        In the discriminator's move it teaches Q, in the generator's the generator.
        """
        terms: Terms = {}
        choices = self.codes["category"].choices
        category, values = play.controls["category_weight"], play.controls["value_weight"]
        if category > 0:
            chosen = seen.latent[:, self.codes["category"].place].argmax(1)
            guess = seen.judge.outputs(seen.fake)[:, :choices]
            terms["auxiliary/category"] = Term(functional.cross_entropy(guess, chosen, reduction="none"), category)
        if values > 0 and len(self.codes) > 1:
            wanted = seen.latent[:, self.codes["category"].place.stop :]
            distance = (seen.judge.outputs(seen.fake)[:, choices:] - wanted).square().sum(1)
            terms["auxiliary/values"] = Term(2 * distance + wanted.shape[1] * math.log(math.pi / 2) / 2, values)
        return terms


def latent(config: RunConfig, options: Options) -> Latent:
    """Noise, then one category and some values.

    Little noise beside a category's 1 begins with one image a category, which grows over what lies around it
    (Mukherjee et al. 2019, ClusterGAN); noise as loud as the codes shows everything without them.
    """
    names = [f"value{number + 1}" for number in range(options.values)]
    distribution = LATENTS[config.latent.distribution]

    def noise(count: int, size: int, source: torch.Generator | None, device: torch.device | None) -> Tensor:
        return distribution(count, size, source, device) * options.noise

    return coded(config.latent.size, noise, {"category": options.categories}, names)


def moves(kit: Kit) -> tuple[Move, ...]:
    """The standard game with the bound of the mutual information for both players."""
    terms = (Information(kit.latent.codes).read,)
    return replace(kit.adversarial, extras={"discriminator": terms, "generator": terms}).moves()


def classify(players: Players, images: Tensor, options: Options) -> Tensor:
    """Probabilities (N, categories) of the category of images, fake or real."""
    judge: Any = players["discriminator"]
    probabilities: Tensor = judge.read(judge.features(images))[:, : options.categories].softmax(1)
    return probabilities


def controls(config: RunConfig, options: Options) -> dict[str, Knob]:
    """The weights of both kinds of code."""
    weights = {"category_weight": options.category_weight, "value_weight": options.value_weight}
    return {name: (weight, 0.0, float("inf")) for name, weight in weights.items()}


def check(config: RunConfig, options: Options, data: DataSet) -> None:
    """Raise SteadyganError where labels are given to a game that finds classes by itself."""
    check_reader(config)
    if config.players["generator"].network.conditional:
        raise SteadyganError(
            f"the game {config.game!r} finds categories without labels", "set generator.network.conditional=false"
        )


INFOGAN = Family(
    moves,
    Options,
    players={
        "generator": generator,
        "discriminator": reading(lambda config, options: options.categories + options.values),
    },
    latent=latent,
    averages=("generator", "discriminator"),
    classify=classify,
    controls=controls,
    knobs=KNOBS - {"auxiliary"},
    check=check,
)
"""Paper: Chen et al. 2016, InfoGAN: Interpretable Representation Learning by Information Maximizing GANs."""
