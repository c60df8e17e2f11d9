"""After the fact: what the records of a finished run, or of another program, show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadygan.errors import SteadyganError
from steadygan.health.foreign import read_foreign
from steadygan.health.lookout import Told, review
from steadygan.report.jsonl import read_jsonl
from steadygan.session.running import open_run


@dataclass(frozen=True)
class Diagnosed:
    """What a record shows after the fact.

    Attributes:
        told: findings in the order in which they were first confirmed.
        standing: names of those that still stood at the last record.
        missing: diagnoses that the record has no figures for.
        events: what health did during the run, where it is a run.
    """

    told: Sequence[Told]
    standing: Sequence[str]
    missing: Sequence[str]
    events: Sequence[Mapping[str, Any]]


def diagnose(record: str | Path, *, total: int | None = None) -> Diagnosed:
    """Look at a finished run, or at the record of another program, with every diagnosis.

    Args:
        record: a run's folder, or a ``.csv`` or ``.jsonl`` file with figures by step (``d_loss``, ``g_loss``, ``fid``,
            gradient norms, logits; see ``steadygan.health.foreign.SYNONYMS``).
        total: length of the run in images; None: as the run or the last line says.

    Raises:
        SteadyganError: where nothing can be read there.
    """
    path, events = Path(record), list[dict[str, Any]]()
    if path.is_file():
        lines = read_foreign(path)
    else:
        folder, config = open_run(path)
        lines = [line for line in lines_of(folder.path / "records.jsonl") if "images_seen" in line]
        events = lines_of(folder.path / "events.jsonl")
        total = total or config.images
    if not lines:
        raise SteadyganError(f"{path} holds no records", "train first, or give another file")
    found = review(lines, total or int(lines[-1]["images_seen"]))
    return Diagnosed(found.told, list(found.standing), found.missing, events)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of a run; none where there is no such file."""
    return read_jsonl(path) if path.is_file() else []
