"""The adversarial losses by their textbook formulas, smoothing and flipping."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.objectives.adversarial import (
    ADVERSARIAL_LOSSES,
    best_constant,
    flip_labels,
    non_saturating,
    pointwise,
    smooth,
)


def sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


# The formulas as the papers print them, for one pair of logits.
TEXTBOOK: dict[str, tuple[Callable[[float, float], float], Callable[[float, float], float]]] = {
    "minimax": (
        lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
        lambda r, f: math.log(1 - sigmoid(f)),
    ),
    "non-saturating": (
        lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
        lambda r, f: -math.log(sigmoid(f)),
    ),
    "least-squares": (lambda r, f: (r - 1) ** 2 + f**2, lambda r, f: (f - 1) ** 2),
    "hinge": (lambda r, f: max(0.0, 1 - r) + max(0.0, 1 + f), lambda r, f: -f),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
    "relativistic": (lambda r, f: -math.log(sigmoid(r - f)), lambda r, f: -math.log(sigmoid(f - r))),
    # With one pair the means are the logits themselves.
    "relativistic-average": (
        lambda r, f: -math.log(sigmoid(r - f)) - math.log(1 - sigmoid(f - r)),
        lambda r, f: -math.log(sigmoid(f - r)) - math.log(1 - sigmoid(r - f)),
    ),
    "f-kl": (lambda r, f: -r + math.exp(f - 1), lambda r, f: -math.exp(f - 1)),
    "f-reverse-kl": (
        lambda r, f: math.exp(-r) + (-1 - math.log(math.exp(-f))),
        lambda r, f: 1 + math.log(math.exp(-f)),
    ),
    "f-pearson": (
        lambda r, f: -r + (f * f / 4 + f if f >= -2 else -1.0),
        lambda r, f: -(f * f / 4 + f if f >= -2 else -1.0),
    ),
    "f-squared-hellinger": (
        lambda r, f: -(1 - math.exp(-r)) + (1 - math.exp(-f)) / math.exp(-f),
        lambda r, f: -(1 - math.exp(-f)) / math.exp(-f),
    ),
    "f-jensen-shannon": (
        lambda r, f: -math.log(2 * sigmoid(r)) - math.log(2 - 2 * sigmoid(f)),
        lambda r, f: math.log(2 - 2 * sigmoid(f)),
    ),
    "f-total-variation": (
        lambda r, f: -0.5 * math.tanh(r) + 0.5 * math.tanh(f),
        lambda r, f: -0.5 * math.tanh(f),
    ),
}


def test_every_loss_has_its_formula_here() -> None:
    assert set(TEXTBOOK) == set(ADVERSARIAL_LOSSES)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
@given(real=st.floats(-6, 6), fake=st.floats(-6, 6))
def test_textbook_formula(name: str, real: float, fake: float) -> None:
    real_logits = torch.tensor([real], dtype=torch.float64)
    fake_logits = torch.tensor([fake], dtype=torch.float64)
    discriminator, generator = TEXTBOOK[name]
    loss = ADVERSARIAL_LOSSES[name]
    assert float(loss.discriminator(real_logits, fake_logits)) == pytest.approx(discriminator(real, fake), abs=1e-8)
    assert float(loss.generator(real_logits, fake_logits)) == pytest.approx(generator(real, fake), abs=1e-8)


def test_relativistic_average_compares_with_the_other_sides_mean() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-2.0, 0.0])
    expected = [
        math.log1p(math.exp(-(r + 1.0))) + math.log1p(math.exp(f - 2.0))
        for r, f in zip([1.0, 3.0], [-2.0, 0.0], strict=True)
    ]
    found = ADVERSARIAL_LOSSES["relativistic-average"].discriminator(real, fake)
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["relativistic", "relativistic-average"])
@given(shift=st.floats(-100, 100))
def test_relativistic_losses_see_differences_only(name: str, shift: float) -> None:
    real, fake = torch.tensor([0.5, 2.0], dtype=torch.float64), torch.tensor([-1.0, 0.3], dtype=torch.float64)
    loss = ADVERSARIAL_LOSSES[name]
    torch.testing.assert_close(loss.discriminator(real + shift, fake + shift), loss.discriminator(real, fake))
    torch.testing.assert_close(loss.generator(real, fake), loss.discriminator(fake, real))


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "relativistic"])
def test_logistic_losses_grow_linearly_where_a_logarithm_would_be_infinite(name: str) -> None:
    loss = ADVERSARIAL_LOSSES[name]
    far = torch.tensor([1e4])
    values = loss.discriminator(-far, far)
    assert float(values) == 2e4


def test_saturation_is_what_tells_the_two_generators_apart() -> None:
    fake = torch.tensor([-30.0], requires_grad=True)
    for name, low, high in (("minimax", 0.0, 1e-12), ("non-saturating", 0.999, 1.0)):
        (pull,) = torch.autograd.grad(ADVERSARIAL_LOSSES[name].generator(fake, fake).sum(), fake)
        assert low < -float(pull) <= high


def test_non_saturating_of_minimax_is_the_entry_of_that_name() -> None:
    logits = torch.randn(9)
    derived = non_saturating(ADVERSARIAL_LOSSES["minimax"])
    assert torch.equal(
        derived.generator(logits, logits), ADVERSARIAL_LOSSES["non-saturating"].generator(logits, logits)
    )
    with pytest.raises(SteadyganError, match="pairs"):
        non_saturating(ADVERSARIAL_LOSSES["relativistic"])


@pytest.mark.parametrize("shapes", [((3, 1), (3,)), ((3,), (3, 1)), ((3, 1), (3, 1)), ((3,), (4,)), ((), ())])
@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_logits_that_would_broadcast_are_refused(name: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    real, fake = torch.zeros(shapes[0]), torch.zeros(shapes[1])
    with pytest.raises(SteadyganError, match=r"logits of shapes .*\(N,\)"):
        ADVERSARIAL_LOSSES[name].discriminator(real, fake)


@given(real=st.floats(-20, 20), fake=st.floats(-20, 20), s=st.floats(0, 0.49), t=st.floats(0, 0.49))
def test_smoothing_is_cross_entropy_with_soft_targets(real: float, fake: float, s: float, t: float) -> None:
    real_logits = torch.tensor([real], dtype=torch.float64)
    fake_logits = torch.tensor([fake], dtype=torch.float64)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(real_logits, torch.full_like(real_logits, 1 - s)) + bce(fake_logits, torch.full_like(fake_logits, t))
    loss = smooth(ADVERSARIAL_LOSSES["non-saturating"], s, t)
    torch.testing.assert_close(loss.discriminator(real_logits, fake_logits)[0], expected, rtol=1e-9, atol=1e-9)


def test_smoothing_leaves_the_generator_and_nothing_to_smooth_alone() -> None:
    loss = ADVERSARIAL_LOSSES["non-saturating"]
    assert smooth(loss, 0.0, 0.0) is loss
    assert smooth(loss, 0.1, 0.0).generator is loss.generator
    paired = ADVERSARIAL_LOSSES["relativistic"]
    assert smooth(paired, 0.0, 0.0) is paired


def test_smoothing_moves_the_ideal() -> None:
    # Targets .9 and 0 on alike sides: everything gets probability .45, twice the entropy of .45.
    expected = -2 * (0.45 * math.log(0.45) + 0.55 * math.log(0.55))
    assert smooth(ADVERSARIAL_LOSSES["non-saturating"], 0.1, 0.0).ideal == pytest.approx(expected, abs=1e-6)
    assert smooth(ADVERSARIAL_LOSSES["hinge"], 0.1, 0.0).ideal == pytest.approx(1.8)
    assert smooth(ADVERSARIAL_LOSSES["least-squares"], 0.1, 0.0).ideal == pytest.approx(2 * 0.45 * 0.55)
    assert smooth(ADVERSARIAL_LOSSES["wasserstein"], 0.1, 0.0).ideal is None


def test_best_constant_is_none_without_a_least_value() -> None:
    assert best_constant(lambda v: -v, lambda v: v * 0.5) is None
    assert best_constant(lambda v: v.square(), lambda v: (v - 2.0).square()) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "smoothing", "match"),
    [
        ("relativistic", (0.1, 0.0), "label smoothing with a loss on pairs"),
        ("relativistic-average", (0.0, 0.1), "label smoothing with a loss on pairs"),
        ("hinge", (0.5, 0.0), "real_smoothing of 0.5"),
        ("hinge", (0.0, -0.1), "fake_smoothing of -0.1"),
        ("hinge", (math.nan, 0.0), "real_smoothing of nan"),
    ],
)
def test_smoothing_refuses(name: str, smoothing: tuple[float, float], match: str) -> None:
    with pytest.raises(SteadyganError, match=match) as caught:
        smooth(ADVERSARIAL_LOSSES[name], *smoothing)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


@given(probability=st.floats(0.05, 0.95))
def test_flipping_swaps_whole_pairs_at_the_given_rate(probability: float) -> None:
    real, fake = torch.arange(4000.0), -1.0 - torch.arange(4000.0)
    new_real, new_fake = flip_labels(real, fake, probability)
    swapped = new_real == fake
    assert torch.equal(torch.where(swapped, fake, real), new_real)
    assert torch.equal(torch.where(swapped, real, fake), new_fake)
    deviation = math.sqrt(probability * (1 - probability) / 4000)
    assert float(swapped.float().mean()) == pytest.approx(probability, abs=5 * deviation)


def test_flipping_at_the_ends() -> None:
    real, fake = torch.ones(8), torch.zeros(8)
    state = torch.get_rng_state()
    same_real, same_fake = flip_labels(real, fake, 0.0)
    assert same_real is real
    assert same_fake is fake
    assert torch.equal(torch.get_rng_state(), state)
    all_real, all_fake = flip_labels(real, fake, 1.0)
    assert torch.equal(all_real, fake)
    assert torch.equal(all_fake, real)


def test_flipping_keeps_the_gradient_and_the_seed() -> None:
    real, fake = torch.randn(16, requires_grad=True), torch.randn(16, requires_grad=True)
    torch.manual_seed(7)
    first = flip_labels(real, fake, 0.5)
    torch.manual_seed(7)
    second = flip_labels(real, fake, 0.5)
    assert torch.equal(first[0], second[0])
    of_real, of_fake = torch.autograd.grad(first[0].sum(), (real, fake))
    assert torch.equal(of_real + of_fake, torch.ones(16))


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_flipping_refuses(probability: float) -> None:
    with pytest.raises(SteadyganError, match="label flipping"):
        flip_labels(torch.zeros(2), torch.zeros(2), probability)
    with pytest.raises(SteadyganError, match="logits of shapes"):
        flip_labels(torch.zeros(2), torch.zeros(3), 0.5)


def test_a_loss_of_ones_own_takes_three_functions() -> None:
    loss = pointwise(
        lambda v: (v - 1).abs(), lambda v: (v + 1).abs(), lambda v: (v - 1).abs(), signs=True, ideal=2.0, paper="none"
    )
    assert loss.discriminator(torch.tensor([0.5]), torch.tensor([0.5])).tolist() == [2.0]
    assert not loss.paired
