"""The kernel distance against closed forms, plain loops and repeated sampling."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.kernel import kernel_distance, kernel_distance_subsets


def closed_form(width: int, square: float) -> float:
    """N(0, I) against N(m, I) with |m|² = square, for the cubic kernel."""
    a = square / width
    own = 1 + 3 / width
    shifted = (1 + a) ** 3 + 3 * (1 + a) * (width + 2 * square) / width**2 + 6 * square / width**3
    return own + shifted - 2 * (1 + 3 * (width + square) / width**2)


def plain(real: Tensor, fake: Tensor) -> float:
    """The definition, term by term."""

    def kernel(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / len(x) + 1.0) ** 3

    n, m = len(real), len(fake)
    own = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(kernel(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own + other - 2 * sum(kernel(x, y) for x in real for y in fake) / (n * m)


def test_the_closed_form_has_its_gold_value() -> None:
    assert closed_form(64, 4.0) == pytest.approx(0.202850, abs=5e-7)


def test_is_the_definition() -> None:
    real, fake = torch.randn(9, 5, dtype=torch.float64), torch.randn(13, 5, dtype=torch.float64) + 0.3
    assert kernel_distance(real, fake).value == pytest.approx(plain(real, fake), rel=1e-12)


def test_shifted_gaussians_lie_around_the_closed_form() -> None:
    shift = torch.zeros(64)
    shift[0] = 2.0
    values = [kernel_distance(torch.randn(1500, 64), torch.randn(1500, 64) + shift) for _ in range(8)]
    mean = sum(each.value for each in values) / len(values)
    error = values[0].standard_error / math.sqrt(len(values))
    assert error < 0.004
    assert mean == pytest.approx(0.202850, abs=4 * error)


def test_a_set_beside_itself_is_below_zero() -> None:
    """The pairs of a row with itself are left out of one term and not of the other: -(E k(x,x) - E k(x,x'))·2/n."""
    rows = torch.randn(2000, 64)
    assert kernel_distance(rows, rows).value == pytest.approx(-0.0072, abs=1e-4)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.4, 1.0), (0.0, 1.3)])
@pytest.mark.parametrize(("n", "m"), [(60, 60), (50, 150)])
def test_the_standard_error_is_that_of_repeated_sampling(shift: float, scale: float, n: int, m: int) -> None:
    """At the null, where the first-order term vanishes, as well as away from it."""
    found = [
        kernel_distance(torch.randn(n, 8).double(), scale * torch.randn(m, 8).double() + shift) for _ in range(400)
    ]
    spread = float(torch.tensor([each.value for each in found], dtype=torch.float64).std())
    claimed = math.sqrt(sum(each.standard_error**2 for each in found) / len(found))
    assert claimed == pytest.approx(spread, rel=0.15)


def test_has_no_bias_from_the_number_of_samples() -> None:
    few = torch.tensor([kernel_distance(torch.randn(10, 8), torch.randn(14, 8)).value for _ in range(600)])
    assert abs(float(few.mean())) < 4 * float(few.std()) / math.sqrt(600)


