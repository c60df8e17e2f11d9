"""A classifier taught by a few labels, many images without, and the fakes of a generator that matches features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from steadygan.config import RunConfig, Scheduled, Settings, constant
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms, move
from steadygan.games.adversarial import AdversarialGame, Seen
from steadygan.games.family import KNOBS, Family, Kit, Knob, check_reader, generator, read_classes, reading
from steadygan.runtime import processes, seeding


class Options(Settings):
    """What only this game has."""

    labelled: int = Field(100, ge=1)
    """Images whose labels are used, as many of each class; all other labels are never looked at."""
    choice: int = Field(0, ge=0)
    """Which of the possible sets of such images: it does not depend on the run's seed."""
    label_weight: Scheduled = constant(1.0)
    """Weight of the labelled images beside the adversarial loss."""
    own_weight: Scheduled = constant(0.0)
    """Weight of the classes that its average reads off images without a label, where it is sure."""
    sure: float = Field(0.9, gt=0.0, le=1.0)
    """Probability of a class from which on it is."""


@dataclass(frozen=True)
class Labelled:
    """The few images with labels: all of the labels that the game has."""

    images: Callable[[npt.NDArray[np.int64]], Tensor]
    rows: npt.NDArray[np.int64]
    labels: Tensor

    @classmethod
    def of(cls, data: DataSet, count: int, choice: int) -> Labelled:
        """``count`` training images, equally many of each class."""
        rows = chosen(data, count, choice)
        assert data.labels is not None  # as the check has seen to
        return cls(data.rows, rows, torch.from_numpy(data.labels[rows]))

    def draw(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """As many images in [-1, 1] as ``like`` has, drawn with replacement, and their labels."""
        picked = processes.drawn(len(like), lambda count: torch.randint(len(self.rows), (count,)))
        images = self.images(self.rows[picked.numpy()]).to(like.device, like.dtype).div_(127.5).sub_(1.0)
        return images, self.labels[picked].to(like.device)


def chosen(data: DataSet, count: int, choice: int) -> npt.NDArray[np.int64]:
    """Rows of ``count`` training images, equally many of each class.

    Raises:
        SteadyganError: a set without classes, or without so many images of each.
    """
    if data.labels is None or data.classes < 2:
        known = "has no labels" if data.labels is None else "has one class only"
        raise SteadyganError(f"{data.name} {known}", "sort images into a sub-folder a class, two or more")
    if count % data.classes:
        near = max(1, round(count / data.classes)) * data.classes
        raise SteadyganError(
            f"{count} labelled images are not equally many of {data.classes} classes", f"set options.labelled={near}"
        )
    each = count // data.classes
    order = seeding.numpy_generator("labelled", choice).permutation(data.train)
    rows = [order[data.labels[order] == label][:each] for label in range(data.classes)]
    fewest = min(range(data.classes), key=lambda label: len(rows[label]))
    if len(rows[fewest]) < each:
        raise SteadyganError(
            f"class {data.label_names[fewest]!r} of {data.name} has {len(rows[fewest])} training images, not {each}",
            f"set options.labelled={max(1, len(rows[fewest])) * data.classes} or add images",
        )
    return np.concatenate(rows)


@dataclass(frozen=True)
class SemiSupervised:
    """The standard game with labelled images for the discriminator and another wish of the generator."""

    game: AdversarialGame
    labelled: Labelled
    sure: float

    def know(self, play: Play, seen: Seen) -> Terms:
        """``-log P(label | image)`` of labelled images, and of others with the discriminator's own label; (N,) each."""
        terms: Terms = {}
        if (weight := play.controls["label_weight"]) > 0:
            images, label = self.labelled.draw(play.batch.real)
            surprise = functional.cross_entropy(seen.judge.outputs(seen.show(images)), label, reduction="none")
            terms["auxiliary/label"] = Term(surprise, weight)
        if (weight := play.controls["own_weight"]) > 0:
            found, label = self._own(play)
            surprise = functional.cross_entropy(seen.judge.outputs(seen.real), label, reduction="none")
            terms["auxiliary/own_label"] = Term(surprise * (found > self.sure), weight)
        return terms

    @torch.no_grad()
    def _own(self, play: Play) -> tuple[Tensor, Tensor]:
        """The likeliest class of every real as it is, by the averaged discriminator, and its probability; (N,) each."""
        known: Any = play.averages["discriminator"]
        found, label = known.read(known.features(play.batch.real)).softmax(1).max(1)
        return found, label

    def match(self, play: Play) -> Terms:
        """The generator's whole wish: fakes with the mean features of reals; 0-d."""
        _, made = self.game.fakes_again(play, None)
        fake = self.game.shown(play, made)
        matched = self.game.match(play, self.game.judge(play, None), fake)
        return {"generator/loss": Term(matched)} | self.game.on_weights(play, "generator")


def moves(kit: Kit) -> tuple[Move, ...]:
    """The discriminator's move with labelled images, then the generator's, which matches features."""
    options: Options = kit.options
    labelled = Labelled.of(kit.data, options.labelled, options.choice)
    plain = SemiSupervised(kit.adversarial, labelled, options.sure)
    tell, _ = replace(kit.adversarial, extras={"discriminator": (plain.know,)}).moves()
    return tell, move("generator", ("generator",), plain.match, steps="steps.generator")


def controls(config: RunConfig, options: Options) -> dict[str, Knob]:
    """The weights of the labelled images, and of the others by their own labels."""
    weights = {"label_weight": options.label_weight, "own_weight": options.own_weight}
    return {name: (weight, 0.0, float("inf")) for name, weight in weights.items()}


def check(config: RunConfig, options: Options, data: DataSet) -> None:
    """Raise SteadyganError where the data do not have the labels, or a player is told more of them."""
    check_reader(config)
    if config.players["generator"].network.conditional:
        raise SteadyganError(
            f"the game {config.game!r} knows a few labels only", "set generator.network.conditional=false"
        )
    chosen(data, options.labelled, options.choice)


SEMI_SUPERVISED = Family(
    moves,
    Options,
    players={"generator": generator, "discriminator": reading(lambda config, options: config.classes, tied=True)},
    averages=("generator", "discriminator"),
    classify=read_classes,
    controls=controls,
    knobs=KNOBS - {"top_k", "feature_matching", "auxiliary"},
    check=check,
)
"""The K class logits l also judge: real with probability Z / (Z + 1), Z = sum exp l.

Paper: Salimans et al. 2016, Improved Techniques for Training GANs (section 5).
"""
