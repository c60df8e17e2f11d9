"""Running out of memory, or memory that is laid out in another order than a network wants, said in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError

SIGNS = ("allocate", "out of memory", "bad_alloc", "cannot allocate")
"""Words by which a RuntimeError is known to be about memory: torch has no type of its own for the CPU."""

VIEWED = "view size is not compatible with input tensor"
"""How torch says that ``view`` cannot read maps in their order in memory."""


def is_shortage(error: BaseException) -> bool:
    """Whether the error says that there is not enough memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


@contextlib.contextmanager
def advice(config: RunConfig) -> Iterator[None]:
    """Turn running out of memory into a SteadyganError, and ``view`` of maps whose channels lie last.

    Every other error passes through.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if config.channels_last and VIEWED in str(error):
            raise SteadyganError(
                "a network of yours calls view() on maps whose channels lie last in memory",
                "set channels_last=false, or call reshape() there",
            ) from None
        if not is_shortage(error):
            raise
        channels, height, width = config.shape or (0, 0, 0)
        widest = max((player.network.capacity for player in config.players.values()), default=0)
        raise SteadyganError(
            f"out of memory with batch {config.batch} of {width}x{height}x{channels} and capacity {widest}",
            f"set accumulate={config.accumulate * 2}, or lower batch, data.image_size or"
            " generator.network.capacity and discriminator.network.capacity",
            code=1,
        ) from None
