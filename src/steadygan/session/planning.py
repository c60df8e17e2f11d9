"""Planning: from minutes and this machine's measured speed to size, length and intervals; then all is fixed."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from steadygan.config import RunConfig
from steadygan.data.dataset import DataSet
from steadygan.game.loop import loop
from steadygan.runtime import agreement, devices, processes
from steadygan.session.wiring import Wired, wire

SHARE = 0.92
"""Share of the given time that rounds may take; pictures, checkpoints and start-up get the rest."""

FEW_ROUNDS = 2_000
"""A run of fewer rounds than this learns more from smaller batches."""
MANY_ROUNDS = 60_000
"""A run of more rounds than this may as well use larger batches, where they are faster an image."""
SMALLEST_BATCH = 16
PLACES = (0.05, 0.35, 0.65, 0.95)
"""Shares of a run at which its pace is measured."""
BETWEEN_CHECK_UPS = 96
"""Fewest rounds between two check-ups."""


@dataclass(frozen=True)
class Trial:
    """A measured config: its capacity, and images a second."""

    config: RunConfig
    capacity: int
    pace: float


def measure(config: RunConfig, data: DataSet, seconds: float = 1.5) -> float:
    """Images a second of this config here: rounds are played for ``seconds`` after a warm-up and thrown away.

    They are played at several places of a run, since networks that grow cost more the later it is.
    """
    # no record is due within the trial; one that is would be an exception, not the pace
    well = config.health.model_copy(update={"mode": "off"})
    trial = config.model_copy(update={"record_every": 10**12, "images": 10**12, "health": well})
    wired = wire(trial, data)
    with devices.computing(config.threads, deterministic=config.deterministic):
        took = [_seconds_an_image(wired, place, seconds / len(PLACES)) for place in PLACES]
    return len(took) / sum(took)


def _seconds_an_image(wired: Wired, place: float, seconds: float) -> float:
    """What an image takes at a place of the run, after one round of warm-up."""
    state, batch = wired.state, wired.config.batch
    state.images_seen = int(place * wired.config.images) // batch * batch
    rounds = loop(state, wired.moves, wired.draw)
    next(rounds)
    devices.settle(wired.device)
    start, first = time.perf_counter(), state.images_seen
    for record in rounds:
        devices.settle(wired.device)
        spent = agreement.agree(time.perf_counter() - start)
        if spent >= seconds:
            return spent / (record.images_seen - first)
    raise AssertionError("the loop of a trial never ends")


def with_capacity(config: RunConfig, capacity: int) -> RunConfig:
    """The config with every player's network at ``capacity``."""
    players = {
        name: player.model_copy(update={"network": player.network.model_copy(update={"capacity": capacity})})
        for name, player in config.players.items()
    }
    return config.model_copy(update={"players": players})


def idle_cores() -> int:
    """Idle cores for this process: several on one machine share them."""
    return agreement.agree(max(1, devices.idle_cores() // processes.neighbours()))


def choose_threads(config: RunConfig, data: DataSet) -> RunConfig:
    """The fastest number of threads among all idle cores and half of them; small networks lose with many."""
    free = idle_cores()
    options = sorted({free, max(1, free // 2)})
    if config.threads or len(options) == 1:
        return config.model_copy(update={"threads": config.threads or free})
    tried = [config.model_copy(update={"threads": count}) for count in options]
    return max(tried, key=lambda one: measure(one, data, 1.0))


def fit_to_minutes(
    config: RunConfig, data: DataSet, minutes: float, free: Collection[str]
) -> tuple[RunConfig, list[Trial]]:
    """The config for a run that ends within ``minutes``, and the measurements that it rests on.

    ``free`` says what the plan may choose: ``capacity``, ``batch``. The largest of half, once, twice and four times the
    recipe's capacity is taken at which the time is enough for the recipe's own number of images; where none is, the
    smallest. Then the batch is halved while the run would have fewer than ``FEW_ROUNDS`` rounds, and doubled while it
    would have more than ``MANY_ROUNDS`` and the device gains by it. The length is what the time allows.
    """
    seconds = minutes * 60 * SHARE
    base = max(player.network.capacity for player in config.players.values())
    sizes = sorted({max(4, base // 2), base, base * 2, base * 4}) if "capacity" in free else [base]
    trials: list[Trial] = []
    for capacity in sizes:
        sized = with_capacity(config, capacity) if "capacity" in free else config
        trials.append(_try(sized, data, capacity))
        if trials[-1].pace * seconds < config.images:
            break
    chosen = ([trial for trial in trials if trial.pace * seconds >= config.images] or trials[:1])[-1]
    if "batch" in free:
        chosen = _fit_batch(chosen, data, seconds, trials)
    batch = chosen.config.batch
    images = max(batch, int(chosen.pace * seconds) // batch * batch)
    return chosen.config.model_copy(update={"images": images}), trials


def _try(config: RunConfig, data: DataSet, capacity: int) -> Trial:
    return Trial(config, capacity, measure(config, data))


def _fit_batch(chosen: Trial, data: DataSet, seconds: float, trials: list[Trial]) -> Trial:
    """Another batch where rounds would be too few, or so many that larger ones, done faster, serve better."""
    least = processes.count() * chosen.config.accumulate * chosen.config.packing
    while chosen.pace * seconds / chosen.config.batch < FEW_ROUNDS and chosen.config.batch > SMALLEST_BATCH:
        if chosen.config.batch // 2 % least:
            break
        trials.append(_try(with_batch(chosen.config, chosen.config.batch // 2), data, chosen.capacity))
        chosen = trials[-1]
    while chosen.pace * seconds / chosen.config.batch > MANY_ROUNDS and chosen.config.batch * 4 <= len(data.train):
        trials.append(_try(with_batch(chosen.config, chosen.config.batch * 2), data, chosen.capacity))
        if trials[-1].pace < 1.3 * chosen.pace:
            break
        chosen = trials[-1]
    return chosen


def with_batch(config: RunConfig, batch: int) -> RunConfig:
    """The config with another batch."""
    return config.model_copy(update={"batch": batch})


def settle(config: RunConfig) -> RunConfig:
    """Intervals that were left to the plan, from the length: 400 records, 20 pictures, 20 checkpoints, 50 check-ups.

    A check-up costs about as much as two rounds, hence no more of them than one in ``BETWEEN_CHECK_UPS``.
    """
    length = config.images
    every = config.health.every or max(BETWEEN_CHECK_UPS * config.batch, length // 50)
    update = {
        "health": config.health.model_copy(update={"every": every}),
        "threads": config.threads or devices.idle_cores(),
        "record_every": config.record_every or max(config.batch, length // 400),
        "sample_every": config.sample_every or max(config.batch, length // 20),
        "checkpoint_every": config.checkpoint_every or max(config.batch, length // 20),
    }
    return config.model_copy(update=update)
