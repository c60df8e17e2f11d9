"""The cells of the ward, fixed beforehand: which illness, how severe, on which data and recipe, from which seeds.

``tune`` is for setting thresholds; ``score``, with other severities, seeds, data and recipes, is only scored.
Whoever changes a cell, a setting or a seed raises ``VERSION``: results of other versions are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from steadygan.config import RunConfig
from steadygan.health import illness_data, illness_moves
from steadygan.health.illnesses import ILLNESSES, parse

VERSION = 9
HALVES = ("tune", "score")
SEVERITIES = {"tune": (1.0, 2.0, 3.0), "score": (1.5, 2.5, 3.25)}
FIRST_SEED = {"tune": 0, "score": 8000}
SEEDS = 5
CHECK_UPS = 40
BATCH = 64
"""Of every recipe at these sizes."""
HEALTHY_SEEDS = {"tune": 1, "score": 3}
"""Healthy runs of a setting in which nobody falls ill; where somebody does there are ``SEEDS``."""
RATES = ("generator.optimizer.learning_rate", "discriminator.optimizer.learning_rate")
WIDTHS = ("generator.network.capacity", "discriminator.network.capacity")


@dataclass(frozen=True)
class Setting:
    """A data set, a recipe made small and quick, and the budget in images, about ``seconds`` long on one thread."""

    data: str
    recipe: str
    images: int
    seconds: float
    capacity: int = 0
    rate: float = 0.0

    @property
    def settings(self) -> tuple[str, ...]:
        """What differs from the recipe, as for ``--set``."""
        widths = [f"{name}={self.capacity}" for name in WIDTHS if self.capacity]
        return (*widths, *(f"{name}={self.rate}" for name in RATES if self.rate))


def _settings() -> dict[str, Setting]:
    """Every recipe on the digits, MNIST and Fashion-MNIST; ``digits`` and ``r3`` are one family."""
    found = {
        f"digits-{name}": Setting("digits", name, images, seconds, capacity, rate)
        for name, (images, seconds, capacity, rate) in ON_DIGITS.items()
    }
    for data in ("mnist", "fashion-mnist"):
        for name, (images, seconds, capacity, rate) in AT_16_PIXELS.items():
            found[f"{data}-{name}"] = Setting(data, name, images, seconds, capacity, rate)
    return found


ON_DIGITS: dict[str, tuple[int, float, int, float]] = {
    "digits": (40_000, 25, 8, 0.0),
    "dcgan": (80_000, 14, 8, 0.0),
    "lsgan": (80_000, 15, 8, 0.0),
    "mlp": (150_000, 13, 0, 6e-4),
    "wgan": (150_000, 15, 8, 1e-3),
    "wgan-gp": (120_000, 15, 8, 2e-3),
    "sngan": (30_000, 16, 8, 2e-3),
}
"""Images, seconds of a processor, capacity, and learning rate of both players; 0 leaves the recipe's own."""
AT_16_PIXELS: dict[str, tuple[int, float, int, float]] = {
    "r3": (35_000, 28, 6, 0.0),
    "dcgan": (70_000, 20, 8, 2e-3),
    "lsgan": (70_000, 20, 8, 2e-3),
    "mlp": (150_000, 22, 0, 1e-3),
    "wgan": (80_000, 24, 8, 1e-3),
    "wgan-gp": (80_000, 28, 8, 2e-3),
    "sngan": (40_000, 56, 4, 2e-3),
}
SETTINGS = _settings()

A, B, C = "digits-digits", "digits-dcgan", "mnist-dcgan"
P, Q = "mnist-r3", "digits-wgan-gp"
D, E, F, G, H = "mnist-r3", "digits-lsgan", "fashion-mnist-dcgan", "digits-digits", "fashion-mnist-r3"

