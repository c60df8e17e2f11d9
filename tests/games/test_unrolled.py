"""Unrolling: the generator's gradient goes through the discriminator's answers, and the discriminator stays."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game.move import Batch, Play
from steadygan.games.adversarial import AdversarialGame
from steadygan.games.unrolled import Unrolled
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES
from steadygan.recipes.facts import DataFacts
from steadygan.session import settings
from steadygan.session.families import build_players
from steadygan.session.wiring import prepare, wire

Game = Callable[..., AdversarialGame]
MakePlay = Callable[..., Play]


@pytest.fixture(scope="module")
def data(_own_cache: None) -> DataSet:
    return open_data(DataConfig())


def config(data: DataSet, *given: str) -> RunConfig:
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    small = ["batch=8", "latent.size=8", "generator.network.capacity=4", "discriminator.network.capacity=4"]
    return prepare(settings.apply(recipes.build("unrolled", facts), [*small, *given]), data)


class Tilt(nn.Module):
    """Fakes are the latent plus ``place``; a logit is ``slope`` times the image's only value."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))


class Maker(Tilt):
    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return (latent[:, :1] + self.value)[:, :, None, None]


class Judge(Tilt):
    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        return self.value * images.flatten(1).squeeze(1)


def gradient(
    game: Unrolled, slope: float, place: float, real: Tensor, latent: Tensor, memory: dict[str, Tensor] | None = None
) -> tuple[float, float]:
    """The generator's loss and its slope in ``place``, for given latents."""
    knobs = dict.fromkeys(("augmentation", "instance_noise", "weight_clip", "feature_matching", "lecam"), 0.0)
    players = {"generator": Maker(place), "discriminator": Judge(slope)}
    play = Play(players, Batch(real), knobs | {"top_k": 1.0}, {} if memory is None else memory, {}, 0)
    play.shared["latents.0"], play.shared["fakes.0"] = latent, players["generator"](latent)
    for value in players["discriminator"].parameters():
        value.requires_grad_(False)
    loss = game.be_believed(play)["generator/loss"].values.mean()
    loss.backward()  # type: ignore[no-untyped-call]
    found = players["generator"].get_parameter("value").grad
    assert found is not None
    assert players["discriminator"].get_parameter("value").item() == slope
    return loss.item(), found.item()


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_one_number_against_one_number_by_hand(steps: int) -> None:
    """Wasserstein, ``L_D = slope (mean fake - mean real)``: each answer raises the slope by rate (real - fake)."""
    plain = AdversarialGame(ADVERSARIAL_LOSSES["wasserstein"], lambda count, device: torch.randn(count, 1))
    real, latent = torch.randn(8, 1, 1, 1).double(), torch.randn(8, 1).double()
    slope, place, rate = 0.7, -0.4, 0.3
    mean = latent.mean().item() + place
    apart = mean - real.mean().item()
    ahead = slope - steps * rate * apart
    loss, found = gradient(Unrolled(plain, steps, rate), slope, place, real, latent)
    assert loss == pytest.approx(-ahead * apart, rel=1e-9)
    assert found == pytest.approx(-ahead + steps * rate * apart, rel=1e-9)


def test_the_gradient_through_the_answers_is_that_of_differences() -> None:
    plain = AdversarialGame(ADVERSARIAL_LOSSES["non-saturating"], lambda count, device: torch.randn(count, 1))
    game = Unrolled(plain, 3, 0.5)
    real, latent = torch.randn(8, 1, 1, 1).double(), torch.randn(8, 1).double()
    step = 1e-6
    up, down = (gradient(game, 0.7, 0.2 + sign * step, real, latent)[0] for sign in (1, -1))
    assert gradient(game, 0.7, 0.2, real, latent)[1] == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_answers_by_adam_are_those_of_the_optimizer_and_remember_the_rounds_before() -> None:
    """The loss is that at the weights that torch's Adam comes to; rounds begin with the first answers of all before."""
    plain = AdversarialGame(ADVERSARIAL_LOSSES["non-saturating"], lambda count, device: torch.randn(count, 1))
    game, memory = Unrolled(plain, 3, 0.1, adam=True), dict[str, Tensor]()
    slope = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([slope], 0.1, betas=(0.5, 0.999), eps=0.0)
    for _ in range(3):
        real, latent = torch.randn(8, 1, 1, 1).double(), torch.randn(8, 1).double()
        fake, kept = latent[:, 0] - 0.4, copy.deepcopy(optimizer.state_dict())
        for step in range(3):
            optimizer.zero_grad()
            loss = _softplus(slope, real.flatten(), fake)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step == 0:
                first = copy.deepcopy(optimizer.state_dict())
        expected = -_softplus(slope, real.flatten(), fake).item()
        assert gradient(game, 0.7, -0.4, real, latent, memory)[0] == pytest.approx(expected, rel=1e-9)
        assert kept != first
        optimizer.load_state_dict(first)
        with torch.no_grad():
            slope.fill_(0.7)


