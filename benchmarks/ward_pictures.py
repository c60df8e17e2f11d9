"""Pictures of the ward: bars of every illness, and one run's course with what was said and done in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from steadygan.errors import SteadyganError
from steadygan.report.canvas import PillowCanvas
from steadygan.report.jsonl import read_jsonl

INK, GREY, RULE = "#222222", "#6b6b6b", "#e6e6e6"


class Share(Protocol):
    """So many of so many."""

    @property
    def hits(self) -> int: ...

    @property
    def of(self) -> int: ...


COLOURS = {"detected": "#0072b2", "named": "#56b4e9", "cured": "#009e73"}


def bars(found: Mapping[str, Mapping[str, Share]]) -> bytes:
    """Bars of detection, name and cure of each illness, as a PNG; a grey word where no seed was ill."""
    row, left, width = 40.0, 150.0, 420.0
    height = 70 + row * max(1, len(found))
    canvas = PillowCanvas(left + width + 90, height, "The ward: detection, name and cure of each illness")
    canvas.box(0, 0, left + width + 90, height, "#ffffff")
    for place, (name, colour) in enumerate(COLOURS.items()):
        canvas.box(left + 130 * place, 14, 12, 12, colour)
        canvas.text(left + 130 * place + 18, 25, name, 13, INK)
    for tenth in range(0, 101, 25):
        x = left + width * tenth / 100
        canvas.line([(x, 40), (x, height - 24)], RULE)
        canvas.text(x, height - 8, f"{tenth} %", 11, GREY, "middle")
    for number, (illness, parts) in enumerate(found.items()):
        top = 44 + row * number
        canvas.text(left - 10, top + 20, illness, 13, INK, "end")
        if not parts["detected"].of:
            canvas.text(left + 8, top + 20, "no seed ill by its outcome", 12, GREY)
            continue
        for place, (name, colour) in enumerate(COLOURS.items()):
            share = parts[name]
            canvas.box(left, top + 10 * place, max(1.0, width * share.hits / share.of), 8, colour)
        canvas.text(left + width + 10, top + 20, f"{parts['detected'].of} ill", 12, GREY)
    return canvas.finish()


SIGNALS = {
    "health/distance": "distance to the data",
    "health/diversity": "diversity beside the data",
    "discriminator/win_rate": "win rate of the discriminator",
}
"""What the course of a run shows, as far as its records have it."""
MARKS = {"diagnosis": "#d55e00", "intervention": "#0072b2", "rollback": "#cc79a7", "proof": "#009e73"}
FRAME = (520.0, 110.0)
"""Width and height of a panel."""


def course(run: Path) -> bytes:
    """A run's signals over its clock, with a line at every diagnosis, intervention, rollback and proof, as a PNG.

    Raises:
        SteadyganError: where the run's records have none of the signals.
    """
    records = read_jsonl(run / "records.jsonl")
    found = {name: words for name, words in SIGNALS.items() if any(name in record for record in records)}
    if not found:
        raise SteadyganError(f"{run} has no records with signals of a check-up", "train it with health.mode=mend")
    events = [event for event in read_jsonl(run / "events.jsonl") if event["kind"] in MARKS]
    left, top, (width, height) = 60.0, 56.0, FRAME
    canvas = PillowCanvas(left + width + 20, top + len(found) * (height + 34) + 20, f"Course of {run.name}")
    canvas.box(0, 0, left + width + 20, top + len(found) * (height + 34) + 20, "#ffffff")
    for place, (kind, colour) in enumerate(MARKS.items()):
        canvas.line([(left + 125 * place, 20), (left + 125 * place + 14, 20)], colour, 3)
        canvas.text(left + 125 * place + 20, 24, kind, 12, INK)
    end = max(float(record["images_seen"]) for record in records)
    for number, (name, words) in enumerate(found.items()):
        _panel(canvas, records, name, words, events, (left, top + number * (height + 34)), end)
    canvas.text(left + width, top + len(found) * (height + 34) + 4, f"{end:,.0f} images seen", 11, GREY, "end")
    return canvas.finish()


def _panel(
    canvas: PillowCanvas,
    records: Sequence[Mapping[str, Any]],
    name: str,
    words: str,
    events: Sequence[Mapping[str, Any]],
    corner: tuple[float, float],
    end: float,
) -> None:
    (left, top), (width, height) = corner, FRAME
    lines = stretches(records, name)
    values = [value for line in lines for _, value in line]
    highest = max(values, default=1.0) * 1.05 or 1.0
    canvas.text(left, top - 6, words, 12, INK)
    for share in (0.0, 0.5, 1.0):
        y = top + height * (1 - share)
        canvas.line([(left, y), (left + width, y)], RULE)
        canvas.text(left - 6, y + 4, f"{highest * share:.2g}", 11, GREY, "end")
    for event in events:
        x = left + width * event["images_seen"] / end
        colour = MARKS[event["kind"]] if event.get("cured") is not False else GREY
        canvas.line([(x, top), (x, top + height)], colour, 1.2, dashed=event["kind"] == "rollback")
    for line in lines:
        canvas.line([(left + width * x / end, top + height * (1 - max(0.0, y) / highest)) for x, y in line], INK, 1.6)


def stretches(records: Sequence[Mapping[str, Any]], name: str) -> list[list[tuple[float, float]]]:
    """Points (clock, value) of a signal; a line of its own for every attempt."""
    found: dict[int, list[tuple[float, float]]] = {}
    for record in records:
        value = record.get(name)
        if value is not None and math.isfinite(value):
            found.setdefault(int(record.get("attempt") or 0), []).append((float(record["images_seen"]), float(value)))
    return list(found.values())
