"""The Fréchet distance against closed forms and an independent matrix root; statistics against chunking and order."""

from __future__ import annotations

import itertools
import math
import random
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation import frechet
from steadygan.evaluation.frechet import (
    FeatureStatistics,
    FewSamplesWarning,
    frechet_distance,
    frechet_infinity,
    gaussian_statistics,
    statistics_distance,
)
from steadygan.evaluation.threads import solver_threads

SIZE = 16


def rotation(size: int = SIZE) -> Tensor:
    basis: Tensor = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
    return basis


def covariance(values: Tensor, basis: Tensor) -> Tensor:
    """With these eigenvalues along these directions."""
    return (basis * values) @ basis.T


def test_shifted_gaussians() -> None:
    mean = torch.randn(SIZE, dtype=torch.float64)
    found = frechet_distance(torch.zeros(SIZE), torch.eye(SIZE), mean, torch.eye(SIZE))
    assert found == pytest.approx(float(mean.square().sum()), rel=1e-6)


@given(s=st.floats(0.01, 100), t=st.floats(0.01, 100))
def test_scaled_gaussians(s: float, t: float) -> None:
    identity, zero = torch.eye(SIZE, dtype=torch.float64), torch.zeros(SIZE, dtype=torch.float64)
    found = frechet_distance(zero, s**2 * identity, zero, t**2 * identity)
    assert found == pytest.approx(SIZE * (s - t) ** 2, rel=1e-6, abs=1e-10 * max(s, t) ** 2)


@pytest.mark.parametrize("floor", [1e-3, 1e-6, 0.0])
def test_commuting_covariances(floor: float) -> None:
    basis = rotation()
    first = torch.rand(SIZE, dtype=torch.float64) + floor
    second = torch.logspace(0, -6, SIZE, dtype=torch.float64)
    if floor == 0.0:
        first[:5], second[9:] = 0.0, 0.0
    mean = torch.randn(SIZE, dtype=torch.float64)
    found = frechet_distance(torch.zeros(SIZE), covariance(first, basis), mean, covariance(second, basis))
    expected = float(mean.square().sum() + (first.sqrt() - second.sqrt()).square().sum())
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [1, 2, 8, 64])
def test_against_an_independent_matrix_root(size: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    first = torch.randn(5 * size + 5, size, dtype=torch.float64) @ torch.randn(size, size, dtype=torch.float64)
    second = 1.0 + torch.randn(4 * size + 5, size, dtype=torch.float64)
    (mean1, cov1), (mean2, cov2) = gaussian_statistics(first), gaussian_statistics(second)
    root = np.real(linalg.sqrtm((cov1 @ cov2).numpy()))
    expected = float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace()) - 2 * float(np.trace(root))
    assert frechet_distance(mean1, cov1, mean2, cov2) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [2, 5, 20, 200])
def test_identical_sets_are_at_distance_zero_with_few_samples_too(count: int) -> None:
    features = torch.randn(count, 40, dtype=torch.float64) @ torch.randn(40, 40, dtype=torch.float64)
    statistics = gaussian_statistics(features)
    assert frechet_distance(*statistics, *statistics) <= 1e-9 * float(statistics[1].trace())


def test_fewer_samples_than_features() -> None:
    """N < D on both sides; rotated so that nothing shared is on an axis."""
    basis = rotation(30)
    first, second = torch.zeros(30, dtype=torch.float64), torch.zeros(30, dtype=torch.float64)
    first[:4], second[2:9] = torch.rand(4, dtype=torch.float64) + 0.5, torch.rand(7, dtype=torch.float64) + 0.5
    zero = torch.zeros(30)
    found = frechet_distance(zero, covariance(first, basis), zero, covariance(second, basis))
    assert found == pytest.approx(float((first.sqrt() - second.sqrt()).square().sum()), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6])
def test_no_scale_of_features_loses_digits(scale: float) -> None:
    first = torch.randn(50, 8, dtype=torch.float64)
    second = 1.5 * torch.randn(60, 8, dtype=torch.float64) + 0.2
    plain = frechet_distance(*gaussian_statistics(first), *gaussian_statistics(second))
    scaled = frechet_distance(*gaussian_statistics(scale * first), *gaussian_statistics(scale * second))
    assert scaled == pytest.approx(scale**2 * plain, rel=1e-9)


