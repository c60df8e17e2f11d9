"""The leaderboard: seconds to a fixed quality on MNIST and Fashion-MNIST, a line in ``dev/LEADERBOARD.md`` a try.

    python benchmarks/peers_leaderboard.py mnist --minutes 3
    python benchmarks/peers_leaderboard.py fashion-mnist --minutes 3 --recipe dcgan

A try is ``steadygan train DATA --minutes M --recipe R``, from the call on, planning included. At times that grow by a
fifth the clock is held and 5,000 samples of the average are judged by a network that the run never sees: on MNIST the
LeNet of ``judge.py``, on Fashion-MNIST the classifier of ``ward_judge.py``, which looks at 16x16 pixels. The try ends
with the first look at or below the set's distance, and only then is a line added; the fastest stands first.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import judge
import numpy as np
import torch
import ward_judge
from peers import commit, machine
from torch import Tensor
from torch.nn import functional as F

from steadygan import api
from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics
from steadygan.runtime.folder import RunFolder
from steadygan.session.running import Run
from steadygan.session.watching import Silent

BOARD = Path(__file__).resolve().parents[1] / "dev" / "LEADERBOARD.md"
DISTANCES = {"mnist": 10.0, "fashion-mnist": 20.0}
"""What is to be reached on each set, in its judge's features."""
SAMPLES, CHUNK = 5_000, 500
FIRST_LOOK, GROWTH = 5.0, 1.2
HEADS = ("seconds", "of the processor", "images seen", "distance", "threads", "command", "commit", "machine", "date")


class Reached(Exception):
    """The quality is there."""


class Look(NamedTuple):
    """A distance, and the clock when it was taken."""

    wall: float
    cpu: float
    images_seen: int
    distance: float


class Distance:
    """Fréchet distance of samples (N, 1, 28, 28) in [-1, 1] to the test images of a set, in its judge's features."""

    def __init__(self, data: str) -> None:
        self.data = data
        self.features = ward_judge.features_of(data)
        folder = str(judge.data_folder() / data)
        real = open_data(DataConfig(source=data, split="test", folder=folder)).images
        self.reference = self._statistics(torch.from_numpy(np.array(real)).float() / 127.5 - 1)

    def __call__(self, images: Tensor) -> float:
        """The distance; infinite where an image is not finite."""
        if not bool(images.isfinite().all()):
            return float("inf")
        return frechet_distance(*self._statistics(images), *self.reference)

    @torch.no_grad()
    def _statistics(self, images: Tensor) -> tuple[Tensor, Tensor]:
        rounded = ((images + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
        if self.data != "mnist":
            rounded = F.interpolate(rounded, ward_judge.SIZE, mode="bilinear", antialias=True)
        features = torch.cat([self.features(chunk) for chunk in torch.split(rounded, CHUNK)])
        return gaussian_statistics(features.double())


class Race(Silent):
    """Looks at the run from time to time, the clock held.

    Args:
        distance: of samples.
        enough: the distance at which the race ends.
        now: seconds by the wall and of the processor.
    """

    def __init__(
        self, distance: Callable[[Tensor], float], enough: float, now: Callable[[], tuple[float, float]]
    ) -> None:
        self.distance, self.enough, self.now = distance, enough, now
        self.samples: Callable[[int], Tensor] = torch.empty
        self.start, self.due = now(), FIRST_LOOK
        self.last: Look | None = None

    def record(self, line: Mapping[str, Any], pace: object, health: str) -> None:
        """Look where it is time to. Raises Reached at the goal."""
        if self.now()[0] - self.start[0] >= self.due:
            self._look(int(line["images_seen"]))

    def end(self, images_seen: int) -> None:
        """Look once more when the run is over. Raises Reached at the goal."""
        self._look(images_seen)

    def _look(self, images_seen: int) -> None:
        before = self.now()
        wall, cpu = (one - start for one, start in zip(before, self.start, strict=True))
        self.last = Look(wall, cpu, images_seen, self.distance(self.samples(SAMPLES)))
        print(f"{wall:8.1f} s  {images_seen:9,} images  {self.last.distance:9.2f}", flush=True)
        if self.last.distance <= self.enough:
            raise Reached
        self.due = wall * GROWTH
        wall_held, cpu_held = (one - then for one, then in zip(self.now(), before, strict=True))
        self.start = (self.start[0] + wall_held, self.start[1] + cpu_held)


def clocks() -> tuple[float, float]:
    """Seconds by the wall and of the processor."""
    return time.perf_counter(), time.process_time()


def race(options: argparse.Namespace) -> Look | None:
    """One try; None where the quality was not reached."""
    watcher = Race(Distance(options.data), DISTANCES[options.data], clocks)
    watcher.start = clocks()
    given = [f"data.folder={judge.data_folder() / options.data}"]
    given += [f"threads={options.threads}"] if options.threads else []
    planned = api.plan(options.data, recipe=options.recipe, minutes=options.minutes, seed=options.seed, set=given)
    options.threads = planned.config.threads
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place) / "run")
        run = Run(folder, planned.config, planned.data, watcher)
        folder.create(planned.config.model_dump_json(indent=1))
        watcher.samples = lambda count: run.wired.sample(count, 0)
        try:
            run.conduct()
        except Reached:
            return watcher.last
    return None


def line(look: Look, options: argparse.Namespace) -> str:
    """The try as a row of the board."""
    command = f"steadygan train {options.data} --minutes {options.minutes:g}"
    command += "" if options.recipe == "auto" else f" --recipe {options.recipe}"
    command += f" --seed {options.seed}"
    cells = [
        f"{look.wall:.1f}",
        f"{look.cpu:.1f}",
        f"{look.images_seen:,}",
        f"{look.distance:.2f}",
        str(options.threads),
    ]
    cells += [f"`{command}`", f"`{commit()}`", machine(), dt.datetime.now(dt.UTC).date().isoformat()]
    return f"| {' | '.join(cells)} |"


def marks(data: str) -> tuple[str, str]:
    """What stands around a set's table."""
    return f"<!-- {data} -->", f"<!-- end of {data} -->"


def with_line(text: str, data: str, row: str) -> str:
    """The board with one row more, fastest first."""
    begin, end = marks(data)
    before, _, rest = text.partition(begin)
    inside, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"the board has not got both {begin} and {end}")
    rows = [one for one in inside.splitlines() if one.startswith("| ") and one[2].isdigit()]
    rows = sorted([*rows, row], key=lambda one: float(one.split("|")[1]))
    head = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    table = "\n".join([*head, *rows])
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def main(arguments: list[str] | None = None) -> None:
    """One try, and its line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=list(DISTANCES))
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=0, help="0: as a run chooses them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--board", type=Path, default=BOARD)
    options = parser.parse_args(arguments)
    found = race(options)
    if found is None:
        print(f"{DISTANCES[options.data]:g} was not reached; no line is added")
        return
    row = line(found, options)
    options.board.write_text(with_line(options.board.read_text(encoding="utf-8"), options.data, row), encoding="utf-8")
    print(row)


if __name__ == "__main__":
    main()
