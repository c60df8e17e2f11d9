"""The command ``bench``: what the machine can do, and how near the networks come to it, as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from steadygan import api
from steadygan.cli.commands import parse_size
from steadygan.cli.measuring import table
from steadygan.cli.printing import console, errors
from steadygan.errors import SteadyganError
from steadygan.runtime import storage
from steadygan.runtime.roofline import ALL_PARTS
from steadygan.session.benching import Bench, Cell


def bench(
    recipe: Sequence[str],
    batch: Sequence[int],
    threads: Sequence[int],
    image_size: str,
    channels: int,
    capacity: int,
    minutes: float,
    device: str,
    precision: str,
    out: Path | None,
) -> None:
    """Measure, print the tables, and write the figures where that is asked for."""
    if out is not None and out.exists():
        raise SteadyganError(f"{out} exists; nothing is overwritten", "choose another --out")
    height, width = parse_size(image_size) or (28, 28)
    found = api.bench(
        recipe,
        shape=(channels, height, width),
        device=device,
        precision=precision,
        batches=batch,
        threads=threads,
        capacity=capacity,
        minutes=minutes,
        progress=_tell,
    )
    console.print(f"{found.device}, torch {found.torch}, {found.precision}, {found.clock} time", markup=False)
    for lines in (ceilings(found), cells(found.cells), parts(found.cells)):
        table(lines)
        console.print()
    console.print(f"not counted: {found.not_counted}", markup=False)
    if out is not None:
        storage.make_folder(out.parent)
        with storage.writing(out):
            storage.write_file(out, json.dumps(found.tree(), indent=1))
        console.print(f"figures: {out}", markup=False)


def _tell(words: str) -> None:
    """What is measured, where somebody watches."""
    if errors.is_terminal:
        errors.print(f"measuring {words} ...", style="dim", markup=False)


def ceilings(found: Bench) -> list[tuple[str, ...]]:
    """The most that the machine did, by number of threads."""
    lines: list[tuple[str, ...]] = [("threads", "ceiling", "rate", "where")]
    for number, known in found.ceilings.items():
        for name, one in known.items():
            unit = "GB/s" if name == "copy" else "GFLOP/s"
            lines.append((str(number), name, f"{one['rate'] / 1e9:,.0f} {unit}", one["shape"]))
    return lines


def _name(cell: Cell) -> tuple[str, ...]:
    return f"{cell.recipe} {cell.capacity}", str(cell.batch), str(cell.threads)


def cells(found: Sequence[Cell]) -> list[tuple[str, ...]]:
    """A line for every network: its work, its pace, and the share of the convolutions' ceiling that it reaches."""
    titles = ("network", "batch", "threads", "ms a round", "images/s", "GFLOP", "GB", "GFLOP/s", "of the ceiling")
    lines: list[tuple[str, ...]] = [(*titles, "within convolutions")]
    for cell in found:
        figures = (
            f"{cell.seconds * 1e3:,.1f}",
            f"{cell.images_a_second:,.0f}",
            f"{cell.operations / 1e9:.2f}",
            f"{cell.bytes / 1e9:.2f}",
            f"{cell.rate / 1e9:,.0f}",
            f"{cell.fraction:.0%} ({cell.least:.0%} to {cell.most:.0%})",
            f"{cell.within:.0%}",
        )
        lines.append((*_name(cell), *figures))
    return lines


def parts(found: Sequence[Cell]) -> list[tuple[str, ...]]:
    """A line for every network: the share of a round's time by what is done in it."""
    lines: list[tuple[str, ...]] = [("network", "batch", "threads", *ALL_PARTS)]
    return lines + [(*_name(cell), *(f"{cell.shares[part]:.1%}" for part in ALL_PARTS)) for cell in found]
