"""One run as its folder shows it now: what it is, how it stands, and what came since the last look."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from steadygan.runtime.folder import RunFolder, plain
from steadygan.studio.tail import Tail, last_line
from steadygan.studio.verdict import Story, place, verdict

GRID = re.compile(r"\d{12}\.png")
LARGEST = 32 * 2**20
"""Bytes of a JSON file that are read at most."""
MARKS = 40
"""Looks at the clock that the pace is taken from."""

Stamp = tuple[int, int]


class RunView:
    """What the folder of one run says; looked at again and again, it reads only what changed."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.folder = name, RunFolder(path)
        self.lock = threading.Lock()
        self.story = Story()
        self._events = Tail(path / "events.jsonl")
        self._stamp: list[Stamp] = []
        self._config: dict[str, Any] = {}
        self._sitting: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self._fault = ""
        self._grids: list[Stamp] = []
        self._marks: list[tuple[float, int, int]] = []
        self._kept: tuple[str, list[tuple[str, int]]] = ("", [])

    @property
    def path(self) -> Path:
        return self.folder.path

    def row(self) -> dict[str, Any]:
        """The run in a list: verdict, progress, pace, and the last grid."""
        with self.lock:
            self._look()
            held = self.folder.held()
            total, seen = _count(self._config.get("images")), _count(self._last.get("images_seen"))
            state = self._state(seen, total, held)
            found = verdict(
                state, self.story, watched=_mode(self._config) != "off", where=f"{seen:,} of {total:,} images"
            )
            pace = self._pace() if state == "running" else None
            row = {
                "name": self.name,
                "state": state,
                "tone": found.tone,
                "headline": found.headline,
                "detail": found.detail,
                "images_seen": seen,
                "attempt": _count(self._last.get("attempt")),
                "total": total,
                "pace": pace,
                "seconds_left": (total - seen) / pace if pace else None,
                "changed": self._changed(),
                "grid": self._grids[-1] if self._grids else None,
                "about": _about(self._config),
            }
            if self._fault:
                row |= {"state": "damaged", "tone": "bad", "headline": "Cannot be read", "detail": self._fault}
            return row

    def details(self) -> dict[str, Any]:
        """The row, and what the page of the run shows besides curves and events."""
        row = self.row()
        with self.lock:
            more = {
                "grids": self._grids,
                "controls": _controls(self._last),
                "turns": [[*key, *turn] for key, turn in sorted(self._turns().items())],
                "snapshots": self._snapshots(),
                "latest": {name: value for name, value in self._last.items() if "/" in name},
                "sitting": {
                    key: self._sitting.get(key) for key in ("started", "device", "steadygan", "torch", "command")
                },
                "settings": _plain_settings(self._config),
            }
            whole: dict[str, Any] = plain(row | more)
            return whole

    def grid(self, images_seen: int) -> Path:
        """The file of a sample grid; may not be there."""
        return self.folder.samples / f"{images_seen:012d}.png"

    def _look(self) -> None:
        """Read again what has another stamp than before."""
        paths = [self.folder.config, self.folder.environment, self.path / "records.jsonl", self.folder.samples]
        stamp = [_stamp(path) for path in paths]
        if stamp[:1] != self._stamp[:1]:
            self._config, self._fault = _json(paths[0])
        if stamp[1:2] != self._stamp[1:2]:
            sittings = _json(paths[1])[0].get("sittings")
            self._sitting = (
                sittings[-1] if isinstance(sittings, list) and sittings and isinstance(sittings[-1], dict) else {}
            )
        if stamp[2:3] != self._stamp[2:3]:
            self._last = last_line(paths[2])
            self._marks.append((stamp[2][0] / 1e9, *place(self._last)))
            self._marks = self._marks[-MARKS:]
        if stamp[3:] != self._stamp[3:]:
            self._grids = _grids(paths[3])
        self._stamp = stamp
        news = self._events.read()
        if news.anew:
            self.story = Story()
        for event in news.lines:
            self.story.take(event)

    def _state(self, seen: int, total: int, held: bool) -> str:
        over = (total and seen >= total) or self.story.ended or self.story.stopped is not None
        if over and not held:
            return "finished"
        if not held:
            return "stopped"
        return "paused" if self.story.paused and self.story.paused_at >= place(self._last) else "running"

    def _pace(self) -> float | None:
        """Images a second: as seen while looking, else on average since the sitting began."""
        marks = [mark for mark in self._marks if mark[1] == self._marks[-1][1]] if self._marks else []
        if len(marks) > 1 and marks[-1][0] - marks[0][0] >= 1 and marks[-1][2] > marks[0][2]:
            return (marks[-1][2] - marks[0][2]) / (marks[-1][0] - marks[0][0])
        started, began = _time(self._sitting.get("started")), _count(self._sitting.get("images_seen"))
        seconds = self._changed() - started if started else 0.0
        images = _count(self._last.get("images_seen")) - began
        return images / seconds if seconds > 0 and images > 0 else None

    def _changed(self) -> float:
        return max(self._stamp[0][0], self._stamp[2][0]) / 1e9

    def _turns(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Factor and shift that each person gives each control."""
        return {key: turn for key, turn in self.story.turns.items() if turn != (1.0, 0.0)}

    def _snapshots(self) -> list[tuple[str, int]]:
        """The kept snapshots and their places, as the newest checkpoint has them."""
        try:
            names = sorted(path.name for path in self.folder.checkpoints.iterdir() if path.name[:1].isdigit())
        except OSError:
            return []
        if names and names[-1] != self._kept[0]:
            tree, _ = _json(self.folder.checkpoints / names[-1] / "state.json")
            state = tree.get("state")
            kept = state.get("snapshots") if isinstance(state, dict) else None
            found = kept.items() if isinstance(kept, dict) else ()
            self._kept = names[-1], [(name, seen) for name, one in found if (seen := _place_of(one)) is not None]
        return self._kept[1] if names else []


def _place_of(snapshot: object) -> int | None:
    counters = snapshot.get("counters") if isinstance(snapshot, dict) else None
    seen = counters.get("images_seen") if isinstance(counters, dict) else None
    return seen if isinstance(seen, int) else None


def _stamp(path: Path) -> Stamp:
    try:
        about = path.stat()
    except OSError:
        return (0, 0)
    return (about.st_mtime_ns, about.st_size)


def _json(path: Path) -> tuple[dict[str, Any], str]:
    """A file's table, or an empty one and why."""
    try:
        if path.stat().st_size > LARGEST:
            return {}, f"{path.name} is too large to be one of steadygan's"
        tree = json.loads(path.read_bytes())
    except OSError as error:
        return {}, f"{path.name}: {(error.strerror or str(error)).lower()}"
    except (ValueError, RecursionError):
        return {}, f"{path.name} is not JSON"
    if not isinstance(tree, dict) or (path.name == "config.json" and "images" not in tree):
        return {}, f"{path.name} is not one of a steadygan run"
    return tree, ""


def _grids(folder: Path) -> list[Stamp]:
    """Images seen and version of every sample grid, in order."""
    try:
        found = [path for path in folder.iterdir() if GRID.fullmatch(path.name)]
    except OSError:
        return []
    return sorted((int(path.stem), _stamp(path)[0] // 1_000_000) for path in found)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _time(text: object) -> float:
    """Seconds since the epoch; 0 for what is no time."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _mode(config: Mapping[str, Any]) -> object:
    health = config.get("health")
    return health.get("mode") if isinstance(health, dict) else None


def _about(config: Mapping[str, Any]) -> str:
    """What is trained on what, in a few words."""
    data, shape = config.get("data"), config.get("shape")
    source = Path(str(data.get("source", ""))).name if isinstance(data, dict) else ""
    size = f"{shape[2]} × {shape[1]}" if isinstance(shape, list) and len(shape) == 3 else ""
    ill = f"made ill with {config['sicken']}" if config.get("sicken") else ""
    return " · ".join(part for part in (source, size, str(config.get("recipe", "")), ill) if part)


def _controls(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Present values of all controls."""
    pairs = ((name.removeprefix("control/"), value) for name, value in record.items() if name.startswith("control/"))
    return sorted((name, float(value)) for name, value in pairs if _is_number(value))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _plain_settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings that say most, as rows."""
    players = config.get("players")
    named = players.items() if isinstance(players, dict) else ()
    networks = [(name, one.get("network")) for name, one in named if isinstance(one, dict)]
    rows: Sequence[tuple[str, Any]] = [
        *((key, config.get(key)) for key in ("recipe", "why", "game", "loss", "batch", "images", "seed", "precision")),
        *((name, _network(one)) for name, one in networks),
    ]
    return [
        (key, f"{value:,}" if isinstance(value, int) else str(value)) for key, value in rows if value not in (None, "")
    ]


def _network(one: object) -> str:
    return f"{one.get('name')} of capacity {one.get('capacity')}" if isinstance(one, dict) else ""
