"""What a recipe may know about the data."""

from __future__ import annotations

from dataclasses import dataclass

from steadygan.config import DataConfig


@dataclass(frozen=True)
class DataFacts:
    """Count, shape (C, H, W) and number of classes of a data set, the config that opens it, and the kind of device."""

    name: str
    count: int
    shape: tuple[int, int, int]
    classes: int
    config: DataConfig
    device: str = "cpu"

    @property
    def pixels(self) -> int:
        return self.shape[1] * self.shape[2]
