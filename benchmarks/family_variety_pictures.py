"""Pictures that the exams of ``family_variety.py`` leave in the documentation, of the first seed of a whole pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steadygan.report.canvas import PillowCanvas
from steadygan.report.pictures import grid, save_png
from steadygan.runtime.storage import write_file

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH, HEIGHT, LEFT, TOP = 560.0, 300.0, 50.0, 20.0


def wanted(seed: int, scale: float) -> bool:
    """Whether this sitting is the one whose pictures are kept."""
    return seed == 0 and scale == 1.0


def pairs(name: str, first: Tensor, second: Tensor, count: int = 40) -> None:
    """Both halves of each pair side by side, eight pairs a row."""
    both = torch.stack([first[:count], second[:count]], 1).flatten(0, 1)
    save_png(IMAGES / f"family-{name}.png", grid(both, columns=16, scale=2))


def samples(name: str, images: Tensor, columns: int) -> None:
    """Samples in reading order."""
    save_png(IMAGES / f"family-{name}.png", grid(images, columns=columns, scale=max(1, 40 // images.shape[-1])))


def course(name: str, looks: list[Tensor], reach: float, side: int = 80) -> None:
    """Where points (N, 2) lie at each look, in a square of ``reach`` around the origin, from left to right."""
    images = torch.full((len(looks), 1, side, side), -1.0)
    for image, points in zip(images, looks, strict=True):
        column, row = ((points / reach + 1) / 2 * side).long().clamp(0, side - 1).unbind(1)
        image[0, side - 1 - row, column] = 1.0
    save_png(IMAGES / f"family-{name}.png", grid(images, columns=len(looks), scale=2))


def bound(seen: NDArray[np.float64]) -> None:
    """The bound and the divergence (N, 2) over the run."""
    canvas = PillowCanvas(WIDTH, HEIGHT, "The bound of the discriminator beside the divergence in closed form")
    bottom, most = HEIGHT - 40, float(seen.max()) * 1.05
    canvas.box(0, 0, WIDTH, HEIGHT, "#ffffff")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * (bottom - TOP)
        canvas.line([(LEFT, y), (WIDTH - 10, y)], "#dddddd")
        canvas.text(LEFT - 6, y + 4, f"{share * most:.2f}", 11, "#444444", "end")
    for column, colour, words in ((1, "#d55e00", "KL in closed form"), (0, "#0072b2", "bound of the discriminator")):
        step = (WIDTH - LEFT - 10) / (len(seen) - 1)
        spots = [
            (LEFT + i * step, bottom - float(value) / most * (bottom - TOP)) for i, value in enumerate(seen[:, column])
        ]
        canvas.line(spots, colour, 2.0)
        canvas.text(WIDTH - 20, TOP + 18 + 18 * column, words, 12, colour, "end")
    canvas.text((LEFT + WIDTH) / 2, HEIGHT - 14, "rounds, while the generator comes nearer", 12, "#444444", "middle")
    write_file(IMAGES / "family-f-gan.png", canvas.finish())
