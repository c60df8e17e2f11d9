"""Precision, recall, density and coverage: do fakes lie among reals, and are all reals reached?

The value is that of exact arithmetic on the features given. Distances are computed in float32, which is fast but
off by some 1e-6 of the squared norms; every comparison that this could turn is decided again in float64 from the
difference of the two rows. So ties, duplicates and identical sets come out as they should.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.frechet import checked_pair

CHUNK_VALUES = 1 << 22
"""Distances in a block by default: 16 MiB in float32."""

SQUARE = 512
"""Rows and columns of a block of distances within one set, where one half of the table serves for both."""

CONVERTED = 256
"""Rows that are converted at once."""

GATHERED_VALUES = 1 << 17
"""Values of rows that are gathered at once to decide close comparisons: few enough to stay in the cache."""

SPARE = 2
"""Candidates beyond the k-th neighbour that are measured again in float64."""


class NeighbourScores(NamedTuple):
    """Precision, recall, density and coverage with their settings."""

    precision: float
    """Share of fakes inside the neighbourhood of some real; 0 to 1."""
    recall: float
    """Share of reals inside the neighbourhood of some fake; 0 to 1."""
    density: float
    """Mean number of reals' neighbourhoods that a fake lies in, over k; 1 for equal distributions, may be above."""
    coverage: float
    """Share of reals with a fake in their neighbourhood; see ``coverage_of_equals`` for its best value."""
    real_count: int
    fake_count: int
    k: int
    inclusive: bool


def neighbour_scores(
    real: Tensor, fake: Tensor, *, k: int = 5, inclusive: bool = False, chunk: int | None = None
) -> NeighbourScores:
    """Precision and recall, density and coverage of features (N, D) and (M, D), from one pass over the distances.

    The neighbourhood of a row is the ball around it with the distance of its k-th nearest other row of the same set
    as radius. ``inclusive=False`` counts a point inside if its distance is less than the radius (as the prdc package
    does), ``True`` if it is at most the radius (as Kynkäänniemi et al. and torch-fidelity do). They differ where
    distances tie, so for copies of reals: identical sets score density 1 with the first, (k + 1)/k with the second.

    ``chunk`` is the number of rows of a block of distances; by default memory stays bounded whatever N is (about
    100 MiB beside a float32 copy of the features). The result is the same for every chunk, order and number of threads.

    Papers: Kynkäänniemi et al. 2019, Improved Precision and Recall Metric; Naeem et al. 2020, Reliable Fidelity and
    Diversity Metrics.

    Raises:
        SteadyganError: for fewer than k + 1 rows on a side, shapes that do not fit, NaN or infinity, or k below 1.
    """
    if k < 1 or (chunk is not None and chunk < 1):
        raise SteadyganError(f"k = {k} neighbours and a chunk of {chunk} rows", "give 1 or more")
    real, fake = checked_pair(real, fake, least=k + 1)
    centre, scale = _frame(real, fake)
    first, second = _Side(real, centre, scale), _Side(fake, centre, scale)
    real_radii, fake_radii = first.radii(k, chunk), second.radii(k, chunk)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    recalled = torch.zeros_like(covered)
    inside = torch.zeros(len(fake), dtype=torch.long, device=fake.device)
    for start, least in _blocks(first, second, chunk):
        rows, columns = _within(first, second, start, least, real_radii[start : start + len(least), None], inclusive)
        covered[rows] = True
        inside += columns.bincount(minlength=len(fake))
        recalled[_within(first, second, start, least, fake_radii[None, :], inclusive)[0]] = True
    return NeighbourScores(
        precision=_share(inside > 0),
        recall=_share(recalled),
        density=int(inside.sum()) / (k * len(fake)),
        coverage=_share(covered),
        real_count=len(real),
        fake_count=len(fake),
        k=k,
        inclusive=inclusive,
    )


def coverage_of_equals(real_count: int, fake_count: int, k: int) -> float:
    """The expected coverage where fakes have the distribution of the reals: what a perfect generator scores.

    ``1 - ∏_{i=1..k} (N - i) / (N + M - i)``, the chance that not all k nearest others of a real are reals themselves;
    with N = M it is the ``1 - ∏ (N - i) / (2N - i)`` of Naeem et al. 2020 (.969 for N = 1000, k = 5).

    Raises:
        SteadyganError: for k below 1, no fakes, or fewer than k + 1 reals.
    """
    if k < 1 or fake_count < 1 or real_count < k + 1:
        raise SteadyganError(f"{k} neighbours among {real_count} reals and {fake_count} fakes", "give k < N and fakes")
    alone = 1.0
    for place in range(1, k + 1):
        alone *= (real_count - place) / (real_count + fake_count - place)
    return 1.0 - alone


