"""The curves of a run as small panels, in SVG or PNG, from its records alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from steadygan.errors import SteadyganError
from steadygan.report.canvas import Canvas, PillowCanvas, Point, SvgCanvas, text_width
from steadygan.report.series import Chart, Line, Panel, Values, chart
from steadygan.runtime.storage import reason, write_file

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, which people with any colour vision tell apart."""
MEANING = {"generator": "#0072b2", "discriminator": "#d55e00", "real": "#009e73", "fake": "#cc79a7"}
INK, GREY, RULE, ALARM = "#222222", "#6b6b6b", "#e6e6e6", "#c00000"
WIDTH, HEIGHT = 420.0, 196.0
"""Of a panel's plotting frame."""
LEFT, RIGHT, TOP, BOTTOM = 56.0, 18.0, 46.0, 42.0
"""Around a frame: tick labels, air, title with legend, clock."""
MARGIN, HEAD, LEGEND_ROW = 16.0, 40.0, 16.0


@dataclass(frozen=True)
class Frame:
    """A plotting frame on the canvas and the ranges that it shows."""

    left: float
    top: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log: bool
    width: float = WIDTH

    def x(self, value: float) -> float:
        """Place of a value on the clock."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * self.width

    def y(self, value: float) -> float:
        """Height of a value; what lies outside is drawn on the edge."""
        low, high = self.y_range
        if self.log:
            value, low, high = math.log10(value) if value > 0 else math.nan, math.log10(low), math.log10(high)
        return (
            self.top + (1 - min(1.0, max(0.0, (value - low) / (high - low)))) * HEIGHT
            if math.isfinite(value)
            else math.nan
        )


def curves(records: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Draw all signals of the records over ``images_seen`` as an SVG of small panels.

    Thin lines are values as recorded and thick ones smoothed; a range leaves out the outermost hundredth where that
    helps; gaps and red ticks are values that were not finite; dashed lines are rollbacks.

    Args:
        records: the lines of ``records.jsonl``, as ``read_jsonl`` gives them.
        path: the SVG; its folder is made if missing.

    Raises:
        SteadyganError: no record with a signal in it, or the file cannot be written.
    """
    _write(path, _draw(records, SvgCanvas))


def curves_png(records: Iterable[Mapping[str, Any]], path: Path) -> None:
    """The same as ``curves``, as a PNG."""
    _write(path, _draw(records, PillowCanvas))


def _draw(records: Iterable[Mapping[str, Any]], surface: type[SvgCanvas] | type[PillowCanvas]) -> bytes:
    data = chart(records)
    if not data.panels:
        raise SteadyganError("there are no records to draw", "let the run go on until it has written some")
    count = len(data.panels)
    columns = min(count, 2 if count <= 4 else 3)
    legends = [_legend_rows(panel) for panel in data.panels]
    rows = [max(len(legend) for legend in legends[i : i + columns]) for i in range(0, count, columns)]
    heights = [TOP + LEGEND_ROW * (most - 1) + HEIGHT + BOTTOM for most in rows]
    width = 2 * MARGIN + columns * (LEFT + WIDTH + RIGHT)
    notes = _notes(data, width - 2 * MARGIN)
    height = HEAD + sum(heights) + len(notes) * 15 + MARGIN
    canvas = surface(width, height, "Training curves")
    canvas.box(0, 0, width, height, "#ffffff")
    canvas.text(MARGIN, 26, "Training curves", 18, INK)
    for number, panel in enumerate(data.panels):
        row, column = divmod(number, columns)
        left = MARGIN + column * (LEFT + WIDTH + RIGHT)
        top = HEAD + sum(heights[:row])
        _draw_panel(canvas, panel, legends[number], data, left, top, heights[row] - BOTTOM - HEIGHT)
    for number, note in enumerate(notes):
        canvas.text(MARGIN, HEAD + sum(heights) + 11 + 15 * number, note, 11, GREY)
    return canvas.finish()


def _draw_panel(
    canvas: Canvas, panel: Panel, legend: list[list[Line]], data: Chart, left: float, top: float, head: float
) -> None:
    colours = colours_of(panel)
    canvas.text(left + LEFT, top + 15, panel.title, 14, INK)
    canvas.text(left + LEFT + text_width(panel.title, 14) + 10, top + 15, unit_of(panel), 11, GREY)
    for row, lines in enumerate(legend):
        x = left + LEFT
        for line in lines:
            y = top + 33 + row * LEGEND_ROW
            canvas.line([(x + 1, y - 4), (x + 15, y - 4)], colours[line.name], 3)
            canvas.text(x + 22, y, line.name, 12, INK)
            x += _legend_width(line)
    draw_frame(canvas, panel, data, left + LEFT, top + head)


