"""Two-dimensional mixtures: how many of 8 and of 25 modes each objective finds, and how many samples are any good.

    python benchmarks/mixtures.py                 every cell that the results file lacks
    python benchmarks/mixtures.py --quick         a minute: few rounds, one seed, no results kept in the repository

``default`` is the objective of the default recipe (relativistic pairing, R1 and R2, Adam with beta1 = 0) on networks
without normalisation. ``plain`` is the non-saturating GAN with the networks and the optimizer of the PacGAN paper
(Lin et al. 2018), and ``unpenalised`` the non-saturating GAN with everything but the objective as ``default`` has it.
All play on the engine, on the same 100,000 fixed points, scaled to a standard deviation of 4.
2,500 samples are judged as in that paper: one within three standard deviations of a centre is of high quality, and a
mode is found where one sample of high quality is nearest to it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from steadygan.config import (
    AverageConfig,
    LatentConfig,
    PenaltyConfig,
    RunConfig,
    ScheduleConfig,
    constant,
)
from steadygan.data import mixtures
from steadygan.data.dataset import DataSet
from steadygan.data.order import Order
from steadygan.game.loop import loop
from steadygan.game.move import Batch, Draw
from steadygan.recipes.parts import player
from steadygan.report.pictures import scatter
from steadygan.runtime import devices, seeding
from steadygan.runtime.storage import write_file
from steadygan.session.settings import apply
from steadygan.session.wiring import Wired, wire

HERE = Path(__file__).resolve().parent
POINTS, SAMPLES, WITHIN = 100_000, 2_500, 3.0
STD = {"ring": 0.01, "grid": 0.05}
SPREAD = 4.0
"""Standard deviation to which the points are scaled, for every objective."""
MAKERS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {"ring": mixtures.ring, "grid": mixtures.grid}
ROUNDS = {"ring": 16_000, "grid": 24_000}
PLAIN_ROUNDS = 10_000
GAMMA = (0.5, 1e-4)
"""Weight of R1 and R2 at the start and at the end of a run of the default objective."""


class Cell(NamedTuple):
    """One run: whose objective, on which mixture, from which seed, for how long, with which changed settings."""

    objective: str
    mixture: str
    seed: int
    rounds: int
    changes: tuple[str, ...] = ()
    picture: str = ""

    @property
    def key(self) -> str:
        """Its name in the results."""
        return f"{self.objective}/{self.mixture}/{self.seed}"


def falling(value: float, end: float) -> ScheduleConfig:
    """A cosine from ``value`` to ``end`` over the whole run."""
    return ScheduleConfig(kind="cosine", value=value, end=end)


def default_config(rounds: int, batch: int = 128) -> RunConfig:
    """The default objective. Rates fall along a cosine; the penalty's weight falls from 0.5 to 1e-4 in 15 equal steps.

    A strong penalty at first lets the discriminator see whole regions and so keeps every mode; the peaks themselves,
    a hundredth of that wide, need slopes that only a weak one allows.
    """
    steps = 15
    factor = (GAMMA[1] / GAMMA[0]) ** (1 / (steps - 1))
    weight = ScheduleConfig(kind="step", value=GAMMA[0], factor=factor, every=max(1, rounds * batch // steps))
    rates: dict[str, Any] = {"rate": falling(3e-3, 1e-4), "betas": (0.0, 0.99)}
    return RunConfig(
        recipe="mixture-default",
        players={
            "generator": player("mlp", 32, hidden=(128,) * 6, activation="relu", **rates),
            "discriminator": player("mlp", 32, hidden=(128,) * 3, activation="leaky-relu", **rates),
        },
        loss="relativistic",
        penalties={"r1": PenaltyConfig(weight=weight), "r2": PenaltyConfig(weight=weight)},
        latent=LatentConfig(size=2),
        average=AverageConfig(half_life=constant(500.0 * batch)),
        batch=batch,
        images=rounds * batch,
    )


def unpenalised_config(rounds: int) -> RunConfig:
    """Everything as in ``default`` but the objective: the non-saturating loss, and no penalty."""
    update = {"recipe": "mixture-unpenalised", "loss": "non-saturating", "penalties": {}}
    return default_config(rounds).model_copy(update=update)


def plain_config(rounds: int, batch: int = 100) -> RunConfig:
    """PacGAN's plain GAN: 4 x 400 ReLU with batch norm against 3 x 200 maxout, Adam 1e-4 with (0.8, 0.999)."""
    rates: dict[str, Any] = {"rate": 1e-4, "betas": (0.8, 0.999)}
    generator = player("mlp", 32, hidden=(400,) * 4, activation="relu", normalisation="batch", **rates)
    discriminator = player("mlp", 32, hidden=(200,) * 3, activation="maxout", normalisation="none", **rates)
    return RunConfig(
        recipe="mixture-plain",
        players={"generator": generator, "discriminator": discriminator},
        loss="non-saturating",
        latent=LatentConfig(size=2),
        average=AverageConfig(half_life=constant(0.0)),
        batch=batch,
        images=rounds * batch,
    )


