"""A tiny drawing surface with two forms, SVG and PNG, so that a figure is laid out once."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, Protocol
from xml.sax.saxutils import escape, quoteattr

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

OVERSAMPLE = 3
"""Pillow draws without smooth edges, so pictures are drawn this much larger ..."""
DENSITY = 1.5
"""... and reduced to this many pixels per unit of length."""
THIN = 0.35
"""Strength of a faint line."""


class Canvas(Protocol):
    """What a figure is drawn on; lengths in units of about one screen pixel, y downwards, colours as ``#rrggbb``."""

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """A filled rectangle."""

    def line(
        self, points: Sequence[Point], colour: str, width: float = 1.0, dashed: bool = False, faint: bool = False
    ) -> None:
        """A line through all points; a point that is not finite breaks it. A lone point becomes a dot."""

    def text(self, x: float, y: float, words: str, size: float, colour: str, anchor: Anchor = "start") -> None:
        """One line of text whose base line is at y."""

    def finish(self) -> bytes:
        """The whole file."""


def text_width(words: str, size: float) -> float:
    """Length of a line of text, the same for both forms, so that they are laid out alike."""
    return float(_font(round(size * 4)).getlength(words)) / 4


def mixed(colour: str, share: float) -> str:
    """A colour thinned with white, which looks like transparency and never darkens where lines cross."""
    return "#" + "".join(f"{round(part * share + 255 * (1 - share)):02x}" for part in _rgb(colour))


class SvgCanvas:
    """Draws as SVG text without fonts, scripts or anything else from outside."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
            f' height="{height:g}" role="img" aria-label={quoteattr(title)}'
            ' font-family="Helvetica, Arial, sans-serif" stroke-linejoin="round" stroke-linecap="round">',
            f"<title>{escape(title)}</title>",
        ]

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """A filled rectangle."""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self._parts.append(f"<rect {place} {self.paint('fill', fill)}/>")

    def line(
        self, points: Sequence[Point], colour: str, width: float = 1.0, dashed: bool = False, faint: bool = False
    ) -> None:
        """A line through all points; a point that is not finite breaks it. A lone point becomes a dot."""
        path = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run) for run in _runs(points))
        dash = ' stroke-dasharray="3 4"' if dashed else ""
        if path:
            stroke = self.paint("stroke", colour, faint=faint)
            self._parts.append(f'<path d="{path}" fill="none" {stroke} stroke-width="{width:g}"{dash}/>')

    def text(self, x: float, y: float, words: str, size: float, colour: str, anchor: Anchor = "start") -> None:
        """One line of text whose base line is at y."""
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" {self.paint("fill", colour)} text-anchor="{anchor}"'
        self._parts.append(f"<text {place}>{escape(words)}</text>")

    def paint(self, what: str, colour: str, *, faint: bool = False) -> str:
        """The attribute for a ``fill`` or ``stroke`` of this colour."""
        return f'{what}="{mixed(colour, THIN) if faint else colour}"'

    def finish(self) -> bytes:
        """The whole file."""
        return "\n".join([*self._parts, "</svg>", ""]).encode()


class PillowCanvas:
    """Draws as a PNG."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._size = (math.ceil(width * DENSITY), math.ceil(height * DENSITY))
        self._unit = OVERSAMPLE
        self._image = Image.new("RGB", (math.ceil(width * OVERSAMPLE), math.ceil(height * OVERSAMPLE)), "white")
        self._about = PngInfo()
        self._about.add_text("Title", title)
        self._draw = ImageDraw.Draw(self._image)

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """A filled rectangle."""
        left, top = round(x * self._unit), round(y * self._unit)
        right, bottom = round((x + width) * self._unit) - 1, round((y + height) * self._unit) - 1
        self._draw.rectangle((left, top, max(left, right), max(top, bottom)), fill=fill)

    def line(
        self, points: Sequence[Point], colour: str, width: float = 1.0, dashed: bool = False, faint: bool = False
    ) -> None:
        """A line through all points; a point that is not finite breaks it. A lone point becomes a dot."""
        colour = mixed(colour, THIN) if faint else colour
        thick = max(1, round(width * self._unit))
        for run in _dashes(points) if dashed else _runs(points):
            spots = [(x * self._unit, y * self._unit) for x, y in run]
            self._draw.line(spots, fill=colour, width=thick, joint="curve")
            for x, y in (spots[0], spots[-1]):
                self._draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)

    def text(self, x: float, y: float, words: str, size: float, colour: str, anchor: Anchor = "start") -> None:
        """One line of text whose base line is at y."""
        code = {"start": "ls", "middle": "ms", "end": "rs"}[anchor]
        place = (x * self._unit, y * self._unit)
        self._draw.text(place, words, fill=colour, font=_font(round(size * self._unit)), anchor=code)

    def finish(self) -> bytes:
        """The whole file."""
        body = io.BytesIO()
        reduced = self._image.resize(self._size, Image.Resampling.LANCZOS)
        reduced.save(body, "PNG", optimize=True, pnginfo=self._about)
        return body.getvalue()


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(1, size))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """The stretches of finite points; a lone one becomes a short dash with round ends, which shows as a dot."""
    runs: list[list[Point]] = [[]]
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [_dot(*run[0]) if len(run) == 1 else run for run in runs if run]


def _dot(x: float, y: float) -> list[Point]:
    return [(x - 1, y), (x + 1, y)]


def _dashes(points: Sequence[Point]) -> list[list[Point]]:
    """A straight dashed line from the first to the last point."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    count = max(1, round(math.hypot(x1 - x0, y1 - y0) / 7))
    step = ((x1 - x0) / count, (y1 - y0) / count)
    return [
        [(x0 + i * step[0], y0 + i * step[1]), (x0 + (i + 0.4) * step[0], y0 + (i + 0.4) * step[1])]
        for i in range(count)
    ]
