"""What every entry of every table of objectives must keep to."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, non_saturating, smooth
from steadygan.objectives.penalties import PENALTIES
from steadygan.objectives.weights import WEIGHT_PENALTIES

SMOOTHED = {
    f"{name}, smoothed": smooth(loss, 0.1, 0.05) for name, loss in ADVERSARIAL_LOSSES.items() if not loss.paired
}
HEURISTIC = {
    f"{name}, non-saturating": non_saturating(loss) for name, loss in ADVERSARIAL_LOSSES.items() if not loss.paired
}
LOSSES: dict[str, AdversarialLoss] = {**ADVERSARIAL_LOSSES, **SMOOTHED, **HEURISTIC}
MOVES = ("discriminator", "generator")
# Functions of the whole batch by definition: the one compares with means, the other scales its noise by a spread.
JOINT = {"relativistic-average", "dragan"}

each_loss = pytest.mark.parametrize("name", LOSSES)
each_move = pytest.mark.parametrize("move", MOVES)
each_penalty = pytest.mark.parametrize("name", PENALTIES)


def function(name: str, move: str) -> Callable[[Tensor, Tensor], Tensor]:
    found: Callable[[Tensor, Tensor], Tensor] = getattr(LOSSES[name], move)
    return found


@each_loss
@each_move
@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_value_a_sample(name: str, move: str, count: int, dtype: torch.dtype) -> None:
    values = function(name, move)(torch.randn(count, dtype=dtype), torch.randn(count, dtype=dtype))
    assert values.shape == (count,)
    assert values.dtype == dtype


@pytest.mark.parametrize("name", sorted(set(LOSSES) - JOINT))
@each_move
def test_samples_do_not_touch_each_other(name: str, move: str) -> None:
    real, fake = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    values = function(name, move)(real, fake)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    torch.testing.assert_close(function(name, move)(real[order], fake[order]), values[order], rtol=0, atol=0)
    real[2] += 1.0
    fake[2] -= 3.0
    changed = function(name, move)(real, fake)
    assert torch.equal(changed[[0, 1, 3, 4, 5]], values[[0, 1, 3, 4, 5]])


@each_loss
@each_move
def test_finite_at_extreme_logits(name: str, move: str) -> None:
    extremes = [-1e4, -100.0, 0.0, 100.0, 1e4]
    pairs = torch.tensor(list(itertools.product(extremes, extremes)))
    real, fake = pairs[:, 0].clone().requires_grad_(), pairs[:, 1].clone().requires_grad_()
    values = function(name, move)(real, fake)
    gradients = torch.autograd.grad(values.sum(), (real, fake), allow_unused=True)
    assert values.isfinite().all()
    assert any(gradient is not None for gradient in gradients)
    for gradient in gradients:
        assert gradient is None or gradient.isfinite().all()


@each_loss
@each_move
def test_gradient_is_that_of_the_value(name: str, move: str) -> None:
    real = (3.0 * torch.randn(5, dtype=torch.float64)).requires_grad_()
    fake = (3.0 * torch.randn(5, dtype=torch.float64)).requires_grad_()
    inputs = (real, fake) if move == "discriminator" or LOSSES[name].paired else (real.detach(), fake)
    assert torch.autograd.gradcheck(function(name, move), inputs)


@each_loss
def test_paired_says_whether_the_generator_needs_reals(name: str) -> None:
    fake = torch.randn(4)
    first = LOSSES[name].generator(torch.zeros(4), fake)
    second = LOSSES[name].generator(torch.full((4,), 2.0), fake)
    assert torch.equal(first, second) is not LOSSES[name].paired
    assert (LOSSES[name].real_term is None) is LOSSES[name].paired
    assert (LOSSES[name].fake_term is None) is LOSSES[name].paired


@each_loss
def test_ideal_is_the_loss_of_the_best_constant(name: str) -> None:
    # At equilibrium reals and fakes are alike, so no discriminator beats one that answers a constant.
    constants = torch.linspace(-8.0, 8.0, 16_001, dtype=torch.float64)
    values = torch.stack([LOSSES[name].discriminator(c[None], c[None])[0] for c in constants[::20]])
    ideal = LOSSES[name].ideal
    if ideal is None:
        assert int(values.argmin()) in (0, len(values) - 1)
    else:
        assert float(values.min()) == pytest.approx(ideal, abs=2e-4)


@each_loss
def test_signs_say_whether_zero_is_the_border(name: str) -> None:
    loss = ADVERSARIAL_LOSSES[name.split(",", maxsplit=1)[0]]
    if loss.paired:
        assert not loss.signs
        return
    assert loss.real_term is not None
    assert loss.fake_term is not None
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (real_pull,) = torch.autograd.grad(loss.real_term(zero), zero)
    (fake_pull,) = torch.autograd.grad(loss.fake_term(zero), zero)
    # A real as likely as a fake pulls 0 equally both ways; Wasserstein pulls so at every logit.
    balanced = float(real_pull + fake_pull) == 0.0
    assert loss.signs == (balanced and not name.startswith("wasserstein"))
    assert real_pull < 0.0


@each_loss
@each_move
def test_training_pulls_the_right_way(name: str, move: str) -> None:
    real = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([0.6], dtype=torch.float64, requires_grad=True)
    values = function(name, move)(real, fake)
    of_real, of_fake = torch.autograd.grad(values.sum(), (real, fake), allow_unused=True)
    if move == "discriminator":
        assert of_real is not None
        assert of_real < 0.0
        assert of_fake > 0.0
    else:
        assert of_fake < 0.0


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if not loss.paired])
def test_terms_add_up_to_the_discriminators_loss(name: str) -> None:
    loss = LOSSES[name]
    real, fake = torch.randn(5), torch.randn(5)
    assert loss.real_term is not None
    assert loss.fake_term is not None
    torch.testing.assert_close(loss.discriminator(real, fake), loss.real_term(real) + loss.fake_term(fake))


class SmallDiscriminator(nn.Module):
    """Smooth, with curvature in every direction, on flattened images."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, 6)
        self.output = nn.Linear(6, 1)

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.hidden(images.flatten(1))
        logits: Tensor = self.output(nn.functional.softplus(hidden)).squeeze(1)
        return logits


