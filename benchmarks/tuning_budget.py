"""Tuning budget: with settings drawn by chance, what does a run reach with health on, and what with health off?

    python benchmarks/tuning_budget.py --jobs 3            every run that the results lack
    python benchmarks/tuning_budget.py --limit-minutes 60  begin no run after that time
    python benchmarks/tuning_budget.py --quick             a minute: few images, results not kept in the repository
    python benchmarks/tuning_budget.py --table             write the figures into docs/robustness.md

Settings are drawn from the wide space of Lucic et al. 2018: one learning rate for both players from 1e-5 to 1e-2
(log-uniform), beta1 from 0 to 1, 1 or 5 steps of the discriminator, weight of the penalty from 0.1 to 100
(log-uniform), batch normalisation in the discriminator or none. Objectives take turns: five of theirs, and the default.
Draw number n is the same with health on and off, and n is also the seed of both runs: MNIST at 12x12 pixels, the
package's small DCGAN, one thread, ``IMAGES`` real images a run.

Quality is the Fréchet distance of ``SAMPLES`` samples to the test images in the features of an independent LeNet
(``judge.py``), of the generator that steadygan hands over: the newest good one on disk, and with health on the best one
(the distance of the last one stands beside it). A run that has none, or whose samples are not finite, gets the
distance of blank images, and none gets more.

One line of ``results/tuning_budget.jsonl`` is one run; they are played draw by draw.
"""

from __future__ import annotations

import argparse
import functools
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median, quantiles
from typing import NamedTuple

import architectures as shared
import judge as independent
import numpy as np
import torch
from architectures import MEND, OFF, Row
from torch import Tensor

import steadygan
from steadygan.config import DataConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.evaluation.frechet import gaussian_statistics
from steadygan.runtime import seeding

HERE = Path(__file__).resolve().parent
WORK = HERE / "runs" / "tuning_budget"
RESULTS = HERE / "results" / "tuning_budget.jsonl"
DATA, SIDE, BATCH, CAPACITY = "mnist", 12, 16, 8
DRAWS, IMAGES, SAMPLES = 48, 60_000, 5_000
ARMS = {"off": OFF, "on": MEND}
OBJECTIVES: dict[str, tuple[str, tuple[str, ...]]] = {
    "minimax": ("minimax", ()),
    "non-saturating": ("non-saturating", ()),
    "least-squares": ("least-squares", ()),
    "wgan-gp": ("wasserstein", ("gradient",)),
    "dragan": ("non-saturating", ("dragan",)),
    "default": ("relativistic", ("r1", "r2")),
}
"""Name to loss and penalties."""
BUDGETS = (1, 2, 5, 10, 20, 40)
NOTICED = 1.1
"""Of a pair, one is called better where its distance is smaller by more than this factor."""


class Cell(NamedTuple):
    """One run: settings number ``number``, with health ``on`` or ``off``."""

    arm: str
    number: int
    images: int

    @property
    def key(self) -> str:
        """Its name in the results."""
        return f"{self.arm}/{self.number}"


class Settings(NamedTuple):
    """One draw."""

    objective: str
    rate: float
    beta1: float
    steps: int
    penalty: float
    normalised: bool


def draw_settings(number: int) -> Settings:
    """Settings number ``number``, independent of all others; the objectives take turns."""
    source = np.random.default_rng(seeding.derive("tuning budget", number))
    return Settings(
        objective=list(OBJECTIVES)[number % len(OBJECTIVES)],
        rate=float(10 ** source.uniform(-5, -2)),
        beta1=float(source.uniform(0, 1)),
        steps=int(source.choice((1, 5))),
        penalty=float(10 ** source.uniform(-1, 2)),
        normalised=bool(source.integers(2)),
    )


def settings_of(cell: Cell) -> list[str]:
    """The settings of a cell as ``--set`` takes them, put on the recipe ``dcgan``."""
    drawn = draw_settings(cell.number)
    loss, penalties = OBJECTIVES[drawn.objective]
    found = ["threads=1", f"batch={BATCH}", f"sample_every={cell.images}", "data.download=false", f"loss={loss}"]
    for player in ("generator", "discriminator"):
        found += [f"{player}.network.capacity={CAPACITY}", f"{player}.optimizer.beta1={drawn.beta1!r}"]
        found += [f"{player}.optimizer.learning_rate={drawn.rate!r}"]
    found += [f"discriminator.steps={drawn.steps}"]
    found += [f"discriminator.network.normalisation={'batch' if drawn.normalised else 'none'}"]
    found += [f"penalties.{name}.weight={drawn.penalty!r}" for name in penalties]
    return [*found, *ARMS[cell.arm]]


