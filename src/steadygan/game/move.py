"""What a game is made of: moves, the goals in them, and the play that a goal sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Term(NamedTuple):
    """One part of an objective: ``weight * mean(values)``, of values a sample (N,) or a single one ()."""

    values: Tensor
    weight: float = 1.0


Terms = dict[str, Term]


class Batch(NamedTuple):
    """Real samples (N, C, H, W) on the device, scaled to [-1, 1], with their labels (N,) where the set has any."""

    real: Tensor
    label: Tensor | None = None

    def part(self, index: int, parts: int) -> Batch:
        """Micro-batch ``index`` of ``parts`` equal ones."""
        if parts == 1:
            return self
        size = len(self.real) // parts
        rows = slice(index * size, (index + 1) * size)
        return Batch(self.real[rows], None if self.label is None else self.label[rows])


Draw = Callable[[int, int, int], Batch]
"""``draw(position, count, attempt)``: the batch of ``count`` reals that stands at ``position`` on the clock."""


@dataclass
class Play:
    """What a goal may see: the players, a batch, the controls, and places to note and to remember.

    ``memory`` lasts for the run and is checkpointed; ``shared`` lasts for the round (fakes made once, used twice).
    ``notes`` are signals: detached tensors, averaged over micro-batches, that end in the record. ``averages`` are the
    averaged players, whose weights nobody learns.
    """

    players: Mapping[str, nn.Module]
    batch: Batch
    controls: Mapping[str, float]
    memory: dict[str, Tensor]
    shared: dict[str, Tensor]
    round: int
    attempt: int = 0
    part: int = 0
    parts: int = 1
    measured: bool = True
    notes: dict[str, Tensor] = field(default_factory=dict)
    averages: Mapping[str, nn.Module] = field(default_factory=dict)

    def note(self, name: str, value: Tensor) -> None:
        """Put a scalar that nobody changes any more into the record, without waiting for the device."""
        value = value.detach() / self.parts if self.parts > 1 else value.detach()
        self.notes[name] = self.notes[name] + value if name in self.notes else value

    @property
    def device(self) -> torch.device:
        return self.batch.real.device


@dataclass(frozen=True)
class Goal:
    """Who learns, and what they want: the sum of the returned terms, made small."""

    learners: tuple[str, ...]
    wants: Callable[[Play], Terms]


@dataclass(frozen=True)
class Move:
    """Goals that are pursued at once: all gradients are taken before any player steps.

    ``steps`` names the control that says how often the move is played a round, each time on a batch of its own.
    ``builds`` names players that do not learn here, but whose graph a later move of the round goes on with.
    ``after`` runs once after the step (for projections such as weight clipping).
    """

    name: str
    goals: tuple[Goal, ...]
    steps: str | None = None
    builds: tuple[str, ...] = ()
    after: Callable[[Play], None] | None = None


def move(
    name: str,
    learners: tuple[str, ...],
    wants: Callable[[Play], Terms],
    *,
    steps: str | None = None,
    builds: tuple[str, ...] = (),
    after: Callable[[Play], None] | None = None,
) -> Move:
    """The usual move: one goal."""
    return Move(name, (Goal(learners, wants),), steps, builds, after)
