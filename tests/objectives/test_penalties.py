"""The penalties on linear and quadratic discriminators, where the gradient is known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.objectives.penalties import (
    APPROXIMATION_STD,
    PENALTIES,
    gradient_norm,
    input_gradient,
    interpolate,
)

SHAPE = (2, 3, 2)
SIZE = 12
EXACT = ["gradient", "gradient-zero", "gradient-one-sided", "r1", "r2", "dragan"]


class Linear:
    """D(x) = slope · x + 3, with a gradient of the same length everywhere."""

    def __init__(self, length: float, dtype: torch.dtype = torch.float64) -> None:
        direction = torch.randn(SIZE, dtype=dtype)
        self.slope: Tensor = length * direction / direction.norm()

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.slope + 3.0


class Quadratic:
    """D(x) = ½ xᵀ A x with a symmetric A, whose gradient is A x."""

    def __init__(self) -> None:
        matrix = torch.randn(SIZE, SIZE, dtype=torch.float64)
        self.matrix = (matrix + matrix.T) / 4.0

    def __call__(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return 0.5 * ((flat @ self.matrix) * flat).sum(1)

    def slope(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.matrix


def expected(name: str, norm: Tensor) -> Tensor:
    """The value of an exact penalty for a gradient of this length."""
    formulas = {
        "gradient": (norm - 1.0) ** 2,
        "gradient-zero": norm**2,
        "gradient-one-sided": torch.clamp(norm - 1.0, min=0.0) ** 2,
        "r1": norm**2 / 2.0,
        "r2": norm**2 / 2.0,
        "dragan": (norm - 1.0) ** 2,
    }
    return formulas[name]


def images(count: int) -> Tensor:
    return torch.randn(count, *SHAPE, dtype=torch.float64)


@pytest.mark.parametrize("name", EXACT)
@given(length=st.floats(0.01, 100.0))
def test_linear_discriminator(name: str, length: float) -> None:
    values = PENALTIES[name](Linear(length), images(5), images(5))
    norm = torch.full((5,), length, dtype=torch.float64)
    torch.testing.assert_close(values, expected(name, norm), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["gradient", "gradient-zero", "gradient-one-sided"])
def test_quadratic_discriminator_between_equal_batches(name: str) -> None:
    # Where real and fake coincide, so does every point between them.
    discriminator, real = Quadratic(), images(6)
    values = PENALTIES[name](discriminator, real, real.clone())
    torch.testing.assert_close(values, expected(name, discriminator.slope(real).norm(dim=1)))


@pytest.mark.parametrize(("name", "side"), [("r1", 0), ("r2", 1)])
def test_quadratic_discriminator_on_one_side(name: str, side: int) -> None:
    discriminator, sides = Quadratic(), (images(6), images(6))
    values = PENALTIES[name](discriminator, *sides)
    torch.testing.assert_close(values, expected(name, discriminator.slope(sides[side]).norm(dim=1)))


@pytest.mark.parametrize(("name", "exact"), [("r1-approximate", "r1"), ("r2-approximate", "r2")])
def test_approximation_has_the_exact_expectation(name: str, exact: str) -> None:
    discriminator, one = Quadratic(), images(1)
    many = one.expand(100_000, *SHAPE)
    apart = images(1).expand(100_000, *SHAPE)
    sides = (many, apart) if exact == "r1" else (apart, many)
    found = PENALTIES[name](discriminator, *sides)
    value = PENALTIES[exact](discriminator, sides[0][:1], sides[1][:1]).item()
    # (∇D·ε)² is a chi-square of one degree: its standard deviation is √2 times its mean.
    assert float(found.mean()) == pytest.approx(value, rel=5 * math.sqrt(2 / 100_000))
    assert float(found.std()) == pytest.approx(math.sqrt(2) * value, rel=0.05)


def test_approximation_of_a_linear_discriminator_is_its_slope_along_the_noise() -> None:
    discriminator, real = Linear(3.0), images(4)
    torch.manual_seed(11)
    found = PENALTIES["r1-approximate"](discriminator, real, real)
    torch.manual_seed(11)
    noise = torch.randn_like(real).flatten(1)
    torch.testing.assert_close(found, 0.5 * (noise @ discriminator.slope) ** 2, rtol=1e-9, atol=1e-9)
    assert APPROXIMATION_STD == 0.01


def test_approximation_survives_float32_logits_of_a_real_size() -> None:
    discriminator = Linear(2.0, torch.float32)
    real = torch.randn(50_000, *SHAPE)
    found = PENALTIES["r1-approximate"](lambda x: discriminator(x) + 20.0, real, real)
    assert float(found.mean()) == pytest.approx(2.0, rel=0.03)


def test_interpolation_is_uniform_and_one_share_a_sample() -> None:
    real, fake = torch.ones(20_000, 3, 2, 2), torch.zeros(20_000, 3, 2, 2)
    share = interpolate(real, fake).flatten(1)
    assert torch.equal(share, share[:, :1].expand_as(share))
    assert float(share.min()) >= 0.0
    assert float(share.max()) <= 1.0
    deciles = torch.histc(share[:, 0], bins=10, min=0.0, max=1.0) / 20_000
    assert float((deciles - 0.1).abs().max()) < 0.012
    # ‖∇D‖² of ½|x|² at α·1 is 12 α², whose mean is 12 / 3.
    values = PENALTIES["gradient-zero"](lambda x: 0.5 * x.flatten(1).square().sum(1), real, fake)
    assert float(values.mean()) == pytest.approx(4.0, rel=0.03)


def test_dragan_looks_around_reals_by_half_their_spread() -> None:
    real = 0.5 * torch.randn(4000, 4, 1, 1, dtype=torch.float64) + 3.0
    fake = torch.full_like(real, math.nan)
    seen = []

    def discriminate(points: Tensor) -> Tensor:
        seen.append(points.detach())
        return points.flatten(1).sum(1)

    values = PENALTIES["dragan"](discriminate, real, fake)
    torch.testing.assert_close(values, torch.ones(4000, dtype=torch.float64))  # (√4 - 1)²
    noise = seen[0] - real
    assert float(noise.std()) == pytest.approx(0.25, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.01)
    constant = torch.ones(3, 4, 1, 1)
    assert PENALTIES["dragan"](discriminate, constant, constant).isfinite().all()


@pytest.mark.parametrize("name", PENALTIES)
def test_random_numbers_are_the_global_ones(name: str) -> None:
    discriminator, real, fake = Quadratic(), images(3), images(3)
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(PENALTIES[name](discriminator, real, fake))
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2]) == (name in ("r1", "r2"))


def test_norm_of_nothing_has_no_nan_in_its_gradient() -> None:
    slope = torch.zeros(2, 3, 1, 1, requires_grad=True)
    (back,) = torch.autograd.grad((gradient_norm(slope) - 1.0).square().sum(), slope)
    assert torch.equal(back, torch.zeros_like(slope))
    tiny = torch.full((1, 3), 1e-30, requires_grad=True)
    (back,) = torch.autograd.grad(gradient_norm(tiny).sum(), tiny)
    assert back.isfinite().all()


def test_input_gradient_under_no_grad_and_without_a_graph() -> None:
    discriminator, real = Quadratic(), images(3)
    with torch.no_grad():
        slope = input_gradient(discriminator, real, create_graph=False)
    assert slope.shape == real.shape
    assert not slope.requires_grad
    torch.testing.assert_close(slope.flatten(1), discriminator.slope(real))
    assert not real.requires_grad


@pytest.mark.parametrize("name", ["gradient", "gradient-zero", "gradient-one-sided"])
def test_unequal_batches_are_refused(name: str) -> None:
    with pytest.raises(SteadyganError, match="a penalty between reals and fakes"):
        PENALTIES[name](Linear(1.0), images(4), images(3))
