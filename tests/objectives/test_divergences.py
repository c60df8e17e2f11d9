"""f-divergences: conjugates, bounds and what the f-GAN losses reach on Gaussians."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES
from steadygan.objectives.divergences import DIVERGENCES, EXPONENT_LIMIT, bounded_exp

each = pytest.mark.parametrize("name", DIVERGENCES)

# The logit whose activation is f'(u), as a function of log u: g_f inverted by hand.
BEST_LOGIT: dict[str, Callable[[Tensor], Tensor]] = {
    "kl": lambda log_ratio: log_ratio + 1.0,
    "reverse-kl": lambda log_ratio: log_ratio,
    "pearson": lambda log_ratio: 2.0 * torch.expm1(log_ratio),
    "squared-hellinger": lambda log_ratio: log_ratio / 2.0,
    "jensen-shannon": lambda log_ratio: log_ratio,
    "total-variation": lambda log_ratio: 50.0 * log_ratio.sign(),
}

DISTANCE = 0.8


def quantiles(mean: float, count: int = 200_001) -> Tensor:
    """Points of N(mean, 1) at evenly spaced probabilities: a sample without noise."""
    standard: Tensor = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return mean + standard


def log_ratio(points: Tensor) -> Tensor:
    """Of N(DISTANCE, 1) over N(0, 1)."""
    return DISTANCE * points - DISTANCE**2 / 2.0


@each
def test_f_is_convex_and_zero_at_one(name: str) -> None:
    ratios = torch.linspace(0.01, 5.0, 500, dtype=torch.float64)
    values = DIVERGENCES[name].function(ratios)
    assert (values[:-2] + values[2:] - 2 * values[1:-1] >= -1e-12).all()
    assert float(DIVERGENCES[name].function(torch.ones((), dtype=torch.float64))) == pytest.approx(0.0, abs=1e-15)


@each
def test_conjugate_is_the_greatest_gap(name: str) -> None:
    """f*(t) = sup_u (u t - f(u)), searched over a fine grid of u."""
    divergence = DIVERGENCES[name]
    ratios = torch.logspace(-9, 4, 400_001, dtype=torch.float64)
    for logit in (-2.5, -1.0, -0.3, 0.0, 0.4, 1.5):
        value = divergence.activation(torch.tensor(logit, dtype=torch.float64))
        searched = (ratios * value - divergence.function(ratios)).max()
        assert float(divergence.conjugate(value)) == pytest.approx(float(searched), abs=1e-4)


@each
@given(logit=st.floats(-15, 15))
def test_stable_form_is_the_conjugate_of_the_activation(name: str, logit: float) -> None:
    value = torch.tensor(logit, dtype=torch.float64)
    divergence = DIVERGENCES[name]
    torch.testing.assert_close(
        divergence.conjugate_of_activation(value),
        divergence.conjugate(divergence.activation(value)),
        rtol=1e-8,
        atol=1e-8,
    )


@each
def test_activation_rises_with_the_logit(name: str) -> None:
    logits = torch.linspace(-12, 12, 1001, dtype=torch.float64)
    divergence = DIVERGENCES[name]
    assert (divergence.activation(logits).diff() > 0).all()
    assert (divergence.conjugate_of_activation(logits).diff() >= 0).all()


@each
def test_bound_reaches_the_divergence_of_two_gaussians(name: str) -> None:
    divergence = DIVERGENCES[name]
    real, fake = quantiles(DISTANCE), quantiles(0.0)
    found = float(divergence.bound(BEST_LOGIT[name](log_ratio(real)), BEST_LOGIT[name](log_ratio(fake))))
    direct = float(divergence.function(log_ratio(fake).exp()).mean())
    assert found == pytest.approx(direct, rel=2e-3)
    if divergence.gaussian is not None:
        assert found == pytest.approx(divergence.gaussian(DISTANCE), rel=2e-3)


def test_scales_of_the_divergences() -> None:
    known = {"kl": 2.0, "reverse-kl": 2.0, "pearson": math.exp(4) - 1, "squared-hellinger": 2 - 2 * math.exp(-0.5)}
    for name, value in known.items():
        gaussian = DIVERGENCES[name].gaussian
        assert gaussian is not None
        assert gaussian(2.0) == pytest.approx(value)
    total_variation = DIVERGENCES["total-variation"].gaussian
    assert total_variation is not None
    assert total_variation(2.0) == pytest.approx(0.6826894921)  # P(|z| < 1)
    far = torch.full((10,), 40.0)
    assert float(DIVERGENCES["jensen-shannon"].bound(far, -far)) == pytest.approx(math.log(4))


@each
@given(slope=st.floats(-3, 3), offset=st.floats(-3, 3), bend=st.floats(-1, 1))
def test_no_discriminator_gets_above_the_divergence(name: str, slope: float, offset: float, bend: float) -> None:
    divergence = DIVERGENCES[name]
    real, fake = quantiles(DISTANCE, 2001), quantiles(0.0, 2001)

    def logits(points: Tensor) -> Tensor:
        return offset + slope * points + bend * torch.sin(3 * points)

    best = float(divergence.bound(BEST_LOGIT[name](log_ratio(real)), BEST_LOGIT[name](log_ratio(fake))))
    assert float(divergence.bound(logits(real), logits(fake))) <= best + 0.02


@each
def test_loss_is_minus_the_bound(name: str) -> None:
    real, fake = torch.randn(64), torch.randn(64)
    loss = ADVERSARIAL_LOSSES[f"f-{name}"]
    torch.testing.assert_close(loss.discriminator(real, fake).mean(), -DIVERGENCES[name].bound(real, fake))


@pytest.mark.parametrize("name", ["kl", "reverse-kl", "jensen-shannon", "squared-hellinger", "pearson"])
def test_training_finds_the_bound_and_the_best_logit(name: str) -> None:
    """A discriminator with enough freedom, trained on the loss, ends at the density ratio."""
    real, fake = quantiles(DISTANCE, 4001), quantiles(0.0, 4001)
    weights = torch.zeros(4, dtype=torch.float64, requires_grad=True)

    def logits(points: Tensor) -> Tensor:
        return torch.stack([points**power for power in range(4)], 1) @ weights

    optimizer = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = ADVERSARIAL_LOSSES[f"f-{name}"].discriminator(logits(real), logits(fake)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    points = torch.linspace(-1.0, 1.5, 50, dtype=torch.float64)
    torch.testing.assert_close(logits(points).detach(), BEST_LOGIT[name](log_ratio(points)), rtol=0.02, atol=0.12)


@given(exponent=st.floats(-50, 1e4))
def test_bounded_exp_is_exp_and_then_its_tangent(exponent: float) -> None:
    found = float(bounded_exp(torch.tensor(exponent, dtype=torch.float64)))
    if exponent <= EXPONENT_LIMIT:
        assert found == pytest.approx(math.exp(exponent), rel=1e-12)
    else:
        assert found == pytest.approx(math.exp(EXPONENT_LIMIT) * (1 + exponent - EXPONENT_LIMIT), rel=1e-12)


@pytest.mark.parametrize("beside", [-1e-9, 0.0, 1e-9])
def test_bounded_exp_has_no_kink(beside: float) -> None:
    exponent = torch.tensor(EXPONENT_LIMIT + beside, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(bounded_exp(exponent), exponent)
    assert float(slope) == pytest.approx(math.exp(EXPONENT_LIMIT), rel=1e-6)


def test_pearson_generator_never_gains_from_worse_fakes() -> None:
    logits = torch.linspace(-10, 10, 501)
    losses = ADVERSARIAL_LOSSES["f-pearson"].generator(logits, logits)
    assert (losses.diff() <= 0).all()
