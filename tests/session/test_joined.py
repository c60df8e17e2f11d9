"""One pass of the discriminator over reals and fakes is the same game as a pass of each."""

from __future__ import annotations

import itertools
from typing import Any
from unittest import mock

import pytest
import torch

from steadygan.game.loop import loop
from steadygan.networks import Discriminator
from steadygan.runtime.devices import computing
from steadygan.session.wiring import wire

GAMES: dict[str, tuple[str, ...]] = {
    "r3": ("r3",),
    "classes": ("cgan-projection",),
    "maps": ("cgan", "discriminator.network.condition=concatenation"),
    "features": ("acgan",),
    "levels": ("lapgan",),
    "latents": ("aae", "discriminator.network.normalisation=none"),
    "interpolates": ("wgan-gp",),
    "one side": ("r3", "penalties.r2.weight=0"),
    "lazy": ("r3", "penalties.r1.every=2"),
    "approximated": ("mlp", 'penalties={"r1-approximate": {"weight": 1}, "r2": {"weight": 1}}'),
    "flipped and augmented": ("mlp", "label_flipping=0.2", 'augmentation.policy=["translate"]', "instance_noise=0.1"),
    "micro-batches": ("r3", "accumulate=2"),
    "packed": ("mlp", "packing=2"),
    "matched": ("r3", "feature_matching=1", "lecam=0.1"),
}


def played(lab: Any, *given: str) -> tuple[list[dict[str, float]], dict[str, torch.Tensor], int]:
    """Records and weights of four rounds, and how often the discriminator's features were asked for."""
    passes = 0
    features = Discriminator.features

    def counted(self: Discriminator, *values: Any) -> torch.Tensor:
        nonlocal passes
        passes += 1
        return features(self, *values)

    recipe, *settings = given
    common = ("precision=float64", "images=400", "record_every=1")
    with computing(1, deterministic=True), mock.patch.object(Discriminator, "features", counted):
        game = wire(lab.config(recipe, *common, *settings), lab.data)
        lines = [record.line() for record in itertools.islice(loop(game.state, game.moves, game.draw), 4)]
    weights = {
        f"{name}/{key}": value for name, one in game.state.players.items() for key, value in one.state_dict().items()
    }
    return lines, weights, passes


@pytest.mark.parametrize("name", GAMES)
def test_reals_and_fakes_together_are_the_same_game(name: str, lab: Any) -> None:
    lines, weights, passes = played(lab, *GAMES[name])
    with mock.patch.object(Discriminator, "by_rows", False):
        others, apart, more = played(lab, *GAMES[name])
    assert passes < more or name in ("levels", "one side", "approximated")
    for line, other in zip(lines, others, strict=True):
        assert line == pytest.approx(other, rel=1e-9, abs=1e-10)
    assert all(torch.allclose(weights[key], apart[key], rtol=1e-10, atol=1e-10) for key in apart)


@pytest.mark.parametrize("option", ["normalisation=batch", "spectral_norm=true", "dropout=0.1", "minibatch_std=true"])
def test_a_discriminator_that_looks_beyond_rows_sees_each_side_alone(option: str, lab: Any) -> None:
    given = ("dcgan", f"discriminator.network.{option}")
    passes = played(lab, *given)[2]
    with mock.patch.object(Discriminator, "by_rows", False):
        assert played(lab, *given)[2] == passes
