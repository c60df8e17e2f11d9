"""The pictures of a run, written into its folder."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from steadygan.report import pictures
from steadygan.report.curves import curves, curves_png
from steadygan.report.jsonl import read_jsonl


def write_grid(samples: Path, images_seen: int, images: Tensor) -> Path:
    """The grid of the fixed latents at this place on the clock."""
    path = samples / f"{images_seen:012d}.png"
    pictures.save_png(path, pictures.grid(images))
    return path


def finish(run: Path) -> None:
    """What is made from the whole run at its end: the last grid, the animation of all grids, and the curves."""
    frames = sorted((run / "samples").glob("[0-9]*.png"))
    if frames:
        (run / "samples.png").write_bytes(frames[-1].read_bytes())
    if len(frames) > 1:
        pictures.animate(frames, run / "evolution.webp")
    records = read_jsonl(run / "records.jsonl")
    if records:
        curves(records, run / "curves.svg")
        curves_png(records, run / "curves.png")
