"""The picture of an illness: samples of two runs, what was seen and done in words, and three signals over the clock."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from steadygan.report.canvas import DENSITY, PillowCanvas, mixed, text_width
from steadygan.report.jsonl import read_jsonl
from steadygan.report.pictures import grid
from steadygan.session.running import in_short

TILES, COLUMNS = 36, 6
"""Samples shown of a run."""
INK, GREY, RULE = "#222222", "#6b6b6b", "#e6e6e6"
COLOURS = HEALTHY, UNTREATED, TREATED = "#999999", "#d55e00", "#0072b2"
MARKS = {"diagnosis": "#e69f00", "intervention": "#0072b2", "proof": "#009e73"}
WIDTH, HEIGHT, MARGIN = 920.0, 452.0, 14.0
SIDE = 302 / DENSITY
"""Of a grid of samples: what six images of 8 pixels a side make at six times their size, with the gaps between."""
FRAME = (410.0, 92.0)
"""Width and height of a panel."""
STORY_ROW, STORY_ROWS = 15.0, 11
NEIGHBOURS = 4
"""Records to either side that a noisy signal is averaged with."""


@dataclass(frozen=True)
class Panel:
    """A signal and how it is drawn."""

    signal: str
    words: str
    log: bool = False
    smooth: bool = False
    range: tuple[float, float] | None = None


PANELS = (
    Panel("health/distance", "distance to the data, logarithmic", log=True),
    Panel("health/diversity", "diversity of the samples; 1 as the data"),
    Panel("discriminator/win_rate", "win rate of the discriminator", smooth=True, range=(0.4, 1.0)),
)


@dataclass(frozen=True)
class Shown:
    """What is shown of a run: its folder, what it is called, its colour and some of its samples, where it has any."""

    path: Path
    words: str
    colour: str
    images: Tensor | None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The run's records; none where it died before the first."""
        return _lines(self.path / "records.jsonl")

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """What health saw and did."""
        return _lines(self.path / "events.jsonl")

    @cached_property
    def length(self) -> float:
        """Images of the run as it was planned; of one that died before it had a config, what does not matter."""
        path = self.path / "config.json"
        return float(json.loads(path.read_text(encoding="utf-8"))["images"]) if path.is_file() else 1.0