CONFIGS: dict[str, Callable[[int], RunConfig]] = {
    "default": default_config,
    "unpenalised": unpenalised_config,
    "plain": plain_config,
}


def config_of(cell: Cell) -> RunConfig:
    """The settled config of a cell."""
    settled = {
        "seed": cell.seed,
        "shape": (2, 1, 1),
        "threads": 1,
        "channels_last": False,
        "record_every": 1 << 60,
    }
    return apply(CONFIGS[cell.objective](cell.rounds).model_copy(update=settled), cell.changes)


def wire_points(config: RunConfig, points: Tensor) -> Wired:
    """The run as a session wires it, but with points for images: sets hold bytes, so one of zeros stands in."""
    rows = np.arange(config.batch, dtype=np.int64)
    blank = np.zeros((config.batch, 2, 1, 1), np.uint8)
    wired = wire(config, DataSet("points", blank, None, (), rows, rows[:0], ""), device=torch.device("cpu"))
    wired.draw = draw_from(points, config.seed)
    return wired


def draw_from(points: Tensor, seed: int) -> Draw:
    """Batches (N, 2, 1, 1) of fixed points in the engine's own order."""
    order = Order(np.arange(len(points), dtype=np.int64), seed)
    images = points[:, :, None, None]

    def draw(position: int, count: int, attempt: int) -> Batch:
        return Batch(images[torch.from_numpy(order.take(position, count, attempt=attempt))])

    return draw


def judge(samples: Tensor, centres: Tensor, std: float) -> dict[str, Any]:
    """Modes found and the share of samples (N, 2) within three standard deviations of their nearest centre (K, 2)."""
    distance, nearest = torch.cdist(samples, centres).min(1)
    good = distance <= WITHIN * std
    counts = torch.bincount(nearest[good], minlength=len(centres))
    return {
        "modes": int((counts > 0).sum()),
        "of": len(centres),
        "high_quality": round(float(good.double().mean()), 4),
        "smallest_mode": round(float(counts.min()) / len(samples), 4),
        "largest_mode": round(float(counts.max()) / len(samples), 4),
    }


@torch.no_grad()
def sample(wired: Wired, count: int, seed: int, scale: float) -> Tensor:
    """``count`` points of the averaged generator (of the plain GAN: a copy) in the units of the mixture."""
    source = seeding.generator("judged", seed)
    latent = torch.randn(count, wired.config.latent.size, generator=source)
    made: Tensor = wired.state.averages["generator"].network(latent)
    return made.flatten(1) * scale


