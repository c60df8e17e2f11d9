"""PSNR, SSIM and MS-SSIM against closed forms, plain loops and other libraries; distances in a network's maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.image_quality import ms_ssim, perceptual_distance, psnr, scales, ssim


def images(count: int, channels: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Two sets that any other program can compute: what the gold figures below were made from."""
    places = torch.arange(count * channels * height * width, dtype=torch.float64)
    places = places.reshape(count, channels, height, width)
    first = torch.sin(0.37 * places) * torch.cos(0.011 * places)
    return first, 0.8 * first + 0.3 * torch.sin(1.7 * places + 0.5)


@pytest.mark.parametrize(
    ("shape", "similarity", "ratio"),
    [
        ((2, 1, 16, 16), [0.591882754986, 0.657567330933], [18.7130003759, 18.6782799721]),
        ((2, 3, 28, 20), [0.782380475341, 0.803920248978], [18.6287363853, 18.6293661309]),
        ((1, 3, 32, 48), [0.826978533613], [18.6117416976]),
        ((1, 1, 11, 40), [0.871450618605], [18.6393088922]),
    ],
)
def test_figures_of_scikit_image(shape: tuple[int, int, int, int], similarity: list[float], ratio: list[float]) -> None:
    """scikit-image 0.26.0: gaussian_weights, sigma 1.5, use_sample_covariance off, data_range 2, channel_axis 0."""
    first, second = images(*shape)
    assert ssim(first, second).tolist() == pytest.approx(similarity, rel=1e-10)
    assert psnr(first, second).tolist() == pytest.approx(ratio, rel=1e-10)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1, 176, 180), [0.967683660478]),
        ((2, 3, 48, 50), [0.958672498920, 0.962225007311]),
        ((2, 1, 28, 28), [0.944776666561, 0.943322653600]),
    ],
)
def test_figures_of_two_libraries_over_scales(shape: tuple[int, int, int, int], expected: list[float]) -> None:
    """Contrast terms of torchmetrics 1.9.0 and, at the coarsest scale, the similarity of scikit-image 0.26.0."""
    assert ms_ssim(*images(*shape)).tolist() == pytest.approx(expected, rel=1e-10)


@given(level=st.floats(-1, 1), other=st.floats(-1, 1), span=st.sampled_from([1.0, 2.0, 255.0]))
def test_constant_images(level: float, other: float, span: float) -> None:
    first, second = torch.full((1, 2, 14, 12), level), torch.full((1, 2, 14, 12), other)
    c1 = (0.01 * span) ** 2
    a, b = float(first[0, 0, 0, 0]), float(second[0, 0, 0, 0])
    assert float(ssim(first, second, span=span)) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), rel=1e-6)
    if a != b:
        expected = 20 * math.log10(span / abs(a - b))
        assert float(psnr(first, second, span=span)) == pytest.approx(expected, rel=1e-6)


def test_similarity_against_plain_loops() -> None:
    first, second = torch.rand(1, 1, 13, 15, dtype=torch.float64), torch.rand(1, 1, 13, 15, dtype=torch.float64)
    line = torch.tensor([math.exp(-(place**2) / 4.5) for place in range(-5, 6)], dtype=torch.float64)
    window = torch.outer(line, line) / line.sum() ** 2
    found = []
    for row in range(3):
        for column in range(5):
            x, y = (each[0, 0, row : row + 11, column : column + 11] for each in (first, second))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            both = (window * (x - mean_x) * (y - mean_y)).sum()
            luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
            found.append(luminance * (2 * both + 9e-4) / (var_x + var_y + 9e-4))
    assert float(ssim(first, second, span=1.0)) == pytest.approx(float(torch.stack(found).mean()), rel=1e-10)


@given(seed=st.integers(0, 1000), channels=st.integers(1, 5), height=st.integers(1, 40), width=st.integers(1, 40))
def test_equal_images_symmetry_and_bounds_at_any_size(seed: int, channels: int, height: int, width: int) -> None:
    source = torch.Generator().manual_seed(seed)
    first = torch.rand(2, channels, height, width, generator=source) * 2 - 1
    second = torch.rand(2, channels, height, width, generator=source) * 2 - 1
    for measure in (ssim, ms_ssim):
        assert measure(first, first).tolist() == pytest.approx([1.0, 1.0], abs=1e-9)
        assert measure(first, second).tolist() == pytest.approx(measure(second, first).tolist(), rel=1e-9, abs=1e-12)
        assert bool((measure(first, second).abs() <= 1 + 1e-9).all())
    assert psnr(first, first).tolist() == [math.inf, math.inf]


