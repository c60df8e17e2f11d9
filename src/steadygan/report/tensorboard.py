"""TensorBoard event files of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from steadygan.config import RunConfig
from steadygan.report.tracker import Tracker

FLUSH = 10
"""Seconds after which what was written is on the disk."""


class TensorBoard(Tracker):
    """Hands a run on to TensorBoard."""

    name = package = "tensorboard"

    def open(self, folder: Path, config: RunConfig) -> Any:
        """A writer of event files."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder), flush_secs=FLUSH)

    def scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Write each value under its own name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, images_seen)

    def image(self, path: Path, images_seen: int) -> None:
        """Write a grid under ``samples``."""
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self._writer.add_image("samples", pixels, images_seen, dataformats="HWC")

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
