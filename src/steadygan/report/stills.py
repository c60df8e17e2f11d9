"""Pictures that go into a page: grids as they stand in time, thinned and packed until they fit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from steadygan.report.html import data_uri

MOST = 40
"""Frames that a slider has at most."""
BUDGET = 2_400_000
"""Bytes that all frames together may have; a page writes a third more."""
STILL = 400_000
"""Bytes above which a single picture is packed more tightly."""
SIDE = 640
"""Longest side of a frame in pixels."""
QUALITIES = (90, 75, 55)


@dataclass(frozen=True)
class Still:
    """A picture in a page: where on the clock, its address, and its size in pixels."""

    images_seen: int
    address: str
    size: tuple[int, int]


def frames(grids: Sequence[Path]) -> list[Still]:
    """The grids over time, an even choice of at most ``MOST`` with the first and the last, within ``BUDGET`` bytes.

    One that cannot be read is left out. Each is one and the same latents at another time, so all have one size.
    """
    count = min(len(grids), MOST)
    while count:
        chosen = [grids[round(i * (len(grids) - 1) / max(1, count - 1))] for i in range(count)]
        bodies = [(int(path.stem), found) for path in chosen if (found := _packed(path, SIDE))]
        if sum(len(body) for _, (body, _) in bodies) <= BUDGET or count == 1:
            return [Still(seen, data_uri(body, "image/webp"), size) for seen, (body, size) in bodies]
        count //= 2
    return []


def still(path: Path, side: int = 1400) -> Still | None:
    """One picture as it is, or packed where it is large; None where it cannot be read."""
    try:
        with Image.open(path) as picture:
            size, kind = picture.size, picture.format
            picture.load()
        body = path.read_bytes()
    except (OSError, SyntaxError, ValueError):
        return None
    seen = int(path.stem) if path.stem.isdecimal() else 0
    if kind == "PNG" and len(body) <= STILL and max(size) <= side:
        return Still(seen, data_uri(body, "image/png"), size)
    packed = _packed(path, side, STILL)
    return packed and Still(seen, data_uri(packed[0], "image/webp"), packed[1])


def _packed(path: Path, side: int, most: int = BUDGET // 8) -> tuple[bytes, tuple[int, int]] | None:
    """A picture as WebP of at most this side, as good as ``most`` bytes allow; None where it cannot be read."""
    try:
        with Image.open(path) as picture:
            image = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    body = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=4)
        body = buffer.getvalue()
        if len(body) <= most:
            break
    return body, image.size
