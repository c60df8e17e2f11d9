"""Auxiliary terms: values by hand, gradients, and what each refuses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.objectives.auxiliary import (
    feature_matching,
    historical_averaging,
    instance_noise,
    lecam,
    pack,
    spectrum,
    spectrum_matching,
    top_k,
    update_average,
    update_historical_averages_,
)


def test_feature_matching_by_hand() -> None:
    real = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    fake = torch.tensor([[0.0, 0.0], [0.0, 3.0], [3.0, 3.0]], requires_grad=True)
    value = feature_matching(real, fake)
    assert value.item() == 2.0  # means (2, 3) and (1, 2)
    value.backward()  # type: ignore[no-untyped-call]
    assert real.grad is None
    torch.testing.assert_close(fake.grad, torch.full((3, 2), -2.0 / 3.0))


def test_feature_matching_gradient() -> None:
    real = torch.randn(4, 3, dtype=torch.float64)
    fake = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda features: feature_matching(real, features), fake)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 4)), ((2, 3, 1), (2, 3, 1)), ((3,), (3,))])
def test_feature_matching_refuses(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(SteadyganError, match="feature matching needs"):
        feature_matching(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_the_spectrum_is_in_units_of_pixels() -> None:
    board = 1.0 - 2.0 * ((torch.arange(4)[:, None] + torch.arange(4)) % 2)
    spread, power = spectrum((0.3 * board).expand(5, 2, 4, 4))
    # frequency (2, 2) is the finest chessboard
    assert power.sqrt()[:, 10].tolist() == pytest.approx([0.3, 0.3], abs=1e-3)
    assert float(spread.max()) == pytest.approx(1e-4, rel=1e-2)
    torch.manual_seed(0)
    images = torch.randn(4000, 1, 4, 4)
    spread, _ = spectrum(images)
    assert float(spread.square().sum()) == pytest.approx(float(images.var(0, correction=0).mean()), rel=1e-4)


def pulled(pull: float, board: float, rate: float) -> tuple[float, float]:
    """Spread of pixels and a chessboard's strength, where fakes are drawn to their mean and to a chessboard."""
    torch.manual_seed(0)
    chess = 1.0 - 2.0 * ((torch.arange(4)[:, None] + torch.arange(4)) % 2)
    scale, shown = torch.ones((), requires_grad=True), torch.zeros((), requires_grad=True)
    forces = None
    for _ in range(400):
        fake = scale * torch.randn(64, 1, 4, 4) + shown * chess
        term, forces = spectrum_matching(torch.randn(64, 1, 4, 4), fake, forces, rate)
        loss = term * bool(rate) + pull * fake.var(0).mean() + pull * (shown - board).square()
        slopes = torch.autograd.grad(loss, (scale, shown))
        with torch.no_grad():
            scale -= 0.01 * slopes[0].sign()
            shown -= 0.01 * slopes[1].sign()
    return scale.item(), shown.item()


def test_forces_win_against_any_pull() -> None:
    scale, shown = pulled(5.0, 0.8, 0.0)
    assert abs(scale) < 0.1 and shown > 0.7, "without them the pull wins"
    scale, shown = pulled(5.0, 0.8, 1.0)
    assert scale > 0.8 and abs(shown) < 0.3


def test_spectrum_matching_teaches_fakes_alone() -> None:
    torch.manual_seed(0)
    real, fake = (torch.randn(8, 1, 4, 4, requires_grad=True) for _ in range(2))
    term, (wider, less) = spectrum_matching(real, fake, None, 1.0)
    term.backward()
    assert real.grad is None and fake.grad is not None and bool(fake.grad.isfinite().all())
    assert bool((wider <= 0).all()) and bool((less >= 0).all())
    assert not wider.requires_grad and not less.requires_grad


def test_fakes_that_are_all_alike_get_a_finite_slope() -> None:
    fake = torch.zeros(8, 1, 4, 4, requires_grad=True)
    term, _ = spectrum_matching(torch.randn(8, 1, 4, 4), fake, None, 1.0)
    term.backward()
    assert fake.grad is not None and bool(fake.grad.isfinite().all())


def test_historical_averaging_by_hand() -> None:
    parameters = [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([[3.0]], requires_grad=True)]
    averages = [torch.tensor([0.0, 0.0], requires_grad=True), torch.tensor([[1.0]], requires_grad=True)]
    value = historical_averaging(parameters, averages)
    assert value.item() == 9.0
    value.backward()  # type: ignore[no-untyped-call]
    assert parameters[0].grad is not None
    assert parameters[0].grad.tolist() == [2.0, 4.0]
    assert all(average.grad is None for average in averages)
    assert float(historical_averaging([], [])) == 0.0


def test_historical_averages_are_the_mean_of_all_values() -> None:
    values = torch.randn(20, 3, dtype=torch.float64)
    average = torch.full((3,), 9.0, dtype=torch.float64)
    for count, value in enumerate(values, 1):
        parameter = value.clone().requires_grad_()
        update_historical_averages_([average], [parameter], count)
        torch.testing.assert_close(average, values[:count].mean(0))
    assert not average.requires_grad
    with pytest.raises(SteadyganError, match="count from 1"):
        update_historical_averages_([average], [average], 0)


