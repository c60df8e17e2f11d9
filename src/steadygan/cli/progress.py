"""What a run shows in a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.text import Text

from steadygan.cli.printing import clock, console, errors
from steadygan.config import RunConfig
from steadygan.session.watching import Pace


class Decoding:
    """A bar for the one time that a data set is decoded; nothing where nobody watches."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        if not errors.is_terminal:
            return
        if self._bar is None:
            columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}")
            self._bar = Progress(*columns, console=errors, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(what, total=total, shown="")
        assert self._task is not None
        self._bar.update(self._task, description=what, completed=done, total=total, shown=f"{done:,} of {total:,}")
        if done >= total:
            self.stop()

    def stop(self) -> None:
        """Take the bar down, whatever happened."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


def columns() -> tuple[ProgressColumn, ...]:
    """Share, bar over what width is left, and figures."""
    return TextColumn("{task.percentage:>3.0f}%"), BarColumn(None), TextColumn("{task.fields[shown]}")


class Bar(Progress):
    """A bar over the whole width, and below it a line on how the game stands."""

    standing = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, then the line, cut where the terminal ends."""
        yield from super().get_renderables()
        yield Text(f"     {self.standing}", overflow="ellipsis", no_wrap=True)


class Terminal:
    """Images a second, time left, health and losses: as a bar, or in a file or a pipe as a line now and then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bar = Bar(*columns(), console=console, expand=True, refresh_per_second=4)
        self._task: TaskID | None = None
        self._told = 0.0
        self._total = 1
        self._started: float | None = None

    def begin(self, config: RunConfig, images_seen: int) -> None:
        """Show where the run stands at its start."""
        self._total = config.images
        self._started = time.monotonic()
        if images_seen:
            console.print(f"going on at {images_seen:,} of {config.images:,} images")
        if console.is_terminal:
            self._task = self._bar.add_task("", total=config.images, completed=images_seen, shown="first round ...")
            self._bar.start()

    def record(self, line: Mapping[str, Any], pace: Pace, health: str) -> None:
        """Show a measured record."""
        seen = int(line["images_seen"])
        ending = "/loss"
        losses = ", ".join(f"{n.removesuffix(ending)} {line[n]:.3g}" for n in sorted(line) if n.endswith(ending))
        shown = f"{seen:,}/{self._total:,} · {pace.images_a_second:,.0f} images/s · {clock(pace.seconds_left)} left"
        standing = f"{health} · loss: {losses}"
        if self._task is not None:
            self._bar.standing = standing
            self._bar.update(self._task, completed=seen, shown=shown)
        elif seen / self._total >= self._told:
            console.print(f"{seen / self._total:4.0%} {shown} · {standing}", markup=False)
            self._told = seen / self._total + 0.1

    def event(self, text: str) -> None:
        """Say what happened, above the bar."""
        console.print(Text(text, style="yellow"))

    def picture(self, path: Path, images_seen: int) -> None:
        """Pictures are named at the end, not one by one."""

    def end(self, images_seen: int) -> None:
        """Take the bar down."""
        self.stop()

    def spent(self) -> str:
        """How long this sitting took, in words; empty where it never began."""
        return "" if self._started is None else f" in {clock(time.monotonic() - self._started)}"

    def stop(self) -> None:
        """Take the bar down, whatever happened."""
        if self._task is not None:
            self._bar.refresh()
            self._bar.stop()
            self._task = None
