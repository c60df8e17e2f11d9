"""Orders: all that a watcher outside the loop may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Turn:
    """Give a control this factor and shift, on behalf of ``by``."""

    control: str
    by: str
    factor: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Keep:
    """Keep a snapshot of the game as it is now under ``name``, in place of an earlier one of that name."""

    name: str


@dataclass(frozen=True)
class Rename:
    """Give a kept snapshot another name, in place of an earlier one of that name."""

    name: str
    to: str


@dataclass(frozen=True)
class RollBack:
    """Return to the snapshot ``name``, with other batches from there on."""

    name: str


@dataclass(frozen=True)
class Best:
    """Put the averages on disk as the best so far: ``criterion`` is now ``value``."""

    criterion: str
    value: float


@dataclass(frozen=True)
class Tell:
    """Write an event, and say ``line`` to whoever looks on."""

    event: Mapping[str, Any]
    line: str


@dataclass(frozen=True)
class Stop:
    """End the run here, as ``why`` says; with ``failed`` the command's exit code tells so."""

    why: str
    remedy: str
    failed: bool


Order = Turn | Keep | Rename | RollBack | Best | Tell | Stop
