"""The f-GAN: a discriminator that bounds an f-divergence from below (Nowozin, Cseke and Tomioka 2016)."""

from __future__ import annotations

from dataclasses import replace

from steadygan.config import RunConfig, Settings
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Terms
from steadygan.games.adversarial import Extra, Seen
from steadygan.games.family import Family, Kit
from steadygan.objectives.adversarial import non_saturating
from steadygan.objectives.divergences import DIVERGENCES, Divergence

PREFIX = "f-"
"""Begins the names of these losses in the table of losses."""


class Options(Settings):
    """What only this game has."""

    saturating: bool = False
    """The generator lowers the bound itself; else it wants its fakes taken for real (section 3.2 of the paper)."""


def bounded(divergence: Divergence) -> Extra:
    """No term, but a signal: the bound on the divergence that the discriminator witnesses on this batch."""

    def extra(play: Play, seen: Seen) -> Terms:
        play.note("discriminator/divergence", divergence.bound(seen.judge(seen.real), seen.judge(seen.fake)))
        return {}

    return extra


def moves(kit: Kit) -> tuple[Move, ...]:
    """The standard game with the loss of the divergence, whose bound stands in the records."""
    options: Options = kit.options
    loss = kit.loss if options.saturating else non_saturating(kit.loss)
    extra = bounded(DIVERGENCES[kit.config.loss.removeprefix(PREFIX)])
    return replace(kit.adversarial, loss=loss, extras={"discriminator": (extra,)}).moves()


def check(config: RunConfig, options: Options, data: DataSet) -> None:
    """Raise SteadyganError for a loss that bounds no divergence."""
    names = [f"{PREFIX}{name}" for name in DIVERGENCES]
    if config.loss not in names:
        raise SteadyganError(f"the loss {config.loss!r} bounds no divergence", f"choose one of {', '.join(names)}")


DIVERGENCE = Family(moves, Options, check=check)
