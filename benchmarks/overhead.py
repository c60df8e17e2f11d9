"""What the engine costs: a round of it against the same round written by hand, side by side in one process.

    python benchmarks/overhead.py --threads 2     every cell that the results file lacks
    python benchmarks/overhead.py --quick         a few seconds; checks that it runs, keeps nothing in the repository

Three loops take turns on copies of the same networks, the same rows and the same batch:

- ``engine``: the game as a session wires it, with all that a run does in a round: the draw, controls and schedules,
  reseeding, signals, the average, deterministic algorithms, and a record read and written at the planned interval.
- ``bare``: the same game by hand, as a person who knows PyTorch would write it for speed (see ``Bare``).
- ``naive``: the textbook loop: nothing frozen, contiguous images, Adam as it comes, the average one tensor at a time.

A repetition plays a block of rounds with each, in an order that turns about; the ratio of a repetition is that of its
two blocks, which lie within a second or two, so that a machine that slows down slows both. Where other programs come
and go in between, the ratio of the lower quartiles (``undisturbed``) is the steadier figure.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.game.loop import loop
from steadygan.recipes.facts import DataFacts
from steadygan.runtime import devices
from steadygan.runtime.folder import RunFolder
from steadygan.runtime.storage import write_file
from steadygan.session.planning import settle
from steadygan.session.running import Run
from steadygan.session.wiring import prepare

HERE = Path(__file__).resolve().parent
CASES = {"dcgan": (1, 28, 28), "r3": (3, 32, 32)}
ROWS = 20_000


class Options(NamedTuple):
    """How long to measure, and with how many threads."""

    threads: int
    pairs: int
    seconds: float
    quick: bool


def random_data(shape: tuple[int, int, int]) -> DataSet:
    """Random bytes in memory: what the pictures show does not change the time that a round takes."""
    rows = np.arange(ROWS, dtype=np.int64)
    images = np.random.default_rng(0).integers(0, 256, (ROWS, *shape), dtype=np.uint8)
    return DataSet("random", images, None, (), rows, rows[:0], "random")


def planned(recipe: str, shape: tuple[int, int, int], data: DataSet, threads: int) -> RunConfig:
    """The recipe's config, settled as ``steadygan train`` settles it."""
    config = recipes.build(recipe, DataFacts(data.name, ROWS, shape, 0, DataConfig(source="random")))
    return settle(prepare(config.model_copy(update={"threads": threads}), data))


def engine_rounds(run: Run) -> Iterator[None]:
    """Rounds of a run with its records; pictures and checkpoints, which are no part of a round, are left out."""
    for record in loop(run.state, run.wired.moves, run.wired.draw):
        run._attend(record)
        yield


class Bare:
    """The same game by hand.

    Shuffled rows are indexed a batch at a time and scaled in place; networks and images are channels-last; latents are
    drawn afresh, fakes made once for both steps; gradients are set to None; the discriminator is frozen in the
    generator's step; Adam is fused; the average is one ``_foreach_lerp_`` with a constant decay; R1 and R2 are taken
    from the logits that the loss needs anyway, at once, while these are in the cache. There are no signals, no
    schedules, no reseeding, and no deterministic algorithms.
    """

    def __init__(self, config: RunConfig, players: dict[str, nn.Module], data: DataSet) -> None:
        self.config, self.images = config, np.asarray(data.images)
        self.generator, self.discriminator = players["generator"], players["discriminator"]
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.gamma = {name: penalty.weight.value for name, penalty in config.penalties.items()}
        self.layout = torch.channels_last
        self.adams = {name: self._adam(name, player) for name, player in players.items()}

    def _adam(self, name: str, player: nn.Module) -> torch.optim.Optimizer:
        plan = self.config.players[name].optimizer
        betas = (plan.beta1, plan.beta2)
        return torch.optim.Adam(player.parameters(), plan.learning_rate.value, betas, plan.epsilon, fused=True)

    def rounds(self) -> Iterator[None]:
        """Rounds without end."""
        batch, shuffle = self.config.batch, np.random.default_rng(0)
        while True:
            order = shuffle.permutation(len(self.images))
            for start in range(0, len(order) - batch + 1, batch):
                self._round(self._draw(order[start : start + batch]))
                yield

    def _draw(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> Tensor:
        images = torch.from_numpy(self.images[rows]).float().div_(127.5).sub_(1.0)
        return images.contiguous(memory_format=self.layout)

    def _round(self, real: Tensor) -> None:
        fake = self.generator(torch.randn(len(real), self.config.latent.size))
        self._teach_discriminator(real, fake.detach())
        self.discriminator.requires_grad_(False)
        self._teach_generator(real, fake)
        self.discriminator.requires_grad_(True)
        self._follow()

    def _teach_discriminator(self, real: Tensor, fake: Tensor) -> None:
        (real_logits, r1), (fake_logits, r2) = self._judged(real, "r1"), self._judged(fake, "r2")
        self._step("discriminator", self._discriminator_loss(real_logits, fake_logits) + r1 + r2)

    def _judged(self, images: Tensor, name: str) -> tuple[Tensor, Tensor | float]:
        """Logits, and the penalty on their slope where the recipe has it."""
        if name not in self.gamma:
            return self.discriminator(images), 0.0
        images = images.detach().requires_grad_(True)
        logits = self.discriminator(images)
        slope = torch.autograd.grad(logits.sum(), images, create_graph=True)[0]
        return logits, self.gamma[name] / 2 * slope.square().sum((1, 2, 3)).mean()

    def _teach_generator(self, real: Tensor, fake: Tensor) -> None:
        fake_logits = self.discriminator(fake)
        if self.config.loss == "relativistic":
            with torch.no_grad():
                real_logits = self.discriminator(real)
            loss = F.softplus(real_logits - fake_logits).mean()
        else:
            loss = F.softplus(-fake_logits).mean()
        self._step("generator", loss)

    def _discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        if self.config.loss == "relativistic":
            return F.softplus(fake_logits - real_logits).mean()
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()

    def _step(self, name: str, loss: Tensor) -> None:
        self.adams[name].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.adams[name].step()

    @torch.no_grad()
    def _follow(self) -> None:
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1e-3)
        for mine, theirs in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mine.copy_(theirs)


