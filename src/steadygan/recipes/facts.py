"""What a recipe may know about the data."""

from __future__ import annotations

from dataclasses import dataclass

from steadygan.config import DataConfig


@dataclass(frozen=True)
class DataFacts:
    """Count, shape (C, H, W) and number of classes of a data set, and the config that opens it."""

    name: str
    count: int
    shape: tuple[int, int, int]
    classes: int
    config: DataConfig

    @property
    def pixels(self) -> int:
        return self.shape[1] * self.shape[2]
