"""Images that come as one array: ``.npy``, ``.npz`` or memory; read by blocks, never unpickled."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from steadygan.data.cache import Block
from steadygan.data.decode import Target, fit_image
from steadygan.errors import SteadyganError

MAX_CHANNELS = 64
_REMEDY = "save uint8, uint16 or floats in [0, 1] or [-1, 1], shaped (N, H, W), (N, H, W, C) or (N, C, H, W)"


@dataclass(frozen=True)
class Arrays:
    """A set as arrays, before it is brought to one shape.

    Attributes:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W); uint8, uint16 or float; may be a memory map.
        labels: (N,) integers, or None.
        label_names: names of the classes; empty: named by number.
        facts: what is known of the set.
    """

    images: npt.NDArray[Any]
    labels: npt.NDArray[Any] | None = None
    label_names: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """How a checked array is read: the axis of the channels (None: grey), its size, and the range of its values."""

    axis: int | None
    height: int
    width: int
    channels: int
    low: float
    high: float
    words: str


def read_array(path: Path) -> Arrays:
    """The array in a ``.npy`` (mapped, not read) or the ``images`` and ``labels`` of a ``.npz``.

    Raises:
        SteadyganError: it cannot be read, holds Python objects, or has no array of images.
    """
    try:
        if path.suffix.lower() == ".npy":
            return Arrays(np.load(path, mmap_mode="r", allow_pickle=False))
        with np.load(path, allow_pickle=False) as archive:
            if isinstance(archive, np.ndarray):
                raise ValueError("a .npy under the name of a .npz")
            names = list(archive.files)
            rest = [name for name in names if name != "labels"]
            name = "images" if "images" in names else rest[0] if len(rest) == 1 else None
            if name is None:
                raise SteadyganError(
                    f"{path} holds the arrays {', '.join(names) or 'none'}, and none is named 'images'",
                    "numpy.savez(path, images=..., labels=...)",
                )
            return Arrays(archive[name], archive["labels"] if "labels" in names else None)
    except OSError as fault:
        raise SteadyganError(f"cannot read {path}: {fault.strerror or fault}", "check the file") from fault
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as fault:
        text = str(fault)
        if "pickle" in text.lower() or "object" in text.lower():
            what = f"{path} holds Python objects (pickle), which are never loaded, or is no array"
        else:
            what = f"{path} is no array that numpy can read, or it is broken ({text})"
        raise SteadyganError(what, _REMEDY) from fault


def check(what: str, images: npt.NDArray[Any], channels: int | None) -> Layout:
    """Find out how an array is to be read, and that it can be.

    The axis of the channels is the one of the second and the last that is smaller than both others and at most 64;
    ``channels`` decides where neither or both could be meant.

    Raises:
        SteadyganError: wrong dimensions or type, no rows, NaN or infinity, or floats out of range.
    """
    if images.ndim not in (3, 4):
        raise SteadyganError(f"{what} has shape {images.shape}, {images.ndim} dimensions", _REMEDY)
    if images.size == 0:
        raise SteadyganError(f"{what} is empty: shape {images.shape}", "save at least one image")
    if not (images.dtype.kind == "f" or (images.dtype.kind == "u" and images.dtype.itemsize <= 2)):
        raise SteadyganError(f"{what} has values of type {images.dtype}", _REMEDY)
    axis = None if images.ndim == 3 else _channel_axis(what, images.shape, channels)
    sides = [size for place, size in enumerate(images.shape) if place and place != axis]
    if min(sides) < 2:
        raise SteadyganError(f"{what} holds images of {sides[1]}x{sides[0]} pixels, smaller than 2x2", _REMEDY)
    low, high = _value_range(what, images)
    found = 1 if axis is None else images.shape[axis]
    order = {None: "(N, H, W)", 1: "(N, C, H, W)", 3: "(N, H, W, C)"}[axis]
    words = f"{images.dtype} of shape {images.shape} read as {order}, values {low:g}..{high:g} scaled to 0..255"
    return Layout(axis, sides[0], sides[1], found, low, high, words)


def _channel_axis(what: str, shape: tuple[int, ...], channels: int | None) -> int:
    _, first, middle, last = shape
    fitting = [
        axis
        for axis, size, others in ((1, first, (middle, last)), (3, last, (first, middle)))
        if size <= MAX_CHANNELS and size < min(others)
    ]
    if len(fitting) != 1:
        fitting = [axis for axis in (1, 3) if channels is not None and shape[axis] == channels]
    if len(fitting) != 1:
        raise SteadyganError(
            f"{what} has shape {shape}, in which no axis is plainly the channels",
            "make it the smallest axis (at most 64), or set data.channels to its size",
        )
    return fitting[0]


def _value_range(what: str, images: npt.NDArray[Any]) -> tuple[float, float]:
    if images.dtype.kind == "u":
        return 0, 255 if images.dtype.itemsize == 1 else 65535
    low, high, step = np.inf, -np.inf, block_length(images)
    for start in range(0, len(images), step):
        part = np.asarray(images[start : start + step])
        finite = np.isfinite(part).reshape(len(part), -1).all(axis=1)
        if not finite.all():
            row = start + int(np.flatnonzero(~finite)[0])
            raise SteadyganError(f"{what} holds NaN or infinity, first in image {row}", "remove or mend such images")
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    if low < -1 or high > 1:
        raise SteadyganError(f"{what} holds floats from {low:g} to {high:g}", "scale them to [0, 1] or [-1, 1]")
    return (-1, 1) if low < 0 else (0, 1)


def block_length(images: npt.NDArray[Any], most: int = 16 << 20) -> int:
    """Number of rows whose bytes stay below ``most``, at least 1."""
    return max(1, most // max(1, images[:1].nbytes))


def check_labels(what: str, arrays: Arrays) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...]]:
    """Labels as numbers from 0 and the names of the classes.

    Raises:
        SteadyganError: not one integer an image.
    """
    if arrays.labels is None:
        return None, ()
    labels = np.asarray(arrays.labels)
    if labels.shape != arrays.images.shape[:1] or labels.dtype.kind not in "iu":
        raise SteadyganError(
            f"labels of {what} have shape {labels.shape} and type {labels.dtype} for {len(arrays.images)} images",
            "give one integer for each image",
        )
    if arrays.label_names:
        if labels.min() < 0 or labels.max() >= len(arrays.label_names):
            raise SteadyganError(
                f"labels of {what} run from {labels.min()} to {labels.max()} for {len(arrays.label_names)} names",
                "give one name for each class",
            )
        return labels.astype(np.int64), arrays.label_names
    values, numbers = np.unique(labels, return_inverse=True)
    return numbers.reshape(-1).astype(np.int64), tuple(str(value) for value in values)


def block_reader(images: npt.NDArray[Any], layout: Layout, target: Target) -> Callable[[int, int], Block]:
    """A function that brings rows ``start`` to ``stop`` to the target: scaled to 0..255, resized channel by channel."""

    def block(start: int, stop: int) -> Block:
        step = block_length(images)
        parts = [_rows(images[at : min(at + step, stop)], layout, target) for at in range(start, stop, step)]
        found = Counter({("sizes_found", f"{layout.width}x{layout.height}"): stop - start})
        return Block(np.concatenate(parts), np.arange(start, stop), found=found)

    return block


def _rows(part: npt.NDArray[Any], layout: Layout, target: Target) -> npt.NDArray[np.uint8]:
    rows = to_bytes(np.asarray(part), layout.low, layout.high)
    if layout.axis is None:
        rows = rows[:, None]
    elif layout.axis == 3:
        rows = rows.transpose(0, 3, 1, 2)
    rows = _recolour(rows, target.channels)
    if rows.shape[2:] == target.size:
        return rows
    out = np.empty((len(rows), target.channels, *target.size), dtype=np.uint8)
    for number, row in enumerate(rows):
        for channel, plane in enumerate(row):
            out[number, channel] = fit_image(Image.fromarray(np.ascontiguousarray(plane)), target)
    return out


def to_bytes(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Values in ``low``..``high`` scaled to 0..255 and rounded to the nearest."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "u":  # 16 bits, in either order of bytes
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    scaled = (values.astype(np.float64) - low) * (255.0 / (high - low))
    return np.rint(scaled).astype(np.uint8)


def _recolour(rows: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.uint8]:
    found = rows.shape[1]
    if found == channels:
        return rows
    if found == 1:
        return np.repeat(rows, channels, axis=1)
    red, green, blue = (rows[:, channel].astype(np.float64) for channel in range(3))
    return np.rint(0.299 * red + 0.587 * green + 0.114 * blue).astype(np.uint8)[:, None]  # ITU-R BT.601, as Pillow