def test_historical_averaging_refuses_other_parameters() -> None:
    with pytest.raises(SteadyganError, match="1 historical averages for 2 parameters"):
        historical_averaging([torch.zeros(2), torch.zeros(3)], [torch.zeros(2)])
    with pytest.raises(SteadyganError, match="same shape"):
        historical_averaging([torch.zeros(2)], [torch.zeros(2, 1)])


def test_lecam_holds_each_side_near_the_other() -> None:
    real, fake = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.0])
    found = lecam(real, fake, torch.tensor(1.5), torch.tensor(-0.5))
    assert found.tolist() == [1.5**2 + 2.5**2, 2.5**2 + 1.5**2]
    assert torch.equal(found, lecam(real, fake, 1.5, -0.5))
    with pytest.raises(SteadyganError, match="LeCam"):
        lecam(real[:, None], fake, 0.0, 0.0)


def test_lecam_gradient_and_extremes() -> None:
    real = torch.randn(4, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r, f: lecam(r, f, 0.3, -0.2), (real, fake))
    assert lecam(torch.tensor([1e4]), torch.tensor([-1e4]), -1e4, 1e4).isfinite().all()


@given(decay=st.floats(0, 0.999), steps=st.integers(1, 30))
def test_average_of_logits_is_an_exponential_one(decay: float, steps: int) -> None:
    start, target = torch.tensor(5.0, dtype=torch.float64), torch.full((3,), 2.0, dtype=torch.float64)
    average = start
    for _ in range(steps):
        average = update_average(average, target, decay)
    assert float(average) == pytest.approx(2.0 + 3.0 * decay**steps, abs=1e-9)
    assert float(start) == 5.0


def test_average_of_logits_takes_no_gradient_and_keeps_its_type() -> None:
    found = update_average(torch.tensor(0.0), torch.ones(4, dtype=torch.float64, requires_grad=True))
    assert not found.requires_grad
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(0.01)
    for decay in (1.0, -0.1, math.nan):
        with pytest.raises(SteadyganError, match="decay"):
            update_average(torch.tensor(0.0), torch.ones(2), decay)


def test_instance_noise_has_the_given_spread() -> None:
    images = torch.zeros(50, 3, 16, 16)
    noisy = instance_noise(images, 0.2)
    assert float(noisy.std()) == pytest.approx(0.2, rel=0.02)
    assert float(noisy.mean()) == pytest.approx(0.0, abs=0.005)
    assert not images.any()
    state = torch.get_rng_state()
    assert instance_noise(images, 0.0) is images
    assert torch.equal(torch.get_rng_state(), state)


def test_instance_noise_lets_the_gradient_through() -> None:
    images = torch.zeros(2, 1, 2, 2, requires_grad=True)
    (back,) = torch.autograd.grad(instance_noise(images, 1.0).sum(), images)
    assert torch.equal(back, torch.ones_like(images))


@pytest.mark.parametrize("std", [-0.1, math.inf, math.nan])
def test_instance_noise_refuses(std: float) -> None:
    with pytest.raises(SteadyganError, match="instance noise"):
        instance_noise(torch.zeros(1), std)


def test_top_k_keeps_the_most_convincing() -> None:
    values = torch.tensor([10.0, 20.0, 30.0, 40.0])
    logits = torch.tensor([0.1, 5.0, -2.0, 3.0])
    assert top_k(values, logits, 0.5).tolist() == [20.0, 40.0]
    assert top_k(values, logits, 0.01).tolist() == [20.0]
    assert top_k(values, logits, 1.0) is values


@given(count=st.integers(1, 40), share=st.floats(0.01, 1.0))
def test_top_k_keeps_the_right_number(count: int, share: float) -> None:
    logits = torch.randn(count)
    kept = top_k(logits, logits, share)
    assert len(kept) == max(1, round(share * count))
    assert torch.equal(kept.sort().values, logits.sort().values[-len(kept) :])


def test_top_k_gives_no_gradient_to_the_rest() -> None:
    logits = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    (back,) = torch.autograd.grad(top_k(2.0 * logits, logits, 0.67).sum(), logits)
    assert back.tolist() == [2.0, 0.0, 2.0]


@pytest.mark.parametrize("share", [0.0, 1.5, math.nan])
def test_top_k_refuses(share: float) -> None:
    with pytest.raises(SteadyganError, match="share"):
        top_k(torch.zeros(2), torch.zeros(2), share)
    with pytest.raises(SteadyganError, match="one value and one logit"):
        top_k(torch.zeros(2), torch.zeros(3), 0.5)


def test_packing_joins_neighbours_along_the_channels() -> None:
    images = torch.arange(6 * 2 * 3 * 2).reshape(6, 2, 3, 2)
    packed = pack(images, 3)
    assert packed.shape == (2, 6, 3, 2)
    assert torch.equal(packed[1], torch.cat([images[3], images[4], images[5]]))
    assert pack(images, 1) is images
    assert pack(torch.zeros(4, 5, 1, 1), 2).shape == (2, 10, 1, 1)


@pytest.mark.parametrize("m", [0, -1, 4])
def test_packing_refuses(m: int) -> None:
    with pytest.raises(SteadyganError, match="packing 6 images"):
        pack(torch.zeros(6, 1, 2, 2), m)
