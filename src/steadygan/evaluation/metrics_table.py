"""The table of metrics: each a function of the material, with what it needs, its values and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from steadygan.errors import SteadyganError, unknown
from steadygan.evaluation import measures
from steadygan.evaluation.material import Material, Measured

Need = Literal["features", "probabilities", "pixels", "training", "held_out"]
Better = Literal["lower", "higher", "like real"]
Function = Callable[[Material], Mapping[str, Measured]]


@dataclass(frozen=True)
class Column:
    """One value of a metric: what is better, its unit or range, and what it says."""

    better: Better
    unit: str
    about: str
    null: float | None = None
    """What reals score by construction, where no floor can be measured."""


@dataclass(frozen=True)
class Metric:
    """A line of the table: its values by name, what it needs, and the function."""

    columns: Mapping[str, Column]
    needs: frozenset[Need]
    function: Function


FEATURES: frozenset[Need] = frozenset({"features"})
CLASSES: frozenset[Need] = frozenset({"probabilities"})
PIXELS: frozenset[Need] = frozenset({"pixels"})
COPIES: frozenset[Need] = frozenset({"features", "training", "held_out"})


def _one(name: str, better: Better, unit: str, about: str, needs: frozenset[Need], function: Function) -> Metric:
    """A metric of one value, called as itself."""
    return Metric({name: Column(better, unit, about)}, needs, function)


METRICS: dict[str, Metric] = {
    "fid": _one(
        "fid", "lower", "0 up", "Fréchet distance of the features; falls as N grows", FEATURES, measures.measure_fid
    ),
    "fid_infinity": _one(
        "fid_infinity", "lower", "0 up", "the same for infinitely many fakes", FEATURES, measures.measure_fid_infinity
    ),
    "kid": _one(
        "kid", "lower", "0 up", "kernel distance; no bias from N, below 0 by chance", FEATURES, measures.measure_kid
    ),
    "prdc": Metric(
        {
            "precision": Column("higher", "0 to 1", "fakes that lie among reals"),
            "recall": Column("higher", "0 to 1", "reals that lie among fakes"),
            "density": Column("higher", "0 up", "how deep among reals the fakes lie; 1 as real"),
            "coverage": Column("higher", "0 to 1", "reals with a fake near by"),
        },
        FEATURES,
        measures.measure_prdc,
    ),
    "is": _one(
        "is", "higher", "1 to classes", "inception score: sure and varied classes", CLASSES, measures.measure_is
    ),
    "vendi": _one(
        "vendi", "like real", "1 to N", "effective number of different images", FEATURES, measures.measure_vendi
    ),
    "diversity": _one(
        "diversity",
        "like real",
        "ratio",
        "mean distance of fakes over that of reals",
        FEATURES,
        measures.measure_diversity,
    ),
    "swd": _one("swd", "lower", "0 up", "sliced Wasserstein distance of the features", FEATURES, measures.measure_swd),
    "ms_ssim": _one(
        "ms_ssim",
        "like real",
        "-1 to 1",
        "likeness of two fakes less that of two reals",
        PIXELS,
        measures.measure_ms_ssim,
    ),
    "ndb": _one(
        "ndb", "lower", "0 to 1", "bins that fakes fill differently; .05 by chance", FEATURES, measures.measure_ndb
    ),
    "classes": Metric(
        {
            "modes": Column("higher", "classes", "classes that occur among the fakes"),
            "mode_kl": Column("lower", "nats", "divergence of the fakes' class shares from the reals'"),
        },
        CLASSES,
        measures.measure_classes,
    ),
    "memorisation": Metric(
        {
            "memorised": Column("like real", "share", "fakes nearer to training than to held-out, beyond chance", 0.0),
            "copying": Column("like real", "z", "below -3: fakes lie too near to training images", 0.0),
        },
        COPIES,
        measures.measure_memorisation,
    ),
    "duplicates": _one(
        "duplicates",
        "like real",
        "share",
        "fakes with a near twin among the fakes",
        FEATURES,
        measures.measure_duplicates,
    ),
    "spectrum": Metric(
        {
            "spectrum": Column("lower", "dB", "difference of the mean spectra over all frequencies"),
            "checkerboard": Column("like real", "dB", "excess of power at and next to the highest frequency"),
        },
        PIXELS,
        measures.measure_spectrum,
    ),
}
"""Metrics by name. A new one is a function, and a line here."""


def choose(names: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """The metrics named, in order and once each; ``all`` for the whole table.

    Raises:
        SteadyganError: for a name in no table, or none at all.
    """
    given = names.split(",") if isinstance(names, str) else list(names)
    wanted = [name.strip().lower() for name in given if name.strip()]
    if not wanted:
        raise SteadyganError("no metric is named", f"choose from {', '.join(METRICS)}")
    if "all" in wanted:
        return tuple(METRICS)
    for name in wanted:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    return tuple(dict.fromkeys(wanted))


def column(name: str) -> Column | None:
    """The column of a value by its name, whichever metric it belongs to."""
    return next((metric.columns[name] for metric in METRICS.values() if name in metric.columns), None)
