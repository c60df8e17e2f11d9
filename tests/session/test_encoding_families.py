"""Families that encode: what their moves teach whom, on which passes, and which settings do not fit them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.loop import loop
from steadygan.games.bigan import swaps
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES
from steadygan.report.jsonl import read_jsonl
from steadygan.runtime.devices import computing
from steadygan.session.checking import check
from steadygan.session.families import build_players
from steadygan.session.wiring import Wired, wire

CALLS = {
    "vae": {"encoder": 1, "generator": 1},
    "aae": {"encoder": 1, "generator": 1, "discriminator": 2},
    "bigan": {"encoder": 1, "generator": 1, "discriminator": 4},
    "ali": {"encoder": 1, "generator": 1, "discriminator": 4},
    "vae-gan": {"encoder": 1, "generator": 2, "discriminator": 6},
}
"""Passes of each player's body a round: none is made twice. With VAE-GAN a discriminator sees reals, fakes and images
that were brought back in either move."""
QUICK = ("batch=64", "images=100000", "health.mode=off", "record_every=64", "latent.size=8")
PLAIN = (
    *("encoder.network.name=mlp", "encoder.network.hidden=[64]"),
    *("generator.network.name=mlp", "generator.network.hidden=[64]"),
)


def wired(lab: Any, recipe: str, *given: str) -> Wired:
    with computing(1, deterministic=True):
        return wire(lab.config(recipe, *given), lab.data)


def play(game: Wired, rounds: int) -> list[dict[str, float]]:
    return [record.line() for record in itertools.islice(loop(game.state, game.moves, game.draw), rounds)]


def reals(data: DataSet, count: int = 512) -> Tensor:
    return data.rows(data.train[:count]).float() / 127.5 - 1


@pytest.mark.parametrize("recipe", CALLS)
def test_no_pass_is_made_twice(recipe: str, lab: Any) -> None:
    game = wired(lab, recipe, "health.mode=off")
    seen: dict[str, int] = dict.fromkeys(game.state.players, 0)
    for name, player in game.state.players.items():
        player.body.register_forward_hook(  # type: ignore[operator, union-attr]
            lambda *_, name=name: seen.update({name: seen[name] + 1})
        )
    play(game, 3)
    assert {name: count / 3 for name, count in seen.items()} == CALLS[recipe]


@pytest.mark.parametrize("recipe", CALLS)
def test_every_player_learns_and_nobody_in_another_s_move(recipe: str, lab: Any) -> None:
    game = wired(lab, recipe, "health.mode=off")
    before = {name: [p.clone() for p in player.parameters()] for name, player in game.state.players.items()}
    stepped: list[str] = []
    for name, optimizer in game.state.optimizers.items():
        step = optimizer.step

        def noted(*arguments: Any, name: str = name, step: Any = step, **options: Any) -> Any:
            grown = [one for one, p in game.state.players.items() if any(q.grad is not None for q in p.parameters())]
            stepped.append(f"{name} of {'+'.join(grown)}")
            return step(*arguments, **options)

        optimizer.step = noted  # type: ignore[method-assign]
    play(game, 1)
    for name, player in game.state.players.items():
        assert any(not torch.equal(old, new) for old, new in zip(before[name], player.parameters(), strict=True)), name
    if "discriminator" in before:
        assert stepped[0] == "discriminator of discriminator"
    assert {line.split()[0] for line in stepped} == set(before)


@pytest.mark.parametrize("recipe", [*CALLS])
def test_further_settings_play(recipe: str, lab: Any) -> None:
    for given in (
        ("share_fakes=false",),
        ("generator.network.conditional=true", "encoder.network.conditional=true"),
        ("accumulate=2", "encoder.network.name=r3", "generator.network.name=r3"),
        ("encoder.weight_penalties.l2=0.1", "encoder.historical_averaging=0.1"),
    ):
        assert all(abs(value) < float("inf") for value in play(wired(lab, recipe, *given), 3)[-1].values()), given


@pytest.mark.parametrize("recipe", ["aae", "bigan", "vae-gan"])
def test_opponents_can_be_conditional_penalised_and_play_more_often(recipe: str, lab: Any) -> None:
    more = ("discriminator.steps=2", "generator.steps=3", "penalties.r1.weight=0.1", "penalties.gradient.weight=1")
    for given in (more, ("loss=relativistic",), ("discriminator.network.conditional=true",)):
        assert all(abs(value) < float("inf") for value in play(wired(lab, recipe, *given), 2)[-1].values()), given


def test_an_autoencoder_brings_digits_back(lab: Any) -> None:
    widths = ("encoder.network.capacity=8", "generator.network.capacity=8")
    game = wired(lab, "vae", *QUICK, *widths, "average.half_life=500", "batch=32")
    images = reals(lab.data)
    play(game, 250)
    averages = {name: average.network.eval() for name, average in game.state.averages.items()}
    with torch.no_grad():
        back = averages["generator"](averages["encoder"](images))
    error, blank = float((back - images).square().mean()), float((images.mean(0) - images).square().mean())
    assert error < 0.6 * blank


@pytest.mark.parametrize(("weight", "held"), [(1.0, True), (0.0, False)])
def test_the_opponent_holds_latents_to_the_prior(weight: float, held: bool, lab: Any) -> None:
    rates = [f"{player}.optimizer.learning_rate=0.005" for player in ("encoder", "generator", "discriminator")]
    own = ("latent.size=2", f"options.prior={weight}", "discriminator.network.hidden=[32]")
    game = wired(lab, "aae", *QUICK, *PLAIN, *rates, *own)
    with torch.no_grad():
        game.state.players["encoder"].network.reader.bias.add_(2.0)  # type: ignore[operator, union-attr]
    play(game, 400)
    latent = game.state.players["encoder"].eval()(reals(lab.data)).detach()
    near = float(latent.mean(0).norm()) < 0.6 and 0.7 < float(latent.std(0).mean()) < 1.3
    assert near == held


def test_an_encoder_of_pairs_learns_to_invert_the_generator(lab: Any) -> None:
    """E(G(z)) comes far nearer to z than the best guess that knows nothing of z."""
    own = ("latent.size=1", "latent.distribution=uniform", "discriminator.network.name=mlp")
    game = wired(lab, "bigan", *QUICK, *PLAIN, *own, "discriminator.network.hidden=[64]")
    play(game, 1000)
    players = {name: player.eval() for name, player in game.state.players.items()}
    latent = torch.rand(512, 1) * 2 - 1
    with torch.no_grad():
        found = players["encoder"](players["generator"](latent))
    assert float((found - latent).square().mean()) < 0.5 * float(latent.square().mean())


@pytest.mark.parametrize(("recipe", "judged"), [("aae", False), ("vae", False), ("bigan", True), ("vae-gan", True)])
def test_health_is_told_of_images_by_those_alone_who_judge_images(
    recipe: str, judged: bool, lab: Any, tmp_path: Path
) -> None:
    """A discriminator of latents says nothing of fakes; where nobody judges images a check-up does without."""
    lab.start(tmp_path / "run", lab.config(recipe, "health.every=16", "health.count=16", "images=48"))
    names = {name for line in read_jsonl(tmp_path / "run" / "records.jsonl") for name in line}
    assert ("discriminator/separation" in names) == judged
    assert ("health/gradient_real" in names) == judged
    assert {"health/distance", "health/diversity", "encoder/gradient_norm", "encoder/update"} <= names


def test_only_losses_that_treat_both_sides_alike_can_be_swapped() -> None:
    swapped = {name for name, loss in ADVERSARIAL_LOSSES.items() if swaps(loss)}
    assert {"non-saturating", "hinge", "minimax", "wasserstein", "relativistic", "relativistic-average"} <= swapped
    assert swapped.isdisjoint({"least-squares", "f-kl", "f-reverse-kl", "f-pearson"})


def test_the_weights_of_an_encoder_come_back_with_a_trained_run(lab: Any) -> None:
    config = lab.config("bigan")
    assert set(build_players(config, ("encoder", "generator"))) == {"encoder", "generator"}


@pytest.mark.parametrize(
    ("recipe", "given", "answer"),
    [
        ("bigan", "loss=least-squares", "the loss 'least-squares' does not treat both kinds of pairs alike: choose"),
        ("bigan", "packing=2", "the game 'bigan' cannot judge packs: set packing=1"),
        ("aae", "packing=2", "cannot judge packs"),
        ("vae-gan", "packing=2", "cannot judge packs"),
        ("aae", "augmentation.adaptive=true", "no player judges images, as adaptive augmentation needs"),
        ("aae", "label_flipping=0.1", "has no use for label_flipping: leave it out"),
        ("vae", "encoder.steps=2", "the encoder learns in the generator's move: set generator.steps instead"),
        ("vae-gan", "encoder.steps=2", "the encoder learns in the generator's move"),
        ("bigan", "top_k=0.5", "the game 'bigan' has no use for top_k: leave it out"),
        ("vae", "penalties.r1.weight=1", "the game 'variational-autoencoder' has no use for penalties"),
        ("aae", "instance_noise=0.1", "the game 'adversarial-autoencoder' has no use for instance_noise"),
        ("aae", "options.prior=-1", "options.prior is -1: it must be at least 0"),
        ("vae", "options.stochastic=true", "unknown setting 'options.stochastic'"),
        ("ali", "options.stochastik=true", "unknown setting 'options.stochastik'"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(recipe: str, given: str, answer: str, lab: Any) -> None:
    with pytest.raises(SteadyganError) as caught:
        _wire_checked(lab, recipe, given)
    assert answer in str(caught.value)
    assert "\n" not in str(caught.value)


def _wire_checked(lab: Any, recipe: str, given: str) -> Wired:
    """As a run is begun: what can be said of settings alone is said first."""
    config = lab.config(recipe, given)
    check(config)
    return wire(config, lab.data)
