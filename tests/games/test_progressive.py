"""When the networks of the progressive game grow."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.config import NetworkConfig, PlayerConfig, RunConfig
from steadygan.game.controls import Controls
from steadygan.game.move import Batch, Play
from steadygan.games.progressive import PROGRESSIVE, ProgressiveOptions, grower, growths, stage_of
from steadygan.networks import build_discriminator, build_generator

PLAYERS = {
    name: PlayerConfig(network=NetworkConfig(name="progressive", capacity=2)) for name in ("generator", "discriminator")
}


@given(st.floats(0, 5), st.floats(0, 0.95))
def test_a_stage_rests_at_its_size_and_then_fades(control: float, steady: float) -> None:
    stage, whole = stage_of(control, steady), int(control)
    assert whole <= stage <= whole + 1
    if control - whole <= steady:
        assert stage == whole
    assert stage_of(control + 0.01, steady) >= stage, "networks never shrink while the control rises"
    assert stage_of(whole, steady) == whole


def test_without_rest_the_stage_is_the_control() -> None:
    assert stage_of(1.3, 0.0) == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("options", "seen", "expected"),
    [
        ({}, 0, 0.0),
        ({}, 250, 1.5),
        ({}, 500, 3.0),
        ({}, 999, 3.0),
        ({"grown": 1.0}, 500, 1.5),
        ({"first": 2}, 0, 2.0),
        ({"first": 2}, 250, 2.5),
    ],
)
def test_the_control_rises_evenly_over_its_share_of_the_run(
    options: dict[str, float], seen: int, expected: float
) -> None:
    config = RunConfig(players=PLAYERS, shape=(1, 28, 28), images=1000)
    own = ProgressiveOptions.model_validate(options)
    (plan, low, high) = PROGRESSIVE.controls(config, own)["stage"]
    controls = Controls(1000)
    controls.declare("stage", plan, low, high)
    controls.at(seen)
    assert controls["stage"] == pytest.approx(expected)
    assert (low, high) == (0.0, 3.0)


def test_both_networks_are_set_at_the_beginning_of_a_round() -> None:
    network = PLAYERS["generator"].network
    players = {
        "generator": build_generator(network, (1, 16, 16), 4),
        "discriminator": build_discriminator(network, (1, 16, 16)),
    }
    grow = grower(0.5)
    for control, expected in ((0.0, (0, 1.0)), (0.75, (1, 0.5)), (1.25, (1, 1.0)), (2.0, (2, 1.0)), (0.0, (0, 1.0))):
        grow(Play(players, Batch(torch.zeros(1, 1, 16, 16)), {"stage": control}, {}, {}, 0))
        found = [part.at() for player in players.values() for part in growths(player)]
        assert found == [expected, expected]
