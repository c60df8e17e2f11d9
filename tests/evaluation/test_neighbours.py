"""Precision, recall, density and coverage against exact arithmetic in plain numpy, and against their null values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.neighbours import coverage_of_equals, neighbour_scores


def plain(real: Tensor, fake: Tensor, k: int, inclusive: bool) -> tuple[float, float, float, float]:
    """The definition on the whole table of squared distances, from differences in float64."""

    def squares(left: Tensor, right: Tensor) -> np.ndarray:
        return ((left.double().numpy()[:, None] - right.double().numpy()[None]) ** 2).sum(-1)

    def radii(side: Tensor) -> np.ndarray:
        own = squares(side, side)
        np.fill_diagonal(own, np.inf)
        return np.sort(own, axis=1)[:, k - 1]

    table = squares(real, fake)
    near = np.less_equal if inclusive else np.less
    within_real = near(table, radii(real)[:, None])
    within_fake = near(table, radii(fake)[None, :])
    return (
        within_real.any(0).mean(),
        within_fake.any(1).mean(),
        within_real.sum(0).mean() / k,
        within_real.any(1).mean(),
    )


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(6, 40),
    m=st.integers(6, 40),
    k=st.integers(1, 5),
    inclusive=st.booleans(),
    chunk=st.sampled_from([None, 1, 7, 100]),
    levels=st.sampled_from([2, 4, 0]),
    offset=st.sampled_from([0.0, 1000.0]),
)
def test_is_the_definition_with_ties_and_duplicates(
    seed: int, n: int, m: int, k: int, inclusive: bool, chunk: int | None, levels: int, offset: float
) -> None:
    """Rows of few whole numbers tie and repeat at every turn; a large common part must not cost digits."""
    torch.manual_seed(seed)
    real, fake = torch.randn(n, 4), torch.randn(m, 4)
    if levels:
        real, fake = torch.randint(levels, (n, 4)).float(), torch.randint(levels, (m, 4)).float()
    real, fake = real + offset, fake + offset
    found = neighbour_scores(real, fake, k=k, inclusive=inclusive, chunk=chunk)
    assert found[:4] == pytest.approx(plain(real, fake, k, inclusive), abs=1e-12)


def test_is_the_definition_where_float32_distances_cannot_tell() -> None:
    """Two clouds far apart: inside each, distances are below what float32 products resolve."""
    far = torch.full((1, 3), 1e5, dtype=torch.float64)
    sides = [torch.cat([torch.rand(40, 3).double(), torch.rand(40, 3).double() + far]) for _ in range(2)]
    found = neighbour_scores(*sides, k=3)
    assert found[:4] == pytest.approx(plain(*sides, 3, False), abs=1e-12)


@pytest.mark.parametrize("inclusive", [False, True])
def test_identical_sets(inclusive: bool) -> None:
    rows = torch.randn(500, 200)
    found = neighbour_scores(rows, rows.clone(), k=4, inclusive=inclusive)
    assert found[:4] == pytest.approx((1.0, 1.0, 1.25 if inclusive else 1.0, 1.0), abs=1e-12)


def test_equal_distributions_score_their_null_values() -> None:
    found = [neighbour_scores(torch.randn(1000, 16), torch.randn(1000, 16)) for _ in range(4)]
    assert sum(each.coverage for each in found) / 4 == pytest.approx(coverage_of_equals(1000, 1000, 5), abs=0.012)
    assert sum(each.density for each in found) / 4 == pytest.approx(1.0, abs=0.04)


def test_the_null_of_coverage() -> None:
    assert coverage_of_equals(1000, 1000, 5) == pytest.approx(0.969, abs=5e-4)
    product = math.prod((50 - i) / (100 - i) for i in (1, 2, 3))
    assert coverage_of_equals(50, 50, 3) == pytest.approx(1 - product, rel=1e-12)
    found = [neighbour_scores(torch.rand(40, 2), torch.rand(80, 2), k=2).coverage for _ in range(300)]
    assert sum(found) / 300 == pytest.approx(coverage_of_equals(40, 80, 2), abs=0.01)


def test_what_each_score_sees() -> None:
    real = torch.cat([torch.randn(200, 8), torch.randn(200, 8) + 20.0])
    half = neighbour_scores(real, torch.randn(400, 8))
    assert half.precision > 0.6
    assert half.recall < 0.6
    assert half.coverage == pytest.approx(0.5, abs=0.05)
    away = neighbour_scores(real, torch.randn(400, 8) + 100.0)
    assert away[:4] == (0.0, 0.0, 0.0, 0.0)
    one = neighbour_scores(real, real[:1].expand(400, 8))
    assert one.precision == 1.0
    assert one.recall == 0.0
    assert one.coverage < 0.1


def test_constant_features() -> None:
    same = torch.full((10, 3), 0.1)
    assert neighbour_scores(same, same, k=2)[:4] == (0.0, 0.0, 0.0, 0.0)
    assert neighbour_scores(same, same, k=2, inclusive=True)[:4] == (1.0, 1.0, 5.0, 1.0)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_scale_and_order_and_threads_do_not_matter(scale: float) -> None:
    real, fake = torch.randn(150, 40, dtype=torch.float64), torch.randn(170, 40, dtype=torch.float64)
    first = neighbour_scores(real, fake)
    torch.set_num_threads(3)
    turned = scale * real[torch.randperm(150)], scale * fake[torch.randperm(170)]
    second = neighbour_scores(*turned, chunk=33)
    torch.set_num_threads(1)
    assert second == first


def test_coarse_products_change_nothing() -> None:
    """A program that lets float32 products be coarser gets the same answer, more slowly."""
    real, fake = torch.randn(100, 64), torch.randn(100, 64)
    first = neighbour_scores(real, fake)
    torch.set_float32_matmul_precision("medium")
    try:
        assert neighbour_scores(real, fake) == first
    finally:
        torch.set_float32_matmul_precision("highest")


GOOD = torch.zeros(7, 3)


@pytest.mark.parametrize(
    ("real", "fake", "match"),
    [
        (torch.zeros(5, 3), GOOD, "5 row\\(s\\) of real features: give at least 6"),
        (GOOD, torch.zeros(0, 3), "0 row\\(s\\) of fake features"),
        (torch.zeros(7), GOOD, "real features of shape"),
        (GOOD, torch.zeros(7, 2), "width 3 and 2"),
        (GOOD, torch.full((7, 3), math.nan), "fake features that hold NaN"),
        (GOOD, torch.full((7, 3), 1e200, dtype=torch.float64), "too large"),
    ],
)
def test_bad_features_are_refused(real: Tensor, fake: Tensor, match: str) -> None:
    with pytest.raises(SteadyganError, match=match) as caught:
        neighbour_scores(real, fake)
    assert "\n" not in str(caught.value)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SteadyganError, match="k = 0"):
        neighbour_scores(GOOD, GOOD, k=0)
    with pytest.raises(SteadyganError, match="chunk of 0"):
        neighbour_scores(GOOD, GOOD, chunk=0)
    for bad in ((5, 5, 5), (5, 0, 1), (5, 5, 0)):
        with pytest.raises(SteadyganError, match="neighbours among"):
            coverage_of_equals(*bad)
