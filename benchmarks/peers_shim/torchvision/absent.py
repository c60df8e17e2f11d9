"""Names that a peer imports and its round never calls."""

from __future__ import annotations

from typing import Any


class Absent:
    """Stands for a function or class that is not here; using it is an error."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError(f"{type(self).__name__} is not part of the stand-in")


def absent(name: str) -> type[Absent]:
    """A name to import and never to call."""
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (Absent,), {})
