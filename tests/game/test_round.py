"""One round on games small enough to be done by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from steadygan.game.loop import loop
from steadygan.game.move import Batch, Goal, Move, Play, Term, Terms, move
from steadygan.game.round import crosses, play_round


class Number(nn.Module):
    """A player that is one vector."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(values, dtype=torch.float64))


def pull(name: str, towards: Tensor | float) -> Any:
    """Half the squared distance to a target: its gradient is the difference."""

    def wants(play: Play) -> Terms:
        (value,) = play.players[name].parameters()
        return {f"{name}/loss": Term(0.5 * (value - towards).square().sum())}

    return wants


NOTHING = Batch(torch.zeros(4, 1, dtype=torch.float64))


def still(position: int, count: int, attempt: int) -> Batch:
    return NOTHING


def product(name: str, sign: float) -> Any:
    """The bilinear game: one player raises x y, the other lowers it."""

    def wants(play: Play) -> Terms:
        x, y = play.players["x"].value, play.players["y"].value
        return {f"{name}/loss": Term(sign * (x * y).sum())}  # type: ignore[operator]

    return Goal((name,), wants)


@pytest.mark.parametrize("simultaneous", [True, False])
def test_a_simultaneous_move_takes_both_gradients_at_the_same_point(simultaneous: bool, assemble: Any) -> None:
    players = {"x": Number(1.0), "y": Number(2.0)}
    goals = (product("x", 1.0), product("y", -1.0))
    moves = (Move("both", goals),) if simultaneous else (Move("x", goals[:1]), Move("y", goals[1:]))
    play_round(assemble(players, rate=0.1), moves, still)
    x = 1.0 - 0.1 * 2.0
    y = 2.0 + 0.1 * (1.0 if simultaneous else x)
    assert (players["x"].value.item(), players["y"].value.item()) == (x, y)


def test_frozen_players_get_no_gradient(assemble: Any) -> None:
    players = {"x": Number(1.0), "y": Number(2.0)}
    seen: list[tuple[bool, bool]] = []

    def wants(play: Play) -> Terms:
        seen.append((players["x"].value.requires_grad, players["y"].value.requires_grad))
        return {"x/loss": Term((players["x"].value * players["y"].value).sum())}

    play_round(assemble(players), (move("x", ("x",), wants),), still)
    assert seen == [(True, False)]
    assert players["y"].value.grad is None
    assert players["y"].value.item() == 2.0


def test_a_player_that_only_builds_keeps_its_graph_and_stays_where_it_is(assemble: Any) -> None:
    players = {"x": Number(1.0), "y": Number(2.0)}

    def first(play: Play) -> Terms:
        play.shared["square"] = players["y"].value.square()
        return {"x/loss": Term((players["x"].value * play.shared["square"].detach()).sum())}

    def second(play: Play) -> Terms:
        return {"y/loss": Term(play.shared["square"].sum())}

    play_round(assemble(players), (move("x", ("x",), first, builds=("y",)), move("y", ("y",), second)), still)
    assert players["x"].value.item() == pytest.approx(1.0 - 0.1 * 4.0)
    assert players["y"].value.item() == pytest.approx(2.0 - 0.1 * 4.0)


@given(gradient=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5), limit=st.floats(1e-3, 1e3))
def test_clipping_is_exact(gradient: list[float], limit: float, assemble: Any) -> None:
    player = Number(*[0.0] * len(gradient))
    state = assemble({"x": player}, rate=1.0)
    state.controls.declare("clip.x", limit)
    record = play_round(state, (move("x", ("x",), pull("x", torch.tensor(gradient, dtype=torch.float64))),), still)
    norm = math.sqrt(math.fsum(value**2 for value in gradient))
    scale = min(1.0, limit / (norm + 1e-12))
    assert player.value.tolist() == pytest.approx([scale * value for value in gradient], rel=1e-9, abs=1e-12)
    assert float(record.signals["x/gradient_norm"]) == pytest.approx(norm)
    assert float(player.value.detach().norm()) <= limit * (1 + 1e-9)


