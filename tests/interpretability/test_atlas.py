"""The map of reals and fakes."""

from __future__ import annotations

import pytest
import torch

from steadygan.interpretability import atlas


def test_kinds_that_lie_apart_do_not_mix_and_lie_apart_on_the_map() -> None:
    source = torch.Generator().manual_seed(0)
    fake = torch.arange(120) >= 60
    features = torch.randn(120, 12, generator=source) + 30.0 * fake[:, None]
    found = atlas.atlas(features, fake)
    assert found.mixing == 0.0
    assert found.points.shape == (120, 2) and float(found.points.min()) >= 0 and float(found.points.max()) <= 1
    between = torch.cdist(found.points[fake], found.points[~fake]).min()
    assert float(between) > 0.1


def test_kinds_that_are_the_same_mix_as_by_chance() -> None:
    features = torch.randn(600, 4, generator=torch.Generator().manual_seed(1))
    assert atlas.mixing(features, torch.arange(600) % 3 == 0) == pytest.approx(1.0, abs=0.06)


def test_truncation_draws_towards_the_centre() -> None:
    latents = torch.randn(5, 3)
    assert atlas.truncated(latents, 0.0).eq(0).all() and torch.equal(atlas.truncated(latents, 1.0), latents)
    torch.testing.assert_close(atlas.truncated(latents, 0.5, torch.ones(1, 3)), 0.5 + latents / 2)


def test_spread_is_the_mean_distance_of_pairs() -> None:
    assert atlas.spread(torch.tensor([[0.0], [1.0], [3.0]])) == pytest.approx(2.0)
