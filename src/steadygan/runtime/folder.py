"""The run folder: the contract between the live game and everything that reads it later."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from steadygan.errors import SteadyganError
from steadygan.runtime import ranks, storage

LINES = ("records.jsonl", "events.jsonl", "metrics.jsonl")
"""Files that only ever grow by lines, and that a resumed run cuts back to its checkpoint."""
WISHES = "wishes.jsonl"
"""What people asked of the run and what it answered; never cut back."""
PATIENCE = (0.02, 0.1)
"""Seconds between attempts to hold a run: whoever only looks whether it is held lets go at once."""


def plain(value: Any) -> Any:
    """``value`` as strict JSON has it: numbers that are not finite become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


class RunFolder:
    """Paths and files of one run; see the docs page "The run folder" for every field.

    Of several processes the first alone writes; what would be written by the others is passed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: Any = None

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        return self.path / "best"

    def check_free(self) -> None:
        """Raise SteadyganError where the folder holds anything already, or cannot be made; leaves nothing behind."""
        if not ranks.leads():
            return
        if self.path.is_file():
            raise SteadyganError(f"{self.path} is a file", "name a folder with --out")
        if self.path.is_dir() and any(self.path.iterdir()):
            hint = f"go on with `steadygan resume {self.path}`, or " if self.config.exists() else ""
            raise SteadyganError(f"{self.path} is not empty; runs are never overwritten", f"{hint}choose another --out")
        made = [place for place in (self.path, *self.path.parents) if not place.exists()]
        try:
            storage.make_folder(self.path)
        finally:
            for place in made:
                with contextlib.suppress(OSError):
                    place.rmdir()

    def create(self, config: str) -> None:
        """Lay out a new run. Raises SteadyganError where the folder holds anything already."""
        if not ranks.leads():
            return
        self.check_free()
        storage.make_folder(self.samples)
        storage.make_folder(self.checkpoints)
        try:
            for name in (*LINES, WISHES):
                (self.path / name).touch()
            storage.write_file(self.config, config)
        except OSError as error:
            raise storage.cannot_write(self.path, error) from None

    def read_config(self) -> str:
        """The text of ``config.json``. Raises SteadyganError where the folder is no run."""
        if self.path.is_file():
            raise SteadyganError(f"{self.path} is a file", "give the folder that `steadygan train` printed")
        if not self.path.exists():
            raise SteadyganError(f"no run at {self.path}", "give the folder that `steadygan train` printed")
        try:
            return self.config.read_text()
        except FileNotFoundError:
            raise SteadyganError(
                f"{self.path} is not a run folder (it has no config.json)", "give a run's folder"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise SteadyganError(f"cannot read {self.config} ({error})", "restore the file") from None

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Add one line to a file of lines."""
        if not ranks.leads():
            return
        with open(self.path / name, "a") as file:
            file.write(json.dumps(plain(line), separators=(",", ":")) + "\n")

    def positions(self) -> dict[str, int]:
        """Present size in bytes of every file of lines, flushed to the disk."""
        sizes = {}
        for name in LINES:
            with open(self.path / name, "ab") as file:
                os.fsync(file.fileno())
                sizes[name] = file.tell()
        return sizes

    def cut_back(self, positions: Mapping[str, int]) -> None:
        """Drop every line written after ``positions`` were taken: the resumed run writes them again.

        Raises SteadyganError where a file is shorter than it was, since history would be lost silently.
        """
        for name in LINES:
            path, keep = self.path / name, positions.get(name, 0)
            present = path.stat().st_size if path.exists() else 0
            if present < keep:
                raise SteadyganError(
                    f"{path} is shorter than at the checkpoint", "restore the file, or start a new run", code=1
                )
            with open(path, "ab") as file:
                file.truncate(keep)

    def __enter__(self) -> RunFolder:
        """Hold the run: two processes must not train into one folder.

        Raises SteadyganError where another process holds it, or where nothing can be written in the folder.
        """
        if not ranks.leads():
            return self
        import fcntl

        try:
            self._lock = open(self.path / ".lock", "a")
        except OSError as error:
            raise storage.cannot_write(self.path, error) from None
        for wait in (*PATIENCE, 0.0):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(wait)
            else:
                return self
        self._lock.close()
        raise SteadyganError(f"another process is training in {self.path}", "wait for it or stop it first")

    def held(self) -> bool:
        """Whether a process trains in this folder at this moment."""
        import fcntl

        try:
            with open(self.path / ".lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.close()
