"""Controls: the knobs that are allowed to change while a run goes on, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from steadygan.config import ScheduleConfig
from steadygan.errors import SteadyganError, unknown
from steadygan.game.schedules import value_at


@dataclass
class Control:
    """A scheduled value times ``factor`` plus ``shift``, kept within [low, high]."""

    schedule: ScheduleConfig
    low: float
    high: float
    factor: float = 1.0
    shift: float = 0.0

    def value(self, images_seen: int, total: int) -> float:
        raw = value_at(self.schedule, images_seen, total) * self.factor + self.shift
        return min(self.high, max(self.low, raw))


class Controls(Mapping[str, float]):
    """Present values of all controls by name; ``turn`` changes one, ``at`` sets the clock."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._clock = 0
        self._controls: dict[str, Control] = {}

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

    def at(self, images_seen: int) -> None:
        """Move the clock."""
        self._clock = images_seen

    def turn(self, name: str, *, factor: float | None = None, shift: float | None = None) -> None:
        """Set a control's factor or shift; its schedule goes on underneath."""
        if name not in self._controls:
            raise unknown("control", name, self._controls)
        control = self._controls[name]
        control.factor = control.factor if factor is None else float(factor)
        control.shift = control.shift if shift is None else float(shift)

    def __getitem__(self, name: str) -> float:
        return self._controls[name].value(self._clock, self.total)

    def __iter__(self) -> Iterator[str]:
        return iter(self._controls)

    def __len__(self) -> int:
        return len(self._controls)

    def turned(self, name: str) -> tuple[float, float]:
        """Present factor and shift of a control."""
        return self._controls[name].factor, self._controls[name].shift

    def state_dict(self) -> dict[str, Any]:
        return {name: [control.factor, control.shift] for name, control in self._controls.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, (factor, shift) in state.items():
            self.turn(name, factor=factor, shift=shift)
