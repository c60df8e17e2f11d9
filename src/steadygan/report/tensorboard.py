"""TensorBoard event files of a run: its records as scalars and its grids as images, at the clock ``images_seen``.

They stand in ``tensorboard/`` in the run folder, written anew from ``records.jsonl`` and ``samples/`` whenever the
run is started or resumed, so that no point is ever there twice.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.report.jsonl import read_jsonl

FOLDER = "tensorboard"
FLUSH = 10
"""Seconds after which what was written is on the disk."""


def require() -> None:
    """Raise SteadyganError where the package ``tensorboard`` is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise SteadyganError("tensorboard=true needs a package that is not there", "install steadygan[tensorboard]")


class Events:
    """Watches a run and writes its event files; a context manager that closes them.

    Args:
        run: the run folder.

    Raises:
        SteadyganError: where the package ``tensorboard`` is not installed.
    """

    def __init__(self, run: Path) -> None:
        require()
        self.run = run
        self._writer: Any = None

    def begin(self, config: RunConfig, images_seen: int) -> None:
        """Replace event files of earlier sittings by what the folder holds up to ``images_seen``."""
        from torch.utils.tensorboard import SummaryWriter

        folder = self.run / FOLDER
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(folder), flush_secs=FLUSH)
        for line in read_jsonl(self.run / "records.jsonl"):
            self._scalars(line)
        for path in sorted((self.run / "samples").glob("[0-9]*.png")):
            # at 0 images the run is about to make its first grid
            if int(path.stem) <= images_seen and images_seen:
                self.picture(path, int(path.stem))

    def record(self, line: Mapping[str, Any], pace: object, health: str) -> None:
        """Write a record's values."""
        self._scalars(line)

    def event(self, text: str) -> None:
        """Events stand in ``events.jsonl``."""

    def picture(self, path: Path, images_seen: int) -> None:
        """Write a grid."""
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        with contextlib.suppress(OSError):
            self._writer.add_image("samples", pixels, images_seen, dataformats="HWC")

    def end(self, images_seen: int) -> None:
        """Put everything on the disk."""
        self.__exit__(None, None, None)

    def _scalars(self, line: Mapping[str, Any]) -> None:
        for name, value in line.items():
            if "/" in name and isinstance(value, (int, float)) and math.isfinite(value):
                # a full disk is no reason to lose the run over its graphs: the next sitting writes them anew
                with contextlib.suppress(OSError):
                    self._writer.add_scalar(name, value, int(line["images_seen"]))

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None
