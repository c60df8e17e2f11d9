"""Vitals: how the game stands, in a word, from its latest records.

These are the plain signs that need no reference: numbers that are not finite, a discriminator that wins every pair,
fakes that are far less spread out than reals. They watch and tell; they change nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

WINDOW = 12
"""Records that a word rests on: a single odd batch is no sign."""


class Vitals:
    """The latest records, and the word for them."""

    def __init__(self) -> None:
        self.recent: deque[Mapping[str, Any]] = deque(maxlen=WINDOW)

    def read(self, line: Mapping[str, Any]) -> str:
        """Take in a measured record and say how the game stands now."""
        self.recent.append(line)
        return self.word()

    def word(self) -> str:
        """``warming up``, ``steady``, or what is amiss."""
        if not self.recent:
            return "warming up"
        latest = self.recent[-1]
        broken = [name for name, value in latest.items() if name.endswith("/loss") and not math.isfinite(value)]
        if broken:
            return f"{broken[0]} is not finite"
        if len(self.recent) < WINDOW:
            return "warming up"
        if self._middle("discriminator/win_rate") > 0.995:
            return "discriminator far ahead"
        if self._middle("generator/spread") < 0.35:
            return "samples too alike"
        return "steady"

    def _middle(self, name: str) -> float:
        values = [line[name] for line in self.recent if name in line]
        return median(values) if values else math.nan
