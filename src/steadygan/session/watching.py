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