@each_penalty
@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 8, 8), (2, 1, 1)])
def test_penalty_gives_one_value_a_sample(name: str, shape: tuple[int, int, int]) -> None:
    discriminator = SmallDiscriminator(shape[0] * shape[1] * shape[2])
    values = PENALTIES[name](discriminator, torch.randn(4, *shape), torch.randn(4, *shape))
    assert values.shape == (4,)
    assert values.isfinite().all()
    assert (values >= 0).all()
    values.mean().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in (discriminator.hidden.weight, discriminator.output.weight))


@pytest.mark.parametrize("name", sorted(set(PENALTIES) - JOINT))
def test_penalty_of_a_sample_is_its_own(name: str) -> None:
    discriminator = SmallDiscriminator(12).double()
    with torch.no_grad():
        discriminator.output.weight.mul_(20.0)  # steep enough for the one-sided penalty to act
    real, fake = torch.randn(5, 3, 2, 2, dtype=torch.float64), torch.randn(5, 3, 2, 2, dtype=torch.float64)
    torch.manual_seed(1)
    before = PENALTIES[name](discriminator, real, fake)
    real[2] += 1.0
    fake[2] += 1.0
    torch.manual_seed(1)
    after = PENALTIES[name](discriminator, real, fake)
    torch.testing.assert_close(after[[0, 1, 3, 4]], before[[0, 1, 3, 4]], rtol=1e-12, atol=1e-12)
    assert after[2] != before[2]


@each_penalty
def test_penalty_teaches_the_discriminator_rightly(name: str) -> None:
    """The parameter gradient, through the double backward, against central differences in random directions."""
    discriminator = SmallDiscriminator(8).double()
    parameters = list(discriminator.parameters())
    with torch.no_grad():
        for parameter in parameters:
            parameter.mul_(4.0)  # steep enough for the one-sided penalty to act
    real, fake = torch.randn(4, 2, 2, 2, dtype=torch.float64), torch.randn(4, 2, 2, 2, dtype=torch.float64)

    def total() -> Tensor:
        torch.manual_seed(5)
        return PENALTIES[name](discriminator, real, fake).sum()

    gradients = torch.autograd.grad(total(), parameters, allow_unused=True, materialize_grads=True)
    assert any(float(gradient.abs().max()) > 1e-3 for gradient in gradients)
    step = 1e-6
    for seed in range(4):
        torch.manual_seed(100 + seed)
        directions = [torch.randn_like(parameter) for parameter in parameters]
        ends = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.add_(direction, alpha=sign * step)
            ends.append(float(total().detach()))
            with torch.no_grad():
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.sub_(direction, alpha=sign * step)
        expected = (ends[0] - ends[1]) / (2 * step)
        found = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


@each_penalty
def test_penalty_leaves_the_images_alone(name: str) -> None:
    discriminator = SmallDiscriminator(8)
    real = torch.randn(3, 2, 2, 2, requires_grad=True)
    fake = torch.randn(3, 2, 2, 2, requires_grad=True)
    kept = real.detach().clone(), fake.detach().clone()
    PENALTIES[name](discriminator, real, fake).sum().backward()  # type: ignore[no-untyped-call]
    assert real.grad is None
    assert fake.grad is None
    assert torch.equal(real, kept[0])
    assert torch.equal(fake, kept[1])


@each_penalty
def test_penalty_is_float32_under_autocast(name: str) -> None:
    discriminator = SmallDiscriminator(8)
    real, fake = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2)
    torch.manual_seed(3)
    expected = PENALTIES[name](discriminator, real, fake)
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = PENALTIES[name](discriminator, real, fake)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert PENALTIES[name](discriminator, real.bfloat16(), fake.bfloat16()).dtype == torch.float32


@each_penalty
def test_penalty_of_a_flat_discriminator_has_a_finite_gradient(name: str) -> None:
    discriminator = SmallDiscriminator(8)
    nn.init.zeros_(discriminator.output.weight)
    values = PENALTIES[name](discriminator, torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2))
    values.sum().backward()  # type: ignore[no-untyped-call]
    for parameter in discriminator.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@each_penalty
def test_penalty_bears_batch_norm(name: str) -> None:
    discriminator = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 1)
    )
    values = PENALTIES[name](
        lambda images: discriminator(images).squeeze(1), torch.randn(5, 1, 6, 6), torch.randn(5, 1, 6, 6)
    )
    values.mean().backward()  # type: ignore[no-untyped-call]
    assert values.shape == (5,)
    first = discriminator[0].weight.grad
    assert isinstance(first, Tensor)
    assert first.isfinite().all()


@pytest.mark.parametrize("name", WEIGHT_PENALTIES)
def test_weight_penalty_is_a_scalar_with_the_right_gradient(name: str) -> None:
    first = torch.randn(4, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    second = torch.randn(5, dtype=torch.float64, requires_grad=True)
    value = WEIGHT_PENALTIES[name]([first, second])
    assert value.shape == ()
    assert value > 0
    assert torch.autograd.gradcheck(lambda *parameters: WEIGHT_PENALTIES[name](parameters), (first, second))
    assert float(WEIGHT_PENALTIES[name](iter([]))) == 0.0
    assert float(WEIGHT_PENALTIES[name](torch.zeros(3, 3) for _ in range(2))) == 0.0
