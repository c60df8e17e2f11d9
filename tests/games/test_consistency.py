"""Consistency: its four terms by hand, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game.move import Play, Terms
from steadygan.recipes.facts import DataFacts
from steadygan.session import settings
from steadygan.session.wiring import Wired, prepare, wire

OFF = ("options.real=0", "options.fake=0", "options.latent=0", "options.variety=0")


@pytest.fixture(scope="module")
def data(_own_cache: None) -> DataSet:
    return open_data(DataConfig())


def config(data: DataSet, *given: str) -> RunConfig:
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    small = ["batch=8", "latent.size=8", "generator.network.capacity=4", "discriminator.network.capacity=4"]
    plain = ["generator.network.normalisation=none", "discriminator.network.normalisation=none"]
    plain += ["generator.network.initialisation=he", "discriminator.network.initialisation=he"]
    still = ["health.mode=off", "precision=float64"]
    return prepare(settings.apply(recipes.build("consistency", facts), [*small, *plain, *still, *given]), data)


class Bench:
    """A wired game, its moves played one by one, and how often each network was passed."""

    def __init__(self, data: DataSet, *given: str) -> None:
        self.wired: Wired = wire(config(data, *given), data)
        self.calls = {"generator": 0, "discriminator": 0}
        for name, player in self.wired.state.players.items():
            body: Any = player.body
            body.register_forward_hook(lambda *_, name=name: self._count(name))
        self.wired.state.begin_round()
        state = self.wired.state
        self.play = Play(state.players, self.wired.draw(0, 8, 0), state.controls, state.memory, {}, 0)

    def _count(self, name: str) -> None:
        self.calls[name] += 1

    def terms(self, move: int) -> Terms:
        return self.wired.moves[move].goals[0].wants(self.play)


def test_what_weighs_nothing_costs_nothing(data: DataSet) -> None:
    bench = Bench(data, *OFF)
    assert set(bench.terms(0)) == {"discriminator/loss"}
    assert set(bench.terms(1)) == {"generator/loss"}
    assert bench.calls == {"generator": 1, "discriminator": 2}
    assert bench.play.shared == {}


def test_each_term_costs_one_pass_and_the_nudged_fakes_are_made_once(data: DataSet) -> None:
    bench = Bench(data)
    expected = {"discriminator/loss", "consistency/real", "consistency/fake", "consistency/latent"}
    assert set(bench.terms(0)) == expected
    assert bench.calls == {"generator": 2, "discriminator": 4}
    assert set(bench.terms(1)) == {"generator/loss", "consistency/variety"}
    assert bench.calls == {"generator": 2, "discriminator": 5}
    assert bench.play.shared == {}, "nothing is left over for the next round"


def test_terms_by_hand_for_an_augmentation_that_does_not_draw(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    darker: Callable[[Tensor, Tensor], Tensor] = lambda images, apply: images * 0.5  # noqa: E731
    monkeypatch.setitem(__import__("steadygan.data.augmentation", fromlist=["x"]).AUGMENTATIONS, "darker", darker)
    bench = Bench(data, 'options.policy=["darker"]', "options.nudge=1e-9")
    terms, players = bench.terms(0), bench.wired.state.players
    made = bench.play.shared["fakes.0"]
    for side, images in (("real", bench.play.batch.real), ("fake", made)):
        apart = players["discriminator"](images * 0.5) - players["discriminator"](images)
        assert torch.allclose(terms[f"consistency/{side}"].values, apart.square(), atol=0)
        assert terms[f"consistency/{side}"].weight == 10.0
        assert float(apart.detach().abs().max()) > 1e-4
    assert float(terms["consistency/latent"].values.detach().max()) < 1e-12, "a latent that is hardly nudged"
    assert terms["consistency/latent"].weight == 5.0
    assert terms["consistency/latent"].values.shape == (8,)


def test_the_generator_is_driven_apart_and_the_discriminator_together(data: DataSet) -> None:
    bench = Bench(data, "options.nudge=0.5")
    players = bench.wired.state.players
    steady = bench.terms(0)["consistency/latent"]
    steady.values.mean().backward()  # type: ignore[no-untyped-call]
    assert all(value.grad is None for value in players["generator"].parameters())
    assert any(value.grad is not None and value.grad.any() for value in players["discriminator"].parameters())
    near, made = bench.play.shared["nudged.0"], bench.play.shared["fakes.0"]
    apart = (near - made).square().flatten(1).mean(1)
    vary = bench.terms(1)["consistency/variety"]
    assert torch.allclose(vary.values, -apart, atol=0)
    vary.values.mean().backward()  # type: ignore[no-untyped-call]
    assert any(value.grad is not None and value.grad.any() for value in players["generator"].parameters())
    again = bench.wired.moves[1].goals[0].wants(bench.play)["consistency/variety"]
    assert again.values.shape == (8,), "a second step of the generator nudges latents of its own"


def test_weights_are_controls(data: DataSet) -> None:
    bench = Bench(data, 'options.real={"kind":"linear","value":10,"end":2,"finish":1000}')
    controls = bench.wired.state.controls
    assert {name for name in controls if name.startswith("consistency.")} == {
        f"consistency.{name}" for name in ("real", "fake", "latent", "variety")
    }
    controls.at(500)
    assert controls["consistency.real"] == pytest.approx(6.0)
    controls.turn("consistency.fake", by="a person", factor=0.0)
    assert "consistency/fake" not in bench.terms(0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("options.policy=[]",), "needs an augmentation, and options.policy has none"),
        (('options.policy=["shift"]',), "unknown augmentation 'shift'"),
        (("options.nudge=0",), "options.nudge"),
    ],
)
def test_bad_settings_are_refused_in_a_line(given: tuple[str, ...], said: str, data: DataSet) -> None:
    with pytest.raises(SteadyganError, match=said) as caught:
        config(data, *given)
    assert "\n" not in str(caught.value)
    config(data, "options.policy=[]", "options.real=0", "options.fake=0")
