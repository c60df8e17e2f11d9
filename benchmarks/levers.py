"""What every lever on the engine's speed is worth: a round with it against a round without, taking turns.

    python benchmarks/levers.py --pairs 6           every cell that the results file lacks
    python benchmarks/levers.py --only joined       one lever anew, with --again
    python benchmarks/levers.py --table             the table of docs/speed.md from the results
    python benchmarks/levers.py --quality 30000     what those that change the game cost in quality, on MNIST;
                                                    with --seeds 3 in three runs each, with --table as a table
    python benchmarks/levers.py --quick             a minute; checks that it runs, keeps nothing in the repository

Two copies of the same game are wired, one with the lever and one without; they play a few rounds each in turn, on one
thread, and the ratio of every pair is kept: of the processor's time, which neighbours on the machine disturb least, and
of the wall's. Below 1 the lever helps. Levers that the engine has are switched off for one side, others on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from steadygan import recipes
from steadygan.config import DataConfig, PenaltyConfig, RunConfig, constant
from steadygan.data.dataset import DataSet
from steadygan.evaluation.frechet import gaussian_statistics
from steadygan.game import round as rounds
from steadygan.game.loop import loop
from steadygan.games import adversarial
from steadygan.networks import Discriminator
from steadygan.recipes.facts import DataFacts
from steadygan.runtime import convolution, devices
from steadygan.runtime.storage import write_file
from steadygan.session.benching import random_data
from steadygan.session.planning import settle
from steadygan.session.wiring import Wired, prepare, wire

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "levers.json"
JUDGED = HERE / "results" / "levers-quality.json"
SHAPES = {
    "dcgan": (1, 28, 28),
    "r3": (1, 28, 28),
    "sngan": (3, 32, 32),
    "digits": (1, 8, 8),
    "mlp": (1, 28, 28),
    "wgan-gp": (1, 28, 28),
}
SECONDS = 0.2
"""Processor time of a block of rounds."""

Changes = Callable[[RunConfig], RunConfig]
Inside = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: other settings, something done to the wired game, a context around its rounds."""

    config: Changes = lambda config: config
    wired: Callable[[Wired], None] = lambda wired: None
    inside: Inside = contextlib.nullcontext


@dataclass(frozen=True)
class Lever:
    """With and without, on which recipes, and what came of it."""

    what: str
    on: Side
    off: Side
    cases: tuple[str, ...] = ("dcgan", "r3")
    verdict: str = "kept"
    exact: bool = True
    """Whether both sides play the same game up to rounding."""
    apart: bool = False
    """Whether a side needs a process of its own, since what it does lasts as long as the process."""


def updated(**changes: Any) -> Changes:
    """The config with these settings."""
    return lambda config: config.model_copy(update=changes)


def penalties(every: int = 1, ending: str = "") -> Changes:
    """R1 and R2 in this form, every so many rounds."""

    def change(config: RunConfig) -> RunConfig:
        one = PenaltyConfig(weight=constant(0.5), every=every)
        return config.model_copy(update={"penalties": {f"{name}{ending}": one for name in ("r1", "r2")}})

    return change


def patched(target: Any, name: str, value: Any) -> Inside:
    """Something of the engine replaced while rounds are played."""
    return lambda: mock.patch.object(target, name, value)


def everyone_learns(state: Any, names: tuple[str, ...]) -> None:
    """Nobody is frozen."""
    for parameters in state.parameters.values():
        for parameter in parameters:
            parameter.requires_grad_(True)


def library_adam(**kind: bool) -> Callable[[Wired], None]:
    """torch's own Adam."""

    def change(wired: Wired) -> None:
        for name, player in wired.state.players.items():
            plan = wired.config.players[name].optimizer
            betas = (plan.beta1, plan.beta2)
            rate = plan.learning_rate.value
            wired.state.optimizers[name] = torch.optim.Adam(player.parameters(), rate, betas, plan.epsilon, **kind)

    return change


def one_by_one(own: list[Tensor], new: list[Tensor], share: float) -> None:
    """The average one tensor at a time."""
    for mine, theirs in zip(own, new, strict=True):
        mine.lerp_(theirs, share)


def slow_average() -> AbstractContextManager[Any]:
    """The average without its one operation."""
    return mock.patch.object(torch, "_foreach_lerp_", one_by_one)


