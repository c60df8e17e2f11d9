"""From the bytes of one image file to one row of uint8, or a reason why not."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "PPM", "BMP", "DIB", "WEBP", "TIFF", "GIF")
EXTENSIONS = frozenset(
    f".{ending}"
    for ending in re.findall(r"\w+", "png apng jpg jpeg jpe jfif mpo pgm ppm pbm pnm bmp dib webp tif tiff gif")
)
MAX_PIXELS = 100_000_000
"""Larger images are refused before a pixel is decoded: more likely a decompression bomb than a photograph."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_GREY = frozenset(("1", "L", "LA", "La", "I", "F"))
_ALPHA = frozenset(("LA", "La", "PA", "RGBA", "RGBa"))
_ORIENTATION = 0x0112

Fit = Literal["crop", "pad", "stretch"]


class Unreadable(Exception):
    """An image that cannot be used; the text is the reason shown in the quarantine."""


@dataclass(frozen=True)
class Target:
    """What every image is brought to: height and width, channels, and how the aspect ratio is met."""

    size: tuple[int, int]
    channels: int
    fit: Fit = "crop"


@dataclass(frozen=True)
class Header:
    """What an image says of itself: size as shown (after rotation), grey or colour, alpha, bits a value."""

    height: int
    width: int
    grey: bool
    alpha: bool
    bits: int


@dataclass(frozen=True)
class Placement:
    """Which part of the source is resized to which size, and where in the target it goes.

    Attributes:
        box: left, upper, right, lower in pixels of the source.
        size: height and width that the box is resized to.
        offset: rows and columns left free above and to the left of it.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    offset: tuple[int, int]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow, which warns of odd files one by one; what matters of it goes to the quarantine."""
    with warnings.catch_warnings():
        hush()
        yield


def hush() -> None:
    """Silence Pillow for good: filters are the whole program's, so threads must not put them back each for itself."""
    warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def place(source: tuple[int, int], target: tuple[int, int], fit: Fit) -> Placement:
    """How an image of height and width ``source`` comes to fill ``target``.

    ``crop``: the largest centred box of the target's aspect ratio. ``pad``: the whole image, centred, as large as
    fits. ``stretch``: the whole image, its aspect ratio given up.
    """
    (height, width), (rows, columns) = source, target
    if fit == "pad":
        scale = min(rows / height, columns / width)
        size = (max(1, min(rows, round(height * scale))), max(1, min(columns, round(width * scale))))
        return Placement((0, 0, width, height), size, ((rows - size[0]) // 2, (columns - size[1]) // 2))
    if fit == "stretch":
        return Placement((0, 0, width, height), target, (0, 0))
    scale = max(rows / height, columns / width)
    box_height, box_width = min(height, rows / scale), min(width, columns / scale)
    left, upper = (width - box_width) / 2, (height - box_height) / 2
    if scale == 1:  # whole pixels: a plain cut stays sharp
        left, upper = left // 1, upper // 1
    return Placement((left, upper, left + box_width, upper + box_height), target, (0, 0))


def fit_image(image: Image.Image, target: Target) -> npt.NDArray[np.uint8]:
    """An 8-bit image at the target's size: (H, W) for one channel, else (H, W, C), uint8.

    Resized with an antialiased Lanczos filter, after a box reduction where it shrinks much; padding repeats the edge.
    """
    if image.size != (target.size[1], target.size[0]):
        where = place((image.height, image.width), target.size, target.fit)
        size = (where.size[1], where.size[0])
        image = image.resize(size, Image.Resampling.LANCZOS, box=where.box, reducing_gap=3.0)
        if where.size != target.size:
            (above, before), (rows, columns) = where.offset, target.size
            below, after = rows - above - where.size[0], columns - before - where.size[1]
            edges = ((above, below), (before, after), (0, 0))
            pixels = np.asarray(image)
            return np.pad(pixels, edges[: pixels.ndim], mode="edge")
    return np.asarray(image)


def peek(file: BinaryIO) -> Header:
    """What the header says, without decoding a pixel.

    Raises:
        Unreadable: it is no image that can be used.
    """
    try:
        image = _open(file)
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Unreadable:
        raise
    except Exception as fault:  # decoders raise whatever they like on broken files
        raise Unreadable(_reason(fault)) from fault
    header = _header(image)
    return replace(header, height=header.width, width=header.height) if turned else header


def decode(data: bytes, target: Target) -> tuple[npt.NDArray[np.uint8], Header]:
    """The first frame of an image file as a row (C, H, W) uint8, with what its header said.

    Rotation from EXIF is applied, 16 bits are scaled to 8, CMYK and palettes become RGB, and transparency is laid on
    white unless four channels are asked for.

    Raises:
        Unreadable: empty, truncated, too small, too large or in no known format.
    """
    if not data:
        raise Unreadable("the file is empty (0 bytes)")
    try:
        image = _open(io.BytesIO(data))
        header = _header(image)
        if image.format in ("JPEG", "MPO"):
            # A JPEG decodes straight to 1/2, 1/4 or 1/8; twice the size needed leaves the quality to Lanczos.
            longest = 2 * max(target.size)
            image.draft(image.mode, (longest, longest))
        image.load()
        if image.format != "PNG" or "exif" in image.info or "Raw profile type exif" in image.info:
            shown = ImageOps.exif_transpose(image)
            if shown.size != image.size:
                header = replace(header, height=header.width, width=header.height)
            image = shown
        pixels = fit_image(_convert(image, target.channels), target)
    except Unreadable:
        raise
    except Exception as fault:  # decoders raise whatever they like on broken files
        raise Unreadable(_reason(fault)) from fault
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), header


def _open(file: BinaryIO) -> Image.Image:
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(f"{image.width}x{image.height} pixels, more than {MAX_PIXELS} (a decompression bomb?)")
    if min(image.size) < 2:
        raise Unreadable(f"{image.width}x{image.height} pixels, smaller than 2x2")
    return image


def _header(image: Image.Image) -> Header:
    mode = image.mode
    deep = mode in ("I", "F") or mode.startswith("I;16")
    alpha = mode in _ALPHA or "transparency" in image.info
    return Header(image.height, image.width, mode in _GREY or deep, alpha, 16 if deep else 8)


def _convert(image: Image.Image, channels: int) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_8_bit(image)
    mode = MODES[channels]
    if image.mode == mode and "transparency" not in image.info:
        return image
    if channels != 4 and (image.mode in _ALPHA or "transparency" in image.info):
        shown = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
        return image.convert("RGB").convert(mode)
    return image.convert(mode)


def _to_8_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "F":
        top = float(values.max())
        if not (np.isfinite(values).all() and values.min() >= 0 and top <= 255):
            raise Unreadable("float pixels outside 0..1 and 0..255")
        return Image.fromarray(np.rint(values * (255.0 if top <= 1 else 1.0)).astype(np.uint8))
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable("32-bit pixels outside 0..65535")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _reason(fault: Exception) -> str:
    if isinstance(fault, UnidentifiedImageError):
        return "not an image in a known format, or its header is broken"
    if isinstance(fault, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS} pixels (a decompression bomb?)"
    if isinstance(fault, MemoryError):
        return "too large for the memory"
    if isinstance(fault, OSError) and fault.strerror:
        return f"cannot be read: {fault.strerror}"
    return " ".join(str(fault).split()) or type(fault).__name__