@given(gradient=st.lists(st.floats(-1e3, 1e3).filter(lambda v: v == 0 or abs(v) > 1e-3), min_size=1, max_size=5))
def test_normalising_is_exact(gradient: list[float], assemble: Any) -> None:
    player = Number(*[0.0] * len(gradient))
    state = assemble({"x": player}, rate=1.0, normalise=frozenset({"x"}))
    play_round(state, (move("x", ("x",), pull("x", torch.tensor(gradient, dtype=torch.float64))),), still)
    norm = math.sqrt(math.fsum(value**2 for value in gradient))
    assert player.value.tolist() == pytest.approx([value / (norm + 1e-12) for value in gradient], rel=1e-9)


def test_terms_are_weighted_means_and_the_record_has_them_before_their_weights(assemble: Any) -> None:
    player = Number(3.0)

    def wants(play: Play) -> Terms:
        value = player.value
        return {"x/loss": Term(value * torch.tensor([1.0, 3.0])), "penalty/x": Term(value.sum().square(), 0.5)}

    record = play_round(assemble({"x": player}, rate=1.0), (move("x", ("x",), wants),), still)
    assert player.value.item() == 3.0 - (2.0 + 0.5 * 6.0)
    assert {name: float(record.signals[name]) for name in ("x/loss", "penalty/x")} == {"x/loss": 6.0, "penalty/x": 9.0}


def pulled(play: Play) -> Terms:
    """A loss with gradient (3, 4), and an auxiliary term with gradient (0, 2) before its weight of .5."""
    value: Any = play.players["x"].value
    direction = torch.tensor([3.0, 4.0], dtype=torch.float64)
    return {"x/loss": Term((value * direction).sum()), "auxiliary/up": Term(2 * value[1], 0.5)}


@pytest.mark.parametrize("share", [1.0, 0.25, 0.0])
def test_auxiliary_terms_are_weighed_by_a_control_and_beside_the_others(share: float, assemble: Any) -> None:
    player = Number(0.0, 0.0)
    state = assemble({"x": player}, rate=1.0, record_every=1, controls={"auxiliary": share})
    record = play_round(state, (move("x", ("x",), pulled),), still)
    assert player.value.tolist() == [-3.0, -4.0 - share]
    if share:
        assert float(record.signals["x/auxiliary"]) == pytest.approx(share / 5)
    else:
        assert "x/auxiliary" not in record.signals


def test_weighing_auxiliary_terms_leaves_the_step_as_it_is(assemble: Any) -> None:
    ends = []
    for every in (0, 1):
        player = Number(0.5, -0.25)
        state = assemble({"x": player}, rate=0.1, record_every=every, total=10**6)
        record = play_round(state, (move("x", ("x",), pulled),), still)
        assert ("x/auxiliary" in record.signals) == bool(every)
        ends.append(player.value.tolist())
    assert ends[0] == ends[1]


