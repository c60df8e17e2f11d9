"""ADA's controller, and the word on how a game stands."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.game.controls import Controls
from steadygan.game.round import Record
from steadygan.health.adaptive import INTERVAL, AdaptiveAugmentation, signs
from steadygan.health.vitals import WINDOW, Vitals


def record(number: int, sign: float) -> Record:
    return Record(number * 8, number, 0, True, {"discriminator/real_signs": torch.tensor(sign)})


def knobs(strength: float = 0.0) -> Controls:
    controls = Controls(1000)
    controls.declare("augmentation", strength, 0.0, 1.0)
    return controls


@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=60), speed=st.integers(10, 1000))
def test_it_steps_towards_the_target_within_its_range_and_no_faster_than_its_speed(
    values: list[float], speed: int
) -> None:
    controls, ada = knobs(), AdaptiveAugmentation(signs, 0.6, speed, 8)
    shift, step = 0.0, INTERVAL * 8 / speed
    for number, value in enumerate(values, 1):
        ada.read(record(number, value), controls)
        if number % INTERVAL == 0:
            exact = float(torch.tensor(value))
            shift = min(1.0, max(0.0, shift + step * ((exact > 0.6) - (exact < 0.6))))
        assert controls["augmentation"] == pytest.approx(shift)


def test_from_nothing_to_all_takes_as_many_images_as_its_speed() -> None:
    controls, ada = knobs(), AdaptiveAugmentation(signs, 0.6, 800, 8)
    strengths = []
    for number in range(1, 101):
        ada.read(record(number, 1.0), controls)
        strengths.append(controls["augmentation"])
    assert strengths[-5] < 1.0
    assert strengths[-1] == pytest.approx(1.0)


def test_its_state_goes_along() -> None:
    ada, fresh = (AdaptiveAugmentation(signs, 0.6, 100, 8) for _ in range(2))
    ada.read(record(INTERVAL, 1.0), knobs())
    fresh.load_state_dict(ada.state_dict())
    assert fresh.shift == ada.shift > 0


def line(**values: float) -> dict[str, Any]:
    plain = {"generator/loss": 0.7, "discriminator/loss": 1.3, "discriminator/win_rate": 0.6, "generator/spread": 0.9}
    return plain | {name.replace("__", "/"): value for name, value in values.items()}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "steady"),
        ({"discriminator__win_rate": 1.0}, "discriminator far ahead"),
        ({"generator__spread": 0.1}, "samples too alike"),
        ({"generator__loss": math.nan}, "generator/loss is not finite"),
        ({"discriminator__loss": math.inf}, "discriminator/loss is not finite"),
    ],
)
def test_the_word(values: dict[str, float], word: str) -> None:
    vitals = Vitals()
    words = [vitals.read(line(**values)) for _ in range(WINDOW)]
    assert words[-1] == word
    if "finite" not in word:
        assert words[0] == "warming up"


def test_a_single_odd_record_is_no_sign() -> None:
    vitals = Vitals()
    for _ in range(WINDOW):
        vitals.read(line())
    assert vitals.read(line(generator__spread=0.01)) == "steady"
    assert Vitals().word() == "warming up"
