"""A game of two small networks without any run around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from steadygan.game.controls import Controls
from steadygan.game.move import Batch
from steadygan.game.state import GameState, Optimizer, Setting

Assemble = Callable[..., GameState]


@pytest.fixture(scope="session")
def assemble() -> Assemble:
    """``assemble(players, rate=..., optimizers=..., **controls)``: a state with SGD where nothing else is given."""

    def build(
        players: Mapping[str, nn.Module],
        *,
        rate: float = 0.1,
        optimizers: Mapping[str, Optimizer] | None = None,
        controls: Mapping[str, float] | None = None,
        total: int = 10**9,
        batch: int = 1,
        **setting: object,
    ) -> GameState:
        knobs = Controls(total)
        for name in players:
            knobs.declare(f"learning_rate.{name}", rate)
            knobs.declare(f"clip.{name}", 0.0)
            knobs.declare(f"steps.{name}", 1.0)
        knobs.declare("average.half_life", 0.0)
        for name, value in (controls or {}).items():
            knobs.declare(name, value)
        steppers: dict[str, Optimizer] = {
            name: torch.optim.SGD(player.parameters(), rate) for name, player in players.items()
        }
        steppers |= optimizers or {}
        return GameState(dict(players), steppers, knobs, Setting(total, batch, **setting))  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="session")
def constant_draw() -> Callable[[Tensor], Callable[[int, int, int], Batch]]:
    """Always the same reals."""
    return lambda real: lambda position, count, attempt: Batch(real)
