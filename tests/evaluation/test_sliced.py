"""The sliced Wasserstein distance against closed forms, and in one dimension against an exact assignment."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.sliced import sliced_wasserstein, wasserstein_1d


@given(seed=st.integers(0, 1000), n=st.integers(1, 12), m=st.integers(1, 12), order=st.sampled_from([1, 2]))
def test_one_dimension_is_exact_for_any_two_counts(seed: int, n: int, m: int, order: int) -> None:
    """Repeating every row as often as the other side has rows makes the counts equal, and changes no distribution."""
    torch.manual_seed(seed)
    real, fake = torch.randn(n, 1, dtype=torch.float64), torch.randn(m, 1, dtype=torch.float64)
    many_real, many_fake = real.repeat(m, 1).sort(0).values, fake.repeat(n, 1).sort(0).values
    expected = float((many_real - many_fake).abs().pow(order).mean())
    assert float(wasserstein_1d(real, fake, order=order)[0]) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    found = sliced_wasserstein(real, fake, order=order)
    assert found.value == pytest.approx(expected ** (1 / order), rel=1e-9, abs=1e-6)
    assert (found.projections, found.standard_error) == (1, 0.0)


def test_one_dimension_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    real, fake = torch.randn(70, 1).double(), torch.randn(45, 1).double() * 2 + 1
    expected = stats.wasserstein_distance(real[:, 0].numpy(), fake[:, 0].numpy())
    assert float(wasserstein_1d(real, fake, order=1)[0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("width", [2, 16, 128])
def test_a_shift_along_an_axis(width: int) -> None:
    """Every slice is shifted by δ u_1: W2 is |δ|/√D, W1 is |δ| E|u_1|."""
    rows = torch.randn(300, width, dtype=torch.float64)
    shifted = rows.clone()
    shifted[:, 0] += 3.0
    second = sliced_wasserstein(rows, shifted, order=2, projections=4000)
    assert second.value == pytest.approx(3.0 / math.sqrt(width), abs=4 * second.standard_error)
    first = sliced_wasserstein(rows, shifted, order=1, projections=4000)
    share = math.exp(math.lgamma(width / 2) - math.lgamma((width + 1) / 2)) / math.sqrt(math.pi)
    assert first.value == pytest.approx(3.0 * share, abs=4 * first.standard_error)
    assert first.standard_error < 0.03 * first.value


def test_shifted_and_scaled_gaussians_lie_near_the_closed_form() -> None:
    """W2² of a slice is (δ u_1)² + (s - t)²; finite samples add little at this size."""
    real, fake = torch.randn(20_000, 8), 1.5 * torch.randn(20_000, 8)
    fake[:, 0] += 2.0
    found = sliced_wasserstein(real, fake, projections=1000)
    assert found.value == pytest.approx(math.sqrt(4.0 / 8 + 0.25), rel=0.02)


def test_the_standard_error_is_that_of_other_directions() -> None:
    real, fake = torch.randn(100, 12), torch.randn(100, 12) + torch.arange(12) / 6
    for order in (1, 2):
        found = [sliced_wasserstein(real, fake, order=order, projections=50, seed=seed) for seed in range(100)]
        spread = float(torch.tensor([each.value for each in found]).std())
        assert sum(each.standard_error for each in found) / 100 == pytest.approx(spread, rel=0.25)


@given(seed=st.integers(0, 1000), n=st.integers(1, 30), m=st.integers(1, 30), order=st.sampled_from([1, 2]))
def test_order_of_rows_does_not_matter_and_seeds_repeat(seed: int, n: int, m: int, order: int) -> None:
    torch.manual_seed(seed)
    real, fake = torch.randn(n, 5), torch.randn(m, 5)
    first = sliced_wasserstein(real, fake, order=order, projections=20, seed=seed)
    assert first.value >= 0.0
    again = sliced_wasserstein(fake[torch.randperm(m)], real[torch.randperm(n)], order=order, projections=20, seed=seed)
    assert again[:2] == pytest.approx(first[:2], rel=1e-9, abs=1e-12)
    assert sliced_wasserstein(real, fake, order=order, projections=20, seed=seed + 1).value != first.value


def test_threads_do_not_matter() -> None:
    real, fake = torch.randn(500, 40), torch.randn(400, 40)
    first = sliced_wasserstein(real, fake, projections=64)
    torch.set_num_threads(3)
    second = sliced_wasserstein(real, fake, projections=64)
    torch.set_num_threads(1)
    assert second[:2] == pytest.approx(first[:2], rel=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_identical_and_constant_features(order: int) -> None:
    rows = torch.randn(30, 6)
    assert sliced_wasserstein(rows, rows.flip(0), order=order)[:2] == pytest.approx((0.0, 0.0), abs=1e-9)
    assert sliced_wasserstein(torch.ones(3, 2), torch.ones(5, 2), order=order).value == pytest.approx(0.0, abs=1e-9)


GOOD = torch.zeros(4, 3)


@pytest.mark.parametrize(
    ("real", "fake", "settings", "match"),
    [
        (torch.zeros(0, 3), GOOD, {}, "0 row"),
        (torch.zeros(4), GOOD, {}, "shape"),
        (GOOD, torch.zeros(4, 2), {}, "width 3 and 2"),
        (GOOD, torch.full((4, 3), math.nan), {}, "NaN"),
        (GOOD, torch.full((4, 3), 1e200, dtype=torch.float64), {}, "too large"),
        (GOOD, GOOD, {"order": 3}, "order 3"),
        (GOOD, GOOD, {"projections": 0}, "0 projections"),
    ],
)
def test_bad_input_is_refused(real: Tensor, fake: Tensor, settings: dict[str, int], match: str) -> None:
    with pytest.raises(SteadyganError, match=match) as caught:
        sliced_wasserstein(real, fake, **settings)
    assert "\n" not in str(caught.value)