class _Side:
    """One set of rows: as given, and moved and scaled into float32 for fast products."""

    def __init__(self, rows: Tensor, centre: Tensor, scale: float) -> None:
        self.rows, self.scale = rows, scale
        self.moved = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
        norms = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
        for start in range(0, len(rows), CONVERTED):
            part = slice(start, start + CONVERTED)
            moved = (rows[part].double() - centre).div_(scale)
            self.moved[part] = moved
            norms[part] = moved.square_().sum(1)
        self.norms = norms.float()
        # Rounding of a product of D terms, and of the rows themselves, in shares of the squared norms.
        exact = torch.get_float32_matmul_precision() == "highest"
        self.slip = (2.0**-23 if exact else 2.0**-7) * (8.0 + 0.5 * rows.shape[1] ** 0.5)

    def radii(self, k: int, chunk: int | None) -> Tensor:
        """Squared distance (scaled, float64) of every row to its k-th nearest other row."""
        count = min(k + SPARE, len(self.rows) - 1)
        lowest, columns = self._nearest(count, chunk or SQUARE)
        radii: Tensor = self._measured(lowest.double(), columns, k).kthvalue(k, dim=1).values
        if count < len(self.rows) - 1:
            # A row left out might be nearer than the k found: then all of them are measured again.
            for row in ((lowest.amax(1).double() < radii) & (radii > 0.0)).nonzero().flatten().tolist():
                radii[row] = self._radius(row, k)
        return radii

    def _nearest(self, count: int, step: int) -> tuple[Tensor, Tensor]:
        """The least that the squared distances to the ``count`` nearest other rows are, and which rows these are."""
        size = len(self.rows)
        lowest = torch.full((size, count), torch.inf, device=self.rows.device)
        columns = torch.zeros((size, count), dtype=torch.long, device=self.rows.device)
        for i in range(0, size, step):
            for j in range(i, size, step):
                least = _least(self, self, slice(i, i + step), slice(j, j + step))
                if i == j:
                    least.fill_diagonal_(torch.inf)
                else:
                    _keep(lowest[j : j + step], columns[j : j + step], least.T, i)
                _keep(lowest[i : i + step], columns[i : i + step], least, j)
        return lowest, columns

    def _measured(self, lowest: Tensor, columns: Tensor, k: int) -> Tensor:
        """Squared distances of which the k-th of a row is exact: only those that might be it are measured."""
        highest = lowest + 2.0 * self.slip * (self.norms.double()[:, None] + self.norms[columns])
        above = lowest > highest.kthvalue(k, dim=1, keepdim=True).values
        below = highest < lowest.kthvalue(k, dim=1, keepdim=True).values
        rows, places = (~(above | below)).nonzero().unbind(1)
        found = torch.where(above, torch.inf, -torch.inf).double()
        found[rows, places] = self.exact(self, rows, columns[rows, places])
        return found

    def _radius(self, row: int, k: int) -> Tensor:
        columns = torch.arange(len(self.rows), device=self.rows.device)
        columns = columns[columns != row]
        found: Tensor = self.exact(self, torch.full_like(columns, row), columns).kthvalue(k).values
        return found

    def exact(self, other: _Side, rows: Tensor, columns: Tensor) -> Tensor:
        """Squared distances (scaled) between rows of this side and of the other, pair by pair, in float64."""
        found = torch.empty(len(rows), dtype=torch.float64, device=self.rows.device)
        step = max(1, GATHERED_VALUES // self.rows.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            difference = self.rows[rows[part]].double() - other.rows[columns[part]].double()
            found[part] = difference.square_().sum(1)
        return found / self.scale**2


def _frame(real: Tensor, fake: Tensor) -> tuple[Tensor, float]:
    """A centre and a scale that leave float32 the most digits and keep squares within its range."""
    centre = real.mean(0, dtype=torch.float64)
    extremes = [extreme.double() - centre for side in (real, fake) for extreme in torch.aminmax(side, dim=0)]
    largest = max(float(extreme.abs().max()) for extreme in extremes)
    if not largest < 1e140:
        raise SteadyganError("features too large for distances", "scale them to a sensible range")
    return centre, max(largest, 1e-140)


def _least(left: _Side, right: _Side, rows: slice, columns: slice) -> Tensor:
    """The least that the squared distances of these left rows to these right rows are."""
    share = 1.0 - left.slip
    products = torch.addmm(share * right.norms[columns], left.moved[rows], right.moved[columns].T, alpha=-2.0)
    return products.add_((share * left.norms[rows])[:, None])


def _keep(lowest: Tensor, columns: Tensor, least: Tensor, start: int) -> None:
    """Put the lowest of a block, whose columns begin at ``start``, among those found so far."""
    values, places = least.topk(min(lowest.shape[1], least.shape[1]), dim=1, largest=False, sorted=False)
    kept, chosen = torch.cat([lowest, values], 1).topk(lowest.shape[1], dim=1, largest=False, sorted=False)
    columns.copy_(torch.cat([columns, places + start], 1).gather(1, chosen))
    lowest.copy_(kept)


def _blocks(left: _Side, right: _Side, chunk: int | None) -> Iterator[tuple[int, Tensor]]:
    """For chunks of left rows: where they start, and the least that their squared distances to all right ones are."""
    step = chunk or max(1, CHUNK_VALUES // len(right.rows))
    for start in range(0, len(left.rows), step):
        yield start, _least(left, right, slice(start, start + step), slice(None))


def _within(
    left: _Side, right: _Side, start: int, least: Tensor, radii: Tensor, inclusive: bool
) -> tuple[Tensor, Tensor]:
    """Rows of the left and the right side that are nearer to each other than (or as near as) the radii.

    What float32 cannot tell is decided in float64.
    """
    rows, columns = (least <= radii.float()).nonzero().unbind(1)
    limits = radii.expand(least.shape)[rows, columns]
    most = least[rows, columns].double()
    rows = rows + start
    inside = most + 2.0 * left.slip * (left.norms[rows].double() + right.norms[columns]) < limits
    close = (~inside).nonzero().flatten()
    exact = left.exact(right, rows[close], columns[close])
    inside[close] = exact <= limits[close] if inclusive else exact < limits[close]
    return rows[inside], columns[inside]


def _share(flags: Tensor) -> float:
    return int(flags.sum()) / len(flags)
