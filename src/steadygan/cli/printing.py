"""What every command prints with: rows of name and value, durations, the two consoles."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def rows(values: Mapping[str, str]) -> None:
    """Names and values in two columns: wrapped to a terminal's width, one line each in a pipe or a file."""
    if not console.is_terminal:
        width = max(map(len, values), default=0)
        for name, value in values.items():
            console.print(f"  {name:<{width}}  {value}".rstrip(), markup=False)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text(f"  {name}"), Text(value))
    console.print(table)


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


def plural(count: int, word: str) -> str:
    """``1 image``, ``2,000 images``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
