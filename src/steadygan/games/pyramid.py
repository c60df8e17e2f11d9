"""The pyramid of games (LAPGAN; Denton et al. 2015): at each size a generator that adds detail and its discriminator.

One move plays all levels. A level's generator gets the enlarged coarser image of a *real* one, so that levels learn
independently of each other; only samples go through the whole chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from steadygan.config import RunConfig, Settings
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Batch, Move, Play, Term, Terms, move
from steadygan.games.adversarial import AdversarialGame, Judge, note_images, note_logits
from steadygan.games.family import Family, Kit, Knob, shape
from steadygan.games.latents import Latent
from steadygan.networks import Discriminator, Generator
from steadygan.networks.contract import OUTPUTS
from steadygan.networks.pyramid import (
    PyramidDiscriminator,
    PyramidGenerator,
    beside,
    level_sizes,
    pyramid_discriminator,
    pyramid_generator,
    split_sizes,
)

KNOBS = frozenset({"penalties", "augmentation", "instance_noise"})


class PyramidOptions(Settings):
    """The pyramid's shape."""

    levels: int = Field(0, ge=0, le=8)
    """Sizes that are played, each twice the one before; 0: down to a side of 7 to 13, but at least two."""


@dataclass(frozen=True)
class Level:
    """What the discriminator of a level is shown: reals and fakes, each beside the image it was or might be made from.

    ``made`` is the fake as the generator made it, ``real`` what it stands for.
    """

    index: int
    weight: float
    real: Tensor
    made: Tensor
    coarse: Tensor | None

    def seen(self, game: AdversarialGame, play: Play, images: Tensor) -> Tensor:
        """Images as the level's discriminator gets to see them."""
        return game.shown(play, images if self.coarse is None else beside(images, self.coarse))


@dataclass(frozen=True)
class PyramidGame:
    """The standard game's objectives at every level whose control weighs anything."""

    game: AdversarialGame

    def moves(self) -> tuple[Move, ...]:
        """The discriminators' move, then the generators'."""
        return (
            move("discriminator", ("discriminator",), self.tell, steps="steps.discriminator", builds=("generator",)),
            move("generator", ("generator",), self.be_believed, steps="steps.generator"),
        )

    def tell(self, play: Play) -> Terms:
        """What the discriminator wants at each level."""
        label = play.batch.label if self.game.conditional else None
        levels, terms = self.levels(play, label), self.game.on_weights(play, "discriminator")
        both: list[tuple[Tensor, Tensor]] = []
        for level in levels:
            play.shared[f"fakes.{level.index}.{play.part}"] = level.made
            real, fake = (level.seen(self.game, play, images) for images in (level.real, level.made.detach()))
            judge = judged(play, level.index, label, real, fake)
            for name, term in self.game.penalise(play, judge, real, fake).items():
                terms[f"{name}.{level.index}"] = term._replace(weight=term.weight * level.weight)
            both.append((judge(real), judge(fake)))
            values = self.game.loss.discriminator(*both[-1])
            terms[f"discriminator/loss.{level.index}"] = Term(values, level.weight)
        real_logits, fake_logits = (torch.stack(side).sum(0) for side in zip(*both, strict=True))
        note_logits(play, real_logits, fake_logits)
        play.note("discriminator/loss", weighed(terms, "discriminator/loss."))
        # only the coarsest level makes images from noise alone, so its spread is what can collapse
        base = replace(play, batch=Batch(levels[0].real))
        note_images(base, levels[0].made)
        return terms

    def be_believed(self, play: Play) -> Terms:
        """What the generator wants at each level: that its fakes are taken for real beside the coarser image."""
        label = play.batch.label if self.game.conditional else None
        terms = self.game.on_weights(play, "generator")
        for level in self.levels(play, label):
            judge = judged(play, level.index, label)
            fake_logits = judge(level.seen(self.game, play, level.made))
            real_logits = torch.zeros_like(fake_logits)
            if self.game.loss.paired:
                with torch.no_grad():
                    real_logits = judge(level.seen(self.game, play, level.real))
            terms[f"generator/loss.{level.index}"] = Term(
                self.game.loss.generator(real_logits, fake_logits), level.weight
            )
        play.note("generator/loss", weighed(terms, "generator/loss."))
        return terms

    def levels(self, play: Play, label: Tensor | None) -> list[Level]:
        """The levels that are played, with the fakes of the round where they are already made."""
        generator = cast(Generator, play.players["generator"])
        body = cast(PyramidGenerator, generator.body)
        reals = cast(PyramidDiscriminator, play.players["discriminator"].body).pyramid(play.batch.real)
        found: list[Level] = []
        parts: list[Tensor] | None = None
        for index, real in enumerate(reals):
            weight = play.controls[f"level.{index}"]
            if weight <= 0:
                continue
            coarse = body.enlarged(index, reals[index - 1]) if index else None
            made = play.shared.pop(f"fakes.{index}.{play.part}", None)
            if made is None:
                parts = self.parts(play, generator, label) if parts is None else parts
                made = body.level(index, parts[index], coarse)
                if index == len(reals) - 1:
                    made = OUTPUTS[generator.output](made)
            found.append(Level(index, weight, real, made.to(real.dtype), coarse))
        if not found:
            raise SteadyganError(
                "no level of the pyramid weighs anything", "leave a control level.0, level.1, ... above 0"
            )
        return found

    def parts(self, play: Play, generator: Generator, label: Tensor | None) -> list[Tensor]:
        """Every level's part of new latents, one for every real of the batch."""
        latent = self.game.latent(len(play.batch.real), play.device).to(play.batch.real.dtype)
        return cast(PyramidGenerator, generator.body).split(generator.entered(latent, label)[0])


