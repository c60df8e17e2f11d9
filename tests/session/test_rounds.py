"""Properties of wired games: rollback, sampling in between, micro-batches, precision, gradients of frozen players."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.game.loop import loop
from steadygan.game.move import Batch
from steadygan.game.round import Record
from steadygan.recipes import RECIPES
from steadygan.runtime.devices import computing
from steadygan.session.wiring import CHUNK, Wired, wire


def wired(lab: Any, config: RunConfig) -> Wired:
    with computing(1, deterministic=True):
        return wire(config, lab.data)


def play(game: Wired, rounds: int) -> list[Record]:
    return list(itertools.islice(loop(game.state, game.moves, game.draw), rounds))


def weights(game: Wired) -> dict[str, torch.Tensor]:
    """Copies of all that the players are made of."""
    return {
        f"{name}/{key}": value.clone()
        for name, player in game.state.players.items()
        for key, value in player.state_dict().items()
    }


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe", ["dcgan", "r3"])
def test_rollback_goes_back_to_the_bits_and_on_with_other_batches(recipe: str, lab: Any) -> None:
    game = wired(lab, lab.config(recipe, "images=400"))
    play(game, 3)
    kept, snapshot = weights(game), game.state.snapshot()
    first = play(game, 2)
    seen: list[tuple[int, int, int]] = []
    draw = game.draw

    def noted(position: int, count: int, attempt: int) -> Batch:
        seen.append((position, count, attempt))
        return draw(position, count, attempt)

    game.draw = noted
    assert not same(weights(game), kept)
    game.state.roll_back(snapshot)
    assert same(weights(game), kept)
    again = play(game, 2)
    assert [r.images_seen for r in first] == [r.images_seen for r in again] == [32, 40]
    assert [r.round for r in again] == [4, 5]
    assert [r.attempt for r in first + again] == [0, 0, 1, 1]
    assert set(seen) == {(24, 8, 1), (32, 8, 1)}
    assert not torch.equal(draw(24, 8, 0).real, draw(24, 8, 1).real)
    assert float(first[0].signals["generator/loss"]) != float(again[0].signals["generator/loss"])
    game.state.roll_back(snapshot)
    assert game.state.attempt == 2, "attempts count rollbacks, also those to the same snapshot"
    assert same(weights(game), kept), "a snapshot is not worn out by going back to it"


def test_a_rolled_back_run_is_resumable(lab: Any) -> None:
    game = wired(lab, lab.config("dcgan", "images=400"))
    play(game, 2)
    game.state.roll_back(game.state.snapshot())
    play(game, 1)
    tree = copy.deepcopy(game.state.state_dict())
    play(game, 3)
    fresh = wired(lab, lab.config("dcgan", "images=400"))
    fresh.state.load_state_dict(tree)
    assert fresh.state.attempt == 1
    play(fresh, 3)
    assert same(weights(game), weights(fresh))


def test_a_batch_may_grow_in_mid_run_and_resumes_exactly(lab: Any) -> None:
    given = ("images=400", "packing=2", "accumulate=2", "augmentation.adaptive=true", "augmentation.speed=100")
    game, fresh = (wired(lab, lab.config("digits", *given)) for _ in range(2))
    play(game, 2)
    game.state.controls.turn("batch", by="somebody", factor=2.6)
    records = play(game, 1)
    assert game.state.images_seen == 8 + 8 + 20, "20.8 is nearest to five units of four"
    assert float(records[0].signals["control/batch"]) == pytest.approx(20.8)
    tree = copy.deepcopy(game.state.state_dict())
    play(game, 3)
    fresh.state.load_state_dict(tree)
    play(fresh, 3)
    assert game.state.images_seen == fresh.state.images_seen == 96
    assert same(weights(game), weights(fresh))
    for factor, batch in ((1e6, len(lab.data.train)), (0.01, 8)):
        game.state.controls.turn("batch", by="somebody", factor=factor)
        assert game.state.batch == pytest.approx(batch, abs=2), "between the plan's and all images"


@pytest.mark.parametrize("recipe", [*RECIPES])
def test_sampling_in_between_changes_nothing(recipe: str, lab: Any) -> None:
    quiet, sampled = (wired(lab, lab.config(recipe)) for _ in range(2))
    sampled.sample(3, 0)
    for _ in range(2):
        play(quiet, 1)
        play(sampled, 1)
        sampled.sample(70, 5)
    assert same(weights(quiet), weights(sampled))
    assert torch.equal(quiet.sample(5, 1), sampled.sample(5, 1))


def test_sampling_does_not_touch_virtual_batch_normalisation(lab: Any) -> None:
    given = ("generator.network.normalisation=virtual-batch", "average.ramp_up=0", "average.half_life=100")
    quiet, sampled = (wired(lab, lab.config("dcgan", *given)) for _ in range(2))
    sampled.sample(3, 0)
    play(quiet, 2)
    play(sampled, 2)
    assert torch.equal(quiet.sample(5, 1), sampled.sample(5, 1))


@settings(max_examples=12)
@given(count=st.integers(1, 2 * CHUNK + 3), more=st.integers(1, 40), seed=st.integers(0, 3))
def test_a_sample_does_not_depend_on_how_many_are_asked_for(sampler: Wired, count: int, more: int, seed: int) -> None:
    few, many = sampler.sample(count, seed), sampler.sample(count + more, seed)
    assert few.shape == (count, 1, 8, 8)
    assert torch.equal(many[:count], few)
    assert not torch.equal(sampler.sample(1, seed + 10), few[:1])


MICRO = {
    "r1 and r2": ("r3", "augmentation.policy=[]", "augmentation.adaptive=false"),
    "hinge": ("mlp", "loss=hinge"),
    "clipped": ("mlp", "generator.clip_norm=0.01", "discriminator.normalise_gradient=true"),
    "weights": ("mlp", "discriminator.weight_penalties.l2=0.1", "generator.historical_averaging=0.1"),
    "packed": ("mlp", "packing=2"),
    "many steps": ("mlp", "discriminator.steps=3", "generator.steps=2"),
}


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("case", MICRO)
def test_micro_batches_equal_one_big_batch(case: str, parts: int, lab: Any) -> None:
    """Where no sample looks at another: the random numbers of latents come out alike in parts of sixteen."""
    recipe, *given = MICRO[case]
    common = (*given, "precision=float64", "batch=64", "images=400", "latent.size=16", "record_every=1")
    games = [wired(lab, lab.config(recipe, *common, f"accumulate={count}")) for count in (1, parts)]
    for whole, split in zip(*(play(game, 3) for game in games), strict=True):
        for name in ("generator/loss", "discriminator/loss", "generator/gradient_norm", "discriminator/gradient_norm"):
            assert float(split.signals[name]) == pytest.approx(float(whole.signals[name]), rel=1e-9), name
    one, other = (weights(game) for game in games)
    assert all(torch.allclose(one[name], other[name], rtol=1e-8, atol=1e-11) for name in one)


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
@pytest.mark.parametrize("recipe", [*RECIPES])
def test_other_precisions_play(recipe: str, precision: str, lab: Any) -> None:
    game = wired(lab, lab.config(recipe, f"precision={precision}"))
    records = play(game, 2)
    kind = torch.float64 if precision == "float64" else torch.float32
    assert {parameter.dtype for player in game.state.players.values() for parameter in player.parameters()} == {kind}
    assert all(abs(value) < float("inf") for value in records[-1].line().values())
    assert game.sample(2, 0).dtype == torch.float32
    single = play(wired(lab, lab.config(recipe)), 1)[0].line()
    loose = 1e-4 if precision == "float64" else 0.1
    first = "discriminator/loss" if "discriminator/loss" in single else "generator/loss"
    assert records[0].line()[first] == pytest.approx(single[first], abs=loose)


@pytest.mark.parametrize("fails", ["batch=2000", "generator.network.conditional=true"])
def test_what_does_not_fit_the_data_is_refused(fails: str, lab: Any) -> None:
    lab.data = replace(lab.data, labels=None, label_names=())
    with pytest.raises(SteadyganError, match="batch|labels"):
        lab.config("mlp", fails)


def test_packs_have_no_one_class(lab: Any) -> None:
    with pytest.raises(SteadyganError, match="set packing=1 or conditional=false"):
        lab.config("dcgan", "packing=2", "discriminator.network.conditional=true")


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_one_player_alone_may_know_the_classes(player: str, lab: Any) -> None:
    records = play(wired(lab, lab.config("dcgan", f"{player}.network.conditional=true")), 2)
    assert all(abs(value) < float("inf") for value in records[-1].line().values())


def test_the_run_folder_is_what_the_docs_say(finished: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "run-folder.md").read_text()
    names = {path.name for path in finished.iterdir()} - {".lock"}
    assert {name for name in names if f"`{name}`" not in page and f"`{name}/`" not in page} == set()