def test_an_auxiliary_term_that_says_nothing_to_the_learner_is_not_weighed(assemble: Any) -> None:
    players = {"x": Number(1.0), "y": Number(1.0)}

    def wants(play: Play) -> Terms:
        return pull("x", 0.0)(play) | {"auxiliary/y": Term(torch.ones(1, requires_grad=True).sum())}

    record = play_round(assemble(players, record_every=1), (move("x", ("x",), wants),), still)
    assert "x/auxiliary" not in record.signals and players["x"].value.item() == pytest.approx(0.9)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_micro_batches_add_up_to_the_batch(parts: int, assemble: Any) -> None:
    player, real = Number(1.0), torch.arange(8, dtype=torch.float64)[:, None]
    sizes: list[int] = []

    def wants(play: Play) -> Terms:
        sizes.append(len(play.batch.real))
        play.note("seen", play.batch.real.mean())
        return {"x/loss": Term((player.value - play.batch.real).square())}

    state = assemble({"x": player}, rate=0.5, batch=8, accumulate=parts)
    record = play_round(state, (move("x", ("x",), wants),), lambda *place: Batch(real))
    assert sizes == [8 // parts] * parts
    assert player.value.item() == pytest.approx(3.5), "a step of a half goes to the mean"
    assert float(record.signals["seen"]) == pytest.approx(3.5)
    assert float(record.signals["x/loss"]) == pytest.approx(float((1 - real).square().mean()))


def test_several_steps_each_on_a_batch_of_its_own_and_the_clock(assemble: Any) -> None:
    asked: list[tuple[int, int, int]] = []

    def draw(position: int, count: int, attempt: int) -> Batch:
        asked.append((position, count, attempt))
        return NOTHING

    state = assemble({"x": Number(8.0), "y": Number(8.0)}, rate=0.5, batch=4, total=24)
    state.controls.declare("steps.x", 3.0)
    moves = (
        move("x", ("x",), pull("x", 0.0), steps="steps.x"),
        move("y", ("y",), pull("y", 0.0), steps="steps.y"),
    )
    records = list(loop(state, moves, draw))
    assert [record.images_seen for record in records] == [12, 24]
    assert [record.round for record in records] == [1, 2]
    assert asked == [(0, 4, 0), (4, 4, 0), (8, 4, 0), (0, 4, 0), (12, 4, 0), (16, 4, 0), (20, 4, 0), (12, 4, 0)]
    assert state.players["x"].value.item() == 8.0 * 0.5**6
    assert state.players["y"].value.item() == 8.0 * 0.5**2
    assert state.done


def test_a_round_draws_what_the_control_says_in_whole_units(assemble: Any) -> None:
    asked: list[tuple[int, int]] = []

    def draw(position: int, count: int, attempt: int) -> Batch:
        asked.append((position, count))
        return NOTHING

    state = assemble({"x": Number(8.0)}, batch=6, unit=6, total=100, record_every=20, controls={"batch": 6.0})
    moves = (move("x", ("x",), pull("x", 0.0)),)
    records = [play_round(state, moves, draw)]
    state.controls.turn("batch", by="somebody", factor=4.3)
    records += list(loop(state, moves, draw))
    assert asked == [(0, 6), (6, 24), (30, 24), (54, 24), (78, 24)], "25.8 is nearest to four units of six"
    assert [record.images_seen for record in records] == [6, 30, 54, 78, 102]
    assert [record.measured for record in records] == [False, True, True, True, True]
    assert state.batch == 24
    state.controls.turn("batch", by="somebody", factor=0.1)
    assert state.batch == 6, "never less than a unit"


def test_after_runs_once_after_the_step(assemble: Any) -> None:
    player, seen = Number(4.0), []
    moves = (move("x", ("x",), pull("x", 0.0), after=lambda play: seen.append(player.value.item())),)
    play_round(assemble({"x": player}, rate=0.5, accumulate=2), moves, still)
    assert seen == [2.0]


def test_controls_are_read_anew_every_round(assemble: Any) -> None:
    state = assemble({"x": Number(1.0)}, rate=0.5)
    moves = (move("x", ("x",), pull("x", 0.0)),)
    rounds = loop(state, moves, still)
    next(rounds)
    state.controls.turn("learning_rate.x", by="me", factor=0.0)
    record = next(rounds)
    assert state.players["x"].value.item() == 0.5, "the second round was played at rate 0"
    assert record.signals["control/learning_rate.x"] == 0.0


def test_randomness_depends_on_the_place_alone(assemble: Any) -> None:
    def noisy(play: Play) -> Terms:
        play.note("draw", torch.rand(()))
        return {"x/loss": Term(next(play.players["x"].parameters()).sum())}

    moves = (move("x", ("x",), noisy),)

    def draws(*, seed: int = 0, attempt: int = 0, start: int = 0, disturb: bool = False) -> list[float]:
        state = assemble({"x": Number(1.0)}, seed=seed, total=start + 3)
        state.attempt, state.images_seen = attempt, start
        found = []
        for record in loop(state, moves, still):
            found.append(float(record.signals["draw"]))
            if disturb:
                torch.rand(5)
        return found

    plain = draws()
    assert draws(disturb=True) == plain
    assert draws(start=2)[0] == plain[2], "the third round of one run is the first of another that starts there"
    assert len({*plain, *draws(seed=1), *draws(attempt=1)}) == 9


@given(every=st.integers(0, 50), before=st.integers(0, 500), step=st.integers(1, 60))
def test_crosses(every: int, before: int, step: int) -> None:
    passed = every > 0 and any(images % every == 0 for images in range(before + 1, before + step + 1))
    assert crosses(every, before, before + step) == passed


def test_unmeasured_rounds_carry_only_what_is_free(assemble: Any) -> None:
    state = assemble({"x": Number(1.0)}, batch=4, record_every=12, total=20)
    records = list(loop(state, (move("x", ("x",), pull("x", 0.0)),), still))
    assert [record.measured for record in records] == [False, False, True, False, True]
    assert all(("x/gradient_norm" in r.signals) == r.measured == ("control/clip.x" in r.signals) for r in records)
    assert all("x/loss" in record.signals for record in records)