@given(seed=st.integers(0, 10_000), count1=st.integers(2, 12), count2=st.integers(2, 12))
def test_is_a_symmetric_distance_that_rotations_leave_alone(seed: int, count1: int, count2: int) -> None:
    torch.manual_seed(seed)
    first, second = torch.randn(count1, 6, dtype=torch.float64), torch.randn(count2, 6, dtype=torch.float64)
    turn = rotation(6)
    found = frechet_distance(*gaussian_statistics(first), *gaussian_statistics(second))
    back = frechet_distance(*gaussian_statistics(second), *gaussian_statistics(first))
    turned = frechet_distance(*gaussian_statistics(first @ turn), *gaussian_statistics(second @ turn))
    assert found >= 0.0
    assert found == pytest.approx(back, rel=1e-6, abs=1e-6)
    assert found == pytest.approx(turned, rel=1e-6, abs=1e-6)


def test_constant_features_are_a_point() -> None:
    first, second = torch.full((5, 3), 2.0), torch.full((4, 3), 3.0)
    assert frechet_distance(*gaussian_statistics(first), *gaussian_statistics(second)) == pytest.approx(3.0)


def test_float32_statistics_with_rounding_are_accepted() -> None:
    features = torch.randn(10, 64)
    rounded = torch.cov(features.T)  # rank 9, so its other eigenvalues are rounding of either sign
    found = frechet_distance(features.mean(0), rounded, features.mean(0), rounded)
    assert math.isfinite(found)
    assert found < 1e-3 * float(rounded.trace())


