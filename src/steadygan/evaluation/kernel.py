"""The kernel distance between two sets of features: the squared maximum mean discrepancy of a polynomial kernel.

With Inception's features it is the KID of Bińkowski et al. 2018. It has no bias from the number of samples, so unlike
the Fréchet distance it may be compared between sets of different size, and it is below zero by chance where both sets
are alike. Sums are float64; products of float32 features are float32, taken about the centre of the reals.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.frechet import checked_pair

CHUNK = 512
"""Rows of a block of kernel values: two blocks of 512 x 512 take 4 MiB in float64."""

LARGEST = 1e4
"""Terms of the kernel below this cannot overflow float32 in a square of the kernel's value."""

LEAST_SHARE = 0.25
"""The variance is at least this share of its second order, which is always positive."""


class KernelDistance(NamedTuple):
    """A kernel distance and how far it may be off."""

    value: float
    """The unbiased estimate of the squared discrepancy; below zero by chance where both sets are alike."""
    standard_error: float
    """The standard deviation of the value over fresh draws of both sets."""
    real_count: int
    fake_count: int


class _Side(NamedTuple):
    """Rows less the centre, and gamma times the product of each with the centre."""

    rows: Tensor
    own: Tensor


class _Sums(NamedTuple):
    """What is kept of a matrix of kernel values: the sums of its rows and columns, and of its squares."""

    rows: Tensor
    columns: Tensor
    squares: float


def kernel_distance(
    real: Tensor,
    fake: Tensor,
    *,
    degree: int = 3,
    gamma: float | None = None,
    offset: float = 1.0,
    chunk: int = CHUNK,
) -> KernelDistance:
    """The squared maximum mean discrepancy over all pairs of features (N, D) and (M, D), unbiased.

    With ``k(x, y) = (gamma x·y + offset)^degree`` and ``gamma = 1/D`` by default,
    ``Σ_{i≠j} k(x_i, x_j) / (N(N-1)) + Σ_{i≠j} k(y_i, y_j) / (M(M-1)) - 2 Σ_ij k(x_i, y_j) / (NM)``.

    The standard error is the root of the estimate's exact variance (all orders of its Hoeffding decomposition, so it
    holds for equal distributions too, where the first order vanishes) with the sample's own moments put in:
    ``4 Var a / N + 4 Var b / M + 2 E k̃_xx² / (N(N-1)) + 2 E k̃_yy² / (M(M-1)) + 4 E k̃_xy² / (NM)``, where
    ``a(x) = E k(x, X') - E k(x, Y)``, b the same for the other side, and k̃ the kernel centred on both sides.

    Memory is two blocks of ``chunk`` x ``chunk`` beside a copy of the features. With float64 features the value depends
    on the chunk, the order of the rows and the number of threads by less than 1e-12 of the kernel's spread, with
    float32 features by less than 1e-6 of it.

    Paper: Bińkowski et al. 2018, Demystifying MMD GANs.

    Raises:
        SteadyganError: for fewer than 2 rows on a side, shapes that do not fit, NaN or infinity, or a kernel that
            overflows.
    """
    if degree < 1 or chunk < 1 or (gamma is not None and gamma <= 0.0):
        raise SteadyganError(
            f"a kernel of degree {degree}, gamma {gamma} and chunk {chunk}", "give positive numbers, or leave them out"
        )
    real, fake = checked_pair(real, fake)
    gamma = 1.0 / real.shape[1] if gamma is None else gamma
    kernel = _Kernel(degree, gamma, offset, chunk, real)
    left, right = kernel.sides(real, fake)
    value, error = _estimate(kernel.within(left), kernel.within(right), kernel.between(left, right))
    if not (math.isfinite(value) and math.isfinite(error)):
        raise SteadyganError("features too large for a kernel distance", "scale them to a sensible range")
    return KernelDistance(value, error, len(real), len(fake))


