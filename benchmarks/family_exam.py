"""What an exam of a family is, for ``families.py`` and the modules that list them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import steadygan

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Figure:
    """One number of an exam: what it means, and what it should be.

    ``bound`` is reached from below where ``higher`` is better, by the median of the seeds or with ``best`` by the best
    one; without a bound the figure stands beside ``goal`` (a published value, in words) and is not judged.
    """

    name: str
    meaning: str
    goal: str = ""
    bound: float | None = None
    higher: bool = True
    best: bool = False


@dataclass(frozen=True)
class Exam:
    """A family trained on data and measured: ``run(seed, folder, scale)`` gives the figures by name.

    ``scale`` is the share of ``images`` that is to be played: 1, or less in a quick pass.
    """

    name: str
    family: str
    data: str
    images: int
    run: Callable[[int, Path, float], Figures]
    figures: tuple[Figure, ...]
    seeds: int = 3


def trained(
    data: str, recipe: str, images: int, seed: int, folder: Path, scale: float, settings: tuple[str, ...] = ()
) -> Any:
    """A run of a recipe at the length of an exam, on one thread."""
    length = max(2000, round(images * scale))
    out = folder / f"{recipe}-{len(list(folder.iterdir()))}"
    return steadygan.train(data, recipe=recipe, images=length, seed=seed, out=out, set=["threads=1", *settings])
