"""Pictures on the way are not needed, and cost a peer nothing."""

from __future__ import annotations

from typing import Any


def save_image(*_: Any, **__: Any) -> None:
    """Save nothing."""


def make_grid(images: Any, *_: Any, **__: Any) -> Any:
    """The images as they are."""
    return images
