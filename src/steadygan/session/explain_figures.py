"""Pictures and small charts of an explanation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from steadygan.report import pictures
from steadygan.report.curves import GREY, PALETTE, RULE, number_in_short, ticks
from steadygan.report.figures import PageCanvas
from steadygan.report.html import Content, Html, data_uri, markup, tag
from steadygan.session.explained import Map

FOR, AGAINST = (213, 94, 0), (0, 114, 178)
"""Colours of what speaks for a verdict, and of what speaks against it."""
SIDE = 96
"""Pixels that the longer side of a tile is reduced to."""
Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Values on both axes by the name of the line."""


def img(picture: Image.Image, words: str, *, class_: str = "still pixels") -> Html:
    """A picture inside the page, with the words that stand for it."""
    body = io.BytesIO()
    picture.save(body, "PNG", optimize=True)
    address = data_uri(body.getvalue(), "image/png")
    return tag("img", src=address, alt=words, width=picture.width, height=picture.height, class_=class_)


def shown(picture: Html, caption: Content, title: Content = None) -> Html:
    """A figure with its words below, and a title above where it has one."""
    return tag("figure", tag("h3", title) if title else None, picture, tag("figcaption", caption))


def tiles(images: Tensor, columns: int, words: str) -> Html:
    """Images (N, C, H, W) side by side."""
    return img(pictures.grid(_reduced(images), columns=columns, scale=_scale(images)), words)


def _reduced(images: Tensor) -> Tensor:
    """Large images at a size that a page can hold, averaged down."""
    side = max(images.shape[-2:])
    if side <= SIDE:
        return images
    size = [max(1, round(length * SIDE / side)) for length in images.shape[-2:]]
    return torch.nn.functional.interpolate(images.float(), size, mode="area")


def _scale(images: Tensor) -> int:
    return 2 if max(images.shape[-2:]) <= 48 else 1


def heated(images: Tensor, maps: Tensor) -> Tensor:
    """Maps (N, H, W) laid over images (N, C, H, W), (N, 3, H, W): orange above zero, blue below, dim where near it.

    Each map has its own scale: its strongest hundredth is in full colour.
    """
    top = torch.quantile(maps.abs().flatten(1).double(), 0.99, dim=1).clamp_min(1e-12)
    strength = (maps.abs().double() / top[:, None, None]).clamp(0, 1)[:, None].float()
    grey = images.float().mean(1, keepdim=True).clamp(-1, 1).add(1).mul(0.3).add(0.08).expand(-1, 3, -1, -1)
    colours = [torch.tensor(colour).view(1, 3, 1, 1) / 255 for colour in (FOR, AGAINST)]
    chosen = torch.where(maps[:, None] > 0, colours[0], colours[1])
    return (grey * (1 - strength) + chosen * strength) * 2 - 1


def rows_of(*rows: Tensor) -> Tensor:
    """Rows of images (N, C, H, W) one below the other, grey ones beside coloured ones."""
    channels = max(row.shape[1] for row in rows)
    return torch.cat([row if row.shape[1] == channels else _coloured(row, channels) for row in rows])


def _coloured(images: Tensor, channels: int) -> Tensor:
    return images.expand(-1, channels, -1, -1) if images.shape[1] == 1 else images[:, :channels]


