"""ADA's controller."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.game.controls import Controls
from steadygan.game.orders import Turn
from steadygan.game.round import Record
from steadygan.health.adaptive import INTERVAL, AdaptiveAugmentation, signs


def record(number: int, sign: float) -> Record:
    return Record(number * 8, number, 0, True, {"discriminator/real_signs": torch.tensor(sign)})


def knobs(strength: float = 0.0) -> Controls:
    controls = Controls(1000)
    controls.declare("augmentation", strength, 0.0, 1.0)
    return controls


def obey(controls: Controls, orders: Sequence[Turn]) -> None:
    for order in orders:
        controls.turn(order.control, by=order.by, factor=order.factor, shift=order.shift)


@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=60), speed=st.integers(10, 1000))
def test_it_steps_towards_the_target_within_its_range_and_no_faster_than_its_speed(
    values: list[float], speed: int
) -> None:
    controls, ada = knobs(), AdaptiveAugmentation(signs, 0.6, speed, 8)
    shift, step = 0.0, INTERVAL * 8 / speed
    for number, value in enumerate(values, 1):
        obey(controls, ada.read(record(number, value), controls))
        if number % INTERVAL == 0:
            exact = float(torch.tensor(value))
            shift = min(1.0, max(0.0, shift + step * ((exact > 0.6) - (exact < 0.6))))
        assert controls["augmentation"] == pytest.approx(shift)


def test_from_nothing_to_all_takes_as_many_images_as_its_speed() -> None:
    controls, ada = knobs(), AdaptiveAugmentation(signs, 0.6, 800, 8)
    strengths = []
    for number in range(1, 101):
        obey(controls, ada.read(record(number, 1.0), controls))
        strengths.append(controls["augmentation"])
    assert strengths[-5] < 1.0
    assert strengths[-1] == pytest.approx(1.0)


def test_its_state_goes_along() -> None:
    ada, fresh = (AdaptiveAugmentation(signs, 0.6, 100, 8) for _ in range(2))
    ada.read(record(INTERVAL, 1.0), knobs())
    fresh.load_state_dict(ada.state_dict())
    assert fresh.shift == ada.shift > 0
