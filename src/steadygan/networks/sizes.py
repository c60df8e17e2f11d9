"""Which sizes a network of stages passes through on its way between a small map and the image.

The coarse sizes come from halving with rounding up, until the smaller side is 4 or less. So 28 x 28 gives 4, 7, 14, 28
and 45 x 30 gives 6 x 4, 12 x 8, 23 x 15, 45 x 30.
A generator doubles a map exactly and, where the next size is odd, drops the one surplus last row or column; a
discriminator pads that row or column (or averages over what is there) and halves. Every kept pixel is therefore made
by the same arithmetic as in an even-sized network: no stretching, no uneven overlap of strides, no checkerboard that
comes from the size.
"""

from __future__ import annotations

import math

from steadygan.errors import SteadyganError

Shape = tuple[int, int, int]
"""Channels, height and width of one sample."""

Size = tuple[int, int]
"""Height and width of a map."""

SMALLEST, LARGEST = 8, 256
COARSEST = 4
"""Halving ends at this smaller side. Ending at 7 instead cost digits of 28 x 28 three quarters of their quality: the
discriminator saw strokes but no digits."""
CHANNELS_LIMIT = 1024
VALUES_LIMIT = 1_048_576
WIDEST = 8
"""Stages are at most this many times as wide as the finest one."""


def stage_sizes(height: int, width: int) -> list[Size]:
    """Sizes from the coarsest map to the image, both included; the coarsest has a smaller side of 3 or 4.

    Raises:
        SteadyganError: a side outside 8 to 256.
    """
    if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
        raise SteadyganError(
            f"image size {height}x{width} is outside the networks' range",
            f"choose a height and width from {SMALLEST} to {LARGEST}",
        )
    sizes = [(height, width)]
    while min(sizes[0]) > COARSEST:
        sizes.insert(0, ((sizes[0][0] + 1) // 2, (sizes[0][1] + 1) // 2))
    return sizes


def stage_widths(stages: int, capacity: int) -> list[int]:
    """Channels from the coarsest stage to the finest: ``capacity`` at the finest, doubling, at most 8 times as wide."""
    return [capacity * min(2**step, WIDEST) for step in reversed(range(stages))]


def check_image_shape(shape: Shape) -> Shape:
    """The shape itself, where a convolutional network can be built for it.

    Raises:
        SteadyganError: channels outside 1 to 1024, or a side outside 8 to 256.
    """
    check_channels(shape)
    stage_sizes(shape[1], shape[2])
    return shape


def check_channels(shape: Shape) -> None:
    """Nothing, or SteadyganError where the channels are outside 1 to 1024."""
    if not 1 <= shape[0] <= CHANNELS_LIMIT:
        raise SteadyganError(
            f"{shape[0]} channels are outside the networks' range", f"choose from 1 to {CHANNELS_LIMIT} channels"
        )


def check_any_shape(shape: Shape) -> Shape:
    """The shape itself, where an ``mlp`` can be built for it: an image, or a vector written as (D, 1, 1).

    Raises:
        SteadyganError: 0 or more than 1,048,576 values, or an image out of range.
    """
    if shape[1:] != (1, 1):
        check_image_shape(shape)
    if not 1 <= math.prod(shape) <= VALUES_LIMIT:
        raise SteadyganError(
            f"a sample of {math.prod(shape)} values is out of the range of 'mlp'",
            f"choose a size of 1 to {VALUES_LIMIT} values",
        )
    return shape
