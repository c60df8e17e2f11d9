"""Consistency: little changes of an image, or of its latent, shall change little (Zhao et al. 2021, bCR and zCR)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import Field
from torch import Tensor

from steadygan.config import RunConfig, Scheduled, Settings, constant
from steadygan.data.augmentation import augment, resolve
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms
from steadygan.games.adversarial import Seen
from steadygan.games.family import Family, Kit, Knob
from steadygan.runtime import processes


class Options(Settings):
    """What only this game has; weights are the paper's, and one of 0 costs nothing."""

    policy: tuple[str, ...] = ("translate",)
    """Augmentations that must not change a logit, by name; every image gets them."""
    nudge: float = Field(0.07, gt=0.0, le=10.0)
    """Standard deviation of what is added to a latent."""
    real: Scheduled = constant(10.0)
    """Weight of an augmented real's logit being that of the real (bCR)."""
    fake: Scheduled = constant(10.0)
    """The same for a fake (bCR)."""
    latent: Scheduled = constant(5.0)
    """Weight of the logit of a nudged latent's fake being that of the fake, for the discriminator (zCR)."""
    variety: Scheduled = constant(0.5)
    """Weight of a nudged latent's image being another, for the generator (zCR)."""


@dataclass(frozen=True)
class Consistency:
    """The four terms, as extra terms of the standard game."""

    policy: tuple[str, ...]
    nudge: float

    def steady(self, play: Play, seen: Seen) -> Terms:
        """The discriminator's: ``(D(T(x)) - D(x))²`` for reals and fakes, ``(D(G(z + ε)) - D(G(z)))²``; (N,) each."""
        terms: Terms = {}
        for side, images in (("real", seen.real), ("fake", seen.fake)):
            if (weight := play.controls[f"consistency.{side}"]) > 0:
                moved = seen.judge(augment(images, self.policy, 1.0))
                terms[f"consistency/{side}"] = Term((moved - seen.judge(images)).square(), weight)
        if (weight := play.controls["consistency.latent"]) > 0:
            near = seen.judge(seen.show(self._nudged(play, seen).detach()))
            terms["consistency/latent"] = Term((near - seen.judge(seen.fake)).square(), weight)
        return terms

    def vary(self, play: Play, seen: Seen) -> Terms:
        """The generator's: ``-|G(z + ε) - G(z)|²``, the mean over an image's values; (N,)."""
        near = play.shared.pop(f"nudged.{play.part}", None)
        weight = play.controls["consistency.variety"]
        if weight <= 0:
            return {}
        if near is None:
            near = self._make(play, seen)
        return {"consistency/variety": Term(-(near - seen.made).square().flatten(1).mean(1), weight)}

    def _nudged(self, play: Play, seen: Seen) -> Tensor:
        """Fakes of nudged latents; the generator's move goes on with them where it goes on with the fakes."""
        near = self._make(play, seen)
        if f"fakes.{play.part}" in play.shared and play.controls["consistency.variety"] > 0:
            play.shared[f"nudged.{play.part}"] = near
        return near

    def _make(self, play: Play, seen: Seen) -> Tensor:
        moved = seen.latent + self.nudge * processes.noise(seen.latent)
        made: Tensor = play.players["generator"](moved, seen.label)
        return made.to(seen.made.dtype)


def moves(kit: Kit) -> tuple[Move, ...]:
    """The standard game with the terms of consistency."""
    options: Options = kit.options
    terms = Consistency(resolve(options.policy), options.nudge)
    return replace(kit.adversarial, extras={"discriminator": (terms.steady,), "generator": (terms.vary,)}).moves()


def controls(config: RunConfig, options: Options) -> dict[str, Knob]:
    """The weights of the four terms."""
    weights = {"real": options.real, "fake": options.fake, "latent": options.latent, "variety": options.variety}
    return {f"consistency.{name}": (weight, 0.0, float("inf")) for name, weight in weights.items()}


def check(config: RunConfig, options: Options, data: DataSet) -> None:
    """Raise SteadyganError for an unknown augmentation, or none where one is needed."""
    if not resolve(options.policy) and (options.real != constant(0.0) or options.fake != constant(0.0)):
        raise SteadyganError(
            "consistency of images needs an augmentation, and options.policy has none",
            'set options.policy=["translate"], or options.real=0 and options.fake=0',
        )


CONSISTENCY = Family(moves, Options, controls=controls, check=check)
