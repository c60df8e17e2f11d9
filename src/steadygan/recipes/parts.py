"""Pieces that several recipes share."""

from __future__ import annotations

from typing import Any

from steadygan.config import (
    AugmentationConfig,
    NetworkConfig,
    OptimizerConfig,
    PlayerConfig,
    RunConfig,
    ScheduleConfig,
    constant,
)
from steadygan.recipes.facts import DataFacts


def player(
    network: str,
    capacity: int,
    *,
    rate: float | ScheduleConfig = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    optimizer: str = "adam",
    steps: int = 1,
    **options: Any,
) -> PlayerConfig:
    """A player with its network and its optimizer; ``options`` go to the network."""
    schedule = rate if isinstance(rate, ScheduleConfig) else constant(rate)
    return PlayerConfig(
        network=NetworkConfig(name=network, capacity=capacity, **options),
        optimizer=OptimizerConfig(name=optimizer, learning_rate=schedule, beta1=betas[0], beta2=betas[1]),
        steps=steps,
    )


def scarce(facts: DataFacts) -> AugmentationConfig:
    """Adaptive augmentation for sets so small that a discriminator learns them by heart; none for others."""
    if facts.count >= 20_000:
        return AugmentationConfig()
    return AugmentationConfig(policy=("translate", "cutout"), adaptive=True, speed=100_000)


def batch_for(facts: DataFacts) -> int:
    """64 for images up to 64 x 64, fewer for larger ones so that memory is enough, and never over half the set."""
    size = 64 if facts.pixels <= 64 * 64 else 32 if facts.pixels <= 128 * 128 else 16
    half = max(2, facts.count // 2)
    return min(size, 1 << (half.bit_length() - 1))


def run(recipe: str, facts: DataFacts, players: dict[str, PlayerConfig], **settings: Any) -> RunConfig:
    """A run of ``recipe`` on the data of ``facts``."""
    settings = {"batch": batch_for(facts), **settings}
    return RunConfig(recipe=recipe, data=facts.config, players=players, shape=facts.shape, **settings)