def same_batch(wired: Wired) -> None:
    """Every batch is there already, as floats: no layout of the data can be faster."""
    batch = wired.draw(0, wired.config.batch, 0)
    object.__setattr__(wired, "draw", lambda position, count, attempt: batch)


def compiled(wired: Wired) -> None:
    """Both networks through torch.compile; the average keeps the plain one."""
    for player in wired.state.players.values():
        player.compile()


LEVERS: dict[str, Lever] = {
    "channels-last": Lever(
        "channels last in memory", Side(), Side(updated(channels_last=False)), ("dcgan", "r3", "sngan")
    ),
    "frozen": Lever(
        "players that do not learn are frozen", Side(), Side(inside=patched(rounds, "_let_learn", everyone_learns))
    ),
    "shared": Lever("fakes made once for both moves", Side(), Side(updated(share_fakes=False)), exact=False),
    "logits": Lever(
        "penalties leave their logits to the loss",
        Side(),
        Side(inside=patched(adversarial, "_same", lambda images, known: False)),
        ("r3",),
    ),
    "second": Lever(
        "own second derivatives of convolutions",
        Side(),
        Side(inside=patched(convolution, "_REPLACED", {})),
        ("r3", "digits"),
    ),
    "one-channel": Lever(
        "one-channel images written by a matrix product",
        Side(),
        Side(inside=patched(convolution, "TAPS", 0)),
        ("dcgan", "r3", "wgan-gp"),
    ),
    "adam": Lever(
        "own fused Adam against torch's fused", Side(), Side(wired=library_adam(fused=True)), ("dcgan", "digits")
    ),
    "fused": Lever("fused Adam against foreach", Side(), Side(wired=library_adam(foreach=True)), ("dcgan", "digits")),
    "average": Lever("the average in one operation", Side(), Side(inside=slow_average), ("dcgan", "digits")),
    "allocator": Lever(
        "freed memory is kept",
        Side(),
        Side(inside=patched(devices, "keep_memory", lambda: False)),
        ("dcgan", "r3", "sngan"),
        apart=True,
    ),
    "joined": Lever(
        "one pass over joined reals and fakes",
        Side(),
        Side(inside=patched(Discriminator, "by_rows", False)),
        ("r3", "digits", "mlp", "wgan-gp"),
    ),
    "bf16": Lever(
        "bfloat16 under autocast",
        Side(updated(precision="bfloat16")),
        Side(),
        ("dcgan", "r3", "sngan"),
        "an option",
        exact=False,
    ),
    "approximate": Lever(
        "approximated R1 and R2", Side(penalties(ending="-approximate")), Side(), ("r3",), "an option", exact=False
    ),
    "lazy-4": Lever("R1 and R2 every 4 rounds", Side(penalties(every=4)), Side(), ("r3",), "an option", exact=False),
    "lazy-16": Lever("R1 and R2 every 16 rounds", Side(penalties(every=16)), Side(), ("r3",), "an option", exact=False),
    "loose": Lever(
        "without deterministic algorithms", Side(updated(deterministic=False)), Side(), ("dcgan", "r3"), "an option"
    ),
    "resident": Lever(
        "batches that cost nothing to draw",
        Side(wired=same_batch),
        Side(),
        ("dcgan", "digits"),
        "rejected",
        exact=False,
    ),
    "compile": Lever(
        "torch.compile of both networks", Side(wired=compiled), Side(), ("dcgan",), "rejected", exact=False
    ),
}
"""Every lever by name."""


def planned(recipe: str, data: DataSet) -> RunConfig:
    """The recipe's config, settled, for rounds without a record."""
    facts = DataFacts(data.name, 57_000, data.shape, data.classes, DataConfig(source="random"))
    config = recipes.build(recipe, facts).model_copy(update={"threads": 1, "images": 10**12, "record_every": 10**12})
    return settle(prepare(config, data))


Times = tuple[float, float]
"""Seconds a round, of the processor and by the wall."""


