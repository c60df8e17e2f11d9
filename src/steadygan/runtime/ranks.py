"""Which of several processes this one is, as ``torchrun`` has told it; known before torch is."""

from __future__ import annotations

import os


def wanted() -> int:
    """How many processes ``torchrun`` has started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """The number of this process among all, from 0."""
    return int(os.environ.get("RANK", "0")) if wanted() > 1 else 0


def place() -> int:
    """The number of this process among those of its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if wanted() > 1 else 0


def neighbours() -> int:
    """How many processes there are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if wanted() > 1 else 1


def leads() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return rank() == 0