def test_statistics_are_numpys() -> None:
    features = torch.randn(30, 5)
    mean, cov = gaussian_statistics(features)
    assert mean.dtype == cov.dtype == torch.float64
    np.testing.assert_allclose(mean.numpy(), features.double().numpy().mean(0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(cov.numpy(), np.cov(features.double().numpy().T), rtol=1e-12, atol=1e-14)


@given(
    cuts=st.lists(st.integers(0, 200), max_size=8),
    seed=st.integers(0, 1000),
    offset=st.sampled_from([0.0, 1.0, 1000.0]),
)
def test_chunks_order_and_merging_do_not_matter(cuts: list[int], seed: int, offset: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(200, 7, generator=generator, dtype=torch.float64) + offset
    mean, cov = gaussian_statistics(features)
    edges = [0, *sorted(cuts), 200]
    chunks = [features[start:stop] for start, stop in itertools.pairwise(edges)]
    random.Random(seed).shuffle(chunks)
    parts = [FeatureStatistics(), FeatureStatistics(), FeatureStatistics()]
    for place, chunk in enumerate(chunks):
        parts[place % 2].update(chunk)
    kept = parts[0].count
    parts[2].merge(parts[0])
    parts[2].merge(parts[1])
    found_mean, found_cov = parts[2].finish()
    assert parts[2].count == 200
    assert parts[0].count == kept
    torch.testing.assert_close(found_mean, mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found_cov, cov, rtol=1e-12, atol=1e-12)


def test_statistics_go_on_after_finish() -> None:
    features = torch.randn(20, 3)
    statistics = FeatureStatistics()
    statistics.update(features[:10])
    early = statistics.finish()[0]
    early.zero_()
    statistics.update(features[10:])
    torch.testing.assert_close(statistics.finish()[0], gaussian_statistics(features)[0])


def test_merging_copies() -> None:
    first, second = FeatureStatistics(), FeatureStatistics()
    first.update(torch.randn(5, 2))
    before = first.finish()
    second.merge(first)
    second.update(torch.randn(5, 2))
    for left, right in zip(first.finish(), before, strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize(
    ("features", "match"),
    [
        (torch.zeros(1, 3), "covariance of 1 sample"),
        (torch.zeros(0, 3), "covariance of 0 sample"),
        (torch.zeros(3), "features of shape"),
        (torch.zeros(3, 2, 2), "features of shape"),
        (torch.tensor([[0.0], [math.nan]]), "NaN or infinity"),
        (torch.tensor([[0.0], [math.inf]]), "NaN or infinity"),
    ],
)
def test_statistics_refuse(features: Tensor, match: str) -> None:
    with pytest.raises(SteadyganError, match=match):
        gaussian_statistics(features)


def test_statistics_refuse_another_width() -> None:
    statistics = FeatureStatistics()
    statistics.update(torch.zeros(3, 4))
    with pytest.raises(SteadyganError, match="width 5 after 4"):
        statistics.update(torch.zeros(3, 5))


@pytest.mark.parametrize(
    ("mean", "cov", "match"),
    [
        (torch.zeros(3), torch.eye(2), "give \\(D,\\)"),
        (torch.zeros(2, 1), torch.eye(2), "give \\(D,\\)"),
        (torch.zeros(4), torch.eye(4), "width 4 and 2"),
        (torch.zeros(2), torch.full((2, 2), math.nan), "NaN"),
        (torch.tensor([0.0, math.inf]), torch.eye(2), "NaN"),
        (torch.zeros(2), torch.tensor([[1.0, 0.0], [0.0, -1.0]]), "negative eigenvalue"),
        (torch.zeros(2), -torch.eye(2), "negative eigenvalue"),
        (torch.tensor([1e200, 0.0], dtype=torch.float64), torch.eye(2), "too large"),
    ],
)
def test_distance_refuses(mean: Tensor, cov: Tensor, match: str) -> None:
    with pytest.raises(SteadyganError, match=match):
        frechet_distance(mean, cov, torch.zeros(2), torch.eye(2))


def test_grows_as_fakes_get_worse_on_real_digits() -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits().data / 16.0
    real = torch.from_numpy(digits)
    half, other = gaussian_statistics(real[::2]), gaussian_statistics(real[1::2])
    distances = [frechet_distance(*half, *other)]
    for std in (0.1, 0.2, 0.4):
        noisy = real[1::2] + std * torch.randn_like(real[1::2])
        distances.append(frechet_distance(*half, *gaussian_statistics(noisy)))
    assert distances == sorted(distances)
    assert distances[0] < 0.1 * distances[2]


def by_eigenvectors(*statistics: Tensor) -> float:
    """The same distance without Cholesky factors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frechet, "_cholesky", lambda covariance: None)
        return frechet_distance(*statistics)


@pytest.mark.parametrize("decay", [0, 2, 4, 6, 8, 10, 14])
@pytest.mark.parametrize("apart", [0.0, 0.05, 1.0])
def test_the_fast_way_agrees_with_eigenvectors_for_any_conditioning(decay: int, apart: float) -> None:
    """Covariances from round to one whose least eigenvalues are nothing, near and far from each other."""
    width = 40
    values = torch.logspace(0, -decay, width, dtype=torch.float64)
    first = covariance(values, rotation(width))
    second = (1.0 + apart) * first + apart * covariance(values.flip(0), rotation(width))
    zero, mean = torch.zeros(width), apart * torch.randn(width, dtype=torch.float64)
    found, expected = frechet_distance(zero, first, mean, second), by_eigenvectors(zero, first, mean, second)
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-10)


def test_the_fast_way_is_taken_where_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object) -> None:
        raise AssertionError("eigenvectors or singular values for a well-conditioned pair")

    first = gaussian_statistics(torch.randn(500, 20))
    second = gaussian_statistics(1.5 * torch.randn(500, 20))
    expected = by_eigenvectors(*first, *second)
    monkeypatch.setattr(torch.linalg, "svdvals", forbidden)
    monkeypatch.setattr(torch.linalg, "eigh", forbidden)
    assert frechet_distance(*first, *second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count1", "count2"), [(400, 10), (10, 400), (33, 34), (30, 30), (400, 32)])
def test_one_side_without_full_rank(count1: int, count2: int) -> None:
    width = 32
    mixing = torch.randn(width, width, dtype=torch.float64)
    first = gaussian_statistics(torch.randn(count1, width, dtype=torch.float64) @ mixing)
    second = gaussian_statistics(torch.randn(count2, width, dtype=torch.float64) @ mixing + 0.1)
    found = frechet_distance(*first, *second)
    assert found == pytest.approx(by_eigenvectors(*first, *second), rel=1e-8)
    assert found == pytest.approx(frechet_distance(*second, *first), rel=1e-7)


def test_threads_do_not_matter_and_are_put_back() -> None:
    first, second = gaussian_statistics(torch.randn(400, 60)), gaussian_statistics(torch.randn(400, 60) + 0.1)
    found = frechet_distance(*first, *second)
    torch.set_num_threads(3)
    again = frechet_distance(*first, *second)
    assert torch.get_num_threads() == 3
    assert again == pytest.approx(found, rel=1e-10)


def test_solver_threads_only_ever_lowers(monkeypatch: pytest.MonkeyPatch) -> None:
    for own, idle, most, expected in ((8, 16, 4, 4), (8, 2, 4, 2), (1, 16, 4, 1), (6, 16, 9, 6)):
        monkeypatch.setattr("steadygan.evaluation.threads.idle_cores", lambda idle=idle: idle)
        torch.set_num_threads(own)
        with pytest.raises(ZeroDivisionError), solver_threads(most) as allowed:  # noqa: PT012
            assert allowed == torch.get_num_threads() == expected
            raise ZeroDivisionError
        assert torch.get_num_threads() == own
    with pytest.raises(SteadyganError, match="limit of 0 threads"), solver_threads(0):
        pass


def gathered(features: Tensor) -> FeatureStatistics:
    statistics = FeatureStatistics()
    statistics.update(features)
    return statistics


def test_few_samples_are_finite_and_warned_about(recwarn: pytest.WarningsRecorder) -> None:
    real, few = torch.randn(200, 20), torch.randn(20, 20)
    with pytest.warns(FewSamplesWarning, match="20 fake samples in 20 features"):
        found = statistics_distance(gathered(real), gathered(few))
    assert math.isfinite(found)
    with pytest.warns(FewSamplesWarning, match="20 real samples"):
        statistics_distance(gathered(few), gathered(real))
    recwarn.clear()
    assert statistics_distance(gathered(real), gathered(real[:21])) > 0.0
    assert len(recwarn) == 0


@pytest.mark.parametrize("vary", ["fake", "both"])
def test_extrapolation_takes_off_the_bias(vary: Literal["fake", "both"]) -> None:
    """Equal distributions: the distance is 0, the plain value is not, and the claimed error is about the true one."""
    count = 20_000 if vary == "fake" else 1_000
    found = [
        frechet_infinity(torch.randn(count, 12), torch.randn(1_000, 12), seed=seed, vary=vary) for seed in range(12)
    ]
    assert (found[0].counts[0], found[0].counts[-1]) == (200, 1000)
    assert list(found[0].counts) == sorted(found[0].counts)
    plain = sum(each.distances[-1] for each in found) / 12
    values = torch.tensor([each.value for each in found], dtype=torch.float64)
    spread = float(values.std())
    assert abs(float(values.mean())) < 4 * spread / math.sqrt(12) < 0.4 * plain
    assert 0.4 < sum(each.standard_error for each in found) / 12 / spread < 1.8
    assert sum(each.slope for each in found) / 12 == pytest.approx(1000 * plain, rel=0.25)


def test_extrapolation_keeps_what_is_real() -> None:
    shift = torch.zeros(8)
    shift[0] = 1.0
    found = frechet_infinity(torch.randn(20_000, 8), torch.randn(4_000, 8) + shift, seed=1, points=12)
    assert found.value == pytest.approx(1.0, abs=0.1)


def test_extrapolation_repeats_with_its_seed() -> None:
    real, fake = torch.randn(500, 4), torch.randn(300, 4)
    first = frechet_infinity(real, fake, seed=5)
    assert frechet_infinity(real, fake, seed=5) == first
    assert frechet_infinity(real, fake, seed=6) != first
    assert first.distances[-1] == pytest.approx(
        frechet_distance(*gaussian_statistics(real), *gaussian_statistics(fake)), rel=1e-9
    )


def test_extrapolation_warns_and_refuses() -> None:
    with pytest.warns(FewSamplesWarning, match="extrapolation from 10 samples in 30 features"):
        found = frechet_infinity(torch.randn(100, 30), torch.randn(20, 30), seed=0)
    assert math.isfinite(found.value)
    good = torch.randn(100, 4)
    for settings in ({"points": 2}, {"least": 1}, {"least": 100}):
        with pytest.raises(SteadyganError, match="an extrapolation of"):
            frechet_infinity(good, good, seed=0, **settings)  # type: ignore[arg-type]
    with pytest.raises(SteadyganError, match="an extrapolation of"):
        frechet_infinity(good, good[:7], seed=0)
    with pytest.raises(SteadyganError, match="width 4 and 3"):
        frechet_infinity(good, good[:, :3], seed=0)
    with pytest.raises(SteadyganError, match="fake features that hold NaN"):
        frechet_infinity(good, math.nan * good, seed=0)
