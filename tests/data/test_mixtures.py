"""The mixtures have the centres and the spread that they say."""

from __future__ import annotations

import pytest
import torch

from steadygan.data.mixtures import grid, ring


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_ring_lies_on_its_circle() -> None:
    points, centres = ring(20_000, generator(), modes=8, radius=2.0, std=0.01)
    assert points.shape == (20_000, 2)
    assert points.dtype == centres.dtype == torch.float32
    assert centres.norm(dim=1) == pytest.approx([2.0] * 8)
    gaps = torch.cdist(centres, centres).fill_diagonal_(9).min(dim=1).values
    assert gaps == pytest.approx([gaps[0].item()] * 8, rel=1e-4)


@pytest.mark.parametrize("make", [ring, grid])
def test_modes_are_even_and_the_spread_is_std(make: object) -> None:
    std = 0.02
    points, centres = make(50_000, generator(), std=std)  # type: ignore[operator]
    nearest = torch.cdist(points, centres).argmin(dim=1)
    counts = torch.bincount(nearest, minlength=len(centres))
    expected = 50_000 / len(centres)
    assert ((counts - expected).abs() < 5 * expected**0.5).all()
    assert (points - centres[nearest]).std().item() == pytest.approx(std, rel=0.02)


def test_grid_is_centred_and_evenly_spaced() -> None:
    _, centres = grid(1, generator(), side=5, spacing=2.0)
    assert centres.shape == (25, 2)
    assert sorted(set(centres.flatten().tolist())) == [-4.0, -2.0, 0.0, 2.0, 4.0]
    assert len({tuple(centre) for centre in centres.tolist()}) == 25


def test_the_generator_decides() -> None:
    assert torch.equal(ring(10, generator(3))[0], ring(10, generator(3))[0])
    assert not torch.equal(ring(10, generator(3))[0], ring(10, generator(4))[0])
