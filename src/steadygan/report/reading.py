"""A run folder read for a report: whatever is there, and notes on what is missing or damaged."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steadygan.errors import SteadyganError
from steadygan.report.jsonl import readable_lines

OVERVIEW, EXAMPLES = "data.json", "data.png"
"""The data set in figures, and some of its images."""
NEIGHBOURS, PAIRS = "neighbours.json", "neighbours.png"
"""How near samples lie to the data, and the nearest images of some."""
COMMAND = "command.txt"
"""The command that makes the run again."""


@dataclass(frozen=True)
class Seen:
    """Something that looks at the records after the fact found: where, its name, and words."""

    images_seen: int
    name: str
    words: str


@dataclass(frozen=True)
class Knowledge:
    """What a report cannot read from the folder, handed in by who knows.

    Attributes:
        meanings: of each diagnosis, what it is and what to do about it.
        told: what the records show after the fact.
        standing: names of those that still stood at the last record.
        missing: by file name, why one that needs the data set or the networks could not be made.
    """

    meanings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    told: Sequence[Seen] = ()
    standing: Sequence[str] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    def meaning(self, name: str) -> str:
        """A diagnosis in plain words, or its name where nobody knows it."""
        return self.meanings.get(name, (name.replace("-", " "), ""))[0]

    def advice(self, name: str) -> str:
        """What to do about it in another run; may be empty."""
        return self.meanings.get(name, ("", ""))[1]


@dataclass(frozen=True)
class RunFiles:
    """Everything in a run folder that a report shows.

    Attributes:
        path: the folder.
        config: the settings as they stand there.
        records: lines of ``records.jsonl`` that have a clock.
        events: lines of ``events.jsonl`` that have a clock and a kind.
        metrics: lines of ``metrics.jsonl``.
        sittings: what the run ran on, each time.
        grids: sample grids, the earliest first.
        quarantine: path and reason of images that could not be read.
        overview: the data set; empty where it is not known.
        neighbours: how near samples lie to the data; empty where it is not known.
        command: what makes this run again; empty where it is not known.
        knowledge: what does not stand in the folder.
        notes: what is missing or damaged, in words.
    """

    path: Path
    config: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]] = ()
    events: Sequence[Mapping[str, Any]] = ()
    metrics: Sequence[Mapping[str, Any]] = ()
    sittings: Sequence[Mapping[str, Any]] = ()
    grids: Sequence[Path] = ()
    quarantine: Sequence[tuple[str, str]] = ()
    overview: Mapping[str, Any] = field(default_factory=dict)
    neighbours: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    knowledge: Knowledge = field(default_factory=Knowledge)
    notes: Sequence[str] = ()

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.path.resolve().name

    @property
    def images_seen(self) -> int:
        """Where the clock stands at the last record; 0 before the first."""
        return int(self.records[-1]["images_seen"]) if self.records else 0

    @property
    def total(self) -> int:
        """The length that was planned."""
        total = self.config.get("images")
        return total if isinstance(total, int) else self.images_seen

    def last(self, signal: str) -> float | None:
        """The newest finite value of a signal, None where there is none."""
        values = (row.get(signal) for row in reversed(self.records))
        return next((float(value) for value in values if isinstance(value, (int, float))), None)

    def first(self, signal: str) -> float | None:
        """The earliest finite value of a signal, None where there is none."""
        values = (row.get(signal) for row in self.records)
        return next((float(value) for value in values if isinstance(value, (int, float))), None)


def read_run(path: Path, config: Mapping[str, Any], knowledge: Knowledge | None = None) -> RunFiles:
    """Read a run folder. What is damaged or missing becomes a note.

    Args:
        path: the folder.
        config: its ``config.json``, read.
        knowledge: what does not stand in the folder.
    """
    notes: list[str] = []
    records = [row for row in _lines(path / "records.jsonl", notes) if _has_clock(row)]
    events = [
        row for row in _lines(path / "events.jsonl", notes) if _has_clock(row) and isinstance(row.get("kind"), str)
    ]
    grids = sorted(file for file in (path / "samples").glob("[0-9]*.png") if file.stem.isdecimal())
    if not records:
        notes.append("The run has no records yet, so there are no curves.")
    if not grids:
        notes.append("The run has no sample grids.")
    return RunFiles(
        path,
        config,
        records,
        events,
        _lines(path / "metrics.jsonl", notes),
        _sittings(path / "environment.json", notes),
        grids,
        _quarantine(path / "quarantine.csv", notes),
        _object(path / OVERVIEW, notes),
        _object(path / NEIGHBOURS, notes),
        _text(path / COMMAND),
        knowledge or Knowledge(),
        notes,
    )


def _has_clock(row: Mapping[str, Any]) -> bool:
    numbers = (row.get("images_seen"), row.get("attempt", 0))
    return all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)


def _lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    try:
        found, damaged = readable_lines(path)
    except SteadyganError as error:
        notes.append(f"{path.name} could not be read: {error.what}.")
        return []
    if damaged:
        notes.append(f"{path.name} is damaged: {damaged} line{'s' if damaged > 1 else ''} left out.")
    return found


def _object(path: Path, notes: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    notes.append(f"{path.name} is damaged and left out.")
    return {}


def _sittings(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    found = _object(path, notes).get("sittings")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _quarantine(path: Path, notes: list[str]) -> list[tuple[str, str]]:
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            return [(row[0], row[1]) for row in list(csv.reader(file))[1:] if len(row) >= 2]
    except (OSError, csv.Error):
        notes.append(f"{path.name} could not be read.")
        return []