@given(seed=st.integers(0, 1000), chunk=st.integers(1, 80), n=st.integers(2, 40), m=st.integers(2, 40))
def test_order_and_chunks_do_not_matter(seed: int, chunk: int, n: int, m: int) -> None:
    torch.manual_seed(seed)
    real, fake = torch.randn(n, 6, dtype=torch.float64), torch.randn(m, 6, dtype=torch.float64) + 0.2
    first = kernel_distance(real, fake)
    second = kernel_distance(real[torch.randperm(n)], fake[torch.randperm(m)], chunk=chunk)
    assert second.value == pytest.approx(first.value, rel=1e-10, abs=1e-12)
    assert second.standard_error == pytest.approx(first.standard_error, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("chunk", [64, 512])
def test_float32_products_keep_six_digits(offset: float, chunk: int) -> None:
    """Also where the features have a large part in common, whose kernel value is many times the distance."""
    real, fake = 0.2 * torch.randn(400, 100) + offset, 0.22 * torch.randn(400, 100) + offset + 0.01
    exact, found = kernel_distance(real.double(), fake.double()), kernel_distance(real, fake, chunk=chunk)
    assert found.value == pytest.approx(exact.value, rel=1e-5, abs=1e-3 * exact.standard_error)
    assert found.standard_error == pytest.approx(exact.standard_error, rel=1e-3)


@pytest.mark.parametrize("scale", [1e3, 1e15])
def test_float32_features_of_great_size_are_taken_in_float64(scale: float) -> None:
    real, fake = torch.randn(20, 4) * scale, torch.randn(20, 4) * scale
    assert kernel_distance(real, fake) == pytest.approx(kernel_distance(real.double(), fake.double()), rel=1e-12)


def test_threads_do_not_matter() -> None:
    real, fake = torch.randn(300, 40).double(), torch.randn(300, 40).double() + 0.1
    first = kernel_distance(real, fake, chunk=64)
    torch.set_num_threads(3)
    second = kernel_distance(real, fake, chunk=64)
    torch.set_num_threads(1)
    assert second.value == pytest.approx(first.value, rel=1e-10, abs=1e-12)


def test_both_sides_are_alike() -> None:
    real, fake = torch.randn(20, 4).double(), torch.randn(30, 4).double()
    assert kernel_distance(real, fake)[:2] == pytest.approx(kernel_distance(fake, real)[:2], rel=1e-9)


def test_constant_and_few_features_are_finite() -> None:
    same = kernel_distance(torch.full((5, 3), 2.0), torch.full((4, 3), 2.0))
    assert same.value == pytest.approx(0.0, abs=1e-12)
    assert same.standard_error == pytest.approx(0.0, abs=1e-6)
    apart = kernel_distance(torch.zeros(2, 2), torch.ones(2, 2))
    assert apart.value == pytest.approx(1.0 + 8.0 - 2.0)
    few = kernel_distance(torch.randn(2, 500), torch.randn(3, 500))
    assert math.isfinite(few.value)
    assert math.isfinite(few.standard_error)


def test_other_kernels() -> None:
    """The linear kernel compares means: |m1 - m2|² less what the samples' own spread adds."""
    real, fake = torch.randn(30, 4, dtype=torch.float64), torch.randn(20, 4, dtype=torch.float64) + 1.0
    found = kernel_distance(real, fake, degree=1, gamma=1.0, offset=0.0)
    bias = float(real.var(0).sum()) / 30 + float(fake.var(0).sum()) / 20
    assert found.value == pytest.approx(float((real.mean(0) - fake.mean(0)).square().sum()) - bias, rel=1e-9)


def test_subsets_of_everything_are_all_pairs_and_seeds_repeat() -> None:
    real, fake = torch.randn(50, 6).double(), torch.randn(50, 6).double() + 0.2
    mean, deviation = kernel_distance_subsets(real, fake, subsets=4, size=50)
    assert mean == pytest.approx(kernel_distance(real, fake).value, rel=1e-9)
    assert deviation < 1e-12
    first = kernel_distance_subsets(real, fake, subsets=5, size=20, seed=3)
    assert first == kernel_distance_subsets(real, fake, subsets=5, size=20, seed=3)
    assert first != kernel_distance_subsets(real, fake, subsets=5, size=20, seed=4)


def test_subsets_scatter_around_all_pairs() -> None:
    real, fake = torch.randn(400, 6), torch.randn(400, 6) + 0.2
    mean, deviation = kernel_distance_subsets(real, fake, subsets=200, size=50)
    assert mean == pytest.approx(kernel_distance(real, fake).value, abs=4 * deviation / math.sqrt(200))


GOOD = torch.zeros(4, 3)


@pytest.mark.parametrize(
    ("real", "fake", "match"),
    [
        (torch.zeros(1, 3), GOOD, "1 row\\(s\\) of real features"),
        (GOOD, torch.zeros(0, 3), "0 row\\(s\\) of fake features"),
        (torch.zeros(4), GOOD, "real features of shape"),
        (GOOD, torch.zeros(4, 0), "fake features of shape"),
        (GOOD, torch.zeros(4, 2), "width 3 and 2"),
        (GOOD, torch.full((4, 3), math.nan), "fake features that hold NaN"),
        (torch.full((4, 3), math.inf), GOOD, "real features that hold NaN"),
        (GOOD, torch.zeros(4, 3, dtype=torch.long), "type torch.int64"),
        (GOOD, torch.full((4, 3), 1e120, dtype=torch.float64), "too large"),
    ],
)
def test_bad_features_are_refused(real: Tensor, fake: Tensor, match: str) -> None:
    with pytest.raises(SteadyganError, match=match) as caught:
        kernel_distance(real, fake)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", [{"degree": 0}, {"gamma": -1.0}, {"gamma": 0.0}, {"chunk": 0}])
def test_bad_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(SteadyganError, match="positive numbers"):
        kernel_distance(GOOD, GOOD, **setting)  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", [{"subsets": 0}, {"size": 1}, {"size": 5}])
def test_bad_subsets_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(SteadyganError, match="subset"):
        kernel_distance_subsets(GOOD, GOOD, **({"size": 4} | setting))