def draw(name: str, healthy: Shown, untreated: Shown, treated: Shown) -> bytes:
    """The picture of an illness as a PNG."""
    canvas = PillowCanvas(WIDTH, HEIGHT, f"Ill with {name}")
    canvas.box(0, 0, WIDTH, HEIGHT, "#ffffff")
    places = [(MARGIN, 34.0), (MARGIN + SIDE + 16, 34.0)]
    for (left, top), run in zip(places, (untreated, treated), strict=True):
        last = "last average" if run is untreated else "best average"
        canvas.text(left, top - 10, f"{run.words}: its {last}", 13, INK)
        canvas.box(left, top, SIDE, SIDE, RULE)
        if run.images is None:
            canvas.text(left + SIDE / 2, top + SIDE / 2, "left no samples", 12, GREY, "middle")
    _story(canvas, untreated, treated, MARGIN, 34 + SIDE + 26, 2 * SIDE + 16)
    _courses(canvas, (healthy, untreated, treated), treated)
    return _pasted(
        canvas.finish(), [(place, run.images) for place, run in zip(places, (untreated, treated), strict=True)]
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return read_jsonl(path) if path.is_file() else []


def _pasted(picture: bytes, grids: Sequence[tuple[tuple[float, float], Tensor | None]]) -> bytes:
    """The drawn picture with the grids of samples in their places, in few colours: it is to load quickly."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    side = round(SIDE * DENSITY)
    for (left, top), samples in grids:
        if samples is not None:
            tiles = grid(samples, COLUMNS, max(1, (side - 2) // COLUMNS // samples.shape[-1]))
            image.paste(
                tiles.resize((side, side), Image.Resampling.NEAREST), (round(left * DENSITY), round(top * DENSITY))
            )
    body = io.BytesIO()
    _reduced(image).save(body, "PNG", optimize=True)
    return body.getvalue()


def _reduced(image: Image.Image) -> Image.Image:
    """The picture in greys, and every colour of the drawing thinned with white in steps, as its smooth edges are."""
    tints = [mixed(colour, step / 16) for colour in (*COLOURS, *MARKS.values()) for step in range(1, 17)]
    palette = [[value] * 3 for value in range(0, 256, 3)] + [[*bytes.fromhex(tint[1:])] for tint in tints]
    # Pillow's own search for the nearest colour is coarse: it turns white into a light grey
    pixels = np.asarray(image, np.int32)
    colours, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = np.square(colours[:, None] - np.array(palette)).sum(2).argmin(1).astype(np.uint8)
    reduced = Image.fromarray(nearest[places.ravel()].reshape(pixels.shape[:2]))
    reduced.putpalette([part for colour in palette for part in colour])
    return reduced


# --- what was seen and done


def _story(canvas: PillowCanvas, untreated: Shown, treated: Shown, left: float, top: float, width: float) -> None:
    """The first lines of what was seen in the untreated run, and seen and done in the treated one."""
    seen = list(dict.fromkeys(event["diagnosis"] for event in untreated.events if event["kind"] == "diagnosis"))
    canvas.text(left, top, _cut(f"seen in the untreated run: {', '.join(seen) or 'nothing'}", 12, width), 12, INK)
    told = [event for event in treated.events if event["kind"] in (*MARKS, "given-up")]
    canvas.text(left, top + 20, "in the treated run:" if told else "in the treated run: nothing", 12, INK)
    rows = told if len(told) <= STORY_ROWS else told[: STORY_ROWS - 1]
    for number, event in enumerate(rows):
        y = top + 38 + STORY_ROW * number
        canvas.box(left, y - 8, 8, 8, _colour(event))
        canvas.text(left + 60, y, in_short(int(event["images_seen"])), 11, GREY, "end")
        canvas.text(left + 68, y, _cut(_in_short(event), 11, width - 68), 11, INK)
    if len(told) > len(rows):
        canvas.text(
            left + 68, top + 38 + STORY_ROW * len(rows), f"... and {len(told) - len(rows)} lines more", 11, GREY
        )


def said(run: Path) -> list[str]:
    """The lines that a run printed on its first case, from the diagnosis to the last proof."""
    events = _lines(run / "events.jsonl")
    case = next((event["case"] for event in events if event["kind"] == "intervention"), 0)
    told = [event for event in events if event["case"] == case and event["kind"] in MARKS]
    return [f"[{in_short(int(event['images_seen']))} images] {_words(event)}" for event in told]


def _words(event: Mapping[str, Any]) -> str:
    """As the run itself says it."""
    name, words = event["diagnosis"], event["words"]
    if event["kind"] == "intervention":
        return f"{name} -> {words}"
    return f"{name}: proof: {words}" if event["kind"] == "proof" else f"{name}: {words}"


def _in_short(event: Mapping[str, Any]) -> str:
    """The same, where there is little room."""
    if event["kind"] == "proof":
        return f"{event['diagnosis']}: proof: {'recovered' if event['cured'] else 'not recovered'}"
    return f"{event['diagnosis']}: given up" if event["kind"] == "given-up" else _words(event)


def _colour(event: Mapping[str, Any]) -> str:
    return GREY if event["kind"] == "given-up" or event.get("cured") is False else MARKS[event["kind"]]


def _cut(words: str, size: float, width: float) -> str:
    """As much of a line as there is room for."""
    if text_width(words, size) <= width:
        return words
    return next(
        f"{words[:end].rstrip(' ,')} ..."
        for end in range(len(words), 0, -1)
        if text_width(words[:end], size) < width - 14
    )


# --- the course


def _courses(canvas: PillowCanvas, runs: Sequence[Shown], treated: Shown) -> None:
    left, top, (width, height) = WIDTH - MARGIN - FRAME[0], 34.0, FRAME
    x = left
    for run in runs:
        canvas.line([(x, 16), (x + 14, 16)], run.colour, 3)
        canvas.text(x + 19, 20, run.words, 12, INK)
        x += 30 + text_width(run.words, 12) + 8
    for number, panel in enumerate(PANELS):
        _panel(canvas, panel, runs, treated, left, top + 16 + number * (height + 32))
    foot = top + 16 + len(PANELS) * (height + 32)
    x = left
    for kind, colour in MARKS.items():
        canvas.line([(x + 1, foot - 25), (x + 1, foot - 14)], colour, 2)
        canvas.text(x + 7, foot - 15, kind, 12, INK)
        x += 20 + text_width(kind, 12)
    healthy, own = runs[0].length, treated.length
    other = f"; of the healthy run, {healthy:,.0f}" if healthy != own else ""
    canvas.text(left + width, foot - 15, f"images seen, of {own:,.0f}{other}", 11, GREY, "end")


def _panel(canvas: PillowCanvas, panel: Panel, runs: Sequence[Shown], treated: Shown, left: float, top: float) -> None:
    width, height = FRAME
    lines = [(run.colour, stretch) for run in runs for stretch in _stretches(run, panel)]
    low, high = _range(panel, [value for _, stretch in lines for _, value in stretch])

    def y(value: float) -> float:
        ends = [math.log(part) if panel.log else part for part in (value, low, high)]
        return top + height * (1 - min(1.0, max(0.0, (ends[0] - ends[1]) / (ends[2] - ends[1]))))

    canvas.text(left, top - 6, panel.words, 12, INK)
    for value in _ticks(panel, low, high):
        canvas.line([(left, y(value)), (left + width, y(value))], RULE)
        canvas.text(left - 6, y(value) + 4, f"{value:g}", 11, GREY, "end")
    part = height / len(MARKS)
    for event in treated.events:
        if event["kind"] in MARKS:
            # each kind has its third of the height, so that none hides another at the same place
            x, begin = (
                left + width * event["images_seen"] / treated.length,
                top + part * list(MARKS).index(event["kind"]),
            )
            canvas.line([(x, begin), (x, begin + part)], _colour(event), 1.4)
    for colour, stretch in lines:
        # the untreated run lies under the treated one as long as they are the same
        thick = 2.8 if colour == runs[1].colour else 1.5
        canvas.line([(left + width * share, y(value)) for share, value in stretch], colour, thick)


def _ticks(panel: Panel, low: float, high: float) -> list[float]:
    if panel.log:
        tens = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        return [10.0**power for power in tens]
    return [float(f"{low + (high - low) * share:.2g}") for share in (0.0, 0.5, 1.0)]


def _range(panel: Panel, values: Sequence[float]) -> tuple[float, float]:
    if panel.range:
        return panel.range
    if panel.log:
        low, high = min(values, default=0.01), max(values, default=1.0)
        return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high) + 1e-9)
    return 0.0, math.ceil(2 * max([1.0, *sorted(values)[: math.ceil(0.99 * len(values))]])) / 2


def _stretches(run: Shown, panel: Panel) -> list[list[tuple[float, float]]]:
    """Points (share of the run, value) of a signal, a line of its own for every attempt."""
    found: dict[int, list[tuple[float, float]]] = {}
    for record in run.records:
        value = record.get(panel.signal)
        if value is not None and math.isfinite(value):
            # what is as near as other reals may come out below 0, which has no logarithm
            shown = max(1e-4, float(value)) if panel.log else float(value)
            found.setdefault(int(record["attempt"]), []).append((record["images_seen"] / run.length, shown))
    return [_smoothed(stretch) if panel.smooth else stretch for stretch in found.values()]


def _smoothed(stretch: list[tuple[float, float]]) -> list[tuple[float, float]]:
    near = [stretch[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1] for place in range(len(stretch))]
    return [(x, fmean(value for _, value in part)) for (x, _), part in zip(stretch, near, strict=True)]
