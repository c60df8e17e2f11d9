"""Values of several runs side by side: only those of one scale stand in one row, for others it is said why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steadygan.evaluation.protocol import Value


@dataclass(frozen=True)
class Row:
    """One metric over several runs.

    Attributes:
        metric: its name.
        cells: the value of each run, None where it has none.
        differences: fields of the protocols that put the values on different scales, in words; none: they compare.
        remarks: harmless differences.
    """

    metric: str
    cells: tuple[Value | None, ...]
    differences: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether the values may be put side by side."""
        return not self.differences


def compare_values(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[Row]:
    """A row for every metric that any of the runs has, from the lines of each one's ``metrics.jsonl``.

    Of a run's values of one metric the last on the scale that most runs share is taken; where no scale is shared by
    all, the row says which fields of the protocols differ.

    Raises:
        SteadyganError: for a line that is no value.
    """
    kept: list[dict[str, dict[str, Value]]] = []
    for lines in runs:
        own: dict[str, dict[str, Value]] = {}
        for line in lines:
            value = Value.parse(line)
            scales = own.setdefault(value.metric, {})
            scales.pop(value.protocol.scale, None)  # so that the last one stands last
            scales[value.protocol.scale] = value
        kept.append(own)
    names = dict.fromkeys(name for own in kept for name in own)
    return [_row(name, [own.get(name, {}) for own in kept]) for name in names]


def _row(metric: str, runs: Sequence[Mapping[str, Value]]) -> Row:
    shared: dict[str, int] = {}
    for scales in runs:
        for scale in reversed(list(scales)):
            shared[scale] = shared.get(scale, 0) + 1
    best = max(shared, key=lambda scale: shared[scale])
    cells = tuple(scales.get(best) or next(reversed(list(scales.values())), None) for scales in runs)
    found = [cell.protocol for cell in cells if cell is not None]
    differences = dict.fromkeys(line for one in found[1:] for line in found[0].differences(one))
    remarks = dict.fromkeys(line for one in found[1:] for line in found[0].differences(one, harmless=True))
    return Row(metric, cells, tuple(differences), tuple(line for line in remarks if line not in differences))