class Naive(Bare):
    """The loop of the textbook: fakes shared through ``detach``, but nothing frozen, fused or laid out for speed."""

    def __init__(self, config: RunConfig, players: dict[str, nn.Module], data: DataSet) -> None:
        for player in players.values():
            for weight in player.parameters():
                weight.data = weight.data.contiguous()
        super().__init__(config, players, data)
        self.layout = torch.contiguous_format

    def _adam(self, name: str, player: nn.Module) -> torch.optim.Optimizer:
        plan = self.config.players[name].optimizer
        return torch.optim.Adam(player.parameters(), plan.learning_rate.value, (plan.beta1, plan.beta2), plan.epsilon)

    def _round(self, real: Tensor) -> None:
        fake = self.generator(torch.randn(len(real), self.config.latent.size))
        self._teach_discriminator(real, fake.detach())
        self._teach_generator(real, fake)
        self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        for old, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            old.mul_(0.999).add_(new, alpha=0.001)
        for mine, theirs in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mine.copy_(theirs)


class Clock(NamedTuple):
    """Seconds a round: by the wall and of the processor."""

    wall: float
    cpu: float


def timed(rounds: Iterator[None], count: int) -> Clock:
    """Seconds that each of the next ``count`` rounds took on average."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        next(rounds)
    return Clock((time.perf_counter() - wall) / count, (time.process_time() - cpu) / count)


def measure(loops: dict[str, Iterator[None]], options: Options, deterministic: bool) -> dict[str, list[Clock]]:
    """Blocks of every loop in turn; only the engine's run under its own deterministic setting."""
    times: dict[str, list[Clock]] = {name: [] for name in loops}
    names, count = list(loops), 0
    for repetition in range(options.pairs + 1):
        turn = repetition % len(names)
        order = names[turn:] + names[:turn]
        for name in order if repetition % 2 else order[::-1]:
            with devices.computing(options.threads, deterministic=deterministic and name == "engine"):
                if not count:
                    next(loops[name])
                    count = max(2, round(options.seconds / timed(loops[name], 3).wall))
                clock = timed(loops[name], count)
            if repetition:
                times[name].append(clock)
    return times | {"rounds": [Clock(count, count)]}


def spread(values: list[float], digits: int = 4) -> dict[str, float]:
    """Median, quartiles and range."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    names = ("median", "lower_quartile", "upper_quartile", "least", "most")
    return dict(zip(names, (round(v, digits) for v in (middle, low, high, min(values), max(values))), strict=True))


def ratios(times: dict[str, list[Clock]], other: str) -> dict[str, Any]:
    """The engine's time over another loop's, repetition by repetition."""
    pairs = list(zip(times["engine"], times[other], strict=True))
    quick = {name: spread([clock.wall for clock in times[name]], 9)["lower_quartile"] for name in ("engine", other)}
    return {
        "undisturbed": round(quick["engine"] / quick[other], 4),
        "wall": spread([ours.wall / theirs.wall for ours, theirs in pairs]),
        "cpu": spread([ours.cpu / theirs.cpu for ours, theirs in pairs]),
    }


def run_case(recipe: str, options: Options) -> dict[str, Any]:
    """Measure one recipe."""
    shape, load = CASES[recipe], os.getloadavg()[0]
    data = random_data(shape)
    config = planned(recipe, shape, data, options.threads).model_copy(update={"images": 10**12})
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place) / "run")
        folder.create(config.model_dump_json())
        run = Run(folder, config, data)
        players: Callable[[], dict[str, nn.Module]] = lambda: copy.deepcopy(run.state.players)  # noqa: E731
        loops = {
            "engine": engine_rounds(run),
            "bare": Bare(config, players(), data).rounds(),
            "naive": Naive(config, players(), data).rounds(),
        }
        # as ``Run._play`` does before its first round: the pace is measured from here
        run._marks = [(time.monotonic(), 0)]
        times = measure(loops, options, config.deterministic)
    count = int(times.pop("rounds")[0].wall)
    return {
        "shape": list(shape),
        "batch": config.batch,
        "record_every": config.record_every,
        "pairs": options.pairs,
        "load_before": round(load, 2),
        "rounds_a_block": count,
        "milliseconds_a_round": {
            name: round(1000 * statistics.median(c.wall for c in clocks), 2) for name, clocks in times.items()
        },
        "engine_over_bare": ratios(times, "bare"),
        "engine_over_naive": ratios(times, "naive"),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure what the results file lacks, saving after every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a block")
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    pairs, seconds = (3, 0.1) if given.quick else (given.pairs, given.seconds)
    options = Options(given.threads, pairs, seconds, given.quick)
    out = given.out or (HERE / "runs" / "overhead-quick.json" if given.quick else HERE / "results" / "overhead.json")
    cells: dict[str, Any] = json.loads(out.read_text())["cells"] if out.exists() else {}
    for recipe in given.only:
        key = f"{recipe}/{options.threads} threads"
        if key not in cells or given.again or given.quick:
            cells[key] = run_case(recipe, options)
            out.parent.mkdir(parents=True, exist_ok=True)
            write_file(out, json.dumps({"torch": torch.__version__, "cells": cells}, indent=1))
        print(key, json.dumps(cells[key], indent=1), flush=True)


if __name__ == "__main__":
    main()
