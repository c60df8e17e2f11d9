"""What a run hands on to other programs: its records as scalars and its grids as images, at the clock ``images_seen``.

What is handed on stands in a folder of its own in the run, and is written anew from ``records.jsonl`` and ``samples/``
whenever the run is started or resumed, so that no point is ever there twice.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.report.jsonl import read_jsonl


class Tracker(ABC):
    """Watches a run and hands it on to one program; a context manager that closes what it opened.

    A subclass says which package it needs and how a scalar and an image are written with it.

    Args:
        run: the run folder.

    Raises:
        SteadyganError: where the package is not installed.
    """

    name: ClassVar[str]
    """The setting that turns it on, the folder that it writes into, and the extra that brings its package."""
    package: ClassVar[str]

    def __init__(self, run: Path) -> None:
        self.require()
        self.run = run
        self._writer: Any = None

    @classmethod
    def require(cls) -> None:
        """Raise SteadyganError where the package is not installed."""
        if importlib.util.find_spec(cls.package) is None:
            raise SteadyganError(f"{cls.name}=true needs a package that is not there", f"install steadygan[{cls.name}]")

    @abstractmethod
    def open(self, folder: Path, config: RunConfig) -> Any:
        """Begin to write into an empty folder; what is returned becomes ``_writer``."""

    @abstractmethod
    def scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Write finite values."""

    @abstractmethod
    def image(self, path: Path, images_seen: int) -> None:
        """Write a grid, a PNG."""

    @abstractmethod
    def close(self) -> None:
        """Put everything on the disk."""

    def begin(self, config: RunConfig, images_seen: int) -> None:
        """Replace what earlier sittings wrote by what the folder holds up to ``images_seen``.

        Raises:
            SteadyganError: where the program refuses from the start.
        """
        folder = self.run / self.name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.is_dir() and not old.is_symlink():
                # what is hidden is the program's own: it may look for it as long as the process lives
                if not old.name.startswith("."):
                    shutil.rmtree(old, ignore_errors=True)
            else:
                old.unlink()
        try:
            self._writer = self.open(folder, config)
        except Exception as error:  # a stranger's package, and perhaps a server behind it
            why = " ".join(str(error).split())[:200]
            raise SteadyganError(
                f"{self.name} cannot be written ({why})", f"mend that, or set {self.name}=false"
            ) from error
        for line in read_jsonl(self.run / "records.jsonl"):
            self.record(line, None, "")
        for path in sorted((self.run / "samples").glob("[0-9]*.png")):
            # at 0 images the run is about to make its first grid
            if int(path.stem) <= images_seen and images_seen:
                self.picture(path, int(path.stem))

    def record(self, line: Mapping[str, Any], pace: object, health: str) -> None:
        """Write a record's values."""
        values = {
            name: float(value)
            for name, value in line.items()
            if "/" in name and isinstance(value, (int, float)) and math.isfinite(value)
        }
        # a full disk or a server that is gone is no reason to lose the run: the next sitting writes all anew
        with contextlib.suppress(Exception):
            self.scalars(values, int(line["images_seen"]))

    def event(self, text: str) -> None:  # noqa: B027 - one that tells them may
        """Events stand in ``events.jsonl``."""

    def picture(self, path: Path, images_seen: int) -> None:
        """Write a grid."""
        with contextlib.suppress(Exception):
            self.image(path, images_seen)

    def end(self, images_seen: int) -> None:
        """Put everything on the disk."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self.close()
            self._writer = None
