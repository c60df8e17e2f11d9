"""Reading the run folder's line-by-line JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from steadygan.errors import SteadyganError


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a ``.jsonl`` file, one a line.

    A last line without its line break is a write in progress (or one that a kill cut off), and is left out unless it
    is whole. ``NaN`` and ``Infinity`` are read as such.

    Raises:
        SteadyganError: a missing file, or a line before the last one that is no JSON object.
    """
    text = _text(path)
    *whole, last = text.split("\n")
    records = [_parse(line, path, number) for number, line in enumerate(whole, 1) if line.strip()]
    try:
        return [*records, _parse(last, path, len(whole) + 1)] if last.strip() else records
    except SteadyganError:
        return records


def readable_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """As ``read_jsonl``, but damaged lines are passed over and counted, and a missing file has none.

    Raises:
        SteadyganError: a file that is there and cannot be read.
    """
    if not path.is_file():
        return [], 0
    try:
        return read_jsonl(path), 0
    except SteadyganError:
        text = _text(path)
    found, damaged = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(_parse(line, path, number))
            except SteadyganError:
                damaged += 1
    return found, damaged


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except OSError as fault:
        raise SteadyganError(
            f"cannot read {path} ({(fault.strerror or str(fault)).lower()})", "is this a run folder?"
        ) from fault


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise SteadyganError(
            f"line {number} of {path} is not a record", "the file is damaged: mend or delete that line"
        )
    return record
