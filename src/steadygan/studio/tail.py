"""Reading a file of lines while somebody else writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

BACK = 256
"""Bytes before the place of reading that tell whether the file is still the one that was read."""
LAST = 64 * 1024
"""Bytes at the end of a file in which its last line is sought."""


class News(NamedTuple):
    """The lines since the last look; with ``anew`` those before are no longer valid."""

    anew: bool
    lines: list[dict[str, Any]]


class Tail:
    """A growing ``.jsonl`` file, read piece by piece.

    A line counts once its line break is there. Lines that are no JSON object are passed over. A file that was cut back,
    as a resumed run does, is read anew from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._before = b""
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> News:
        """What has been added; a file that is not there, or cannot be read, is empty."""
        try:
            about = self.path.stat()
            seen = (about.st_ino, about.st_size, about.st_mtime_ns)
            if seen == self._seen:
                return News(False, [])
            with open(self.path, "rb") as file:
                anew = self._offset > about.st_size or not self._continues(file)
                if anew:
                    self._offset, self._before = 0, b""
                file.seek(self._offset)
                added, line_break, _ = file.read().rpartition(b"\n")
        except OSError:
            anew, self._offset, self._before, self._seen = self._offset > 0, 0, b"", None
            return News(anew, [])
        self._seen = seen
        self._offset += len(added) + len(line_break)
        self._before = (self._before + added + line_break)[-BACK:]
        return News(anew, [line for text in added.split(b"\n") if (line := parsed(text)) is not None])

    def _continues(self, file: Any) -> bool:
        file.seek(self._offset - len(self._before))
        return bool(file.read(len(self._before)) == self._before)


def parsed(text: bytes) -> dict[str, Any] | None:
    """A line as a table, or None where it is none."""
    try:
        line = json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def last_line(path: Path) -> dict[str, Any]:
    """The last whole line of a file of lines, read from its end; empty where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LAST))
            whole = file.read().split(b"\n")[:-1]
    except OSError:
        return {}
    return next((line for text in reversed(whole) if (line := parsed(text)) is not None), {})
