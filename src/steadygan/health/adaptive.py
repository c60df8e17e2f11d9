"""Adaptive augmentation (ADA): as much augmentation as keeps the discriminator from learning the training set by heart.

Paper: Karras et al. 2020, "Training generative adversarial networks with limited data".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from steadygan.game.controls import Controls
from steadygan.game.orders import Turn
from steadygan.game.round import Record

INTERVAL = 4
"""Rounds between two decisions, as in the paper."""


def signs(record: Record) -> Tensor | float:
    """r_t = E[sign D(real)]: 0 without overfitting, 1 with; means something only where the loss knows a zero."""
    return record.signals["discriminator/real_signs"]


class AdaptiveAugmentation:
    """Raises the control ``augmentation`` while the overfitting sign is above ``target``, lowers it below.

    A step is ``batch * INTERVAL / speed``, so that the strength needs at least ``speed`` images from 0 to 1.

    Args:
        sign: the overfitting sign of a record, 0 (none) to 1; asked once every ``INTERVAL`` rounds.
        target: where to hold it.
        speed: images for the whole range of strength.
    """

    def __init__(self, sign: Callable[[Record], Tensor | float], target: float, speed: int, batch: int) -> None:
        self.sign, self.target = sign, target
        self.batch, self.speed = batch, speed
        self.shift = 0.0

    rolls_back = True

    def read(self, record: Record, controls: Controls) -> tuple[Turn, ...]:
        """Take one record in and turn the control where it is due."""
        if record.round % INTERVAL:
            return ()
        value = float(self.sign(record))
        stride = INTERVAL * controls.get("batch", self.batch) / self.speed
        direction = (value > self.target) - (value < self.target)
        self.shift = min(1.0, max(0.0, self.shift + direction * stride))
        return (Turn("augmentation", "adaptive", shift=self.shift),)

    def state_dict(self) -> dict[str, Any]:
        return {"shift": self.shift}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.shift = float(state["shift"])
