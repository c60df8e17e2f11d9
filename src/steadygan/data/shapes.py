"""Chooses the size and the channels that a set is brought to, from what its images are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from steadygan.config import DataConfig
from steadygan.data.decode import MODES, Header, Target, Unreadable, peek
from steadygan.errors import SteadyganError

SMALLEST, LARGEST = 8, 256
LARGEST_ASKED = 2048
SURVEYED = 1024
"""Headers read to decide; more would only delay the start."""
ALIKE = 0.9
_SIDES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_RATIOS = tuple(r for a, b in ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1), (3, 1)) for r in {a / b, b / a})


def survey(
    config: DataConfig, what: str, count: int, name: Callable[[int], str], open_one: Callable[[int], BinaryIO]
) -> tuple[Target, dict[str, Any]]:
    """What images that come as files are brought to, with the facts that say how and why.

    Up to ``SURVEYED`` headers, evenly spread over all, are read.

    Args:
        config: the size and channels asked for.
        what: the set, named for errors.
        count: number of images.
        name: what an image is called.
        open_one: its bytes as a seekable file; may raise Unreadable or OSError.

    Raises:
        SteadyganError: the size or the channels asked for cannot be had, or no header can be read.
    """
    if config.channels is not None and config.channels not in MODES:
        raise SteadyganError(
            f"data.channels is {config.channels}, but images as files have 1 (grey), 3 (colour) or 4 (with alpha)",
            "choose one of these, or give the set as .npy",
        )
    places = np.unique(np.linspace(0, count - 1, min(SURVEYED, count)).astype(int))
    headers: list[Header] = []
    reasons: list[str] = []
    for place in places:
        try:
            with open_one(int(place)) as file:
                headers.append(peek(file))
        except (Unreadable, OSError) as fault:
            reasons.append(f"{name(int(place))}: {getattr(fault, 'strerror', None) or fault}")
    if not headers and (config.image_size is None or config.channels is None):
        raise SteadyganError(
            f"none of the {len(places)} images looked at in {what} can be read ({'; '.join(reasons[:3])})",
            "check that they open in a viewer",
        )
    size, chosen = choose_size(config, Counter((header.height, header.width) for header in headers))
    channels, colours = _choose_channels(config, headers)
    facts = {"size": chosen, "channels": colours, "fit": _fit_words(config)}
    facts |= {"bit_depth": _depth_words(headers)}
    if len(places) < count:
        facts["surveyed"] = f"{len(places)} of {count} headers decided size and channels"
    return Target(size, channels, config.fit), facts


def choose_size(config: DataConfig, sizes: Counter[tuple[int, int]]) -> tuple[tuple[int, int], str]:
    """Height and width for images of the given sizes (each (height, width), with its count), and why, in words.

    As asked; else the most common size where nine in ten share it; else the median shorter side, rounded down to a
    usual size, with the most common aspect ratio. Bounded to 8..256 where it was not asked for.

    Raises:
        SteadyganError: the size asked for is below 2 or absurdly large.
    """
    if config.image_size is not None:
        height, width = config.image_size
        if not (2 <= height <= LARGEST_ASKED and 2 <= width <= LARGEST_ASKED):
            raise SteadyganError(
                f"data.image_size {width}x{height} is out of range", f"choose 2 to {LARGEST_ASKED} pixels a side"
            )
        return (height, width), f"{width}x{height} (width x height), as asked"
    (size, count), total = sizes.most_common(1)[0], sizes.total()
    if count >= ALIKE * total:
        reason = "the size of all images" if count == total else f"the size of {count} of {total} images"
    else:
        size, reason = _typical(sizes), "median shorter side, most common aspect ratio"
    bounded = _bounded(size)
    if bounded != size:
        reason += f", brought from {size[1]}x{size[0]} into {SMALLEST}..{LARGEST}"
    return bounded, f"{bounded[1]}x{bounded[0]} (width x height), {reason}"


def _typical(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    median = float(np.median([min(size) for size in sizes.elements()]))
    short = max((side for side in _SIDES if side <= median), default=SMALLEST)
    ratios: Counter[float] = Counter()
    for (height, width), count in sizes.items():
        ratios[min(_RATIOS, key=lambda ratio: abs(math.log(width / height / ratio)))] += count
    # Ties go to the ratio nearest the square, then to landscape, so that the choice never depends on file names.
    ratio = max(ratios, key=lambda value: (ratios[value], -abs(math.log(value)), value))
    long = max(SMALLEST, round(short * max(ratio, 1 / ratio) / 8) * 8)
    long = short if ratio == 1 else max(long, short)
    return (short, long) if ratio >= 1 else (long, short)


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LARGEST / max(size))
    scale = max(scale, SMALLEST / min(size)) if min(size) * scale < SMALLEST else scale
    height, width = (min(LARGEST, max(SMALLEST, round(side * scale))) for side in size)
    return height, width


def _choose_channels(config: DataConfig, headers: list[Header]) -> tuple[int, str]:
    grey = sum(header.grey for header in headers)
    colour = len(headers) - grey
    channels = config.channels or (1 if grey > colour else 3)
    reason = "as asked" if config.channels else "the majority" if grey and colour else "as all images have it"
    words = f"{channels}, {reason}"
    if grey and channels != 1:
        words += f"; {grey} grey images repeated over {channels} channels"
    if colour and channels == 1:
        words += f"; {colour} colour images turned to grey"
    alpha = sum(header.alpha for header in headers)
    if alpha and channels != 4:
        words += f"; {alpha} with transparency laid on white"
    return channels, words


def _depth_words(headers: list[Header]) -> str:
    deep = sum(header.bits > 8 for header in headers)
    return f"8 ({deep} of {len(headers)} images scaled from 16)" if deep else "8"


def _fit_words(config: DataConfig) -> str:
    return {
        "crop": "crop: other aspect ratios are cut at the centre",
        "pad": "pad: other aspect ratios are filled up by repeating the edge",
        "stretch": "stretch: other aspect ratios are stretched",
    }[config.fit] + "; resized with an antialiased Lanczos filter"


def colour_words(header: Header) -> str:
    """Grey or colour, with transparency and depth where they are out of the ordinary."""
    words = "grey" if header.grey else "colour"
    words += " with transparency" if header.alpha else ""
    return f"{words}, 16 bit" if header.bits > 8 else words
