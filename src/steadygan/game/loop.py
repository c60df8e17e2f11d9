"""The loop: rounds, one record each, until the clock has run out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from steadygan.game.move import Draw, Move
from steadygan.game.round import Record, play_round
from steadygan.game.state import GameState


def loop(state: GameState, moves: Sequence[Move], draw: Draw) -> Iterator[Record]:
    """Play rounds and yield their records; whoever reads them may turn controls or roll the state back in between."""
    while not state.done:
        yield play_round(state, moves, draw)