@dataclass(frozen=True)
class OneLevel:
    """The part of a discriminator that judges one level."""

    whole: Discriminator
    index: int

    @property
    def by_rows(self) -> bool:
        """Whether reals and fakes may be looked at together."""
        return self.whole.by_rows

    def __call__(self, images: Tensor, label: Tensor | None) -> Tensor:
        """Logits (N,) of what the level looks at."""
        return self.whole.head(cast(PyramidDiscriminator, self.whole.body).only(self.index, images), label)


def judged(play: Play, index: int, label: Tensor | None, *images: Tensor) -> Judge:
    """The discriminator of one level, which sees none of ``images`` twice."""
    network = OneLevel(cast(Discriminator, play.players["discriminator"]), index)
    return Judge(network, label, *images, deep=False)


def weighed(terms: Terms, prefix: str) -> Tensor:
    """The weighted sum of the terms that begin with ``prefix``: what the record shows as one loss."""
    return torch.stack(
        [t.values.detach().mean() * t.weight for name, t in terms.items() if name.startswith(prefix)]
    ).sum()


def _moves(kit: Kit) -> tuple[Move, ...]:
    return PyramidGame(kit.adversarial).moves()


def _generator(config: RunConfig, options: PyramidOptions, latent: Latent) -> nn.Module:
    network = config.players["generator"].network
    return pyramid_generator(network, shape(config), latent.size, config.classes, levels=options.levels)


def _discriminator(config: RunConfig, options: PyramidOptions, latent: Latent) -> nn.Module:
    network = config.players["discriminator"].network
    return pyramid_discriminator(network, shape(config), config.classes, levels=options.levels)


def _controls(config: RunConfig, options: PyramidOptions) -> Mapping[str, Knob]:
    levels = len(level_sizes(shape(config), options.levels))
    return {f"level.{index}": (1.0, 0.0, float("inf")) for index in range(levels)}


def _check(config: RunConfig, options: PyramidOptions, data: DataSet) -> None:
    split_sizes(config.latent.size, len(level_sizes(data.shape, options.levels)))
    for role, player in config.players.items():
        network = player.network
        if network.name != "pyramid":
            raise SteadyganError(f"the game 'lapgan' has a {role} of its own", f"set {role}.network.name=pyramid")
        if network.normalisation == "virtual-batch" or network.condition == "concatenation":
            raise SteadyganError(
                "a pyramid's levels see images of several sizes, as neither virtual-batch nor concatenation can",
                "choose another normalisation, and condition=projection",
            )
    if config.packing > 1 or config.label_flipping:
        raise SteadyganError("the game 'lapgan' has no use for packing and label_flipping", "leave them out")


LAPGAN = Family(
    _moves,
    options=PyramidOptions,
    players={"generator": _generator, "discriminator": _discriminator},
    controls=_controls,
    knobs=KNOBS,
    check=_check,
)
"""All levels of a pyramid, each with a control that weighs it."""
