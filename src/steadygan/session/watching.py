"""What a running session tells to whoever looks on: a terminal, a notebook, a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from steadygan.config import RunConfig


@dataclass(frozen=True)
class Pace:
    """How fast the run goes: images a second of late, and seconds that are left at this pace."""

    images_a_second: float
    seconds_left: float


class Watcher(Protocol):
    """Gets told; may not touch the game."""

    def begin(self, config: RunConfig, images_seen: int) -> None: ...

    def record(self, line: Mapping[str, Any], pace: Pace, health: str) -> None: ...

    def event(self, text: str) -> None: ...

    def picture(self, path: Path, images_seen: int) -> None: ...

    def end(self, images_seen: int) -> None: ...


class Silent:
    """Watches nothing."""

    def begin(self, config: RunConfig, images_seen: int) -> None:
        """Ignore the start."""

    def record(self, line: Mapping[str, Any], pace: Pace, health: str) -> None:
        """Ignore a record."""

    def event(self, text: str) -> None:
        """Ignore an event."""

    def picture(self, path: Path, images_seen: int) -> None:
        """Ignore a picture."""

    def end(self, images_seen: int) -> None:
        """Ignore the end."""


class Several:
    """Tells everything to each of several watchers, in order."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def begin(self, config: RunConfig, images_seen: int) -> None:
        """Pass the start on."""
        for watcher in self.watchers:
            watcher.begin(config, images_seen)

    def record(self, line: Mapping[str, Any], pace: Pace, health: str) -> None:
        """Pass a record on."""
        for watcher in self.watchers:
            watcher.record(line, pace, health)

    def event(self, text: str) -> None:
        """Pass an event on."""
        for watcher in self.watchers:
            watcher.event(text)

    def picture(self, path: Path, images_seen: int) -> None:
        """Pass a picture on."""
        for watcher in self.watchers:
            watcher.picture(path, images_seen)

    def end(self, images_seen: int) -> None:
        """Pass the end on."""
        for watcher in self.watchers:
            watcher.end(images_seen)
