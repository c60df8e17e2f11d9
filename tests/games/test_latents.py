"""Latents by distribution."""

from __future__ import annotations

import pytest
import torch

from steadygan.games.latents import LATENTS


@pytest.mark.parametrize("name", LATENTS)
def test_shape_spread_and_seed(name: str) -> None:
    draw = LATENTS[name]
    made = draw(20_000, 3, torch.Generator().manual_seed(1), None)
    assert made.shape == (20_000, 3)
    assert made.dtype == torch.float32
    assert torch.allclose(made.mean(0), torch.zeros(3), atol=0.03)
    spread = {"normal": 1.0, "uniform": 3**-0.5, "sphere": 1.0}[name]
    assert made.std(0).tolist() == pytest.approx([spread] * 3, abs=0.02)
    assert torch.equal(made, draw(20_000, 3, torch.Generator().manual_seed(1), None))
    torch.manual_seed(4)
    assert not torch.equal(draw(5, 3, None, None), draw(5, 3, None, None))


def test_ranges() -> None:
    assert float(LATENTS["uniform"](10_000, 2, None, None).abs().max()) <= 1.0
    lengths = LATENTS["sphere"](100, 9, None, None).norm(dim=1)
    assert lengths.tolist() == pytest.approx([3.0] * 100, rel=1e-5)
