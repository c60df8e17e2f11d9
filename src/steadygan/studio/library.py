"""All runs below a folder: found, listed the latest first, and looked up by name without ever leaving the folder."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from steadygan.errors import SteadyganError

DEPTH = 4
"""Folders below the root in which runs are sought."""
FOLDERS = 50_000
"""Folders that are looked into at most: a folder of something else must not keep anybody waiting."""
REST = 20
"""A list is good for this many times the time that it took, and for a second at least."""


class Place(NamedTuple):
    """Where a run lies: its name below the root, and when it last changed."""

    name: str
    path: Path
    changed: float


class Library:
    """The runs below ``root``, or ``root`` itself where it is one.

    Raises:
        SteadyganError: where there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            what = "is a file" if root.exists() else "does not exist"
            raise SteadyganError(f"{root} {what}", "give a folder that holds runs, or a run's own")
        try:
            os.scandir(root).close()
        except OSError as error:
            raise SteadyganError(f"cannot read {root} ({error.strerror})", "allow it, or give another folder") from None
        self.root = root.resolve()
        self.single = (self.root / "config.json").is_file()
        self._lock = threading.Lock()
        self._places: list[Place] = []
        self._good_until = 0.0

    def places(self) -> list[Place]:
        """All runs, the one that changed last first."""
        with self._lock:
            start = time.monotonic()
            if start >= self._good_until:
                found = [self._place(self.root)] if self.single else self._sought()
                self._places = sorted(found, key=lambda place: (-place.changed, place.name))
                took = time.monotonic() - start
                self._good_until = start + took + max(1.0, REST * took)
            return self._places

    def find(self, name: str) -> Path:
        """The folder of a run.

        Raises:
            SteadyganError: for a name that is no run below the root, or that leads out of it.
        """
        missing = SteadyganError(f"no run {name!r} here", "choose one of the list")
        if self.single:
            if name != self.root.name:
                raise missing
            return self.root
        parts = name.split("/")
        if any(part in ("", ".", "..") or part.startswith(".") or "\\" in part or "\0" in part for part in parts):
            raise missing
        path = self.root.joinpath(*parts)
        # a link may lead anywhere, so a run's path has none in it
        if len(parts) > DEPTH or path.resolve() != path or not (path / "config.json").is_file():
            raise missing
        return path

    def _sought(self) -> list[Place]:
        found, level, looked = list[Place](), [self.root], 0
        for _ in range(DEPTH):
            below: list[Path] = []
            for folder in level:
                looked += 1
                if looked > FOLDERS:
                    return found
                for path in _folders(folder):
                    if (path / "config.json").is_file():
                        found.append(self._place(path))
                    else:
                        below.append(path)
            level = below
        return found

    def _place(self, path: Path) -> Place:
        name = self.root.name if path == self.root else path.relative_to(self.root).as_posix()
        return Place(name, path, max(_changed(path / "records.jsonl"), _changed(path / "config.json")))


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            kept = [one for one in entries if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")]
    except OSError:
        return []
    return [Path(one.path) for one in kept]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
