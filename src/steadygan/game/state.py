"""Everything that a run needs to go on, in one place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from steadygan.errors import unknown
from steadygan.game.average import Average
from steadygan.game.controls import Controls
from steadygan.game.orders import Keep, Order, Rename, RollBack, Stop, Turn
from steadygan.runtime import shards
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
    """A watcher outside the loop that carries a state: reads every record and answers with orders.

    ``rolls_back`` says whether its state belongs to the game and returns with a snapshot, as that of adaptive
    augmentation does; health goes on remembering.
    """

    rolls_back: bool

    def read(self, record: Any, controls: Controls, /) -> Sequence[Order]: ...


@dataclass
class Setting:
    """What does not change during a run: sizes, precision, and when to measure.

    ``batch`` is what the run starts with; the control ``batch`` says what a round draws, in whole ``unit`` (packs and
    micro-batches must come out even).
    """

    total: int
    batch: int
    unit: int = 1
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
    snapshots: dict[str, Any] = field(default_factory=dict)
    images_seen: int = 0
    rounds: int = 0
    attempt: int = 0
    ended: Stop | None = None
    """The order that ended the run before its time."""

    @cached_property
    def parameters(self) -> dict[str, list[nn.Parameter]]:
        """Every player's parameters, listed once: walking a network's modules costs as much as a small layer."""
        return {name: list(player.parameters()) for name, player in self.players.items()}

    @property
    def device(self) -> torch.device:
        return next(parameter.device for player in self.players.values() for parameter in player.parameters())

    @property
    def done(self) -> bool:
        return self.ended is not None or self.images_seen >= self.setting.total

    @property
    def batch(self) -> int:
        """Images that a move draws at a time: the control ``batch``, to the nearest multiple of ``setting.unit``."""
        unit = self.setting.unit
        return max(1, round(self.controls.get("batch", self.setting.batch) / unit)) * unit

    def begin_round(self) -> None:
        """Set the clock for controls and randomness: a round depends on where it stands, not on what came before."""
        self.controls.at(self.images_seen)
        reseed(self.setting.seed, self.setting.rank, self.attempt, self.images_seen)
        for name, optimizer in self.optimizers.items():
            steer(optimizer.param_groups, self.controls[f"learning_rate.{name}"], self.controls.get(f"momentum.{name}"))

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
        tree["snapshots"] = dict(self.snapshots)
        counters = {"images_seen": self.images_seen, "rounds": self.rounds, "attempt": self.attempt}
        tree["counters"] = counters | {"ended": asdict(self.ended) if self.ended else {}}
        return tree

    def load_state_dict(self, tree: dict[str, Any]) -> None:
        self._load(tree, self.companions)
        self.snapshots = dict(tree["snapshots"])

    def _load(self, tree: dict[str, Any], companions: Mapping[str, Stateful]) -> None:
        """Put back all that ``tree`` has, of companions those that are named."""
        for group, parts in (self._parts() | {"companions": companions}).items():
            for name, part in parts.items():
                part.load_state_dict(_fitted(tree[group][name], part))
        self.controls.load_state_dict(tree["controls"])
        self.memory = {name: value.to(self.device) for name, value in tree["memory"].items()}
        counters = tree["counters"]
        self.images_seen, self.rounds = int(counters["images_seen"]), int(counters["rounds"])
        self.attempt = int(counters["attempt"])
        self.ended = Stop(**counters["ended"]) if counters["ended"] else None

    def snapshot(self) -> dict[str, Any]:
        """A copy in the CPU's memory to roll back to."""
        tree = self.state_dict()
        del tree["snapshots"]
        tree["companions"] = {name: tree["companions"][name] for name in self._followers()}
        copy: dict[str, Any] = _copied(tree)
        return copy

    def roll_back(self, snapshot: dict[str, Any]) -> None:
        """Return to ``snapshot`` with other batches and noise: the attempt goes up, so history stays continuous."""
        attempt = self.attempt + 1
        self._load(_copied(snapshot), self._followers())
        self.attempt = attempt

    def _followers(self) -> dict[str, Companion]:
        """Companions whose state belongs to the game."""
        return {name: companion for name, companion in self.companions.items() if companion.rolls_back}

    def obey(self, order: Order) -> None:
        """Carry out an order on the game; those to the session around it mean nothing here."""
        match order:
            case Turn(control, by, factor, shift):
                self.controls.turn(control, by=by, factor=factor, shift=shift)
            case Keep(name):
                self.snapshots[name] = self.snapshot()
            case Rename(name, to):
                self.snapshots[to] = self._kept(name)
                del self.snapshots[name]
            case RollBack(name):
                self.roll_back(self._kept(name))
            case Stop():
                self.ended = order

    def _kept(self, name: str) -> dict[str, Any]:
        if name not in self.snapshots:
            raise unknown("snapshot", name, self.snapshots)
        kept: dict[str, Any] = self.snapshots[name]
        return kept


def steer(groups: Iterable[dict[str, Any]], rate: float, momentum: float | None) -> None:
    """Set the learning rate of the next step, and its momentum where one is given: beta1, where there is one."""
    for group in groups:
        group["lr"] = rate
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None and "momentum" in group:
            group["momentum"] = momentum


def _fitted(state: dict[str, Any], part: Any) -> dict[str, Any]:
    """A saved state with this process's rows of what lies in shards."""
    if isinstance(part, (nn.Module, Average)):
        return shards.fitted_parts(state, part.state_dict())
    groups = getattr(part, "param_groups", ())
    return shards.fitted_moments(state, [one for group in groups for one in group["params"]]) if groups else state


def _copied(tree: Any) -> Any:
    """The tree with every tensor copied to the CPU."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_copied(value) for value in tree]
    return tree
