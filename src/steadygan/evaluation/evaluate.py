"""Measuring fakes against reals: one pass over the features for all metrics, each value with floor and protocol."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.features.reading import FeatureNetwork, read
from steadygan.evaluation.material import Measured, Side
from steadygan.evaluation.metrics_table import METRICS
from steadygan.evaluation.protocol import Protocol, Value
from steadygan.evaluation.reference import FEWEST, LOOKED_AT, Reference

Draw = Callable[[int], Iterable[Tensor]]
"""From a seed to that seed's fakes: batches (n, C, H, W) uint8."""


def look(network: FeatureNetwork, batches: Iterable[Tensor]) -> Side:
    """The fake side: one pass through the feature network, the first images kept for metrics that look at pixels.

    Raises:
        SteadyganError: for fewer than ten images, or features that are not finite.
    """
    kept: list[Tensor] = []
    count = 0

    def passing() -> Iterator[Tensor]:
        nonlocal count
        for batch in batches:
            if count < LOOKED_AT:
                kept.append(batch[: LOOKED_AT - count])
            count += len(batch)
            yield batch

    reading = read(network, passing())
    if count < FEWEST:
        raise SteadyganError(f"{count} fake image(s) are too few to measure", f"give at least {FEWEST}, better 1,000")
    return Side(reading, torch.cat(kept))


def evaluate(
    reference: Reference,
    draw: Draw,
    names: Sequence[str],
    *,
    seeds: Sequence[int] = (0,),
    averaged: bool | None = None,
) -> list[Value]:
    """Measure the fakes of every seed by every metric.

    Args:
        reference: the reals, and the feature network for both sides.
        draw: gives the fakes of a seed.
        names: of metrics, in the table.
        seeds: one measurement each; the value is their mean, the spread their standard deviation.
        averaged: whether the averaged generator makes the fakes; None for files.

    Returns:
        One value for every column of every metric.

    Raises:
        SteadyganError: for images, features or metrics that do not fit one another.
    """
    return measure_sides(
        reference, lambda seed: look(reference.network, draw(seed)), names, seeds=seeds, averaged=averaged
    )


def measure_sides(
    reference: Reference,
    side: Callable[[int], Side],
    names: Sequence[str],
    *,
    seeds: Sequence[int] = (0,),
    averaged: bool | None = None,
) -> list[Value]:
    """The same of fakes that have been looked at: ``side`` gives those of a seed."""
    wanted = tuple(names)
    _check(reference, wanted)
    found: dict[str, list[Measured]] = {}
    count = 0
    for seed in seeds:
        fake = side(seed)
        count = len(fake.features)
        material = reference.material(fake, wanted)
        for name in wanted:
            for column, measured in METRICS[name].function(material).items():
                found.setdefault(column, []).append(measured)
    protocol = _protocol(reference, count, tuple(seeds), averaged)
    return [_value(name, column, found[column], reference, protocol) for name in wanted for column in _columns(name)]


def _check(reference: Reference, names: tuple[str, ...]) -> None:
    """Raise SteadyganError for what a metric needs and cannot have, before any fake is made."""
    needs = frozenset[str]().union(*(METRICS[name].needs for name in names))
    if "probabilities" in needs and reference.real.reading.probabilities is None:
        classes = [name for name in names if "probabilities" in METRICS[name].needs]
        raise SteadyganError(
            f"{', '.join(classes)} cannot be measured: the features {reference.network.name!r} know no classes",
            "use inception, or the judge of labelled data",
        )
    if "held_out" in needs and not len(reference.data.held_out):
        raise SteadyganError(f"{reference.data.name} has no held-out images to tell copies by", "raise data.held_out")


def _columns(name: str) -> Iterable[str]:
    return METRICS[name].columns


def _value(name: str, column: str, measured: list[Measured], reference: Reference, protocol: Protocol) -> Value:
    values = [one.value for one in measured]
    errors = [one.error for one in measured if one.error is not None]
    floor = reference.floor(name).get(column)
    return Value(
        metric=column,
        value=statistics.fmean(values),
        error=statistics.fmean(errors) if errors else None,
        spread=statistics.stdev(values) if len(values) > 1 else None,
        floor=METRICS[name].columns[column].null if floor is None else floor.value,
        protocol=protocol,
    )


def _protocol(reference: Reference, count: int, seeds: tuple[int, ...], averaged: bool | None) -> Protocol:
    data, network = reference.data, reference.network
    channels, height, width = data.shape
    return Protocol(
        features=network.name,
        features_hash=network.hash,
        resize=network.resize,
        rounding=network.rounding,
        size=f"{width}x{height}x{channels}",
        data=data.fingerprint,
        split=reference.split,
        real=len(reference.real.features),
        fake=count,
        seeds=seeds,
        averaged=averaged,
        floor_count=reference.floor_count,
    )
