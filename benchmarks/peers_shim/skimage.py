"""Wanted by a peer for reading pictures, which no round does: any name leads nowhere."""

from __future__ import annotations

from tensorflow import __getattr__

__all__ = ["__getattr__"]
