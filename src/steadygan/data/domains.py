"""Domains: ways to show the same kind of image, each image in one of them only, as coupled GANs need them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadygan.data.cache import Block, Job, Progress, Stored, build, key_of, load
from steadygan.errors import SteadyganError, unknown

Rows = npt.NDArray[np.uint8]
"""Images (N, C, H, W), 0 to 255."""


def negative(rows: Rows) -> Rows:
    """``255 - x``."""
    return 255 - rows


def edge(rows: Rows) -> Rows:
    """How much brighter a pixel's brightest neighbour is: the largest of the pixel and the four beside it, less it."""
    most = rows.copy()
    for axis in (2, 3):
        front, back = [slice(None)] * 4, [slice(None)] * 4
        front[axis], back[axis] = slice(1, None), slice(None, -1)
        for to, of in ((front, back), (back, front)):
            here = most[tuple(to)]
            np.maximum(here, rows[tuple(of)], out=here)
    return most - rows


DOMAINS: dict[str, Callable[[Rows], Rows]] = {"plain": lambda rows: rows, "negative": negative, "edge": edge}
"""How a domain shows images, by name."""


def check_domains(names: Sequence[str]) -> None:
    """Nothing, or SteadyganError for fewer than two domains, an unknown one, or one named twice."""
    for name in names:
        if name not in DOMAINS:
            raise unknown("domain", name, DOMAINS)
    if len(names) == 1:
        raise SteadyganError(f"data.domains has only {names[0]!r}", f"name two or more of {', '.join(DOMAINS)}")
    if len(set(names)) < len(names):
        raise SteadyganError(f"data.domains names one twice: {', '.join(names)}", "name each domain once")


def show_in(stored: Stored, names: Sequence[str], root: Path, *, progress: Progress | None = None) -> Stored:
    """A decoded set with every image in one of the domains; its label is the domain's number.

    Which one is decided by the image's content, so equal images are in the same domain, and no image is in two. The
    images as they are shown are cached beside the others.

    Raises:
        SteadyganError: an unknown domain, fewer than two, or a cache that cannot be written.
    """
    check_domains(names)
    folder = root / key_of("domains", stored.content, tuple(names))
    domain = (stored.hashes % np.uint64(len(names))).astype(np.int64)

    def block(start: int, stop: int) -> Block:
        rows = np.array(stored.images[start:stop])
        for number, name in enumerate(names):
            here = domain[start:stop] == number
            rows[here] = DOMAINS[name](rows[here])
        return Block(rows, np.arange(start, stop))

    shape = (stored.images.shape[1], stored.images.shape[2], stored.images.shape[3])
    facts = {**stored.facts, "domains": ", ".join(names)}
    forks = isinstance(stored.images, np.ndarray)
    refused = stored.quarantine
    job = Job("the domains", len(stored.images), shape, block, domain, tuple(names), facts, refused, forks=forks)
    return load(folder) or build(folder, job, progress=progress)
