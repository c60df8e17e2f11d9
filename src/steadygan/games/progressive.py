"""The standard game between networks that grow while it is played (Karras et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

from pydantic import Field
from torch import nn

from steadygan.config import RunConfig, ScheduleConfig, Settings
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play
from steadygan.games.family import Family, Kit, Knob, shape
from steadygan.networks.progressive import Growth
from steadygan.networks.sizes import stage_sizes


class ProgressiveOptions(Settings):
    """When the networks grow."""

    first: int = Field(0, ge=0)
    """Size that is played first: 0 is the coarsest, each further one is twice as large."""
    grown: float = Field(0.5, gt=0.0, le=1.0)
    """Share of the run after which the last size is reached; a control ``stage`` rises evenly until then."""
    steady: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of each stage that is played at one size before the next one is faded in."""


def stage_of(control: float, steady: float) -> float:
    """The stage that the control stands for: whole for the first share of each unit, then rising to the next.

    >>> [stage_of(value, 0.5) for value in (0.25, 0.5, 0.75, 1.0)]
    [0.0, 0.0, 0.5, 1.0]
    """
    whole = math.floor(control)
    return whole + max(0.0, control - whole - steady) / (1.0 - steady)


def growths(player: nn.Module) -> list[Growth]:
    """The parts of a network that say how far it has grown."""
    return [part for part in player.modules() if isinstance(part, Growth)]


def grower(steady: float) -> Callable[[Play], None]:
    """What is done at the beginning of a round: both networks are set to the stage of the control."""
    known: WeakKeyDictionary[nn.Module, list[Growth]] = WeakKeyDictionary()

    def grow(play: Play) -> None:
        stage = stage_of(play.controls["stage"], steady)
        for player in play.players.values():
            # walking through a network's modules costs as much as a small layer
            if player not in known:
                known[player] = growths(player)
            for part in known[player]:
                part.grow(stage)

    return grow


def _moves(kit: Kit) -> tuple[Move, ...]:
    return replace(kit.adversarial, before=grower(kit.options.steady)).moves()


def _controls(config: RunConfig, options: ProgressiveOptions) -> Mapping[str, Knob]:
    last = len(stage_sizes(*shape(config)[1:])) - 1
    finish = max(1, round(options.grown * config.images))
    plan = ScheduleConfig(kind="linear", value=min(options.first, last), end=last, finish=finish)
    return {"stage": (plan, 0.0, float(last))}


def _check(config: RunConfig, options: ProgressiveOptions, data: DataSet) -> None:
    sizes = stage_sizes(*data.shape[1:])
    if options.first >= len(sizes):
        height, width = data.shape[1:]
        raise SteadyganError(
            f"options.first is {options.first}, and {height}x{width} has the sizes 0 to {len(sizes) - 1}",
            "start at one of them",
        )


PROGRESSIVE = Family(_moves, options=ProgressiveOptions, controls=_controls, check=_check)
"""Generator and discriminator that grow; with other networks the control ``stage`` does nothing."""
