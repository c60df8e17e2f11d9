"""History: every signal's course over the clock, and what can be said of it robustly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LONGEST = 600
"""Points kept of a signal: a run has about 400 records."""
MAD_TO_DEVIATION = 1.4826
"""Median absolute deviation of a normal distribution to its standard deviation."""

LEAST = 1e-3
"""Smallest spread of a signal in its unit that anything is measured by: below it differences are those of rounding."""


@dataclass
class History:
    """What a run has shown so far.

    Attributes:
        total: length of the run in images.
        points: of each signal, (images_seen, value) in the order of the clock; a value that is not finite is kept as
            NaN, since that is a sign itself.
        plan: of each control, how it began before the run ever went back: what was planned, and nobody's remedy.
    """

    total: int
    points: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    plan: dict[str, float] = field(default_factory=dict)

    def add(self, images_seen: int, signals: Mapping[str, Any]) -> None:
        """Append the signals of one record."""
        for name, value in signals.items():
            number = math.nan if value is None else float(value)
            self.points.setdefault(name, []).append((images_seen, number if math.isfinite(number) else math.nan))
            del self.points[name][:-LONGEST]

    def cut(self, images_seen: int) -> None:
        """Forget what came after this place: the run has gone back to it."""
        controls = [name for name in self.points if name.startswith("control/") and self.count(name)]
        self.plan = {name: self.early(name) for name in controls} | self.plan
        self.points = {
            name: [point for point in course if point[0] <= images_seen] for name, course in self.points.items()
        }

    @property
    def images_seen(self) -> int:
        """Where the clock stood at the latest point."""
        return max((course[-1][0] for course in self.points.values() if course), default=0)

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        return self.images_seen / max(self.total, 1)

    def rounds(self) -> float:
        """How many rounds the whole run has; NaN where the records do not count them."""
        course = self.points.get("round")
        found = self.total * course[-1][1] / max(course[-1][0], 1) if course else math.nan
        return found if found > 0 else math.nan

    def course(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """All finite values of a signal."""
        values = np.array([value for _, value in self.points.get(name, ())], dtype=np.float64)
        return values[np.isfinite(values)]

    def count(self, name: str) -> int:
        """How many finite values there are."""
        return len(self.course(name))

    def last(self, name: str, default: float = math.nan) -> float:
        """The latest value, finite or not."""
        course = self.points.get(name)
        return course[-1][1] if course else default

    def now(self, name: str, window: int = 3) -> float:
        """Median of the latest ``window`` values: a single odd batch is no sign. NaN where there are fewer."""
        values = self.course(name)
        return float(np.median(values[-window:])) if len(values) >= window else math.nan

    def early(self, name: str, window: int = 8) -> float:
        """Median of the first ``window`` finite values; NaN for none."""
        values = self.course(name)[:window]
        return float(np.median(values)) if len(values) else math.nan

    def planned(self, name: str) -> float:
        """How a control began before the run ever went back; NaN where it is not known."""
        return self.plan.get(name, self.early(name))

    def before(self, name: str, window: int = 3) -> float:
        """Median of everything before the latest ``window`` values; NaN where there are fewer than three."""
        values = self.course(name)[:-window]
        return float(np.median(values)) if len(values) >= 3 else math.nan

    def ago(self, name: str, share: float, window: int = 2) -> float:
        """Median of the ``window`` finite values up to the place that lies ``share`` of the run back; NaN for none."""
        place = self.images_seen - share * self.total
        values = [value for seen, value in self.points.get(name, ()) if seen <= place and math.isfinite(value)]
        return float(np.median(values[-window:])) if values else math.nan

    def least(self, name: str) -> float:
        """Smallest value so far; NaN for none."""
        values = self.course(name)
        return float(values.min()) if len(values) else math.nan

    def outliers(self, name: str, window: int, bound: float) -> int:
        """How many of the latest ``window`` values lie more than ``bound`` robust deviations off the median of all."""
        values = self.course(name)
        if len(values) < 12:
            return 0
        middle = float(np.median(values))
        spread = MAD_TO_DEVIATION * float(np.median(np.abs(values - middle)))
        return int((np.abs(values[-window:] - middle) > bound * max(spread, LEAST, LEAST * abs(middle))).sum())

    def moved(self, name: str, window: int = 8) -> float:
        """How many deviations of single values the latest ``window`` of them have moved off what came before."""
        values = self.course(name)
        past = values[:-window]
        if len(past) < 12:
            return 0.0
        middle = float(np.median(past))
        spread = MAD_TO_DEVIATION * float(np.median(np.abs(past - middle)))
        return abs(float(np.median(values[-window:])) - middle) / max(spread, LEAST, LEAST * abs(middle))

    def strangeness(self, name: str, window: int = 1, log: bool = False) -> float:
        """Robust z of the latest ``window`` values' median against the signal's own past.

        The past's spread is its median absolute deviation, and at least a hundredth of its size, so that a flat past
        does not make every change a wonder. NaN with fewer than eight points of past.
        """
        values = self.course(name)
        if log:
            values = np.log(np.maximum(np.abs(values), 1e-30))
        past = values[:-window]
        if len(past) < 8:
            return math.nan
        middle = float(np.median(past))
        spread = MAD_TO_DEVIATION * float(np.median(np.abs(past - middle)))
        return (float(np.median(values[-window:])) - middle) / max(spread, 0.01 * abs(middle), 1e-12)

    def state_dict(self) -> dict[str, Any]:
        # NaN is no JSON
        points = {
            name: [[place, None if math.isnan(value) else value] for place, value in course]
            for name, course in self.points.items()
        }
        return {"points": points, "plan": dict(self.plan)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.points = {
            name: [(int(place), math.nan if value is None else float(value)) for place, value in course]
            for name, course in state["points"].items()
        }
        self.plan = dict(state.get("plan", {}))
