"""Figures of a page: curves as SVG in the page's own colours, light or dark, with what happened marked on them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from steadygan.report.canvas import SvgCanvas
from steadygan.report.curves import (
    ALARM,
    BOTTOM,
    GREY,
    HEIGHT,
    INK,
    LEFT,
    PALETTE,
    RIGHT,
    RULE,
    WIDTH,
    Frame,
    colours_of,
    count_in_short,
    draw_frame,
    number_in_short,
    ticks,
    unit_of,
)
from steadygan.report.html import Html, tag
from steadygan.report.reading import Knowledge
from steadygan.report.series import Chart, Line, Panel
from steadygan.report.stories import FINISHED, said

COLOURS = {colour: f"line-{number}" for number, colour in enumerate(PALETTE, 1)} | {
    INK: "ink",
    GREY: "soft",
    RULE: "rule",
    ALARM: "bad",
    "#888888": "axis",
    "#999999": "axis",
}
"""Colours of the figures that are files, and the page's names for them."""
ROWS = {
    "diagnosis": "seen",
    "receded": "seen",
    "intervention": "done",
    "undone": "done",
    "given-up": "done",
    "stop": "done",
    "proof": "proof",
}
"""Row of the timeline for each kind of event; what a person did stands in a row of its own."""
OTHERS = "by hand"
STEP, LANE = 26.0, 900.0
"""Height of a row of the timeline, and its width."""
SHAPES = {
    "diagnosis": "M0 -7L7 6L-7 6Z",
    "receded": "M0 -6L6 0L0 6L-6 0Z",
    "intervention": "M-5.5 -5.5H5.5V5.5H-5.5Z",
    "helped": "M-7 0L-4 -3L-1.5 -0.5L4.5 -6.5L7.5 -3.5L-1.5 5.5Z",
    "not-helped": "M-6 -4L-4 -6L0 -2L4 -6L6 -4L2 0L6 4L4 6L0 2L-4 6L-6 4L-2 0Z",
    "other": "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z",
}
"""A shape for each kind of mark, so that colour alone says nothing."""
Events = Sequence[Mapping[str, Any]]


class PageCanvas(SvgCanvas):
    """Draws SVG that stands in a page and takes its colours and its width from there.

    Args:
        width: in units of about one pixel.
        height: in the same units.
        title: what is told instead of the picture.
        group: whether parts of it can be reached one by one.
        facts: further attributes of the element, e.g. where values lie.
    """

    def __init__(
        self, width: float, height: float, title: str, *, group: bool = False, facts: Mapping[str, str] | None = None
    ) -> None:
        role = "group" if group else "img"
        further = "".join(f" {name}={quoteattr(value)}" for name, value in (facts or {}).items())
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="{role}"'
            f' aria-label={quoteattr(title)} stroke-linejoin="round" stroke-linecap="round"{further}>'
        ]

    def paint(self, what: str, colour: str, *, faint: bool = False) -> str:
        """The attribute for a ``fill`` or ``stroke`` of this colour, by its name on the page."""
        return f'style="{what}:var(--{COLOURS.get(colour, "ink")}){";opacity:.4" if faint else ""}"'

    def mark(self, x: float, y: float, shape: str, words: str, *, reachable: bool = False) -> None:
        """A small shape that tells its words where it is pointed at, or reached by keyboard."""
        reach = f' tabindex="0" role="img" aria-label={quoteattr(words)}' if reachable else ""
        self._parts.append(
            f'<g class="mark {shape}" transform="translate({x:.1f} {y:.1f})" data-tip={quoteattr(words)}{reach}>'
            f'<path d="{SHAPES[shape]}"/></g>'
        )

    def markup(self) -> Html:
        """The whole element."""
        return Html("".join([*self._parts, "</svg>"]))

    def upright(self, x: float, top: float, bottom: float, shape: str) -> None:
        """A thin upright line in the colour of a kind of mark."""
        self._parts.append(f'<path class="when {shape}" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>')


def shape_of(event: Mapping[str, Any]) -> str:
    """The shape that stands for an event."""
    if event.get("diagnosis") == FINISHED:
        return "other"
    if event["kind"] == "proof":
        return "helped" if event.get("cured") is True else "not-helped"
    return str(event["kind"]) if event["kind"] in SHAPES else "other"