class Jury(NamedTuple):
    """The judge with what it makes of real and of blank images."""

    judge: independent.Judge
    accuracy: float
    reference: tuple[Tensor, Tensor]
    blank: float


@functools.cache
def mnist() -> DataSet:
    """MNIST's test images at the size of the runs."""
    return open_data(DataConfig(source=DATA, split="test", image_size=(SIDE, SIDE), download=False))


@functools.cache
def jury() -> Jury:
    """The judge, measured on the test images at the size of the runs."""
    judge, test = independent.load_judge(), mnist()
    assert test.labels is not None
    images = test.rows(np.arange(len(test))).float() / 127.5 - 1
    features, probabilities = independent.look(judge, [images])
    right = (probabilities.argmax(1) == torch.from_numpy(test.labels)).double().mean()
    reference = gaussian_statistics(features)
    blank = independent.figures(judge, [torch.full_like(images[:SAMPLES], -1)], reference)
    return Jury(judge, float(right), reference, blank["frechet"])


def figures(trained: steadygan.Trained) -> Row:
    """Fréchet distance of one generator; one whose samples are not finite gets that of blank images."""
    found, chunks = jury(), list(trained.samples(SAMPLES, seed=1))
    if not all(bool(chunk.isfinite().all()) for chunk in chunks):
        return {"frechet": found.blank}
    row = independent.figures(found.judge, chunks, found.reference)
    kept = {name: row[name] for name in ("top_probability", "smallest_class")}
    return {"frechet": min(row["frechet"], found.blank), **kept}


def play(cell: Cell, work: Path) -> Row:
    """Train one cell from the start, judge it and take its run folder away."""
    run, start, found = work / "runs" / cell.key.replace("/", "-"), time.process_time(), jury()
    shutil.rmtree(run, ignore_errors=True)
    size = (SIDE, SIDE)
    stopped = shared.train(run, DATA, "dcgan", cell.images, cell.number, settings_of(cell), image_size=size)
    seconds = round(time.process_time() - start, 1)
    with torch.inference_mode():
        row = shared.judged(run, figures, {"frechet": found.blank})
    row |= {"seconds": seconds, "stopped": stopped, "events": shared.events(run)}
    shutil.rmtree(run, ignore_errors=True)
    drawn = draw_settings(cell.number)._asdict()
    protocol = {"blank": found.blank, "judge_accuracy": round(found.accuracy, 4)}
    return {"key": cell.key, "images": cell.images, **row, **protocol, "settings": drawn}


def cells(options: argparse.Namespace) -> list[Cell]:
    """Draw by draw, both arms."""
    return [Cell(arm, number, options.images) for number in range(options.draws) for arm in ARMS]


def best_of(values: Sequence[float], count: int) -> float:
    """Expected least of ``count`` of the values, drawn without putting back; NaN where there are not so many.

    ``sum_i x_(i) C(n - i, k - 1) / C(n, k)`` over the values in rising order.
    """
    n = len(values)
    if not 1 <= count <= n:
        return math.nan
    ways = (math.comb(n - place, count - 1) for place in range(1, n + 1))
    return sum(value * way for value, way in zip(sorted(values), ways, strict=True)) / math.comb(n, count)


def balanced(rows: Mapping[str, Row]) -> list[int]:
    """Numbers of the draws that both arms have played."""
    numbers = sorted({int(key.rpartition("/")[2]) for key in rows})
    return [number for number in numbers if all(f"{arm}/{number}" in rows for arm in ARMS)]


