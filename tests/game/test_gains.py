"""The limit to the gain of layers."""

from __future__ import annotations

import pytest
import torch

from steadygan.game.gains import limit_gains_


def weights(scale: float) -> list[torch.Tensor]:
    torch.manual_seed(0)
    layers = [torch.randn(8, 6), torch.randn(4, 8, 3, 3) / 8, torch.zeros(5, 4), torch.randn(3, 4), torch.randn(9)]
    layers[3] *= scale
    return layers


def gain(weight: torch.Tensor) -> float:
    return float(weight.norm() / len(weight) ** 0.5)


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
def test_a_layer_far_larger_than_the_others_is_scaled_down(unit: float) -> None:
    layers = [unit * layer for layer in weights(500.0)]
    before = [layer.clone() for layer in layers]
    limit_gains_(layers, 2.0)
    usual = sorted(gain(layer) for layer in before if layer.dim() > 1 and layer.any())[1]
    assert gain(layers[3]) == pytest.approx(2 * usual, rel=1e-5)
    assert torch.allclose(layers[3] / layers[3].norm(), before[3] / before[3].norm()), "its direction stays"
    for place in (0, 1, 2, 4):
        assert torch.equal(layers[place], before[place])


def test_sound_layers_keep_their_bits() -> None:
    layers, before = weights(1.0), weights(1.0)
    limit_gains_(layers, 4.0)
    assert all(torch.equal(now, was) for now, was in zip(layers, before, strict=True))
    limit_gains_([torch.ones(3)], 0.1)
