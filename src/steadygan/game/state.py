"""Everything that a run needs to go on, in one place."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from steadygan.game.average import Average
from steadygan.game.controls import Controls
from steadygan.runtime.seeding import reseed


class Stateful(Protocol):
    """Anything that can be saved and put back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


class Optimizer(Stateful, Protocol):
    """What the round asks of an optimizer."""

    param_groups: list[dict[str, Any]]

    def zero_grad(self, set_to_none: bool = True) -> None: ...

    def step(self) -> Any: ...


class Companion(Stateful, Protocol):
    """A watcher outside the loop that carries a state: reads every record and may turn controls."""

    def read(self, record: Any, controls: Controls, /) -> None: ...


@dataclass
class Setting:
    """What does not change during a run: sizes, precision, and when to measure."""

    total: int
    batch: int
    seed: int = 0
    accumulate: int = 1
    rank: int = 0
    record_every: int = 1
    ramp_up: float = 0.05
    normalise: frozenset[str] = frozenset()
    autocast: torch.dtype | None = None


@dataclass
class GameState:
    """Players, optimizers, averages, controls, memory, companions and counters: what a checkpoint holds.

    ``companions`` are watchers outside the loop that carry a state (health, ADA); ``memory`` holds the tensors that
    goals remember between rounds.
    """

    players: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    controls: Controls
    setting: Setting
    averages: dict[str, Average] = field(default_factory=dict)
    memory: dict[str, Tensor] = field(default_factory=dict)
    companions: dict[str, Companion] = field(default_factory=dict)
    images_seen: int = 0
    rounds: int = 0
    attempt: int = 0
    parameters: dict[str, list[nn.Parameter]] = field(default_factory=dict, init=False, repr=False)
    """Every player's parameters, listed once a round: walking a network's modules costs as much as a small layer."""

    @property
    def device(self) -> torch.device:
        return next(parameter.device for player in self.players.values() for parameter in player.parameters())

    @property
    def done(self) -> bool:
        return self.images_seen >= self.setting.total

    def begin_round(self) -> None:
        """Set the clock for controls and randomness: a round depends on where it stands, not on what came before."""
        self.controls.at(self.images_seen)
        reseed(self.setting.seed, self.setting.rank, self.attempt, self.images_seen)
        self.parameters = {name: list(player.parameters()) for name, player in self.players.items()}
        for name, optimizer in self.optimizers.items():
            rate = self.controls[f"learning_rate.{name}"]
            for group in optimizer.param_groups:
                group["lr"] = rate

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        """The mixed-precision context of a goal."""
        if self.setting.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=self.setting.autocast)

    def _parts(self) -> dict[str, Mapping[str, Stateful]]:
        return {
            "players": self.players,
            "optimizers": self.optimizers,
            "averages": self.averages,
            "companions": self.companions,
        }

    def state_dict(self) -> dict[str, Any]:
        """All of it as a tree of tensors and plain values; the tensors are the live ones, not copies."""
        tree: dict[str, Any] = {
            group: {name: part.state_dict() for name, part in parts.items()} for group, parts in self._parts().items()
        }
        tree["controls"] = self.controls.state_dict()
        tree["memory"] = dict(self.memory)
        tree["counters"] = {"images_seen": self.images_seen, "rounds": self.rounds, "attempt": self.attempt}
        return tree

    def load_state_dict(self, tree: dict[str, Any]) -> None:
        for group, parts in self._parts().items():
            for name, part in parts.items():
                part.load_state_dict(tree[group][name])
        self.controls.load_state_dict(tree["controls"])
        self.memory = {name: value.to(self.device) for name, value in tree["memory"].items()}
        counters = tree["counters"]
        self.images_seen, self.rounds = int(counters["images_seen"]), int(counters["rounds"])
        self.attempt = int(counters["attempt"])

    def snapshot(self) -> dict[str, Any]:
        """A copy in memory to roll back to."""
        return copy.deepcopy(self.state_dict())

    def roll_back(self, snapshot: dict[str, Any]) -> None:
        """Return to ``snapshot`` with other batches and noise: the attempt goes up, so history stays continuous."""
        attempt = self.attempt + 1
        self.load_state_dict(copy.deepcopy(snapshot))
        self.attempt = attempt
