"""The average in closed form, and optimizers against their rules written by hand."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from steadygan.config import OptimizerConfig, constant
from steadygan.errors import SteadyganError
from steadygan.game.average import Average, half_life_at
from steadygan.game.optimizers import OPTIMIZERS, Adam, Lookahead, OptimisticAdam, build_optimizer, momentum
from steadygan.game.state import steer


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=8), images=st.integers(1, 500), life=st.floats(1, 1e4))
def test_the_average_in_closed_form(values: list[float], images: int, life: float) -> None:
    """After n updates: beta^n theta_0 + (1 - beta) sum of beta^(n-i) theta_i, beta = 0.5^(images / half-life)."""
    player = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(player.weight, 3.0)
    average = Average(player)
    for value in values:
        nn.init.constant_(player.weight, value)
        average.update(player, images, life)
    beta, count = 0.5 ** (images / life), len(values)
    expected = beta**count * 3.0 + (1 - beta) * sum(beta ** (count - 1 - i) * v for i, v in enumerate(values))
    assert average.state_dict()["weight"].item() == pytest.approx(expected, abs=1e-9)


def test_half_of_the_old_is_left_after_a_half_life() -> None:
    player = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(player.weight, 1.0)
    average = Average(player)
    nn.init.constant_(player.weight, 0.0)
    for _ in range(10):
        average.update(player, 100, 1000.0)
    assert average.network.weight.item() == pytest.approx(0.5, abs=1e-12)  # type: ignore[operator]


def test_a_half_life_of_zero_copies_the_bits() -> None:
    player = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = Average(player)
    player(torch.randn(5, 3)).sum().backward()
    torch.optim.SGD(player.parameters(), 0.1).step()
    average.update(player, 8, 0.0)
    own, theirs = average.state_dict(), player.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)


def test_running_statistics_are_averaged_and_other_buffers_copied() -> None:
    player = nn.Sequential(nn.BatchNorm1d(2), nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2)))
    average = Average(player)
    before = copy.deepcopy(average.state_dict())
    player(torch.randn(64, 2) * 3 + 5)
    average.update(player, 1, 1.0)
    now, theirs = average.state_dict(), player.state_dict()
    for name in ("0.running_mean", "0.running_var"):
        assert torch.allclose(now[name], (before[name] + theirs[name]) / 2)
    vectors = [name for name in now if name.endswith(("_u", "_v"))]
    assert len(vectors) == 2
    assert all(torch.equal(now[name], theirs[name]) for name in vectors)
    assert now["0.num_batches_tracked"].item() == 1


def test_the_average_follows_values_that_are_loaded_and_another_player() -> None:
    players = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2)]
    average = Average(players[0])
    average.update(players[0], 8, 0.0)
    state = copy.deepcopy(players[0].state_dict())
    for name, value in state.items():
        value.add_(1)
        assert not torch.equal(value, average.state_dict()[name])
    players[0].load_state_dict(state)
    average.update(players[0], 8, 0.0)
    assert all(torch.equal(average.state_dict()[name], value) for name, value in state.items())
    average.update(players[1], 8, 0.0)
    assert all(torch.equal(average.state_dict()[name], value) for name, value in players[1].state_dict().items())


def test_the_average_never_learns_and_never_trains() -> None:
    player = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    average = Average(player)
    assert not average.network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert player.training
    assert all(parameter.requires_grad for parameter in player.parameters())


@pytest.mark.parametrize(
    ("half_life", "ramp_up", "images", "expected"),
    [(1000, 0.05, 2000, 100), (1000, 0.05, 1_000_000, 1000), (1000, 0, 1, 1000), (0, 0.05, 100, 0)],
)
def test_the_ramp(half_life: float, ramp_up: float, images: int, expected: float) -> None:
    assert half_life_at(half_life, ramp_up, images) == expected


def quadratic(parameter: torch.Tensor, optimizer: Any, steps: int) -> list[float]:
    """Minimise x^2 / 2, whose gradient is x."""
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        parameter.grad = parameter.detach().clone()
        optimizer.step()
        seen.append(parameter.item())
    return seen


def test_optimistic_adam_by_hand() -> None:
    rate, beta1, beta2, epsilon = 0.1, 0.5, 0.9, 1e-8
    parameter = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    found = quadratic(parameter, OptimisticAdam([parameter], rate, (beta1, beta2), epsilon), 6)
    x, mean, square, last, expected = 2.0, 0.0, 0.0, 0.0, []
    for count in range(1, 7):
        mean, square = beta1 * mean + (1 - beta1) * x, beta2 * square + (1 - beta2) * x * x
        direction = mean / (1 - beta1**count) / (math.sqrt(square / (1 - beta2**count)) + epsilon)
        x -= rate * (2 * direction - last)
        last = direction
        expected.append(x)
    assert found == pytest.approx(expected, rel=1e-12)


def test_optimism_damps_the_rotation_that_adam_does_not() -> None:
    """The bilinear game x y turns round and round; extrapolation draws it in."""
    reach = {}
    for name in ("adam", "optimistic-adam"):
        x, y = (torch.tensor([1.0], dtype=torch.float64, requires_grad=True) for _ in range(2))
        config = OptimizerConfig(name=name, learning_rate=constant(0.02), beta1=0.0)
        steppers = [build_optimizer([player], config) for player in (x, y)]
        for _ in range(3000):
            x.grad, y.grad = y.detach().clone(), -x.detach().clone()
            for stepper in steppers:
                stepper.step()
        reach[name] = math.hypot(x.item(), y.item())
    assert reach["optimistic-adam"] < 0.1 < 0.5 < reach["adam"]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_lookahead_by_hand(every: int) -> None:
    rate, alpha = 0.1, 0.25
    parameter = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    found = quadratic(parameter, Lookahead(torch.optim.SGD([parameter], rate), every, alpha), 7)
    fast = slow = 2.0
    expected = []
    for count in range(1, 8):
        fast -= rate * fast
        if count % every == 0:
            slow += alpha * (fast - slow)
            fast = slow
        expected.append(fast)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("every", [0, 3], ids=["plain", "lookahead"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_in_the_same_bits(name: str, every: int) -> None:
    config = OptimizerConfig(
        name=name, learning_rate=constant(0.05), momentum=0.3, weight_decay=0.01, lookahead_every=every
    )
    start = torch.randn(3, 4, 2, 2).to(memory_format=torch.channels_last)

    def gradients(parameter: torch.Tensor, optimizer: Any, places: range) -> torch.Tensor:
        for place in places:
            torch.manual_seed(place)
            parameter.grad = torch.randn(3, 4, 2, 2).to(memory_format=torch.channels_last)
            optimizer.step()
        return parameter.detach()

    whole = start.clone().requires_grad_(True)
    expected = gradients(whole, build_optimizer([whole], config), range(8))
    half = start.clone().requires_grad_(True)
    optimizer = build_optimizer([half], config)
    gradients(half, optimizer, range(5))
    kept, rest = copy.deepcopy(optimizer.state_dict()), half.detach().clone().requires_grad_(True)
    fresh = build_optimizer([rest], config)
    fresh.load_state_dict(kept)
    assert torch.equal(gradients(rest, fresh, range(5, 8)), expected)


def test_the_rate_reaches_a_wrapped_optimizer() -> None:
    parameter = torch.tensor([2.0], requires_grad=True)
    optimizer = build_optimizer([parameter], OptimizerConfig(name="sgd", lookahead_every=2))
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.param_groups[0]["lr"] = 0.0
    quadratic(parameter, optimizer, 1)
    assert parameter.item() == 2.0


@pytest.mark.parametrize("decoupled", [False, True], ids=["adam", "adamw"])
def test_adam_is_the_library_s_own_bit_by_bit_and_takes_up_its_checkpoints(decoupled: bool) -> None:
    theirs_of = torch.optim.AdamW if decoupled else torch.optim.Adam
    shapes = [(8, 3, 4, 4), (8,), (5, 8)]
    plan = (0.01, (0.5, 0.99), 1e-8, 0.02)

    def weights() -> list[torch.Tensor]:
        torch.manual_seed(1)
        return [torch.randn(shape).requires_grad_(True) for shape in shapes]

    def play(parameters: list[torch.Tensor], optimizer: Any, places: range) -> None:
        for place in places:
            torch.manual_seed(100 + place)
            optimizer.zero_grad()
            for index, parameter in enumerate(parameters):
                # one of them learns nothing at first
                parameter.grad = torch.randn_like(parameter) if index < 2 or place > 2 else None
            optimizer.step()

    ours, theirs, taken = weights(), weights(), weights()
    own = Adam(ours, *plan, decoupled=decoupled)
    library = theirs_of(theirs, *plan, fused=True)
    play(ours, own, range(5))
    play(theirs, library, range(5))
    state, known = own.state_dict(), library.state_dict()
    assert state["state"].keys() == known["state"].keys()
    assert all(
        torch.equal(state["state"][i][n], known["state"][i][n]) for i in known["state"] for n in known["state"][i]
    )
    for mine, other in zip(taken, theirs, strict=True):
        mine.data.copy_(other)
    heir = Adam(taken, 9.0, (0.1, 0.1), 1.0, decoupled=decoupled)
    heir.load_state_dict(copy.deepcopy(known))
    for parameters, optimizer in ((ours, own), (theirs, library), (taken, heir)):
        play(parameters, optimizer, range(5, 8))
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))
    assert all(torch.equal(mine, other) for mine, other in zip(taken, theirs, strict=True))


def test_gradients_can_be_kept_as_zeros() -> None:
    parameter = torch.ones(3, requires_grad=True)
    optimizer = Adam([parameter], 0.1, (0.5, 0.9), 1e-8)
    parameter.grad = torch.ones(3)
    optimizer.zero_grad(set_to_none=False)
    assert torch.equal(parameter.grad, torch.zeros(3))
    optimizer.zero_grad()
    assert parameter.grad is None


@pytest.mark.parametrize("every", [0, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_momentum_is_steered_in_mid_run(name: str, every: int) -> None:
    settings = {"name": name, "learning_rate": constant(0.1), "lookahead_every": every}
    config = OptimizerConfig(**settings, beta1=0.9, momentum=0.9)
    calm = OptimizerConfig(**settings, beta1=0.0, momentum=0.0)
    assert (momentum(config), momentum(calm)) == (0.9, 0.0)
    ends = []
    for planned, turned in ((config, 0.0), (calm, None), (config, None)):
        parameter = torch.tensor([2.0], requires_grad=True)
        optimizer = build_optimizer([parameter], planned)
        steer(optimizer.param_groups, 0.1, turned)
        quadratic(parameter, optimizer, 5)
        ends.append(parameter.item())
    assert ends[0] == ends[1] != ends[2]


def test_an_unknown_optimizer_names_the_nearest() -> None:
    with pytest.raises(SteadyganError, match=r"unknown optimizer 'adamm': did you mean 'adam"):
        build_optimizer([], OptimizerConfig(name="adamm"))