def draw_frame(canvas: Canvas, panel: Panel, data: Chart, left: float, top: float) -> Frame:
    """Draw a panel's axes, lines and rollbacks without its title and legend; returns where its values lie.

    Args:
        canvas: what it is drawn on.
        panel: the signals.
        data: the chart that the panel is of: its clock and its rollbacks.
        left: of the frame; the labels of its ticks stand to the left of that.
        top: of the frame.
    """
    frame = Frame(left, top, (0.0, max(data.end, 1.0)), panel.y_range, panel.log)
    _draw_axes(canvas, frame)
    for clock in data.retries:
        canvas.line([(frame.x(clock), frame.top), (frame.x(clock), frame.top + HEIGHT)], "#999999", 1, dashed=True)
    _draw_lines(canvas, frame, panel, colours_of(panel))
    return frame


def unit_of(panel: Panel) -> str:
    """What a panel's values are counted in, and whether the axis is logarithmic."""
    return ", ".join(part for part in (panel.unit, "logarithmic" if panel.log else "") if part)


def _draw_lines(canvas: Canvas, frame: Frame, panel: Panel, colours: dict[str, str]) -> None:
    """All thin lines lie below all thick ones, so that no signal's noise hides another's course."""
    for line in panel.lines:
        if line.smooth is not line.y:
            canvas.line(_spots(frame, line.x, line.y), colours[line.name], 0.8, faint=True)
    for line in panel.lines:
        canvas.line(_spots(frame, line.x, line.smooth), colours[line.name], 1.8)
    floor = frame.top + HEIGHT
    for clock in np.unique(np.concatenate([line.broken for line in panel.lines]))[:200]:
        canvas.line([(frame.x(float(clock)), floor), (frame.x(float(clock)), floor - 7)], ALARM, 1.4)


def _spots(frame: Frame, x: Values, y: Values) -> list[Point]:
    return [(frame.x(clock), frame.y(value)) for clock, value in zip(x.tolist(), y.tolist(), strict=True)]


def _draw_axes(canvas: Canvas, frame: Frame) -> None:
    floor = frame.top + HEIGHT
    for value in _log_ticks(*frame.y_range) if frame.log else ticks(*frame.y_range, 5):
        y = frame.y(value)
        canvas.line([(frame.left, y), (frame.left + WIDTH, y)], RULE, 1)
        canvas.text(frame.left - 7, y + 4, number_in_short(value), 11, GREY, "end")
    canvas.line([(frame.left, floor), (frame.left + WIDTH, floor)], "#888888", 1)
    for value in ticks(*frame.x_range, 6):
        x = frame.x(value)
        canvas.line([(x, floor), (x, floor + 4)], "#888888", 1)
        canvas.text(x, floor + 16, count_in_short(value), 11, GREY, "middle")
    canvas.text(frame.left + WIDTH / 2, floor + 33, "images seen", 10, GREY, "middle")


def colours_of(panel: Panel) -> dict[str, str]:
    """Players and sides keep their colour in every panel; other names take what is left, in order."""
    fixed = {line.name: MEANING[line.name] for line in panel.lines if line.name in MEANING}
    free = [colour for colour in PALETTE if colour not in fixed.values()]
    others = [line.name for line in panel.lines if line.name not in fixed]
    return fixed | {name: free[i % len(free)] for i, name in enumerate(others)}


def _legend_rows(panel: Panel) -> list[list[Line]]:
    rows: list[list[Line]] = [[]]
    used = 0.0
    for line in panel.lines:
        if rows[-1] and used + _legend_width(line) > WIDTH:
            rows.append([])
            used = 0.0
        rows[-1].append(line)
        used += _legend_width(line)
    return rows


def _legend_width(line: Line) -> float:
    return 22 + text_width(line.name, 12) * 1.06 + 16


def _notes(data: Chart, width: float) -> list[str]:
    """What the reader has to know below the panels: constants, and how to read the marks."""
    words = ["thin: as recorded, thick: smoothed"]
    if data.retries:
        words.append(
            f"dashed: {len(data.retries)} rollback{'s' if len(data.retries) > 1 else ''} (abandoned: thin only)"
        )
    if any(len(line.broken) for panel in data.panels for line in panel.lines):
        words.append("red ticks: values that are not finite")
    notes = ["  ·  ".join(words)]
    items = [f"{name} {value:g}" for name, value in data.constants.items()]
    line = "constant controls: " if items else ""
    for number, item in enumerate(items):
        item += ", " if number < len(items) - 1 else ""
        if text_width(line + item, 11) * 1.06 > width:
            notes.append(line)
            line = ""
        line += item
    return [*notes, line] if line else notes


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers in [low, high], with steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / 6))
    return [10.0**power for power in range(first, last + 1, every)]


def number_in_short(value: float) -> str:
    """A value as an axis shows it: 0.25, 2.5e-4, 400."""
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e5):
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:.6g}"


def count_in_short(value: float) -> str:
    """A number of images as people write it: 500, 20k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _write(path: Path, body: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, body)
    except OSError as fault:
        remedy = "free some space or choose another place"
        raise SteadyganError(f"cannot write {path} ({reason(fault)})", remedy, code=1) from fault
