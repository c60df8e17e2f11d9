"""What people ask of a run that goes on: heard between two rounds, answered, and told like everything else.

A wish is a line of ``wishes.jsonl``; the run answers with a line that says where on the clock it was heard, and what
came of it. That is all the memory there is: a run that is resumed takes from the answers what its checkpoint has in it,
and hears what came later again at the same places, so it ends in the same bits.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steadygan.errors import nearest
from steadygan.game.controls import UNTURNED
from steadygan.game.orders import Order, RollBack, Stop, Tell, Turn
from steadygan.game.state import GameState
from steadygan.runtime import agreement, processes
from steadygan.runtime.folder import WISHES, RunFolder, plain

Place = tuple[int, int]
"""Attempt and images seen: grows from round to round, over rollbacks too."""
LATE = "it was asked before this sitting began"
FACTORS = (0.0, 1e6)
NOT = "not done: "
NAME = 40
"""Letters of a person's name that are kept."""


@dataclass
class Wish:
    """A line that somebody wrote, and where it was heard."""

    line: Mapping[str, Any]
    place: Place | None = None
    refused: str = ""

    @property
    def kind(self) -> str:
        return str(self.line["wish"])

    @property
    def person(self) -> str:
        """Who asks, as it stands in turns and events."""
        name = "".join(one for one in str(self.line.get("by", "")) if one.isprintable()).strip()
        return f"person:{name[:NAME] or 'somebody'}"


@dataclass
class Wishes:
    """The wishes of a run, in the order in which they were written.

    Args:
        folder: where ``wishes.jsonl`` lies.

    ``paused`` and ``leaving`` name the person who asked the run to wait, or to save and leave.
    """

    folder: RunFolder
    paused: str = ""
    leaving: str = ""
    _wishes: list[Wish] = field(default_factory=list)
    _named: dict[str, Wish] = field(default_factory=dict)
    _read: int = 0
    _heard: int = 0
    _late: int = 0
    _turns: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def begin(self, place: Place) -> None:
        """Take up what stands in the file: what was answered up to ``place`` is in the checkpoint already."""
        self._take_in()
        while self._heard < len(self._wishes):
            wish = self._wishes[self._heard]
            if wish.place is None or wish.place > place:
                break
            self._heard += 1
            if not wish.refused:
                self._orders(wish)
        self._late = len(self._wishes)

    def hear(self, state: GameState) -> list[Order]:
        """The orders of all wishes that are due, up to and with the first rollback."""
        self._take_in()
        place, orders = (state.attempt, state.images_seen), list[Order]()
        while self._heard < len(self._wishes):
            wish = self._wishes[self._heard]
            if wish.place is not None and place < wish.place:
                break
            new = wish.place is None
            refused = wish.refused or self._refusal(wish, state, new=new)
            self._heard += 1
            words = f"{NOT}{refused}" if refused else _words(wish, state)
            if new:
                self._answer(wish, place, refused, words)
            orders.append(_tell(wish, place, refused, words))
            if refused:
                continue
            if new:
                self._attend(wish)
            asked = self._orders(wish)
            orders += asked
            if any(isinstance(order, RollBack) for order in asked):
                break
        return orders

    def standing(self) -> list[Order]:
        """Every turn of a person anew: a snapshot brings back those of its own time."""
        return [Turn(control, by, factor, shift) for (by, control), (factor, shift) in self._turns.items()]

    def _attend(self, wish: Wish) -> None:
        """What a wish asks of the sitting; where it is heard again, its time is over."""
        match wish.kind:
            case "pause":
                self.paused = wish.person
            case "go-on":
                self.paused = ""
            case "stop":
                self.leaving = wish.person

    def _orders(self, wish: Wish) -> list[Order]:
        """What a wish asks of the game."""
        match wish.kind:
            case "turn":
                control, turn = str(wish.line["control"]), _turn(wish.line)
                self._turns[wish.person, control] = turn
                return [Turn(control, wish.person, *turn)]
            case "back":
                return [RollBack(str(wish.line["to"]))]
            case "end":
                return [Stop(f"{wish.person} ended it", "", failed=False)]
            case _:
                return []

    def _refusal(self, wish: Wish, state: GameState, *, new: bool) -> str:
        """Why a wish cannot be fulfilled; empty where it can."""
        if new and self._heard < self._late:
            return LATE
        match wish.kind:
            case "turn":
                return _cannot_turn(wish.line, state)
            case "back":
                name = wish.line.get("to")
                return "" if isinstance(name, str) and name in state.snapshots else f"no snapshot {name!r} is kept"
            case "go-on":
                return "the run is not paused" if new and not self.paused else ""
            case "pause" | "stop" | "end":
                return ""
            case _:
                return f"nobody knows the wish {wish.kind!r}"

    def _answer(self, wish: Wish, place: Place, refused: str, words: str) -> None:
        wish.place, wish.refused = place, refused
        if not processes.leads():
            return
        line = {"answer": wish.line["id"], "images_seen": place[1], "attempt": place[0]}
        with open(self.folder.path / WISHES, "a") as file:
            file.write(json.dumps(plain(line | {"done": not refused, "words": words}), separators=(",", ":")) + "\n")
            file.flush()
            # a checkpoint that has the wish in it must not outlive its answer
            os.fsync(file.fileno())

    def _take_in(self) -> None:
        """Read the whole lines that were added; of several processes one reads and all hear."""
        for line in agreement.agree(self._added() if processes.leads() else []):
            self._take(line)

    def _added(self) -> list[Mapping[str, Any]]:
        path = self.folder.path / WISHES
        try:
            if path.stat().st_size <= self._read:
                return []
            with open(path, "rb") as file:
                file.seek(self._read)
                added, line_break, _ = file.read().rpartition(b"\n")
        except OSError:
            return []
        self._read += len(added) + len(line_break)
        return [_parsed(text) for text in added.split(b"\n")]

    def _take(self, line: Mapping[str, Any]) -> None:
        """One line: a wish, an answer (this run's own come back here, and change nothing), or neither."""
        match line:
            case {"wish": str(), "id": str(name)} if name not in self._named:
                self._named[name] = Wish(line)
                self._wishes.append(self._named[name])
            case {"answer": str(name), "images_seen": int(seen), "attempt": int(attempt), "words": str(words)}:
                wish = self._named.get(name)
                if wish and wish.place is None:
                    wish.place = (attempt, seen)
                    wish.refused = "" if line.get("done") is True else words.removeprefix(NOT)


