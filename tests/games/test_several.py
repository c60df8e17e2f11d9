"""Several generators: the objective is the softmax of the paper, and generators take turns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

import steadygan
from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game.move import Play
from steadygan.games.several import Options, latent
from steadygan.recipes.facts import DataFacts
from steadygan.session import settings
from steadygan.session.families import build_players
from steadygan.session.wiring import prepare, wire

TINY = (
    "batch=16", "images=64", "threads=1", "latent.size=8", "record_every=16", "generator.network.capacity=4",
    "discriminator.network.capacity=4", "precision=float64", "checkpoint_every=64", "sample_every=64",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(_own_cache: None) -> DataSet:
    return open_data(DataConfig())


def config(data: DataSet, *given: str) -> RunConfig:
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    return prepare(settings.apply(recipes.build("mad-gan", facts), [*TINY, *given]), data)


def test_the_two_losses_are_the_cross_entropy_over_generators_and_reals(data: DataSet) -> None:
    """With o_0 = 0 for reals: -log p_0 of reals, -log p_i of fakes of generator i, -log p_0 for the generators."""
    wired = wire(config(data, "health.mode=off"), data)
    state = wired.state
    state.begin_round()
    play = Play(state.players, wired.draw(0, 16, 0), state.controls, state.memory, {}, 0)
    terms = wired.moves[0].goals[0].wants(play)
    latents, made = play.shared["latents.0"], play.shared["fakes.0"]
    judge: Any = state.players["discriminator"]
    state.begin_round()
    with torch.no_grad():
        outputs = [torch.cat([torch.zeros(16, 1), judge.read(judge.features(x))], 1) for x in (play.batch.real, made)]
    which = latents[:, 8:].argmax(1) + 1
    expected = F.cross_entropy(outputs[0], torch.zeros(16).long()) + F.cross_entropy(outputs[1], which)
    found = sum((term.values.mean() * term.weight for term in terms.values()), torch.zeros(()))
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    believed = wired.moves[1].goals[0].wants(play)["generator/loss"].values.mean()
    with torch.no_grad():
        outputs[1] = torch.cat([torch.zeros(16, 1), judge.read(judge.features(made))], 1)
    assert believed.item() == pytest.approx(F.cross_entropy(outputs[1], torch.zeros(16).long()).item(), rel=1e-9)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_generators_take_turns(count: int, data: DataSet) -> None:
    own = Options(generators=count)
    drawn = latent(config(data), own)
    which = drawn(20)[:, 8:]
    assert which.shape == (20, count)
    assert which.argmax(1).tolist() == [number % count for number in range(20)]
    assert torch.equal(which.sum(1), torch.ones(20))
    assert drawn.codes["generator"].choices == count
    assert len({tuple(row) for row in drawn(20)[:, :8].tolist()}) == 20


def test_each_generator_has_weights_of_its_own(data: DataSet) -> None:
    plan = config(data, "options.generators=3")
    network: Any = build_players(plan)["generator"]
    assert len(network.generators) == 3
    sums = {float(sum(value.detach().abs().sum() for value in one.parameters())) for one in network.generators}
    assert len(sums) == 3


def test_a_code_asks_for_a_generator(tmp_path: Any) -> None:
    trained = steadygan.train("digits", recipe="mad-gan", out=tmp_path / "run", set=TINY)
    network: Any = trained.generator
    images = trained.sample(5, code={"generator": 2})
    values = trained.family.latent(trained.config, Options())
    assert values.size == 12
    seen: list[int] = []
    for number, one in enumerate(network.generators):
        one.register_forward_hook(lambda *_, number=number: seen.append(number))
    assert torch.equal(trained.sample(5, code={"generator": 2}), images)
    assert set(seen) == {2}
    with pytest.raises(SteadyganError, match=r"code generator=4 is none of its choices: choose .* from 0 to 3"):
        trained.sample(5, code={"generator": 4})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("options.generators=1",), r"options.generators"),
        (("options.generators=9",), "9 generators share a batch of 16, less than two images each: set batch=18"),
        (("accumulate=4",), "4 generators share a batch of 4, less than two images each: set batch=32"),
        (("packing=2",), "a pack has images of several generators"),
        (("options.generator=3",), "unknown setting 'options.generator': did you mean 'generators'"),
    ],
)
def test_what_is_no_game_of_several_is_refused_in_a_line(given: tuple[str, ...], said: str, data: DataSet) -> None:
    with pytest.raises(SteadyganError, match=said) as caught:
        config(data, *given)
    assert "\n" not in str(caught.value)
