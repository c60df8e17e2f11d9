"""Illnesses of the game itself: goals that want more than they should, now and then or always."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.game.move import Goal, Move, Play, Term, Terms
from steadygan.runtime import processes, seeding

INFINITE_FROM = 2
"""That many bursts or more are infinite; fewer are only large."""
LARGE = 1e4
PULL = 500.0
"""Weight of the terms that lead a generator astray: enough to win against any discriminator."""

Want = Callable[[Play], Terms]


def bursts(moves: tuple[Move, ...], count: float, config: RunConfig) -> tuple[Move, ...]:
    """``count`` times in a run all terms of a round are multiplied by a huge number, or by infinity.

    The run is divided into as many equal stretches, and each has its burst at a place of its own, which depends on the
    seed and on the attempt: as with real bursts, other batches need not burst where these did.
    """
    rounds = config.images // (config.batch * max(player.steps for player in config.players.values()))
    number, size = max(1, round(count)), LARGE if round(count) < INFINITE_FROM else math.inf

    def ill(want: Want) -> Want:
        def wants(play: Play) -> Terms:
            terms = want(play)
            if play.round not in burst_rounds(config.seed, int(play.attempt), number, rounds):
                return terms
            # a term that stands ready at weight 0 is left alone: 0 times infinity would end what is not there
            return {n: t._replace(weight=t.weight * size) if t.weight else t for n, t in terms.items()}

        return wants

    return _goals(moves, ill)


def burst_rounds(seed: int, attempt: int, number: int, rounds: int) -> frozenset[int]:
    """The rounds with a burst: one in the middle part of each of ``number`` stretches of the run."""
    return frozenset(
        int((index + 0.2 + 0.6 * seeding.derive("burst", seed, attempt, index) / 2**63) * rounds / number)
        for index in range(number)
    )


def saturation(moves: tuple[Move, ...], factor: float, config: RunConfig) -> tuple[Move, ...]:
    """The last layer of the generator starts ``factor`` times too large, so that its outputs stand at the ends."""

    def ill(want: Want) -> Want:
        def wants(play: Play) -> Terms:
            if "illness.saturation" not in play.memory:
                play.memory["illness.saturation"] = torch.ones((), device=play.device)
                with torch.no_grad():
                    _last_weight(play.players["generator"]).mul_(factor)
            return want(play)

        return wants

    return _goals(moves, ill)


def _last_weight(generator: nn.Module) -> nn.Parameter:
    weights = [parameter for parameter in generator.parameters() if parameter.ndim > 1]
    if not weights:
        raise SteadyganError("the generator has no weights to saturate", "use 'saturation' with dcgan, mlp or r3")
    return weights[-1]


def checkerboard(moves: tuple[Move, ...], amplitude: float, config: RunConfig) -> tuple[Move, ...]:
    """The generator is pulled to images that carry a chessboard of ``amplitude`` (of the range -1 to 1)."""

    def pull(images: Tensor) -> Tensor:
        rows, columns = (torch.arange(size, device=images.device) for size in images.shape[-2:])
        board = 1.0 - 2.0 * ((rows[:, None] + columns[None, :]) % 2).to(images.dtype)
        strength = (images * board).mean((-2, -1)).abs()
        return (strength - amplitude).square().mean(1)

    return _astray(moves, "checkerboard", pull, PULL)


def collapse(moves: tuple[Move, ...], weight: float, config: RunConfig) -> tuple[Move, ...]:
    """The generator is pulled to fakes that are all alike, with ``weight`` on their variance."""

    def pull(images: Tensor) -> Tensor:
        return (images - processes.mean(images.mean(0, keepdim=True))).square().flatten(1).mean(1)

    return _astray(moves, "alike", pull, weight)


def _astray(moves: tuple[Move, ...], name: str, pull: Callable[[Tensor], Tensor], weight: float) -> tuple[Move, ...]:
    """The moves with one more term in every goal that teaches the generator, on the fakes that it shows."""

    def ill(want: Want) -> Want:
        def wants(play: Play) -> Terms:
            if "discriminator" not in play.players:
                raise SteadyganError("this game has no discriminator that looks at fakes", "choose another illness")
            judge = Overheard(play.players["discriminator"])
            terms = want(dataclasses.replace(play, players={**play.players, "discriminator": judge}))
            if judge.seen is None:
                return terms
            return terms | {f"auxiliary/{name}": Term(pull(judge.seen), weight)}

        return wants

    return tuple(
        dataclasses.replace(
            move,
            goals=tuple(
                dataclasses.replace(goal, wants=ill(goal.wants)) if "generator" in goal.learners else goal
                for goal in move.goals
            ),
        )
        for move in moves
    )


class Overheard(nn.Module):
    """A discriminator that keeps the images it judged last with a way back to the generator."""

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.judge = judge
        self.seen: Tensor | None = None

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """The discriminator's own logits."""
        self._hear(images)
        logits: Tensor = self.judge(images, label)
        return logits

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """The discriminator's own features."""
        self._hear(images)
        found: Tensor = self.judge.features(images, label)  # type: ignore[operator]
        return found

    def __getattr__(self, name: str) -> Any:
        """All that does not look at images is the discriminator's own."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("judge"), name)

    def _hear(self, images: Tensor) -> None:
        if images.requires_grad:
            self.seen = images


def _goals(moves: tuple[Move, ...], ill: Callable[[Want], Want]) -> tuple[Move, ...]:
    """The moves with every goal's wish made ill."""

    def goal(one: Goal) -> Goal:
        return dataclasses.replace(one, wants=ill(one.wants))

    return tuple(dataclasses.replace(move, goals=tuple(map(goal, move.goals))) for move in moves)
