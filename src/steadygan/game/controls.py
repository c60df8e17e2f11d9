"""Controls: the knobs that are allowed to change while a run goes on, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from steadygan.config import ScheduleConfig
from steadygan.errors import SteadyganError, unknown
from steadygan.game.schedules import value_at

UNTURNED = (1.0, 0.0)
"""Factor and shift of a knob that nobody has touched."""


@dataclass
class Control:
    """A scheduled value times all factors plus all shifts, kept within [low, high].

    ``turns`` holds a factor and a shift for everyone who turned the knob, so that two of them (adaptive augmentation
    and health, or a person) neither undo nor overwrite each other.
    """

    schedule: ScheduleConfig
    low: float
    high: float
    turns: dict[str, tuple[float, float]] = field(default_factory=dict)

    def value(self, images_seen: int, total: int) -> float:
        raw = value_at(self.schedule, images_seen, total)
        if self.turns:
            raw = raw * prod(factor for factor, _ in self.turns.values()) + sum(s for _, s in self.turns.values())
        return min(self.high, max(self.low, raw))


class Controls(Mapping[str, float]):
    """Present values of all controls by name; ``turn`` changes one, ``at`` sets the clock."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._clock = 0
        self._controls: dict[str, Control] = {}
        self._values: dict[str, float] = {}
        """Values that were asked for at this place of the clock."""

    def declare(
        self, name: str, schedule: ScheduleConfig | float, low: float = 0.0, high: float = float("inf")
    ) -> None:
        """Add a control with its allowed range.

        Raises:
            SteadyganError: where a scheduled value lies outside the range.
        """
        plan = schedule if isinstance(schedule, ScheduleConfig) else ScheduleConfig(value=schedule)
        for value in (plan.value, plan.end if plan.kind in ("linear", "cosine") else plan.value):
            if not low <= value <= high:
                wanted = f"from {low:g} to {high:g}" if high < float("inf") else f"of at least {low:g}"
                raise SteadyganError(f"{name} is {value:g}", f"choose a value {wanted}")
        self._controls[name] = Control(plan, low, high)
        self._values.pop(name, None)

    def at(self, images_seen: int) -> None:
        """Move the clock."""
        self._clock = images_seen
        self._values.clear()

    def turn(self, name: str, *, by: str, factor: float | None = None, shift: float | None = None) -> None:
        """Set the factor or the shift that ``by`` gives a control; its schedule goes on underneath."""
        if name not in self._controls:
            raise unknown("control", name, self._controls)
        was = self.turned(name, by)
        turn = (was[0] if factor is None else float(factor), was[1] if shift is None else float(shift))
        self._controls[name].turns[by] = turn
        if turn == UNTURNED:
            del self._controls[name].turns[by]
        self._values.pop(name, None)

    def __getitem__(self, name: str) -> float:
        if name not in self._values:
            self._values[name] = self._controls[name].value(self._clock, self.total)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._controls)

    def __len__(self) -> int:
        return len(self._controls)

    def turned(self, name: str, by: str) -> tuple[float, float]:
        """Factor and shift that ``by`` gives a control at present."""
        return self._controls[name].turns.get(by, UNTURNED)

    def risen(self, name: str) -> float:
        """How many times what it was at its beginning, once warm, the schedule is by now; 1 where it was 0."""
        schedule = self._controls[name].schedule
        first = self.first(name)
        if first == 0 or self._clock < schedule.warm_up:
            return 1.0
        return value_at(schedule, self._clock, self.total) / first

    def first(self, name: str) -> float:
        """What the schedule gives at its beginning, once warm."""
        schedule = self._controls[name].schedule
        return value_at(schedule, schedule.warm_up, self.total)

    def warming_up(self, name: str) -> bool:
        """Whether the schedule is still in its warm-up."""
        return self._clock < self._controls[name].schedule.warm_up

    def room(self, name: str) -> tuple[float, float]:
        """The range that a control is kept within."""
        return self._controls[name].low, self._controls[name].high

    def state_dict(self) -> dict[str, Any]:
        return {
            name: {by: list(turn) for by, turn in control.turns.items()} for name, control in self._controls.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, turns in state.items():
            if name not in self._controls:
                raise unknown("control", name, self._controls)
            self._controls[name].turns = {by: (float(factor), float(shift)) for by, (factor, shift) in turns.items()}
            self._values.pop(name, None)
