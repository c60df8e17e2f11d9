"""What a run shows in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from steadygan.config import RunConfig
from steadygan.session.watching import Pace

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """A duration as a person reads it: 48 s, 3 min 05 s, 2 h 10 min."""
    if seconds == float("inf"):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Decoding:
    """A bar for the one time that a data set is decoded."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}"), console=errors)
            self._bar.start()
            self._task = self._bar.add_task(what, total=total, shown="")
        assert self._task is not None
        self._bar.update(self._task, description=what, completed=done, total=total, shown=f"{done:,} of {total:,}")
        if done >= total:
            self._bar.stop()
            self._bar = self._task = None


class Terminal:
    """A bar with images a second, time left, health and losses; in a file or a pipe, a line now and then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bar = Progress(
            TextColumn("{task.percentage:>3.0f}%"), BarColumn(30), TextColumn("{task.fields[shown]}"), console=console
        )
        self._task: TaskID | None = None
        self._told = 0.0

    def begin(self, config: RunConfig, images_seen: int) -> None:
        self._total = config.images
        if images_seen:
            console.print(f"going on at {images_seen:,} of {config.images:,} images")
        if console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task("", total=config.images, completed=images_seen, shown="first round ...")

    def record(self, line: Mapping[str, Any], pace: Pace, health: str) -> None:
        seen = int(line["images_seen"])
        losses = " ".join(f"{name.split('/')[0]} {line[name]:.3g}" for name in sorted(line) if name.endswith("/loss"))
        speed = f"{pace.images_a_second:,.0f} images/s · {clock(pace.seconds_left)} left"
        shown = f"{seen:,}/{self._total:,} · {speed} · {health} · loss: {losses}"
        if self._task is not None:
            self._bar.update(self._task, completed=seen, shown=shown)
        elif seen / self._total >= self._told:
            console.print(f"{seen / self._total:4.0%} {shown}")
            self._told = seen / self._total + 0.1

    def event(self, text: str) -> None:
        console.print(f"[yellow]{text}[/]" if console.is_terminal else text)

    def picture(self, path: Path, images_seen: int) -> None:
        """Pictures are named at the end, not one by one."""

    def end(self, images_seen: int) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar down, whatever happened."""
        if self._task is not None:
            self._bar.stop()
            self._task = None
