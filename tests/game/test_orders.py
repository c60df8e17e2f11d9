"""Orders as the game obeys them: snapshots by name, rollbacks, knobs of several owners, and the end."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from steadygan.errors import SteadyganError
from steadygan.game.controls import Controls
from steadygan.game.orders import Best, Keep, Order, Rename, RollBack, Stop, Tell, Turn
from steadygan.game.state import GameState

Assemble = Callable[..., GameState]


class Follower:
    """A watcher with a number for a state."""

    def __init__(self, rolls_back: bool) -> None:
        self.rolls_back, self.count = rolls_back, 0

    def read(self, record: Any, controls: Controls) -> Sequence[Order]:
        return ()

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


@pytest.fixture
def game(assemble: Assemble) -> GameState:
    state = assemble({"generator": nn.Linear(1, 1, bias=False)}, controls={"knob": 2.0}, total=1000)
    state.companions = {"follows": Follower(True), "remembers": Follower(False)}
    return state


def advance(game: GameState, by: int = 10) -> None:
    """Something happens to everything."""
    with torch.no_grad():
        for parameter in game.players["generator"].parameters():
            parameter += by
    game.images_seen, game.rounds = game.images_seen + by, game.rounds + 1
    game.memory["seen"] = torch.tensor(float(game.images_seen))
    for companion in game.companions.values():
        assert isinstance(companion, Follower)
        companion.count += 1


def weight(game: GameState) -> float:
    return next(game.players["generator"].parameters()).item()


def test_a_turn_is_made_in_a_name(game: GameState) -> None:
    game.obey(Turn("knob", "health", 3.0, 1.0))
    game.obey(Turn("knob", "adaptive", shift=0.5))
    assert game.controls["knob"] == 7.5
    game.obey(Turn("knob", "health"))
    assert game.controls["knob"] == 2.5
    with pytest.raises(SteadyganError, match="did you mean 'knob'"):
        game.obey(Turn("knop", "health", 2.0))


def test_a_rollback_brings_back_the_game_and_those_who_belong_to_it(game: GameState) -> None:
    advance(game)
    game.obey(Turn("knob", "adaptive", shift=0.5))
    game.obey(Keep("healthy"))
    kept = weight(game)
    advance(game)
    game.obey(Turn("knob", "adaptive", shift=0.9))
    game.obey(Turn("knob", "health", 0.5))
    game.obey(RollBack("healthy"))
    assert (weight(game), game.images_seen, game.rounds, game.attempt) == (kept, 10, 1, 1)
    assert float(game.memory["seen"]) == 10
    assert [one.count for one in game.companions.values()] == [1, 2]  # type: ignore[attr-defined]
    assert game.controls.turned("knob", "adaptive") == (1.0, 0.5)
    assert game.controls.turned("knob", "health") == (1.0, 0.0)
    advance(game)
    game.obey(RollBack("healthy"))
    assert (weight(game), game.attempt) == (kept, 2), "a snapshot is not worn out"


def test_a_snapshot_is_replaced_and_renamed(game: GameState) -> None:
    for name in ("healthy", "candidate", "candidate"):
        advance(game)
        game.obey(Keep(name))
    assert {name: kept["counters"]["images_seen"] for name, kept in game.snapshots.items()} == {
        "healthy": 10,
        "candidate": 30,
    }
    game.obey(Rename("candidate", "healthy"))
    assert {name: kept["counters"]["images_seen"] for name, kept in game.snapshots.items()} == {"healthy": 30}
    for order in (RollBack("candidate"), Rename("candidate", "healthy")):
        with pytest.raises(SteadyganError, match="snapshot"):
            game.obey(order)


def test_a_snapshot_holds_no_snapshots_and_no_live_tensors(game: GameState) -> None:
    game.obey(Keep("one"))
    game.obey(Keep("two"))
    assert "snapshots" not in game.snapshots["two"]
    before = copy.deepcopy(game.snapshots["two"]["players"]["generator"])
    advance(game)
    assert all(
        torch.equal(before[name], value) for name, value in game.snapshots["two"]["players"]["generator"].items()
    )


def test_snapshots_travel_with_the_state(game: GameState, assemble: Assemble) -> None:
    advance(game)
    game.obey(Keep("healthy"))
    advance(game)
    tree = copy.deepcopy(game.state_dict())
    fresh = assemble({"generator": nn.Linear(1, 1, bias=False)}, controls={"knob": 2.0}, total=1000)
    fresh.companions = {"follows": Follower(True), "remembers": Follower(False)}
    fresh.load_state_dict(tree)
    for state in (game, fresh):
        state.obey(RollBack("healthy"))
    assert weight(game) == weight(fresh)
    assert (fresh.images_seen, fresh.attempt) == (10, 1)


def test_a_stop_ends_the_game_for_good(game: GameState, assemble: Assemble) -> None:
    assert not game.done
    game.obey(Keep("healthy"))
    game.obey(Stop("why", "what", failed=True))
    assert game.done
    fresh = assemble({"generator": nn.Linear(1, 1, bias=False)}, controls={"knob": 2.0}, total=1000)
    fresh.companions = {"follows": Follower(True), "remembers": Follower(False)}
    fresh.load_state_dict(copy.deepcopy(game.state_dict()))
    assert fresh.done


def test_what_is_for_the_session_means_nothing_here(game: GameState) -> None:
    before = repr(game.state_dict())
    game.obey(Tell({"kind": "diagnosis"}, "words"))
    game.obey(Best("health/distance", 0.1))
    assert repr(game.state_dict()) == before


TURNS = st.tuples(st.sampled_from(["health", "adaptive", "person"]), st.floats(0, 4), st.floats(-2, 2))


@given(turns=st.lists(TURNS, max_size=12))
def test_no_owner_undoes_what_another_turned(turns: list[tuple[str, float, float]]) -> None:
    """The value depends on each owner's last turn alone, and taking all back leaves the knob as it was."""
    controls = Controls(100)
    controls.declare("knob", 2.0, 0.0, 50.0)
    last: dict[str, tuple[float, float]] = {}
    for owner, factor, shift in turns:
        controls.turn("knob", by=owner, factor=factor, shift=shift)
        last[owner] = factor, shift
        assert {name: controls.turned("knob", name) for name in last} == last
    raw = 2.0
    for factor, _ in last.values():
        raw *= factor
    assert controls["knob"] == pytest.approx(min(50.0, max(0.0, raw + sum(shift for _, shift in last.values()))))
    for owner in last:
        controls.turn("knob", by=owner, factor=1.0, shift=0.0)
    assert controls["knob"] == 2.0
    assert controls.state_dict() == {"knob": {}}
