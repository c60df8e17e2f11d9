"""The records of a run as columns, thinned to what an eye can see, and what was added since."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steadygan.studio.tail import Tail

MOST = 900
"""Records that a page is sent at most when it opens."""
ENOUGH = 4
"""A page that was sent this many times as many is sent all of them anew, thinned."""
PEAKS = 60
"""Stretches of which every watched signal keeps its highest and its lowest value."""
ENDINGS = ("/loss", "/gradient_norm", "/win_rate", "/update", "health/distance")
"""Signals in which no spike may be lost."""


class Curves:
    """A reader of ``records.jsonl`` for one page."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin()

    def _begin(self) -> None:
        self._tail, self._first, self._sent = Tail(self._path), True, 0

    def news(self) -> dict[str, Any] | None:
        """What to send now: names and rows, with ``anew`` in place of all that was sent before; None: nothing new.

        In a row None is a value that was not finite, and an empty text one that was not recorded.
        """
        if self._sent > ENOUGH * MOST:
            self._begin()
        news = self._tail.read()
        lines = [line for line in news.lines if _is_number(line.get("images_seen"))]
        anew, self._first = news.anew or self._first, False
        if not lines and not anew:
            return None
        kept = thinned(lines) if anew else lines
        self._sent += len(kept)
        names = list(dict.fromkeys(name for line in kept for name, value in line.items() if _fits(value)))
        return {
            "anew": anew,
            "names": names,
            "rows": [[_short(line[name]) if name in line else "" for name in names] for line in kept],
        }


def thinned(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """At most about ``MOST`` lines: an even choice, the last one, check-ups, and the peaks of what is watched."""
    if len(lines) <= MOST:
        return list(lines)
    keep = set(range(0, len(lines), math.ceil(len(lines) / (MOST // 3)))) | {len(lines) - 1}
    check_ups = [number for number, line in enumerate(lines) if "health/distance" in line]
    keep |= set(check_ups[:: math.ceil(len(check_ups) / (MOST // 3))] if check_ups else ())
    watched = [name for name in lines[-1] if name.endswith(ENDINGS)]
    stretch = math.ceil(len(lines) / PEAKS)
    for start in range(0, len(lines), stretch):
        part = range(start, min(start + stretch, len(lines)))
        for name in watched:
            known = [number for number in part if _is_number(lines[number].get(name))]
            if known:
                keep |= {max(known, key=lambda n: lines[n][name]), min(known, key=lambda n: lines[n][name])}
    return [lines[number] for number in sorted(keep)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _fits(value: object) -> bool:
    return value is None or _is_number(value)


def _short(value: object) -> float | int | None:
    """A number in five digits, which is more than a picture shows; whole numbers as they are."""
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.5g}")
    return value if isinstance(value, int) and not isinstance(value, bool) else None
