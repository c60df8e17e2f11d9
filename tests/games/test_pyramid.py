"""The pyramid's game: levels learn apart, from real coarser images, as far as their controls weigh anything."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.game.move import Batch, Play
from steadygan.games.adversarial import AdversarialGame, LazyPenalty
from steadygan.games.pyramid import PyramidGame
from steadygan.networks.pyramid import pyramid_discriminator, pyramid_generator
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES
from steadygan.objectives.penalties import r1

CONFIG = NetworkConfig(name="pyramid", capacity=3, normalisation="none")


def game(loss: str = "non-saturating", **options: Any) -> PyramidGame:
    draw = lambda count, device: torch.randn(count, 8)  # noqa: E731
    return PyramidGame(AdversarialGame(ADVERSARIAL_LOSSES[loss], draw, **options))


def play(**controls: float) -> Play:
    torch.manual_seed(3)
    players = {
        "generator": pyramid_generator(CONFIG, (1, 28, 28), 8, 0),
        "discriminator": pyramid_discriminator(CONFIG, (1, 28, 28), 0),
    }
    known = {"level.0": 1.0, "level.1": 1.0, "level.2": 1.0, "instance_noise": 0.0, "augmentation": 0.0, "top_k": 1.0}
    given = {name.replace("__", "."): value for name, value in controls.items()}
    return Play(players, Batch(torch.randn(6, 1, 28, 28)), known | given, {}, {}, 0)


def taught(turn: Play, player: str, terms: Any) -> set[str]:
    """Names of the parts of a player that the terms teach."""
    total = torch.stack([term.values.mean() * term.weight for term in terms.values()]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    named = turn.players[player].named_parameters()
    return {".".join(name.split(".")[1:3]) for name, p in named if p.grad is not None and bool(p.grad.any())}


def test_every_level_has_a_loss_and_the_record_their_sum() -> None:
    turn, found = play(level__1=0.5), game()
    terms = found.tell(turn)
    assert set(terms) == {f"discriminator/loss.{k}" for k in range(3)}
    total = sum(float(term.values.detach().mean()) * term.weight for term in terms.values())
    assert float(turn.notes["discriminator/loss"]) == pytest.approx(total, rel=1e-5)
    terms = found.be_believed(turn)
    assert [term.weight for term in terms.values()] == [1.0, 0.5, 1.0]
    assert turn.shared == {}


@pytest.mark.parametrize("off", [0, 1, 2])
def test_a_level_that_weighs_nothing_is_not_played(off: int) -> None:
    turn, found = play(**{f"level__{off}": 0.0}), game()
    terms = found.tell(turn)
    assert f"discriminator/loss.{off}" not in terms
    assert f"levels.{off}" not in taught(turn, "discriminator", terms)
    turn = play(**{f"level__{off}": 0.0})
    parts = taught(turn, "generator", found.be_believed(turn))
    names = {0: "base.layers", 1: "refiners.0", 2: "refiners.1"}
    assert parts == {names[k] for k in range(3) if k != off}


def test_no_level_at_all_is_one_line() -> None:
    with pytest.raises(SteadyganError, match="no level of the pyramid weighs anything"):
        game().tell(play(level__0=0.0, level__1=0.0, level__2=0.0))


def test_levels_do_not_teach_each_other() -> None:
    turn = play()
    terms = game().be_believed(turn)
    only = {"generator/loss.2": terms["generator/loss.2"]}
    assert taught(turn, "generator", only) == {"refiners.1"}


def test_a_finer_level_starts_from_the_real_image() -> None:
    turn = play()
    levels = game().levels(turn, None)
    assert levels[0].coarse is None
    for level, below in zip(levels[1:], levels, strict=False):
        assert level.coarse is not None
        assert level.real.shape == level.made.shape == level.coarse.shape
        body: Any = turn.players["generator"].body
        torch.testing.assert_close(level.coarse, body.enlarged(level.index, below.real))


def test_fakes_are_made_once_a_round() -> None:
    turn, found = play(), game()
    found.tell(turn)
    kept = dict(turn.shared)
    assert set(kept) == {f"fakes.{k}.0" for k in range(3)}
    assert [torch.equal(level.made, kept[f"fakes.{level.index}.0"]) for level in found.levels(turn, None)] == [True] * 3


def test_penalties_are_taken_at_every_level() -> None:
    found = game(penalties=(LazyPenalty("r1", r1),))
    turn = play(penalty__r1=2.0, level__1=0.25)
    terms = found.tell(turn)
    assert {name: term.weight for name, term in terms.items() if "penalty" in name} == {
        "penalty/r1.0": 2.0, "penalty/r1.1": 0.5, "penalty/r1.2": 2.0,
    }  # fmt: skip
    body: Any = turn.players["discriminator"].body
    pair = body.pairs(turn.batch.real)[1].requires_grad_()
    logits: Tensor = turn.players["discriminator"].head(body.only(1, pair))  # type: ignore[operator]
    (slope,) = torch.autograd.grad(logits.sum(), pair)
    torch.testing.assert_close(terms["penalty/r1.1"].values.detach(), 0.5 * slope.flatten(1).square().sum(1))


def test_paired_losses_get_the_reals_in_both_moves() -> None:
    turn, found = play(), game("relativistic")
    found.tell(turn)
    terms = found.be_believed(turn)
    assert all(torch.isfinite(term.values).all() for term in terms.values())
    assert taught(turn, "generator", terms) == {"base.layers", "refiners.0", "refiners.1"}
