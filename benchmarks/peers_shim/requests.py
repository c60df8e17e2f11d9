"""Wanted by a peer for downloads, which no round makes."""

from __future__ import annotations