def plot(title: str, lines: Lines, across: str, up: str, caption: Content, *, least: float | None = None) -> Html:
    """A few lines in one frame with their names, and both axes named.

    Args:
        title: above it.
        lines: what is drawn, in the order of the palette.
        across: name and unit of the values on the axis across.
        up: the same upwards.
        caption: how to read it.
        least: where the axis upwards begins; None: below the smallest value.
    """
    xs = [float(x) for given, _ in lines.values() for x in given]
    ys = [float(y) for _, given in lines.values() for y in given]
    low, high = min(ys) if least is None else least, max(ys)
    pad = (high - low or 1.0) * 0.06
    low, high = (low - pad if least is None else low), high + pad
    left, top, width, height = 58.0, 10.0, 380.0, 190.0
    start, end = min(xs), max(*xs, min(xs) + 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (x - start) / (end - start) * width, top + (1 - (y - low) / (high - low)) * height

    told = "; ".join(f"{name} from {given[1][0]:.3g} to {given[1][-1]:.3g}" for name, given in lines.items())
    canvas = PageCanvas(left + width + 16, top + height + 42, f"{title}, {up} over {across}: {told}")
    for value in ticks(low, high, 5):
        canvas.line([place(start, value), place(end, value)], RULE)
        canvas.text(left - 7, place(start, value)[1] + 4, number_in_short(value), 11, GREY, "end")
    for value in ticks(start, end, 6):
        canvas.text(place(value, low)[0], top + height + 16, number_in_short(value), 11, GREY, "middle")
    canvas.text(left + width / 2, top + height + 34, across, 11, GREY, "middle")
    for number, (given, values) in enumerate(lines.values()):
        colour = PALETTE[number % len(PALETTE)]
        canvas.line([place(float(x), float(y)) for x, y in zip(given, values, strict=True)], colour, 2)
    heading = tag("h3", title, " ", tag("span", up, class_="unit"))
    return tag("figure", heading, legend(lines), canvas.markup(), tag("figcaption", caption), class_="panel")


def legend(names: Mapping[str, object]) -> Html:
    """Names beside the colours of the palette."""
    return tag(
        "ul",
        *(
            tag("li", tag("span", style=f"background:var(--line-{i % len(PALETTE) + 1})", class_="swatch"), name)
            for i, name in enumerate(names)
        ),
        class_="legend",
    )


def chart_of(found: Map, names: Sequence[str]) -> Html:
    """The map: a dot for each image, which is shown beside it where one points at its dot."""
    images = _reduced(found.images)
    height, width = images.shape[-2:]
    columns = 25
    sheet = io.BytesIO()
    pictures_of = pictures.to_uint8(images).numpy()
    _sheet(pictures_of, columns).save(sheet, "PNG", optimize=True)
    rows = -(-len(images) // columns)
    size, side = 520.0, 150.0
    canvas = PageCanvas(size + side + 40, size + 20, "Reals and fakes laid out so that what is alike lies together")
    picture = (
        f'<defs><image id="sheet" href="{data_uri(sheet.getvalue(), "image/png")}" width="{columns * width}"'
        f' height="{rows * height}" style="image-rendering:pixelated"/></defs>'
        "<style>.spot svg{visibility:hidden}.spot:hover svg{visibility:visible}"
        ".spot:hover .dot{stroke:var(--ink);stroke-width:2}.dot{stroke:var(--card);stroke-width:.7}</style>"
    )
    spots = []
    for number, (point, fake) in enumerate(zip(found.atlas.points.tolist(), found.fake.tolist(), strict=True)):
        x, y = 10 + point[0] * size, 10 + point[1] * size
        across, down = number % columns * width, number // columns * height
        tall = side * height / width
        shape = (
            f'<path class="dot" d="M{x:.1f} {y - 5:.1f}l4.6 8h-9.2z" style="fill:var(--line-4)"/>'
            if fake
            else f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4" style="fill:var(--line-3)"/>'
        )
        spots.append(
            f'<g class="spot">{shape}<svg x="{size + 30:g}" y="30" width="{side:g}" height="{tall:.0f}"'
            f' viewBox="{across} {down} {width} {height}"><use href="#sheet"/></svg></g>'
        )
    canvas.text(size + 30, 22, "point at a dot", 12, GREY)
    whole = canvas.markup().removesuffix("</svg>")
    return Html(f"{whole}{picture}{''.join(spots)}{_place_names(found, names, size)}</svg>")


def _place_names(found: Map, names: Sequence[str], size: float) -> str:
    """Every class by name, above where most of its images lie."""
    if found.labels is None or len(names) > 20:
        return ""
    words = []
    for label, name in enumerate(names):
        own = found.atlas.points[found.labels == label]
        if len(own):
            x, y = own[:, 0].median(), own[:, 1].quantile(0.15)
            place = f'x="{10 + float(x) * size:.0f}" y="{max(22.0, float(y) * size - 2):.0f}" text-anchor="middle"'
            halo = "fill:var(--ink);stroke:var(--card);stroke-width:5;paint-order:stroke;pointer-events:none"
            words.append(f'<text {place} font-size="20" font-weight="600" style="{halo}">{escape(name)}</text>')
    return "".join(words)


def _sheet(images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], columns: int) -> Image.Image:
    """All images (N, C, H, W) without gaps, for cutting them out again."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    kept = images[:, :1] if channels < 3 else images[:, :3]
    sheet = np.zeros((rows * height, columns * width, kept.shape[1]), np.uint8)
    for number, image in enumerate(kept):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet)


def grouped(*figures: Html | None) -> Html:
    """Charts side by side."""
    return tag("div", *(markup(one) for one in figures if one), class_="panels")