class Player:
    """One side, wired, and its rounds."""

    def __init__(self, side: Side, config: RunConfig, data: DataSet) -> None:
        self.side, self.config = side, side.config(config)
        with self._inside():
            self.wired = wire(self.config, data)
            side.wired(self.wired)
            self.rounds = loop(self.wired.state, self.wired.moves, self.wired.draw)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        with self.side.inside(), devices.computing(1, deterministic=self.config.deterministic):
            yield

    def play(self, count: int) -> Times:
        """Play rounds."""
        with self._inside():
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(count):
                next(self.rounds)
            return (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count


class Apart:
    """One side in a process of its own."""

    def __init__(self, name: str, recipe: str, side: str) -> None:
        self.command = [sys.executable, str(Path(__file__).resolve()), "--side", name, recipe, side]

    def play(self, count: int) -> Times:
        """A process that plays rounds, after some that do not count."""
        done = subprocess.run([*self.command, str(count)], capture_output=True, text=True, check=True)
        cpu, wall = json.loads(done.stdout)
        return cpu, wall


def measure(name: str, recipe: str, pairs: int) -> dict[str, Any]:
    """Ratios of a round with the lever to one without."""
    lever, data, load = LEVERS[name], random_data(SHAPES[recipe]), os.getloadavg()[0]
    config = planned(recipe, data)
    here = [Player(side, config, data) for side in (lever.on, lever.off)]
    start = time.perf_counter()
    here[0].play(2)
    first = time.perf_counter() - start
    # a whole number of turns where penalties are lazy, so that every block has its due
    due = max([1, *(one.every for one in here[0].config.penalties.values())])
    count = max(due, int(SECONDS / here[1].play(2)[0]) // due * due, 1)
    sides: list[Player | Apart] = list(here)
    if lever.apart:
        sides, count = [Apart(name, recipe, side) for side in ("on", "off")], 4 * count
    pairs_of_times: list[tuple[Times, Times]] = []
    for turn in range(pairs):
        order = (0, 1) if turn % 2 else (1, 0)
        times = {place: sides[place].play(count) for place in order}
        pairs_of_times.append((times[0], times[1]))
    cpu = [on[0] / off[0] for on, off in pairs_of_times]
    wall = [on[1] / off[1] for on, off in pairs_of_times]
    low, middle, high = statistics.quantiles(cpu, n=4)
    return {
        "cpu": [float(f"{value:.4f}") for value in (middle, low, high)],
        "wall": float(f"{statistics.median(wall):.4f}"),
        "milliseconds": [float(f"{1e3 * statistics.median(p[i][0] for p in pairs_of_times):.2f}") for i in range(2)],
        "first_rounds_seconds": float(f"{first:.2f}"),
        "pairs": pairs,
        "rounds_a_block": count,
        "load": float(f"{load:.1f}"),
    }


def play_apart(name: str, recipe: str, side: str, count: int) -> None:
    """One side in this process; prints its times."""
    data = random_data(SHAPES[recipe])
    lever = LEVERS[name]
    player = Player(lever.on if side == "on" else lever.off, planned(recipe, data), data)
    player.play(3)
    print(json.dumps(player.play(count)))


QUALITY = {
    "r3": ("r3", ()),
    "r3, R1 and R2 every 4 rounds": ("r3", ("penalties.r1.every=4", "penalties.r2.every=4")),
    "r3, R1 and R2 every 16 rounds": ("r3", ("penalties.r1.every=16", "penalties.r2.every=16")),
    "dcgan": ("dcgan", ()),
    "dcgan, bfloat16": ("dcgan", ("precision=bfloat16",)),
}
"""What levers that change the game are looked at for: recipe and settings by name."""


def quality(name: str, images: int, seed: int) -> dict[str, float]:
    """Fréchet distance of 5,000 samples in the independent judge's features after a run on MNIST, and what it cost."""
    import judge

    import steadygan

    recipe, changes = QUALITY[name]
    given = ["threads=1", "health.mode=off", f"data.folder={judge.data_folder() / 'mnist'}", *changes]
    start = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        trained = steadygan.train("mnist", recipe=recipe, images=images, seed=seed, out=Path(place) / "run", set=given)
        spent = time.process_time() - start
        net = judge.load_judge()
        reals, _ = judge.look(net, judge.real_chunks("test"))
        found = judge.figures(net, trained.samples(5000, seed=1), gaussian_statistics(reals))
    cost = {"images": images, "seed": seed, "cpu_seconds": float(f"{spent:.1f}"), "load": os.getloadavg()[0]}
    return {"frechet": found["frechet"], "smallest_class": found["smallest_class"]} | cost


def table(cells: Mapping[str, Any]) -> str:
    """The table of the page."""
    lines = ["| lever | recipe | with, ms | without, ms | ratio of processor time (quartiles) | by the wall | |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, lever in LEVERS.items():
        for recipe in lever.cases:
            cell = cells.get(f"{name}/{recipe}")
            if cell:
                middle, low, high = cell["cpu"]
                on, off = cell["milliseconds"]
                figures = f"{on:.1f} | {off:.1f} | {middle:.3f} ({low:.3f} to {high:.3f}) | {cell['wall']:.3f}"
                lines.append(f"| {lever.what} | `{recipe}` | {figures} | {lever.verdict} |")
    return "\n".join(lines)


def bench_table(path: Path) -> str:
    """The table of the page from what ``steadygan bench --out`` wrote."""
    names = ("convolution", "normalisation", "elementwise", "optimizer", "average", "data", "Python")
    lines = [f"| network | batch | threads | images/s | of the ceiling | within convolutions | {' | '.join(names)} |"]
    lines.append("|" + "---|" * (6 + len(names)))
    for one in json.loads(path.read_text())["cells"]:
        shares = " | ".join(f"{one['shares'][name]:.0%}" for name in names)
        place = f"`{one['recipe']}` {one['capacity']} | {one['batch']} | {one['threads']}"
        reached = f"{one['images_a_second']:,.0f} | {one['fraction']:.0%} | {one['within']:.0%}"
        lines.append(f"| {place} | {reached} | {shares} |")
    return "\n".join(lines)


def judged(images: int, seeds: int) -> None:
    """Runs that the results file lacks, saved one by one."""
    known = json.loads(JUDGED.read_text())["cells"] if JUDGED.exists() else {}
    for seed in range(seeds):
        for name in QUALITY:
            key = f"{name}/{images}/{seed}"
            if key not in known:
                known[key] = quality(name, images, seed)
                write_file(JUDGED, json.dumps({"torch": torch.__version__, "cells": known}, indent=1))
            print(key, known[key], flush=True)


def quality_table(cells: Mapping[str, Any], images: int) -> str:
    """The table of the page from runs that were judged: the middle of all seeds, with the least and the most."""
    lines = ["| run | seeds | processor seconds | Fréchet distance | rarest class |", "|---|---|---|---|---|"]
    for name in QUALITY:
        rows = [cell for key, cell in cells.items() if key.startswith(f"{name}/{images}/")]
        if not rows:
            continue
        middle = {key: statistics.median(row[key] for row in rows) for key in ("cpu_seconds", "smallest_class")}
        distances = sorted(row["frechet"] for row in rows)
        found = f"{statistics.median(distances):.0f} ({distances[0]:.0f} to {distances[-1]:.0f})"
        cost = f"{middle['cpu_seconds']:.0f} | {found} | {middle['smallest_class']:.3f}"
        lines.append(f"| {name} | {len(rows)} | {cost} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure what the results file lacks, saving after every cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--only", nargs="*", choices=list(LEVERS), default=list(LEVERS))
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--table", action="store_true", help="print the table and leave")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--quality", type=int, default=0, metavar="IMAGES", help="runs of this length on MNIST")
    parser.add_argument("--bench", type=Path, help="print the table of a file that `steadygan bench --out` wrote")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    if given.bench:
        print(bench_table(given.bench))
        return
    if given.quality and given.table:
        print(quality_table(json.loads(JUDGED.read_text())["cells"], given.quality))
        return
    if given.quality:
        judged(given.quality, given.seeds)
        return
    if given.side:
        name, recipe, side, count = given.side
        play_apart(name, recipe, side, int(count))
        return
    out = given.out or (HERE / "runs" / "levers-quick.json" if given.quick else RESULTS)
    cells: dict[str, Any] = json.loads(out.read_text())["cells"] if out.exists() else {}
    if given.table:
        print(table(cells))
        return
    for name in given.only:
        for recipe in LEVERS[name].cases:
            key = f"{name}/{recipe}"
            if key not in cells or given.again or given.quick:
                cells[key] = measure(name, recipe, 3 if given.quick else given.pairs)
                out.parent.mkdir(parents=True, exist_ok=True)
                write_file(out, json.dumps({"torch": torch.__version__, "cells": cells}, indent=1))
            print(key, cells[key]["cpu"], cells[key]["milliseconds"], flush=True)


if __name__ == "__main__":
    main()
