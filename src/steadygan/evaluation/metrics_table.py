"""The table of metrics: each a function of the material, with what it needs, its values and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from torch import Tensor

from steadygan.errors import SteadyganError, unknown
from steadygan.evaluation.features.reading import Reading
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics
from steadygan.evaluation.memorisation import memorisation
from steadygan.evaluation.modes import bin_test, fit_bins, mode_count
from steadygan.evaluation.spectrum import spectrum_distance

Need = Literal["features", "probabilities", "pixels", "training", "held_out"]
Better = Literal["lower", "higher", "like real"]
T = TypeVar("T")


class Measured(NamedTuple):
    """A value and, where the estimator has one, its standard error."""

    value: float
    error: float | None = None


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison.

    Attributes:
        reading: features and probabilities of all its images.
        images: the first of them as they are, (n, C, H, W) uint8, for metrics that look at pixels.
    """

    reading: Reading
    images: Tensor
    _kept: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, computed the first time and kept: a real side is compared with many fake ones."""
        if name not in self._kept:
            self._kept[name] = make()
        kept: T = self._kept[name]
        return kept

    @property
    def features(self) -> Tensor:
        """(N, D)."""
        return self.reading.features

    @property
    def probabilities(self) -> Tensor:
        """(N, K). Raises SteadyganError where the feature network is no classifier."""
        if self.reading.probabilities is None:
            raise SteadyganError("these features give no class probabilities", "use inception, or a judge of labels")
        return self.reading.probabilities


@dataclass(frozen=True, eq=False)
class Material:
    """All that a metric may look at; the parts that nobody asked for are None."""

    real: Side
    fake: Side
    training: Reading | None = None
    held_out: Reading | None = None


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
    function: Callable[[Material], Mapping[str, Measured]]


def _fid(material: Material) -> Mapping[str, Measured]:
    def statistics(side: Side) -> tuple[Tensor, Tensor]:
        return side.once("gaussian", lambda: gaussian_statistics(side.features))

    return {"fid": Measured(frechet_distance(*statistics(material.real), *statistics(material.fake)))}


def _ndb(material: Material) -> Mapping[str, Measured]:
    real = material.real
    # ten samples a bin make the test's normal law fair
    count = max(2, min(100, len(real.features) // 10))
    bins = real.once("bins", lambda: fit_bins(real.features, count))
    return {"ndb": Measured(bin_test(bins, material.fake.features).share)}


def _classes(material: Material) -> Mapping[str, Measured]:
    number = material.real.probabilities.shape[1]
    share = material.real.probabilities.argmax(1).bincount(minlength=number).double()
    found = material.fake.probabilities.argmax(1)
    # a class that no real has would make the divergence infinite
    result = mode_count(found, number, (share + 0.5) / (share + 0.5).sum())
    return {"modes": Measured(float(result.modes)), "mode_kl": Measured(result.kl)}


def _memorisation(material: Material) -> Mapping[str, Measured]:
    if material.training is None or material.held_out is None:
        raise SteadyganError("memorisation needs training and held-out reals", "raise data.held_out")
    found = memorisation(material.fake.features, material.training.features, material.held_out.features)
    return {"memorised": Measured(found.share - found.by_chance), "copying": Measured(found.copying_z)}


def _spectrum(material: Material) -> Mapping[str, Measured]:
    found = spectrum_distance(material.real.images / 255.0, material.fake.images / 255.0, span=1.0)
    return {"spectrum": Measured(found.radial), "checkerboard": Measured(found.checkerboard)}


FEATURES: frozenset[Need] = frozenset({"features"})
METRICS: dict[str, Metric] = {
    "fid": Metric(
        {"fid": Column("lower", "0 up", "Fréchet distance of the features, as if normal; falls as N grows")},
        FEATURES,
        _fid,
    ),
    "ndb": Metric(
        {"ndb": Column("lower", "0 to 1", "share of bins of real features that fakes fill differently; .05 by chance")},
        FEATURES,
        _ndb,
    ),
    "classes": Metric(
        {
            "modes": Column("higher", "classes", "classes that occur among the fakes"),
            "mode_kl": Column("lower", "nats", "divergence of the fakes' class shares from the reals'"),
        },
        frozenset({"probabilities"}),
        _classes,
    ),
    "memorisation": Metric(
        {
            "memorised": Column("like real", "share", "fakes nearer to training than to held-out, beyond chance", 0.0),
            "copying": Column("like real", "z", "below -3: fakes lie too near to training images", 0.0),
        },
        frozenset({"features", "training", "held_out"}),
        _memorisation,
    ),
    "spectrum": Metric(
        {
            "spectrum": Column("lower", "dB", "difference of the mean spectra over all frequencies"),
            "checkerboard": Column("like real", "dB", "excess of power at and next to the highest frequency"),
        },
        frozenset({"pixels"}),
        _spectrum,
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
