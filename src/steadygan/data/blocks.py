"""Decodes a range of images into a block of rows, with what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from steadygan.data.cache import Block
from steadygan.data.decode import Target, Unreadable, decode
from steadygan.data.shapes import colour_words


def read_block(
    name: Callable[[int], str], read: Callable[[int], bytes], target: Target, start: int, stop: int
) -> Block:
    """Images ``start`` to ``stop`` as rows.

    Args:
        name: what an image is called in the quarantine.
        read: the bytes of an image's file; may raise Unreadable.
        target: what every image is brought to.
        start: the first image.
        stop: the one behind the last.
    """
    rows = np.empty((stop - start, target.channels, *target.size), dtype=np.uint8)
    kept: list[int] = []
    bad: list[tuple[str, str]] = []
    found: Counter[tuple[str, str]] = Counter()
    for number in range(start, stop):
        try:
            row, header = decode(read(number), target)
        except Unreadable as fault:
            bad.append((name(number), str(fault)))
            continue
        rows[len(kept)] = row
        kept.append(number)
        found[("sizes_found", f"{header.width}x{header.height}")] += 1
        found[("colours_found", colour_words(header))] += 1
    return Block(rows[: len(kept)], np.array(kept, dtype=np.int64), bad, found)
