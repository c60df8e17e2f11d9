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
BUDGET = 2_000_000
"""Bytes that all frames together may have; a page writes a third more."""
STILL = 300_000
"""Bytes above which a single picture is packed more tightly."""
SIDE = 640
"""Longest side of a frame in pixels."""
LEVELS = ((90, 1.0), (75, 1.0), (55, 1.0), (50, 0.7), (50, 0.5), (40, 0.25))
"""Quality and share of the side, one after the other, until a picture fits."""
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Still:
    """A picture in a page: where on the clock, its address, and its size in pixels."""

    images_seen: int
    address: str
    size: tuple[int, int]


def frames(grids: Sequence[Path]) -> list[Still]:
    """The grids over time, an even choice of at most ``MOST`` with the first and the last, within ``BUDGET`` bytes.

    One that cannot be read is left out. All are packed alike, so that what changes is what the generator makes.
    """
    count = min(len(grids), MOST)
    chosen = [grids[round(i * (len(grids) - 1) / max(1, count - 1))] for i in range(count)]
    pictures = [(int(path.stem), image) for path in chosen if (image := _opened(path, SIDE))]
    for quality, share in LEVELS if pictures else ():
        # the last one has most in it as a rule: where it does not fit, the rest need not be tried
        if len(_webp(pictures[-1][1], quality, share)[0]) * len(pictures) > 1.2 * BUDGET:
            continue
        bodies = [(seen, *_webp(image, quality, share)) for seen, image in pictures]
        if sum(len(body) for _, body, _ in bodies) <= BUDGET:
            return [Still(seen, data_uri(body, "image/webp"), size) for seen, body, size in bodies]
    return []


def still(path: Path, side: int = 1400) -> Still | None:
    """One picture as it is, or packed where it is large; None where it cannot be read."""
    image = _opened(path, side)
    if image is None:
        return None
    seen = int(path.stem) if path.stem.isdecimal() else 0
    try:
        body = path.read_bytes()
    except OSError:
        return None
    if body.startswith(b"\x89PNG") and len(body) <= STILL:
        return Still(seen, data_uri(body, "image/png"), image.size)
    for quality, share in LEVELS:
        body, size = _webp(image, quality, share)
        if len(body) <= STILL:
            break
    return Still(seen, data_uri(body, "image/webp"), size)


def _opened(path: Path, side: int) -> Image.Image | None:
    """A picture, reduced to this side where it is larger; None where it cannot be read."""
    try:
        with Image.open(path) as picture:
            image = picture.convert("RGB")
    except UNREADABLE:
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _webp(image: Image.Image, quality: int, share: float) -> tuple[bytes, tuple[int, int]]:
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    body = io.BytesIO()
    (image if share == 1 else image.resize(size)).save(body, "WEBP", quality=quality, method=2)
    return body.getvalue(), size