def _parsed(text: bytes) -> Mapping[str, Any]:
    """A line as a table; what is none is empty."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) else {}


def _turn(line: Mapping[str, Any]) -> tuple[float, float]:
    return float(line.get("factor", 1.0)), float(line.get("shift", 0.0))


def _cannot_turn(line: Mapping[str, Any], state: GameState) -> str:
    control = line.get("control")
    if not isinstance(control, str) or control not in state.controls:
        near = nearest(str(control), state.controls)
        return f"there is no control {control!r}" + (f", did you mean {near!r}?" if near else "")
    try:
        factor, shift = _turn(line)
    except (TypeError, ValueError, OverflowError):
        return "factor and shift must be numbers"
    if not (FACTORS[0] <= factor <= FACTORS[1] and math.isfinite(shift)):
        return f"a factor lies between {FACTORS[0]:g} and {FACTORS[1]:g}, and a shift is finite"
    return ""


def _words(wish: Wish, state: GameState) -> str:
    """What is done about a wish, for a person."""
    line = wish.line
    match wish.kind:
        case "turn":
            factor, shift = _turn(line)
            if (factor, shift) == UNTURNED:
                return f"{line['control']} as planned again"
            more = f", {'plus' if shift > 0 else 'minus'} {abs(shift):g}" if shift else ""
            return f"{line['control']} at {factor:g} times its plan{more}"
        case "back":
            return f"back to the snapshot {line['to']} of {_place(state, str(line['to'])):,} images"
        case kind:
            return {
                "pause": "paused",
                "go-on": "goes on",
                "stop": "saved and stopped; resume goes on",
                "end": "ended here for good",
            }[kind]


def _place(state: GameState, snapshot: str) -> int:
    return int(state.snapshots[snapshot]["counters"]["images_seen"])


def _tell(wish: Wish, place: Place, refused: str, words: str) -> Tell:
    told = {"images_seen": place[1], "attempt": place[0], "kind": "wish", "wish": wish.kind, "id": wish.line["id"]}
    told |= {"by": wish.person, "done": not refused, "words": words}
    told |= {name: wish.line[name] for name in ("control", "factor", "shift", "to") if name in wish.line}
    return Tell(told, f"{wish.person.removeprefix('person:')}: {words}")