WARD: dict[str, tuple[tuple[str, str, str], tuple[str, str, str]]] = {
    "generator-rate": ((A, B, C), (D, F, E)),
    "discriminator-rate": ((B, C, A), (F, E, D)),
    "momentum": ((C, A, B), (E, D, F)),
    "strong-discriminator": ((A, B, C), (G, F, D)),
    "weak-discriminator": ((B, C, A), (D, E, F)),
    "no-penalty": ((A, P, Q), (D, H, G)),
    "tiny-batch": ((B, A, C), (F, D, E)),
    "bursts": ((C, B, A), (G, E, F)),
    "corrupt-batches": ((A, C, B), (F, D, E)),
    "duplicates": ((B, A, C), (E, F, G)),
    "small-data": ((C, B, A), (F, G, E)),
    "batch-norm": ((A, P, Q), (G, D, H)),
    "heavy-penalty": ((P, A, Q), (H, G, D)),
    "saturation": ((A, B, C), (D, E, F)),
    "checkerboard": ((B, C, A), (E, F, D)),
    "weight-clip": ((C, A, B), (F, D, E)),
    "rate-drift": ((A, B, C), (E, G, F)),
    "data-shift": ((B, C, A), (F, E, D)),
    "top-k": ((C, A, B), (D, F, G)),
    "collapse": ((A, B, C), (F, E, D)),
}
"""Of each illness the settings of its three severities, of the half that tunes and of the half that is scored."""

QUICK = ("generator-rate", "momentum", "bursts", "checkerboard", "duplicates", "collapse")
QUICK_ILL, QUICK_HEALTHY = ("digits-digits", "digits-dcgan"), ("digits-digits", "digits-dcgan", "digits-mlp")


class Unit(NamedTuple):
    """A seed of a cell; ``illness`` is empty, and ``severity`` 0, where the run is healthy."""

    half: str
    illness: str
    severity: float
    setting: str
    seed: int

    @property
    def key(self) -> str:
        """Its name, which no other unit has."""
        return f"{self.half}/{self.sicken or 'healthy'}/{self.setting}/{self.seed}"

    @property
    def sicken(self) -> str:
        """The illness as ``--sicken`` takes it; empty for healthy."""
        return f"{self.illness}:{self.severity:g}" if self.illness else ""


def names() -> list[str]:
    """The illnesses of the ward."""
    return list(WARD)


def units() -> list[Unit]:
    """Every unit, the first seed of all cells before the second of any, so that any beginning is a fair sample."""
    found: list[Unit] = []
    for turn in range(SEEDS):
        for half in HALVES:
            found += [Unit(half, "", 0.0, setting, seed) for setting, seed in _healthy(half, turn)]
        for place in range(3):
            for illness in WARD:
                found += [_ill(half, illness, place, turn) for half in HALVES]
    return found


def ill_settings(half: str) -> set[str]:
    """The settings in which somebody falls ill in a half."""
    return {setting for cell in WARD.values() for setting in cell[HALVES.index(half)]}


def quick() -> list[Unit]:
    """A few illnesses on the digits, one seed each, and three healthy recipes."""
    found = [Unit("tune", "", 0.0, setting, seed) for seed in range(2) for setting in QUICK_HEALTHY]
    cells = zip(QUICK, QUICK_ILL * len(QUICK), (3.0, 2.0) * len(QUICK), strict=False)
    return found + [Unit("tune", illness, severity, setting, 0) for illness, setting, severity in cells]


def onset(sicken: str, config: RunConfig) -> int:
    """Images at which an illness first shows: 0 but for those that wait for their place on the clock."""
    if sicken.startswith("data-shift"):
        return int(illness_data.SHIFT_AT * config.images)
    if sicken.startswith("bursts"):
        illness, severity = parse(sicken)
        number = max(1, round(illness.parameter(severity)))
        drawn = config.batch * max(player.steps for player in config.players.values())
        return min(illness_moves.burst_rounds(config.seed, 0, number, config.images // drawn)) * drawn
    return 0


def between_check_ups(unit: Unit) -> int:
    """Images between two check-ups: ``CHECK_UPS`` a run, closer than by default since the runs are short."""
    return max(1, round(SETTINGS[unit.setting].images / CHECK_UPS))


def expected(illness: str) -> tuple[str, ...]:
    """The diagnoses that name an illness rightly."""
    return ILLNESSES[illness].expected


def _healthy(half: str, turn: int) -> list[tuple[str, int]]:
    busy, fewest = ill_settings(half), HEALTHY_SEEDS[half]
    seed = FIRST_SEED[half] + turn
    return [(setting, seed) for setting in SETTINGS if turn < (SEEDS if setting in busy else fewest)]


def _ill(half: str, illness: str, place: int, turn: int) -> Unit:
    setting = WARD[illness][HALVES.index(half)][place]
    return Unit(half, illness, SEVERITIES[half][place], setting, FIRST_SEED[half] + turn)
