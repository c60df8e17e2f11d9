"""The two-player game of Goodfellow et al. 2014 with any loss, penalty and auxiliary term."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms, move
from steadygan.objectives.adversarial import AdversarialLoss, flip_labels
from steadygan.objectives.auxiliary import (
    feature_matching,
    historical_averaging,
    instance_noise,
    lecam,
    pack,
    spectrum_matching,
    top_k,
    update_average,
    update_historical_averages_,
)
from steadygan.objectives.penalties import r1, r1_and_r2, r2
from steadygan.objectives.weights import clip_weights_
from steadygan.runtime import processes, shards

Penalty = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]
WeightPenalty = Callable[[list[Tensor]], Tensor]


@dataclass(frozen=True)
class LazyPenalty:
    """A gradient-based penalty and how often it is applied; its weight is the control ``penalty.<name>``."""

    name: str
    values: Penalty
    every: int = 1


@dataclass
class Seen:
    """What a move has in hand when the family's extra terms are asked for.

    ``fake`` is as the discriminator saw it, ``made`` as the generator made it of ``latent``; in the discriminator's
    move neither leads back to the generator. ``real`` is as the discriminator saw it, or, in the generator's move,
    would: that is drawn when it is first asked for.
    """

    play: Play
    judge: Judge
    show: Callable[[Tensor], Tensor]
    latent: Tensor
    label: Tensor | None
    made: Tensor
    fake: Tensor

    @cached_property
    def real(self) -> Tensor:
        """Reals as the discriminator sees them."""
        return self.show(self.play.batch.real)


Extra = Callable[[Play, Seen], Terms]
"""Terms that a family adds to what a player of the standard game wants."""


@dataclass(frozen=True)
class AdversarialGame:
    """Generator and discriminator as two moves: the discriminator learns to tell, then the generator to be believed.

    ``extras`` are a family's further terms for a player, which find the passes of the networks already made; ``before``
    is called at the beginning of a round.

    Both see the same augmented, noised and packed images. What a control of 0 weighs costs nothing, so penalties and
    terms that the recipe does not use stay at hand for health to turn on. ``label_flipping`` swaps a real and a fake
    before the discriminator. With ``share_fakes`` the generator learns from the fakes of the discriminator's last step.
    """

    loss: AdversarialLoss
    latent: Callable[[int, torch.device], Tensor]
    penalties: tuple[LazyPenalty, ...] = ()
    weight_penalties: Mapping[str, Mapping[str, WeightPenalty]] = field(default_factory=dict)
    historical: frozenset[str] = frozenset()
    augment: Callable[[Tensor, float], Tensor] | None = None
    label_flipping: float = 0.0
    packing: int = 1
    conditional: bool = False
    share_fakes: bool = True
    extras: Mapping[str, tuple[Extra, ...]] = field(default_factory=dict)
    before: Callable[[Play], None] | None = None

    def moves(self) -> tuple[Move, ...]:
        """The discriminator's move, then the generator's."""
        builds = ("generator",) if self.share_fakes else ()
        return (
            move(
                "discriminator", ("discriminator",), self.tell, steps="steps.discriminator", builds=builds, after=_clip
            ),
            move("generator", ("generator",), self.be_believed, steps="steps.generator"),
        )

    def tell(self, play: Play) -> Terms:
        """What the discriminator wants: the loss, its penalties, and LeCam's tie to its own past."""
        if self.before is not None:
            self.before(play)
        label = play.batch.label if self.conditional else None
        latent, made = self.fakes(play, label)
        if self.share_fakes:
            play.shared[f"latents.{play.part}"], play.shared[f"fakes.{play.part}"] = latent, made
        real, fake = self.shown(play, play.batch.real), self.shown(play, made.detach())
        judge = self.judge(play, label, real, fake)
        terms = self.penalise(play, judge, real, fake)
        real_logits, fake_logits = judge(real), judge(fake)
        note_logits(play, real_logits, fake_logits)
        note_images(play, made)
        seen = (real_logits, fake_logits)
        if self.label_flipping:
            seen = flip_labels(real_logits, fake_logits, self.label_flipping)
        terms["discriminator/loss"] = Term(self.loss.discriminator(*seen))
        if (weight := play.controls["lecam"]) > 0:
            terms["auxiliary/lecam"] = Term(_lecam(play, real_logits, fake_logits), weight)
        if extras := self.extras.get("discriminator", ()):
            shown = Seen(play, judge, lambda images: self.shown(play, images), latent, label, made.detach(), fake)
            shown.real = real
            for extra in extras:
                terms |= extra(play, shown)
        return terms | self.on_weights(play, "discriminator")

    def penalise(self, play: Play, judge: Judge, real: Tensor, fake: Tensor) -> Terms:
        """The gradient-based penalties that weigh anything and are due this round, of the images of ``judge``."""
        due = {
            penalty: weight
            for penalty in self.penalties
            if (weight := play.controls[f"penalty.{penalty.name}"] * penalty.every) > 0
            and play.round % penalty.every == 0
        }
        kinds = {penalty.values for penalty in due}
        both = dict(zip((r1, r2), r1_and_r2(judge, judge.together), strict=True)) if judge.joins(kinds) else {}
        terms: Terms = {}
        for penalty, weight in due.items():
            values = both[penalty.values] if penalty.values in both else penalty.values(judge, real, fake)
            terms[f"penalty/{penalty.name}"] = Term(values, weight)
        return terms

    def be_believed(self, play: Play) -> Terms:
        """What the generator wants: that its fakes are taken for real."""
        label = play.batch.label if self.conditional else None
        latent, made = self.fakes_again(play, label)
        fake = self.shown(play, made)
        judge = self.judge(play, label, fake)
        fake_logits = judge(fake)
        if self.loss.paired:
            with torch.no_grad():
                real_logits = self.judge(play, label)(self.shown(play, play.batch.real))
        else:
            real_logits = torch.zeros_like(fake_logits)
        values = self.loss.generator(real_logits, fake_logits)
        share = play.controls["top_k"]
        if share < 1:
            values = top_k(values, fake_logits, share)
        terms = {"generator/loss": Term(values)}
        if (weight := play.controls["feature_matching"]) > 0:
            terms["matching/features"] = Term(self.match(play, judge, fake), weight)
        if (rate := play.controls.get("spectrum_matching", 0.0)) > 0:
            terms["matching/spectrum"] = Term(_match_spectrum(play, made, rate))
        if extras := self.extras.get("generator", ()):
            seen = Seen(play, judge, lambda images: self.shown(play, images), latent, label, made, fake)
            for extra in extras:
                terms |= extra(play, seen)
        return terms | self.on_weights(play, "generator")

    def fakes(self, play: Play, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """New latents, one for every real of the batch, and what the generator makes of them."""
        latent = self.latent(len(play.batch.real), play.device).to(play.batch.real.dtype)
        return latent, _images(play.players["generator"](latent, label), play.batch.real)

    def fakes_again(self, play: Play, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Latents and fakes of the discriminator's move, or new ones where it left none."""
        made = play.shared.pop(f"fakes.{play.part}", None)
        latent = play.shared.pop(f"latents.{play.part}", None)
        return (latent, made) if made is not None and latent is not None else self.fakes(play, label)

    def shown(self, play: Play, images: Tensor) -> Tensor:
        """Images as the discriminator gets to see them."""
        if self.augment is not None:
            images = self.augment(images, play.controls["augmentation"])
        images = instance_noise(images, play.controls["instance_noise"])
        return pack(images, self.packing) if self.packing > 1 else images

    def judge(self, play: Play, label: Tensor | None, *images: Tensor) -> Judge:
        """The discriminator as a function of images that sees none of ``images`` twice."""
        deep = bool(self.extras) or play.controls.get("feature_matching", 0.0) > 0
        return Judge(play.players["discriminator"], label, *images, deep=deep)

    def match(self, play: Play, judge: Judge, fake: Tensor) -> Tensor:
        """Feature matching of fakes with the reals of the batch, 0-d."""
        with torch.no_grad():
            wanted = judge.network.features(self.shown(play, play.batch.real), judge.label)
        if judge.deep:
            return feature_matching(wanted, judge.features(fake))
        return feature_matching(wanted, judge.network.features(fake, judge.label))

    def on_weights(self, play: Play, name: str) -> Terms:
        """Terms on the parameters themselves: weight penalties and historical averaging."""
        parameters: list[Tensor] = list(play.players[name].parameters())
        terms = {
            f"penalty/{kind}.{name}": Term(penalty(parameters), play.controls[f"penalty.{kind}.{name}"])
            for kind, penalty in self.weight_penalties.get(name, {}).items()
        }
        if name in self.historical:
            averages = _history(play, name, parameters)
            weight = play.controls[f"historical_averaging.{name}"]
            terms[f"auxiliary/historical_averaging.{name}"] = Term(historical_averaging(parameters, averages), weight)
        return terms


Look = tuple[Tensor, Tensor | None]
"""Logits (N,) and features (N, F) of images; None where they are not kept."""


class Judge:
    """A discriminator as a function of images, which does not look at the same images twice.

    R1 and R2 need the logits of the very images whose logits the loss needs: played before the loss, they leave them
    here, which saves two of the discriminator's passes a round; extra terms find the features of both. What is found
    under autocast is kept apart, because penalties are taken in float32 and the loss is not. With ``deep`` the features
    are kept too, which only networks that have ``features`` and ``head`` can give.

    A network that looks at every row alone, as it says itself by ``by_rows``, sees all ``images`` in one pass.
    """

    def __init__(self, network: Any, label: Tensor | None, *images: Tensor, deep: bool = True) -> None:
        self.network, self.label, self.images, self.deep = network, label, images, deep
        self.known: dict[tuple[int, bool], Look] = {}
        self.joined = len(images) > 1 and bool(getattr(network, "by_rows", False))

    @cached_property
    def together(self) -> Tensor:
        """All images, one batch after the other."""
        return torch.cat(self.images)

    def joins(self, penalties: Collection[Penalty]) -> bool:
        """Whether R1 and R2 are both among the penalties and can be taken by one derivative."""
        return self.joined and r1 in penalties and r2 in penalties

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N,), in float32 at least."""
        return self._seen(images)[0]

    def features(self, images: Tensor) -> Tensor:
        """The discriminator's last hidden features (N, F)."""
        found = self._seen(images)[1]
        if found is None:
            raise SteadyganError("the discriminator's features were not kept", "look at the images with deep=True")
        return found

    def outputs(self, images: Tensor) -> Tensor:
        """What the discriminator reads off its features beside the logit, (N, O)."""
        read: Tensor = self.network.read(self.features(images))
        return _at_least_float(read)

    def _seen(self, images: Tensor) -> Look:
        cast = torch.is_autocast_enabled(images.device.type)
        if self.joined and _same(images, self.together):
            return self._look_at_all(images, cast)
        # as the images of self.images stay alive, nothing else can lie where they lie
        place = next((index for index, known in enumerate(self.images) if _same(images, known)), None)
        if place is None:
            return self._look(images)
        if (place, cast) not in self.known:
            # a penalty asks for points of its own, which the others must not be joined to
            if self.joined and images is self.images[place] and not any(key[1] == cast for key in self.known):
                self._look_at_all(self.together, cast)
            else:
                self.known[place, cast] = self._look(images)
        return self.known[place, cast]

    def _look_at_all(self, images: Tensor, cast: bool) -> Look:
        """One pass of all images, which each of them is then known by."""
        logits, features = self._look(images)
        sizes = [len(one) for one in self.images]
        parts = [None] * len(sizes) if features is None else torch.split(features, sizes)
        for place, look in enumerate(zip(torch.split(logits, sizes), parts, strict=True)):
            self.known[place, cast] = look
        return logits, features

    def _look(self, images: Tensor) -> Look:
        network, label = self.network, self.label
        if label is not None and len(label) < len(images):
            label = label.repeat(len(images) // len(label))
        if not self.deep:
            return _at_least_float(network(images, label)), None
        features = network.features(images, label)
        return _at_least_float(network.head(features, label)), features


def _at_least_float(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _same(images: Tensor, known: Tensor) -> bool:
    """Whether both are the same values in memory, perhaps detached from each other."""
    return (
        images.data_ptr() == known.data_ptr()
        and images.dtype == known.dtype
        and images.shape == known.shape
        and images.stride() == known.stride()
    )


def _images(made: Tensor, like: Tensor) -> Tensor:
    return made.to(like.dtype) if made.dtype != like.dtype else made


def note_logits(play: Play, real_logits: Tensor, fake_logits: Tensor) -> None:
    """Signals from the logits; only their differences mean something for every loss."""
    with torch.no_grad():
        play.note("discriminator/real_logits", real_logits.mean())
        play.note("discriminator/fake_logits", fake_logits.mean())
        play.note("discriminator/real_signs", real_logits.sign().mean())
        if play.measured:
            reals, fakes = processes.whole(real_logits), processes.whole(fake_logits)
            wins = (reals[:, None] > fakes[None, :]).to(reals.dtype).mean()
            play.note("discriminator/win_rate", wins)
            play.note("discriminator/separation", separation(real_logits, fake_logits))


def note_images(play: Play, made: Tensor) -> None:
    """Signals from the images of a measured round: how spread the fakes are, and how bright and spread the reals."""
    if play.measured:
        real, made = processes.whole(play.batch.real), processes.whole(made.detach())
        play.note("generator/spread", _spread(made) / _spread(real).clamp_min(1e-12))
        play.note("real/mean", real.float().mean())
        play.note("real/deviation", real.float().std())


def separation(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """How far the two sides' logits lie apart: difference of their means over their pooled standard deviation.

    Unlike signs and accuracies it means the same for every loss, since it knows neither a zero nor a scale.
    """
    real_logits, fake_logits = processes.whole(real_logits), processes.whole(fake_logits)
    if len(real_logits) < 2:
        return torch.zeros_like(real_logits.mean())
    pooled = (real_logits.var() + fake_logits.var()).div(2).sqrt()
    return (real_logits.mean() - fake_logits.mean()) / pooled.clamp_min(1e-8)


def _spread(images: Tensor) -> Tensor:
    """How far the images of a batch lie apart: root mean square distance of two of them, in pixel units."""
    return images.detach().float().var(dim=0).mean().mul(2).sqrt() if len(images) > 1 else images.new_zeros(())


def _match_spectrum(play: Play, made: Tensor, rate: float) -> Tensor:
    """Spectrum matching of fakes with the reals of the batch, 0-d; its forces are remembered."""
    wider, less = "spectrum.wider", "spectrum.less"
    forces = (play.memory[wider], play.memory[less]) if wider in play.memory else None
    real, fake = processes.whole(play.batch.real), processes.whole(made)
    term, (play.memory[wider], play.memory[less]) = spectrum_matching(real, fake, forces, rate)
    return term


def _lecam(play: Play, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """LeCam's term against the running averages of both sides' logits, which are then moved on."""
    averages = []
    for side, logits in (("real", real_logits), ("fake", fake_logits)):
        past = play.memory.get(f"lecam.{side}", processes.mean(logits.detach().mean()))
        averages.append(past)
        play.memory[f"lecam.{side}"] = update_average(past, logits)
    return lecam(real_logits, fake_logits, averages[0], averages[1])


def _history(play: Play, name: str, parameters: list[Tensor]) -> list[Tensor]:
    """The mean of every parameter over all rounds so far (Salimans et al. 2016), kept in the game's memory."""
    count = play.memory.setdefault(f"history.{name}.count", torch.zeros(())) + (1 if play.part == 0 else 0)
    play.memory[f"history.{name}.count"] = count
    averages = [
        play.memory.setdefault(f"history.{name}.{index}", torch.zeros_like(parameter))
        for index, parameter in enumerate(parameters)
    ]
    if play.part == 0:
        update_historical_averages_(averages, parameters, int(count))
    return averages


def _clip(play: Play) -> None:
    limit = play.controls["weight_clip"]
    if limit > 0:
        clip_weights_(shards.local(list(play.players["discriminator"].parameters())), limit)