class _Kernel:
    """The polynomial kernel less its value at the centre of the reals, block by block.

    A constant taken off the kernel changes neither the distance nor its error, and what is left has no large common
    part in which digits would drown. With u = gamma (x·y - c·c) and b the base at the centre c, ``(b + u)^n - b^n`` is
    the sum of ``(n over d) b^(n-d) u^d`` for d from 1 to n.
    """

    def __init__(self, degree: int, gamma: float, offset: float, chunk: int, real: Tensor) -> None:
        self.gamma, self.chunk = gamma, chunk
        # Any centre will do; one that the rows' own type holds exactly costs them no digits.
        self.centre = real.mean(0).double()
        base = gamma * float(self.centre.square().sum()) + offset
        self.factors = [math.comb(degree, power) * base ** (degree - power) for power in range(1, degree + 1)]

    def sides(self, real: Tensor, fake: Tensor) -> tuple[_Side, _Side]:
        """Both sides in float32 where neither is finer and nothing comes near its range, else in float64."""
        if torch.float64 not in (real.dtype, fake.dtype) and max(map(abs, self.factors)) < LARGEST:
            left, right = self._side(real, torch.float32), self._side(fake, torch.float32)
            if self.gamma * max(float(side.rows.square().sum(1).max()) for side in (left, right)) < LARGEST:
                return left, right
        return self._side(real, torch.float64), self._side(fake, torch.float64)

    def _side(self, rows: Tensor, dtype: torch.dtype) -> _Side:
        moved = rows.to(dtype) - self.centre.to(dtype)
        own = [self.gamma * (part.double() @ self.centre) for part in torch.split(moved, self.chunk)]
        return _Side(moved, torch.cat(own).to(dtype))

    def block(self, left: _Side, right: _Side, i: int, j: int) -> Tensor:
        """The values of the left rows from i on with the right rows from j on."""
        rows, columns = slice(i, i + self.chunk), slice(j, j + self.chunk)
        steps = torch.addmm(right.own[columns], left.rows[rows], right.rows[columns].T, alpha=self.gamma)
        steps.add_(left.own[rows, None])
        values = steps * self.factors[-1]
        for factor in reversed(self.factors[:-1]):
            values.add_(factor).mul_(steps)
        return values

    def between(self, left: _Side, right: _Side) -> _Sums:
        """Over all pairs of one row of each."""
        n, m = len(left.rows), len(right.rows)
        rows, columns, squares = self.centre.new_zeros(n), self.centre.new_zeros(m), 0.0
        for i in range(0, n, self.chunk):
            for j in range(0, m, self.chunk):
                values = self.block(left, right, i, j)
                rows[i : i + self.chunk] += values.sum(1)
                columns[j : j + self.chunk] += values.sum(0)
                squares += float(values.square_().sum())
        return _Sums(rows, columns, squares)

    def within(self, side: _Side) -> _Sums:
        """Over all pairs of two different rows; half of the blocks are left out, since the matrix is symmetric."""
        rows, squares = self.centre.new_zeros(len(side.rows)), 0.0
        for i in range(0, len(rows), self.chunk):
            for j in range(i, len(rows), self.chunk):
                values = self.block(side, side, i, j)
                if i == j:
                    values.fill_diagonal_(0.0)
                else:
                    rows[j : j + self.chunk] += values.sum(0)
                rows[i : i + self.chunk] += values.sum(1)
                squares += float(values.square_().sum()) * (1.0 if i == j else 2.0)
        return _Sums(rows, rows, squares)


def _estimate(real: _Sums, fake: _Sums, between: _Sums) -> tuple[float, float]:
    """The value and its standard error."""
    n, m = len(real.rows), len(fake.rows)
    mean_real, mean_fake = float(real.rows.sum()) / (n * (n - 1)), float(fake.rows.sum()) / (m * (m - 1))
    mean_between = float(between.rows.sum()) / (n * m)
    value = mean_real + mean_fake - 2.0 * mean_between
    own_real, own_fake = real.rows / (n - 1), fake.rows / (m - 1)
    cross_real, cross_fake = between.rows / m, between.columns / n
    centred_real = _centred(real.squares / (n * (n - 1)), own_real, own_real, mean_real)
    centred_fake = _centred(fake.squares / (m * (m - 1)), own_fake, own_fake, mean_fake)
    centred_between = _centred(between.squares / (n * m), cross_real, cross_fake, mean_between)
    # The row means are noisy themselves; their noise is known and taken off.
    first_real = _variance(own_real - cross_real) - centred_real / (n - 1) - centred_between / m
    first_fake = _variance(own_fake - cross_fake) - centred_fake / (m - 1) - centred_between / n
    first = 4.0 * first_real / n + 4.0 * first_fake / m
    second = 2.0 * centred_real / (n * (n - 1)) + 2.0 * centred_fake / (m * (m - 1)) + 4.0 * centred_between / (n * m)
    # Near equal distributions the first order is 0 give or take; cut off at 0 it would be too large on average.
    variance = max(first + second, LEAST_SHARE * second)
    return value, math.sqrt(variance)


def _centred(square: float, rows: Tensor, columns: Tensor, mean: float) -> float:
    """Mean square of kernel values centred on both sides, from their mean square and the means of rows and columns."""
    spread = float((rows - mean).square().mean() + (columns - mean).square().mean())
    return max(0.0, square - mean * mean - spread)


def _variance(values: Tensor) -> float:
    return float(values.var()) if len(values) > 1 else 0.0


def kernel_distance_subsets(
    real: Tensor, fake: Tensor, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation of the kernel distance over random subsets, as other tools report it.

    Each subset is ``size`` rows of either side without replacement; the standard deviation (divided by the number of
    subsets) is that of a value from ``size`` rows, and no error of the mean. ``kernel_distance`` uses every pair
    once and is the better estimate; this is for figures to stand beside published ones.

    Raises:
        SteadyganError: as ``kernel_distance``, and for fewer rows than ``size``, ``size`` below 2 or no subsets.
    """
    if subsets < 1 or size < 2:
        raise SteadyganError(f"{subsets} subsets of {size} rows", "give at least 1 subset of at least 2 rows")
    real, fake = checked_pair(real, fake)
    if min(len(real), len(fake)) < size:
        raise SteadyganError(
            f"subsets of {size} out of {len(real)} real and {len(fake)} fake rows", "lower size, or give more rows"
        )
    source = torch.Generator().manual_seed(seed)
    values = torch.empty(subsets, dtype=torch.float64)
    for place in range(subsets):
        chosen = [torch.randperm(len(side), generator=source)[:size].to(side.device) for side in (real, fake)]
        values[place] = kernel_distance(real[chosen[0]], fake[chosen[1]]).value
    return float(values.mean()), float(values.std(correction=0))
