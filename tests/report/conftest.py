"""A run folder that no run has made, with everything a report shows; and its page, read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steadygan.report.html import VOID
from steadygan.report.reading import Knowledge, RunFiles, read_run

MEANINGS = {
    "collapse": ("the generator makes a few kinds of samples only", "add R1 and R2"),
    "blow-up": ("numbers grow without bound", "lower both learning rates"),
}
CONFIG = {
    "recipe": "dcgan",
    "images": 10_000,
    "data": {"source": "/some/where/digits"},
    "health": {"mode": "mend"},
    "loss": "non-saturating",
}
PROTOCOL = {"features": "judge", "real": 100, "fake": 100}


def record(seen: int, attempt: int = 0, **further: Any) -> dict[str, Any]:
    line = {"images_seen": seen, "round": seen // 100, "attempt": attempt}
    line |= {"generator/loss": 1.0 + seen / 1e4, "discriminator/loss": 0.5, "discriminator/win_rate": 0.9}
    return line | {"health/distance": 1.0 / (1 + seen / 100), "health/distance_floor": 0.001} | further


def event(seen: int, kind: str, diagnosis: str = "collapse", case: int = 1, **further: Any) -> dict[str, Any]:
    return {"images_seen": seen, "attempt": 0, "kind": kind, "case": case, "diagnosis": diagnosis} | further


CURED = (
    event(3000, "diagnosis", severity=2.0, words="samples are 0.1 as diverse as the data", evidence={}),
    event(3000, "intervention", intervention="back", words="back to the last healthy snapshot", turns={}, to=1000),
    event(4000, "proof", intervention="back", cured=True, words="diversity 1.0 (was 0.1), recovered", evidence={}),
)
"""A collapse that was mended."""


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_grids(run: Path, places: Sequence[int], side: int = 64) -> None:
    (run / "samples").mkdir(exist_ok=True)
    for seen in places:
        pixels = np.random.default_rng(seen).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(run / "samples" / f"{seen:012d}.png")


Make = Callable[..., RunFiles]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(events=..., records=...)``: a run folder of these parts, read."""

    def make(
        name: str = "run",
        records: Sequence[Mapping[str, Any]] | None = None,
        events: Sequence[Mapping[str, Any]] = (),
        metrics: Sequence[Mapping[str, Any]] = (),
        config: Mapping[str, Any] | None = None,
        grids: Sequence[int] = (0, 5000, 10_000),
        files: Mapping[str, str] | None = None,
        **knowledge: Any,
    ) -> RunFiles:
        path = tmp_path / name
        path.mkdir()
        rows = [record(seen) for seen in range(100, 10_001, 100)] if records is None else records
        write_lines(path / "records.jsonl", rows)
        write_lines(path / "events.jsonl", events)
        write_lines(path / "metrics.jsonl", metrics)
        write_grids(path, grids)
        for file, text in (files or {}).items():
            (path / file).write_text(text)
        return read_run(path, CONFIG | (config or {}), Knowledge(MEANINGS, **knowledge))

    return make


class Page(HTMLParser):
    """A page read back: its elements with their attributes, its words, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open[-1:]):
            self.words += data

    def all(self, tag: str, class_: str = "") -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind, and of a class where one is named."""
        wanted = (one for name, one in self.elements if name == tag)
        return [one for one in wanted if not class_ or class_ in (one.get("class") or "").split()]


@pytest.fixture
def parse() -> type[Page]:
    return Page
