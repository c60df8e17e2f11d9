"""The one function that a peer asks of it, for comparing versions."""

from __future__ import annotations


def parse_version(text: str) -> tuple[int, ...]:
    """Numbers of a version, to be compared: 2.13.0+cpu becomes (2, 13, 0)."""
    plain = text.split("+")[0]
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in plain.split("."))