def test_noise_lowers_every_measure_step_by_step() -> None:
    first = images(1, 3, 64, 64)[0]
    noise = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    for measure in (psnr, ssim, ms_ssim):
        found = [float(measure(first, first + strength * noise)) for strength in (0.01, 0.05, 0.2, 1.0)]
        assert found == sorted(found, reverse=True)


def test_units_of_the_pixels_do_not_matter() -> None:
    first, second = images(2, 3, 30, 24)
    for measure in (psnr, ssim, ms_ssim):
        torch.testing.assert_close(measure(first * 127.5, second * 127.5, span=255.0), measure(first, second))


@pytest.mark.parametrize(
    ("side", "count"), [(1, 1), (11, 1), (21, 1), (22, 2), (28, 2), (44, 3), (87, 3), (88, 4), (176, 5), (1024, 5)]
)
def test_scales_fit_the_shorter_side(side: int, count: int) -> None:
    assert scales(side, 2000) == scales(2000, side) == count


def test_one_scale_is_plain_similarity() -> None:
    first, second = images(2, 1, 20, 20)
    torch.testing.assert_close(ms_ssim(first, second), ssim(first, second))


def test_opposite_structure_counts_as_nothing_over_scales() -> None:
    first = images(1, 1, 44, 44)[0]
    assert float(ssim(first, -first)) < -0.5
    assert float(ms_ssim(first, -first)) == 0.0


def maps(values: Tensor) -> Sequence[Tensor]:
    return [values, 3 * values[:, :2, ::2, ::2]]


def test_map_distance_in_closed_form() -> None:
    """Orthogonal unit vectors everywhere: 2 a layer, weighted by what the two channels weigh."""
    first, second = torch.zeros(2, 3, 4, 6), torch.zeros(2, 3, 4, 6)
    first[:, 0], second[:, 1] = 5.0, 0.1
    assert perceptual_distance(first, second, maps).tolist() == pytest.approx([4.0, 4.0])
    weights = [torch.tensor([0.5, 2.0, 9.0]), torch.tensor([0.0, 1.0])]
    assert perceptual_distance(first, second, maps, weights).tolist() == pytest.approx([3.5, 3.5])
    second[1] = first[1]
    assert perceptual_distance(first, second, maps).tolist() == pytest.approx([4.0, 0.0])


def test_map_distance_averages_over_places_and_ignores_chunks() -> None:
    first, second = torch.randn(5, 3, 4, 6), torch.randn(5, 3, 4, 6)
    whole = perceptual_distance(first, second, maps)
    torch.testing.assert_close(perceptual_distance(first, second, maps, chunk=2), whole)
    doubled = perceptual_distance(torch.cat([first, first], 3), torch.cat([second, second], 3), maps)
    torch.testing.assert_close(doubled, whole)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: psnr(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 5)), "images of shape"),
        (lambda: ssim(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)), "images of shape"),
        (lambda: ssim(torch.zeros(0, 1, 4, 4), torch.zeros(0, 1, 4, 4)), "images of shape"),
        (lambda: ms_ssim(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), span=0.0), "span of 0"),
        (lambda: psnr(torch.full((1, 1, 2, 2), math.nan), torch.zeros(1, 1, 2, 2)), "NaN"),
        (lambda: perceptual_distance(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), lambda x: []), "0 maps"),
        (lambda: perceptual_distance(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), lambda x: [x[0]]), "a map of"),
        (
            lambda: perceptual_distance(
                torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), lambda x: [x], [torch.ones(2)]
            ),
            "2 weights",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(call: object, match: str) -> None:
    assert callable(call)
    with pytest.raises(SteadyganError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_order_and_threads_do_not_matter() -> None:
    first, second = torch.rand(6, 3, 40, 30), torch.rand(6, 3, 40, 30)
    for measure in (psnr, ssim, ms_ssim):
        plain = measure(first, second)
        torch.testing.assert_close(measure(first.flip(0), second.flip(0)).flip(0), plain, rtol=1e-12, atol=0)
        torch.set_num_threads(2)
        torch.testing.assert_close(measure(first, second), plain, rtol=1e-12, atol=0)
        torch.set_num_threads(1)