def _softplus(slope: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    return nn.functional.softplus(-slope * real).mean() + nn.functional.softplus(slope * fake).mean()


def test_the_gradient_through_answers_by_adam_is_that_of_differences() -> None:
    plain = AdversarialGame(ADVERSARIAL_LOSSES["non-saturating"], lambda count, device: torch.randn(count, 1))
    game, memory, step = Unrolled(plain, 3, 0.1, adam=True), dict[str, Tensor](), 1e-6
    real, latent = torch.randn(8, 1, 1, 1).double(), torch.randn(8, 1).double()
    for place in (0.1, 0.3):
        gradient(game, 0.7, place, real, latent, memory)
    up, down = (gradient(game, 0.7, 0.2 + sign * step, real, latent, dict(memory))[0] for sign in (1, -1))
    expected = pytest.approx((up - down) / (2 * step), rel=1e-6)
    assert gradient(game, 0.7, 0.2, real, latent, dict(memory))[1] == expected


def test_without_answers_it_is_the_game_of_opposite_interests(game: Game, play: MakePlay) -> None:
    """The minimax loss of the standard game, less what reals give, which no generator can change."""
    gradients = []
    for wants in (game("minimax").be_believed, Unrolled(game("minimax"), 0, 1.0).be_believed):
        this = play()
        torch.manual_seed(5)
        maker = this.players["generator"]
        loss = wants(this)["generator/loss"].values.mean()
        gradients.append(torch.autograd.grad(loss, list(maker.parameters())))
    assert all(torch.allclose(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("discriminator.network.spectral_norm=true",),
        ("discriminator.network.dropout=0.2", "discriminator.network.minibatch_std=true"),
        ("feature_matching=1", "discriminator.network.conditional=true"),
    ],
)
def test_the_discriminator_itself_stays_as_it_is(given: tuple[str, ...], data: DataSet) -> None:
    """Parameters, buffers and gradients, whatever its layers keep; the generator learns of everything."""
    wired = wire(config(data, "health.mode=off", *given), data)
    state = wired.state
    state.begin_round()
    judge = state.players["discriminator"]
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    for value in judge.parameters():
        value.requires_grad_(False)
    goal = wired.moves[1].goals[0]
    play = Play(state.players, wired.draw(0, 8, 0), state.controls, state.memory, {}, 0)
    terms = goal.wants(play)
    sum(term.values.mean() for term in terms.values()).backward()  # type: ignore[union-attr]
    after = judge.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(), "statistics of looks ahead are thrown away"
    assert all(value.grad is None for value in judge.parameters())
    assert all(value.grad is not None for value in state.players["generator"].parameters())


def test_a_layer_that_cannot_be_unrolled_is_named(data: DataSet) -> None:
    plan = config(data, "discriminator.network.normalisation=virtual-batch")
    with pytest.raises(
        SteadyganError, match=r"layer 'reference' \(ReferenceBatch\) keeps a state and cannot"
    ) as caught:
        build_players(plan)
    assert "\n" not in str(caught.value)
    plan = config(data, "discriminator.network.normalisation=virtual-batch", "options.steps=0")
    assert set(build_players(plan)) == {"generator", "discriminator"}


@pytest.mark.parametrize("given", ["options.steps=-1", "options.steps=51", "options.rate=0"])
def test_steps_and_rates_out_of_range_are_refused(given: str, data: DataSet) -> None:
    with pytest.raises(SteadyganError, match=given.split("=")[0]) as caught:
        config(data, given)
    assert "\n" not in str(caught.value)