def ratio_interval(first: Sequence[float], second: Sequence[float], times: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of median(first) / median(second), pairs drawn together."""
    source = np.random.default_rng(0)
    rows = source.integers(0, len(first), (times, len(first)))
    ratios = np.median(np.asarray(first)[rows], 1) / np.median(np.asarray(second)[rows], 1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def table(rows: Mapping[str, Row]) -> str:
    """Quartiles and best-of-k of both arms, and the pairs, as Markdown."""
    numbers = balanced(rows)
    found = {arm: [float(rows[f"{arm}/{number}"]["frechet"]) for number in numbers] for arm in ARMS}
    lines = ["| health | draws | best | median | upper quartile | mean of the worst quarter | CPU seconds a run |"]
    lines.append("|---|---|---|---|---|---|---|")
    for arm, values in found.items():
        worst = sorted(values)[-max(1, len(values) // 4) :]
        quarters = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
        shown = " | ".join(f"{value:.1f}" for value in (min(values), median(values), quarters[2], mean(worst)))
        seconds = median(rows[f"{arm}/{number}"]["seconds"] for number in numbers)
        lines.append(f"| {arm} | {len(values)} | {shown} | {seconds:.0f} |")
    budgets = [count for count in BUDGETS if count <= len(numbers)]
    lines += ["", f"| expected best of draws | {' | '.join(map(str, budgets))} |", "|---" * (len(budgets) + 1) + "|"]
    for arm, values in found.items():
        lines.append(f"| {arm} | {' | '.join(f'{best_of(values, count):.1f}' for count in budgets)} |")
    return "\n".join([*lines, "", *objectives(rows, numbers), "", *remarks(rows, numbers, found)])


def objectives(rows: Mapping[str, Row], numbers: Sequence[int]) -> list[str]:
    """Medians of both arms by objective."""
    lines = ["| objective | draws | median, health off | median, health on |", "|---|---|---|---|"]
    for name in OBJECTIVES:
        own = [number for number in numbers if draw_settings(number).objective == name]
        if own:
            middle = [f"{median(rows[f'{arm}/{number}']['frechet'] for number in own):.1f}" for arm in ARMS]
            lines.append(f"| `{name}` | {len(own)} | {middle[0]} | {middle[1]} |")
    return lines


def remarks(rows: Mapping[str, Row], numbers: Sequence[int], found: Mapping[str, list[float]]) -> list[str]:
    """The pairs in words, and what the figures rest on."""
    better = sum(on * NOTICED < off for off, on in zip(found["off"], found["on"], strict=True))
    worse = sum(off * NOTICED < on for off, on in zip(found["off"], found["on"], strict=True))
    low, high = ratio_interval(found["on"], found["off"])
    own = [rows[f"on/{number}"] for number in numbers]
    last = median(float(row["last_frechet" if "last_frechet" in row else "frechet"]) for row in own)
    ratio = median(found["on"]) / median(found["off"])
    return [
        f"Of {len(own)} pairs, health made {better} better and {worse} worse by more than {NOTICED - 1:.0%} (exact p "
        f"{shared.mcnemar(better, worse):.2g}); the ratio of the medians, on over off, is {ratio:.2f} (95 % interval "
        f"{low:.2f} to {high:.2f}). Judged by their last generator instead of the best one on disk, the runs with "
        f"health on have a median of {last:.1f}. Blank images are at {own[0]['blank']:.1f}; the judge is right on "
        f"{own[0]['judge_accuracy']:.1%} of the test images at this size.",
    ]


def options_from(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = shared.parser_of(__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args(arguments)
    options.work = WORK
    if options.quick:
        options.work, options.draws, options.images = WORK / "quick", 6, 2_000
        shutil.rmtree(options.work, ignore_errors=True)
    options.out = options.out or (options.work / "results.jsonl" if options.quick else RESULTS)
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, or write the table."""
    options = options_from(arguments)
    if options.table:
        shared.write_table(shared.PAGE, "tuning_budget", table(shared.read_rows(options.out)))
        return
    done = {key for key, row in shared.read_rows(options.out).items() if row["images"] == options.images}
    missing = [cell for cell in cells(options) if cell.key not in done and shared.asked(cell.arm, options.only)]
    work = functools.partial(play, work=options.work)
    shared.run_all(work, missing, options.out, options.jobs, options.limit_minutes)
    rows = shared.read_rows(options.out)
    if balanced(rows):
        print(table(rows))


if __name__ == "__main__":
    main()
