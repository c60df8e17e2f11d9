"""What the page for exploring asks of a trained run: functions that somebody else makes, and the requests, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steadygan.errors import SteadyganError

FARTHEST = 6.0
"""Standard deviations that a sample may be moved along a direction."""
SEEDS = 2**31
"""Seeds are whole numbers from 0 to one less than this."""
MOST = 200
"""Parameters of a request at most."""


@dataclass(frozen=True)
class Wanted:
    """One picture.

    Attributes:
        seed: of the sample.
        other: seed of a second one, None without one.
        way: share of the way from the first to the second, 0 to 1.
        label: its class, None for what the generator does by itself.
        codes: named parts of the latent that are set, by name.
        moves: standard deviations along directions, by the direction's name.
    """

    seed: int = 0
    other: int | None = None
    way: float = 0.0
    label: int | None = None
    codes: Mapping[str, float] = field(default_factory=dict)
    moves: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Painter:
    """What a trained run can do; every function may be called from any thread, and raises SteadyganError.

    Attributes:
        describe: what there is to choose from, as JSON.
        picture: a sample as a PNG.
        heat: what the discriminator's verdict on it rests on, as a PNG of the same size.
        nearest: the real images nearest to it, the nearest first: row and distance.
        real: a real image by its row, as a PNG.
        numbers: what is needed to make the sample again, as JSON.
        close: end what goes on in the background, and wait for it.
    """

    describe: Callable[[], dict[str, Any]]
    picture: Callable[[Wanted], bytes]
    heat: Callable[[Wanted], bytes]
    nearest: Callable[[Wanted], list[dict[str, Any]]]
    real: Callable[[int], bytes]
    numbers: Callable[[Wanted], dict[str, Any]]
    close: Callable[[], None] = lambda: None


def answer(painter: Painter, what: str, asked: Mapping[str, str]) -> tuple[bytes, str] | None:
    """Body and kind of the answer to a request; None: there is nothing of that name.

    Raises:
        SteadyganError: for parameters that are wrong.
    """
    match what:
        case "describe":
            return _json(painter.describe())
        case "picture":
            return painter.picture(wanted(asked)), "image/png"
        case "heat":
            return painter.heat(wanted(asked)), "image/png"
        case "nearest":
            return _json(painter.nearest(wanted(asked)))
        case "numbers":
            return _json(painter.numbers(wanted(asked)))
        case "real":
            return painter.real(_whole("row", asked.get("row", ""))), "image/png"
    return None


def wanted(asked: Mapping[str, str]) -> Wanted:
    """The picture that a query asks for: ``seed``, ``to``, ``way``, ``label``, ``code.NAME`` and ``move.NAME``.

    Raises:
        SteadyganError: for a name that nobody knows, or a value that is no number or out of range.
    """
    if len(asked) > MOST:
        raise SteadyganError(f"{len(asked)} parameters", f"give at most {MOST}")
    codes, moves = dict[str, float](), dict[str, float]()
    for name, text in asked.items():
        kind, _, rest = name.partition(".")
        if kind == "move" and rest:
            moves[rest] = _number(name, text, -FARTHEST, FARTHEST)
        elif kind == "code" and rest:
            codes[rest] = _number(name, text, -1e6, 1e6)
        elif name not in ("seed", "to", "way", "label"):
            raise SteadyganError(f"nobody knows the parameter {name[:40]!r}", "use the page's own sliders")
    return Wanted(
        _whole("seed", asked.get("seed", "0")),
        _whole("to", asked["to"]) if "to" in asked else None,
        _number("way", asked.get("way", "0"), 0, 1),
        _whole("label", asked["label"]) if "label" in asked else None,
        codes,
        moves,
    )


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < SEEDS):
        raise SteadyganError(f"parameter {name!r} is {text[:40]!r}", f"give a whole number from 0 to {SEEDS - 1}")
    return int(text)


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise SteadyganError(f"parameter {name[:40]!r} is {text[:40]!r}", f"give a number from {low:g} to {high:g}")
    return value


def _json(value: Any) -> tuple[bytes, str]:
    return json.dumps(value, separators=(",", ":")).encode(), "application/json"