def panel(one: Panel, data: Chart, events: Events = (), knowledge: Knowledge | None = None, caption: str = "") -> Html:
    """A panel as a figure: its lines, and above them what happened.

    Args:
        one: the panel.
        data: the chart that it is of.
        events: what is marked.
        knowledge: words for the events.
        caption: what the panel shows and how to read it.
    """
    top = 34.0 if events else 8.0
    facts = {"data-frame": json.dumps([LEFT, WIDTH, top, HEIGHT, max(data.end, 1.0)]), "data-lines": _values(one)}
    canvas = PageCanvas(LEFT + WIDTH + RIGHT, top + HEIGHT + BOTTOM, _told(one), facts=facts)
    frame = draw_frame(canvas, one, data, LEFT, top)
    for event in events:
        canvas.upright(frame.x(float(event["images_seen"])), top, top + HEIGHT, shape_of(event))
    for event in events:
        y = top - (24 if _row(event) == "seen" else 9)
        canvas.mark(frame.x(float(event["images_seen"])), y, shape_of(event), _tip(event, knowledge or Knowledge()))
    title = tag("h3", one.title, " ", tag("span", unit_of(one), class_="unit"))
    below = tag("figcaption", caption) if caption else None
    return tag("figure", title, _legend(one), canvas.markup(), below, class_="panel")


def _legend(one: Panel) -> Html:
    colours = colours_of(one)
    items = [
        tag("li", tag("span", class_="swatch", style=f"background:var(--{COLOURS[colours[line.name]]})"), line.name)
        for line in one.lines
    ]
    return tag("ul", *items, class_="legend")


def timeline(events: Events, end: float, knowledge: Knowledge) -> Html:
    """All events over the clock: what was seen, what was done, and whether it helped, a row each.

    Args:
        events: lines of ``events.jsonl``, at least one.
        end: where the clock ends.
        knowledge: words for the events.
    """
    used = [row for row in (*dict.fromkeys(ROWS.values()), OTHERS) if any(_row(event) == row for event in events)]
    floor = 12 + STEP * len(used)
    canvas = PageCanvas(LANE, floor + 36, "What happened over the images seen", group=True)
    frame = Frame(70.0, 12.0, (0.0, max(end, 1.0)), (0.0, 1.0), log=False, width=LANE - 70 - 24)
    for number, row in enumerate(used):
        y = 12 + STEP * (number + 0.5)
        canvas.text(58, y + 4, row, 13, INK, "end")
        canvas.line([(70, y), (LANE - 24, y)], RULE)
    for value in ticks(*frame.x_range, 8):
        canvas.line([(frame.x(value), floor), (frame.x(value), floor + 4)], "#888888")
        canvas.text(frame.x(value), floor + 18, count_in_short(value), 11, GREY, "middle")
    canvas.text(70 + frame.width / 2, floor + 32, "images seen", 10, GREY, "middle")
    for event in events:
        y = 12 + STEP * (used.index(_row(event)) + 0.5)
        if isinstance(event.get("to"), int):
            canvas.line([(frame.x(float(event["to"])), y), (frame.x(float(event["images_seen"])), y)], PALETTE[0], 2)
        canvas.mark(frame.x(float(event["images_seen"])), y, shape_of(event), _tip(event, knowledge), reachable=True)
    return tag("figure", tag("div", canvas.markup(), class_="scroll wide"), class_="timeline")


def _row(event: Mapping[str, Any]) -> str:
    return ROWS.get(str(event["kind"]), OTHERS)


def _tip(event: Mapping[str, Any], knowledge: Knowledge) -> str:
    return f"{event['images_seen']:,} images: {said(event, knowledge)}"


def _told(one: Panel) -> str:
    """A panel for who cannot see it: from where to where each line goes."""
    ways = []
    for line in one.lines:
        known = [value for value in line.smooth.tolist() if math.isfinite(value)]
        if known:
            ways.append(f"{line.name} from {number_in_short(known[0])} to {number_in_short(known[-1])}")
    return escape(f"{one.title} over images seen: {', '.join(ways) or 'no values'}")


def _values(one: Panel) -> str:
    """The lines as numbers, for reading them off."""
    return json.dumps([[line.name, *_points(line)] for line in one.lines], separators=(",", ":"))


def _points(line: Line) -> tuple[list[int], list[float]]:
    pairs = [
        (round(x), float(f"{y:.4g}"))
        for x, y in zip(line.x.tolist(), line.smooth.tolist(), strict=True)
        if math.isfinite(y)
    ]
    return [x for x, _ in pairs], [y for _, y in pairs]
