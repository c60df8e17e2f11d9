"""Spectra of images whose power is known: white noise, single waves, checkerboards and blurred images."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.spectrum import (
    PowerStatistics,
    compare_power,
    power_spectrum,
    radial_profile,
    spectrum_distance,
)


def natural(count: int, height: int = 32, width: int = 32, channels: int = 1) -> Tensor:
    """Noise whose power falls with the square of the frequency, as that of photographs does."""
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    fall = 1 / (down.square() + across.square()).sqrt().clamp(min=1 / max(height, width))
    noise = torch.fft.rfft2(torch.randn(count, channels, height, width))
    return 0.02 * torch.fft.irfft2(noise * fall, s=(height, width))


def test_white_noise_has_its_variance_everywhere() -> None:
    power = power_spectrum(0.5 * torch.randn(4000, 1, 12, 8))
    assert power.shape == (1, 12, 8)
    torch.testing.assert_close(power, torch.full_like(power, 0.25), rtol=0.12, atol=0)
    assert float(power.mean()) == pytest.approx(0.25, rel=0.01)


def test_a_wave_has_all_its_power_at_its_frequency() -> None:
    rows = torch.arange(16)[:, None].expand(16, 10).double()
    power = power_spectrum(torch.cos(2 * math.pi * 3 * rows / 16)[None, None])
    expected = torch.zeros_like(power)
    expected[0, 3, 0] = expected[0, 13, 0] = 0.25 * 16 * 10
    torch.testing.assert_close(power, expected, atol=1e-12, rtol=0)
    frequencies, profile = radial_profile(power)
    assert float(frequencies[profile.argmax()]) == pytest.approx(3 / 16, abs=0.5 / 10)


@given(height=st.integers(4, 40), width=st.integers(4, 40), channels=st.integers(1, 4))
def test_rings_keep_the_mean_power_at_any_size(height: int, width: int, channels: int) -> None:
    images = torch.randn(2, channels, height, width, dtype=torch.float64)
    power = power_spectrum(images)
    # Parseval
    assert float(power.mean()) == pytest.approx(float(images.square().mean()), rel=1e-9)
    frequencies, profile = radial_profile(power)
    assert bool((frequencies.diff() > 0).all())
    assert float(frequencies[0]) == 0.0
    assert float(profile[0]) == pytest.approx(float(power[:, 0, 0].mean()), rel=1e-12)
    assert float(power.min()) <= float(profile.min()) <= float(profile.max()) <= float(power.max())
    flat = radial_profile(torch.full_like(power, 7.0))[1]
    torch.testing.assert_close(flat, torch.full_like(flat, 7.0))


@given(cuts=st.lists(st.integers(0, 60), max_size=5), seed=st.integers(0, 100))
def test_chunks_order_and_merging_do_not_matter(cuts: list[int], seed: int) -> None:
    images = torch.randn(60, 2, 6, 9, generator=torch.Generator().manual_seed(seed))
    edges = [0, *sorted(cuts), 60]
    parts = [PowerStatistics(), PowerStatistics()]
    for place in reversed(range(len(edges) - 1)):
        parts[place % 2].update(images[edges[place] : edges[place + 1]])
    parts[0].merge(parts[1])
    assert parts[0].count == 60
    torch.testing.assert_close(parts[0].finish(), power_spectrum(images), rtol=1e-12, atol=1e-15)


def test_identical_sets_have_no_distance() -> None:
    images = natural(20, 30, 17, 3)
    found = spectrum_distance(images, images)
    assert (found.radial, found.full, found.checkerboard, found.comb) == (0.0, 0.0, 0.0, 0.0)
    assert found.bands.tolist() == [0.0, 0.0, 0.0]


def test_ten_times_the_power_is_ten_decibels() -> None:
    images = 50 * natural(30)  # far above the rounding noise of 8 bits
    found = spectrum_distance(images, math.sqrt(10) * images)
    assert found.radial == pytest.approx(10.0, abs=0.01)
    assert found.full == pytest.approx(10.0, abs=0.01)
    assert found.bands.tolist() == pytest.approx([10.0] * 3, abs=0.01)
    assert found.checkerboard == pytest.approx(0.0, abs=0.01)
    back = spectrum_distance(math.sqrt(10) * images, images)
    assert back.radial == pytest.approx(found.radial, rel=1e-9)
    assert back.bands.tolist() == pytest.approx((-found.bands).tolist(), rel=1e-9)


@pytest.mark.parametrize("size", [(32, 32), (33, 32), (31, 29), (8, 8), (16, 48)])
def test_a_checkerboard_is_seen_at_every_size(size: tuple[int, int]) -> None:
    real, fake = natural(300, *size), natural(300, *size)
    clean = spectrum_distance(real, fake)
    marked = fake.clone()
    marked[:, :, ::2, ::2] += 0.1
    marked[:, :, 1::2, 1::2] += 0.1
    found = spectrum_distance(real, marked)
    assert abs(clean.checkerboard) < 2.0
    assert found.checkerboard > 8.0
    assert abs(found.comb) < 4.0


def test_marks_of_blocks_of_four_are_told_from_a_checkerboard() -> None:
    real, fake = natural(300), natural(300)
    fake[:, :, :, ::4] += 0.2
    found = spectrum_distance(real, fake)
    assert found.comb > 8.0


def test_blur_takes_the_high_band_and_noise_fills_it() -> None:
    real, fake = natural(200, 48, 48), natural(200, 48, 48)
    blurred = F.avg_pool2d(fake, 3, 1, 1, count_include_pad=False)
    noisy = fake + 0.1 * torch.randn_like(fake)
    same, soft, rough = (spectrum_distance(real, each) for each in (fake, blurred, noisy))
    assert same.bands.abs().max() < 0.5
    assert soft.bands[2] < soft.bands[1] < soft.bands[0] + 0.5
    assert soft.bands[2] < -5
    assert rough.bands[2] > rough.bands[1] > rough.bands[0] > -0.5
    assert min(soft.radial, rough.radial) > 10 * same.radial


def test_what_eight_bits_cannot_hold_has_no_weight() -> None:
    real = natural(50)
    fake = real + 1e-5 * torch.randn_like(real)
    assert spectrum_distance(real, fake).full < 0.01
    assert spectrum_distance(torch.zeros(1, 1, 8, 8), 1e-6 * torch.randn(1, 1, 8, 8)).full < 0.01


def test_brightness_alone_is_left_out() -> None:
    real = natural(50)
    found = spectrum_distance(real, real + 0.5)
    assert found.radial == pytest.approx(0.0, abs=1e-4)


def test_units_of_the_pixels_do_not_matter() -> None:
    real, fake = natural(20), 0.5 * natural(20)
    first, second = spectrum_distance(real, fake), spectrum_distance(127.5 * real, 127.5 * fake, span=255.0)
    assert second.radial == pytest.approx(first.radial, rel=1e-6)
    assert second.checkerboard == pytest.approx(first.checkerboard, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: power_spectrum(torch.zeros(3, 8, 8)), "images of shape"),
        (lambda: power_spectrum(torch.zeros(3, 1, 3, 8)), "images of shape"),
        (lambda: power_spectrum(torch.zeros(0, 1, 8, 8)), "no images"),
        (lambda: power_spectrum(torch.full((1, 1, 8, 8), math.nan)), "NaN"),
        (lambda: spectrum_distance(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9)), "one size"),
        (lambda: compare_power(torch.ones(1, 8, 8), torch.ones(1, 8, 8), span=0.0), "span of 0"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(call: object, match: str) -> None:
    assert callable(call)
    with pytest.raises(SteadyganError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_sizes_may_not_change_on_the_way() -> None:
    statistics, other = PowerStatistics(), PowerStatistics()
    statistics.update(torch.zeros(1, 1, 8, 8))
    with pytest.raises(SteadyganError, match="9x8 with 1 channel"):
        statistics.update(torch.zeros(1, 1, 8, 9))
    other.update(torch.zeros(1, 3, 8, 8))
    with pytest.raises(SteadyganError, match="3 channel"):
        statistics.merge(other)