def run_cell(cell: Cell) -> dict[str, Any]:
    """Play one cell to its end and judge it."""
    config, std = config_of(cell), STD[cell.mixture]
    points, centres = MAKERS[cell.mixture](POINTS, seeding.generator("points", cell.seed), std=std)
    scale = float(points.std()) / SPREAD
    wired = wire_points(config, points / scale)
    start = time.perf_counter()
    with devices.computing(1, deterministic=True):
        for _ in loop(wired.state, wired.moves, wired.draw):
            pass
        samples = sample(wired, SAMPLES, cell.seed, scale)
    seconds = time.perf_counter() - start
    if cell.picture:
        scatter(samples, centres, Path(cell.picture))
    return {
        **judge(samples, centres, std),
        "rounds": cell.rounds,
        "batch": config.batch,
        "seconds": round(seconds, 1),
        "changes": list(cell.changes),
    }


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """Every cell that was asked for."""
    for objective in options.only or CONFIGS:
        for mixture in options.mixture or MAKERS:
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                picture = options.pictures / f"mixture-{objective}-{mixture}.png"
                shown = str(picture) if seed == options.first_seed and not options.no_pictures else ""
                rounds = options.rounds or (PLAIN_ROUNDS if objective == "plain" else ROUNDS[mixture])
                yield Cell(objective, mixture, seed, rounds, tuple(options.set), shown)


def summary(results: dict[str, Any]) -> dict[str, Any]:
    """Means, spreads and worst cases over the seeds of each objective and mixture."""
    found: dict[str, Any] = {}
    for name in sorted({key.rpartition("/")[0] for key in results}):
        rows = [value for key, value in results.items() if key.startswith(f"{name}/")]
        modes = torch.tensor([row["modes"] for row in rows], dtype=torch.float64)
        good = torch.tensor([row["high_quality"] for row in rows], dtype=torch.float64)
        found[name] = {
            "seeds": len(rows),
            "modes": round(float(modes.mean()), 2),
            "modes_std": round(float(modes.std(correction=0)), 2),
            "modes_least": int(modes.min()),
            "high_quality": round(float(good.mean()), 4),
            "high_quality_least": round(float(good.min()), 4),
        }
    return found


def save(path: Path, results: dict[str, Any]) -> None:
    """Write the results so that the file is whole whenever it is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"torch": torch.__version__, "machine": platform.machine(), "threads": 1}
    ordered = {key: results[key] for key in sorted(results)}
    write_file(path, json.dumps({**head, "summary": summary(ordered), "cells": ordered}, indent=1))


def options_from(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CONFIGS))
    parser.add_argument("--mixture", nargs="*", choices=list(MAKERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0, help="tuning uses 100 and above")
    parser.add_argument("--rounds", type=int, default=0, help="other than each objective's own budget")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], help="changed settings, as in `steadygan train --set`")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--pictures", type=Path, default=HERE.parent / "docs" / "images")
    parser.add_argument("--no-pictures", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.rounds, options.no_pictures = 1, options.rounds or 200, True
    kept = HERE / "runs" / "mixtures-quick.json" if options.quick else HERE / "results" / "mixtures.json"
    options.out = options.out or kept
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, saving after every cell."""
    options = options_from(arguments)
    results: dict[str, Any] = json.loads(options.out.read_text())["cells"] if options.out.exists() else {}

    def done(cell: Cell) -> bool:
        row = results.get(cell.key, {})
        return bool(row) and (row["rounds"], row["changes"]) == (cell.rounds, list(cell.changes))

    missing = [cell for cell in cells(options) if not done(cell)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(options.processes, max(1, len(missing)))) as pool:
        for cell, row in pool.imap_unordered(_named, missing):
            results[cell.key] = row
            save(options.out, results)
            print(
                f"{cell.key:20} {row['modes']:2}/{row['of']}  {row['high_quality']:7.2%}  {row['seconds']:.0f} s",
                flush=True,
            )
    print(json.dumps(summary(results), indent=1))


def _named(cell: Cell) -> tuple[Cell, dict[str, Any]]:
    return cell, run_cell(cell)


if __name__ == "__main__":
    main()
