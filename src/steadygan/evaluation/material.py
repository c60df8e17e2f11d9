"""What a metric is given: both sides of a comparison, read once, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.features.reading import Reading

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
