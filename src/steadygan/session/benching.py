"""How near to what the machine can do the rounds of a run come, and where the rest of the time goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.profiler import record_function

from steadygan.config import RunConfig
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.loop import loop
from steadygan.game.round import Record
from steadygan.runtime import devices, roofline
from steadygan.runtime.roofline import RANGE, Ceiling, Clock
from steadygan.session.planning import with_capacity
from steadygan.session.wiring import Wired, prepare, wire

ROWS = 4096
"""Random images that rounds are played on: what they show does not change the time."""
FEWEST = 3
"""Blocks of rounds that are timed at least, whatever time was given."""
WARM_UP = 2
BLOCK, AGAIN = 0.3, 0.1
"""Seconds of a block of rounds, and of the measurement of the ceiling before it."""
USUAL = ("dcgan", "sngan", "r3", "style")
"""Recipes that are measured where none is named: one of each kind of network."""
NOT_COUNTED = (
    "operations of elementwise layers, normalisation, resampling, optimizers and averages count nothing; bytes are "
    "those of every operator's tensors, as if no cache kept any; rounds without a record, a picture or a checkpoint"
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """One network at one batch and number of threads; rates in operations and bytes a second, seconds a round.

    ``fraction`` is the rate of the round over that of the fastest convolution, which is measured again before every
    block. ``within`` is the same for the time inside convolutions and matrix products alone, so that ``fraction`` is
    about ``within`` times their share: it says whether shapes or everything else keep a round below the ceiling.
    """

    recipe: str
    shape: tuple[int, int, int]
    capacity: int
    batch: int
    threads: int
    precision: str
    seconds: float
    images_a_second: float
    operations: int
    bytes: int
    rate: float
    ceiling: float
    fraction: float
    least: float
    most: float
    within: float
    bandwidth: float
    shares: dict[str, float]


@dataclass(frozen=True)
class Bench:
    """Ceilings by number of threads, and the cells."""

    device: str
    torch: str
    precision: str
    clock: str
    ceilings: dict[int, dict[str, Any]]
    cells: list[Cell]
    not_counted: str = NOT_COUNTED

    def tree(self) -> dict[str, Any]:
        """The whole as plain values."""
        return asdict(self)


def random_data(shape: tuple[int, int, int]) -> DataSet:
    """Random bytes in memory, with two classes."""
    rows = np.arange(ROWS, dtype=np.int64)
    images = np.random.default_rng(0).integers(0, 256, (ROWS, *shape), dtype=np.uint8)
    return DataSet("random", images, rows % 2, ("a", "b"), rows, rows[:0], "random")


def bench(
    configs: Mapping[str, RunConfig],
    shape: tuple[int, int, int],
    *,
    batches: Sequence[int] = (64, 256),
    threads: Sequence[int] = (),
    capacity: int = 0,
    minutes: float = 2.0,
    progress: Progress | None = None,
) -> Bench:
    """Measure every config at every batch and number of threads.

    Args:
        configs: what to play, by name; device and precision are taken from the first.
        shape: C, H, W of the random images.
        batches: batch sizes.
        threads: numbers of CPU threads; none: as many as there are idle cores.
        capacity: of all networks; 0: the recipes' own.
        minutes: how long all of it should take; at least ``FEWEST`` blocks are timed of each.
        progress: told what is measured next.

    Raises:
        SteadyganError: for sizes that cannot be used.
    """
    if not configs or min([*batches, *threads, 1]) < 1 or not batches:
        raise SteadyganError("nothing to measure", "name recipes, batches and threads, each at least 1")
    if not minutes > 0:
        raise SteadyganError(f"{minutes:g} minutes are no time to measure in", "give more than 0, as --minutes 2")
    first = next(iter(configs.values()))
    device = devices.choose_device(first.device)
    precision = devices.choose_precision(first.precision, device)
    counts = list(threads) or [devices.idle_cores()]
    seconds = 60 * minutes / (len(counts) * len(configs) * len(batches))
    data, cells, ceilings, clock = random_data(shape), list[Cell](), dict[int, dict[str, Any]](), ""
    for number in counts:
        with devices.computing(number, deterministic=first.deterministic):
            clock = Clock(device).name
            convolution, ceilings[number] = _ceilings(device, precision)
            for name, config in configs.items():
                for batch in batches:
                    if progress:
                        progress(f"{name}, batch {batch}, {number} threads")
                    sized = _sized(config, data, batch, number, capacity)
                    cells.append(_cell(name, sized, data, convolution, seconds))
    about = (devices.describe(device), torch.__version__, str(precision).removeprefix("torch."), clock)
    return Bench(*about, ceilings, cells)


def _ceilings(device: torch.device, precision: torch.dtype) -> tuple[Ceiling, dict[str, Any]]:
    convolution = roofline.convolution_ceiling(device, precision)
    matrix, copy = roofline.matrix_ceiling(device, precision), roofline.copy_ceiling(device)
    known = {"convolution": convolution, "matrix": matrix, "copy": copy}
    return convolution, {name: {"rate": one.rate, "shape": one.shape} for name, one in known.items()}


def _sized(config: RunConfig, data: DataSet, batch: int, threads: int, capacity: int) -> RunConfig:
    endless = {"batch": batch, "threads": threads, "record_every": 10**12, "images": 10**12}
    sized = config.model_copy(update=endless | {"health": config.health.model_copy(update={"mode": "off"})})
    return prepare(with_capacity(sized, capacity) if capacity else sized, data)


def _cell(name: str, config: RunConfig, data: DataSet, ceiling: Ceiling, seconds: float) -> Cell:
    """One of them, timed in blocks that each follow a measurement of the ceiling."""
    wired = wire(config, data)
    rounds = loop(wired.state, wired.moves, wired.draw)
    clock = Clock(wired.device)

    def play() -> Record:
        return next(rounds)

    start = time.perf_counter()
    for _ in range(WARM_UP):
        play()
    work = roofline.count(play)
    once = clock.seconds(play)
    times = max(1, round(BLOCK / once))
    blocks: list[tuple[float, float]] = []
    while len(blocks) < FEWEST or time.perf_counter() - start < seconds * 0.8:
        with torch.no_grad():
            now = ceiling.again(clock, max(1, round(AGAIN * ceiling.rate / ceiling.work)))
        blocks.append((clock.seconds(play, times), now))
    shares = roofline.shares(_named(wired), wired.device)
    took = statistics.median(block[0] for block in blocks)
    fractions = [work.total / spent / rate for spent, rate in blocks]
    fraction = statistics.median(fractions)
    network = max(player.network.capacity for player in config.players.values())
    return Cell(
        recipe=name,
        shape=data.shape,
        capacity=network,
        batch=config.batch,
        threads=config.threads,
        precision=str(wired.state.setting.autocast or config.precision).removeprefix("torch."),
        seconds=took,
        images_a_second=config.batch / took,
        operations=work.total,
        bytes=work.bytes,
        rate=work.total / took,
        ceiling=statistics.median(block[1] for block in blocks),
        fraction=fraction,
        least=min(fractions),
        most=max(fractions),
        within=fraction / max(1e-9, shares["convolution"] + shares["matrix"]),
        bandwidth=work.bytes / took,
        shares=shares,
    )


def _named(wired: Wired) -> Callable[[], Record]:
    """The next round, with what the profile keeps apart named."""
    state = wired.state

    def named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def inside(*given: Any) -> Any:
            with record_function(RANGE + name):
                return function(*given)

        return inside

    for optimizer in state.optimizers.values():
        optimizer.step = named("optimizer", optimizer.step)  # type: ignore[method-assign]
    for average in state.averages.values():
        average.update = named("average", average.update)  # type: ignore[method-assign]
    rounds: Iterator[Record] = loop(state, wired.moves, named("data", wired.draw))
    return lambda: next(rounds)
