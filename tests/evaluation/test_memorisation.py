"""Neighbours against every distance; the null of the memorisation test by simulation; copies and duplicates planted."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.evaluation import memorisation as module
from steadygan.evaluation.memorisation import (
    exact_duplicates,
    memorisation,
    near_duplicates,
    near_radius,
    nearest,
    nearest_other,
)


@given(seed=st.integers(0, 1000), chunk=st.integers(1, 40), offset=st.sampled_from([0.0, 100.0]))
def test_neighbours_are_those_of_all_distances_whatever_the_chunk(seed: int, chunk: int, offset: float) -> None:
    source = torch.Generator().manual_seed(seed)
    samples = torch.randn(30, 6, generator=source) + offset
    references = torch.randn(25, 6, generator=source) + offset
    every = (samples.double()[:, None] - references.double()[None]).norm(dim=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        found = nearest(samples, references)
    torch.testing.assert_close(found.distances, every.min(1).values, rtol=1e-12, atol=0)
    assert torch.equal(found.indices, every.argmin(1))


def test_a_copy_is_at_distance_zero() -> None:
    references = 1000 + torch.randn(200, 50)
    found = nearest(references[[7, 150]], references)
    assert found.distances.tolist() == [0.0, 0.0]
    assert found.indices.tolist() == [7, 150]


def test_the_nearest_other_is_never_itself() -> None:
    samples = torch.tensor([[0.0], [1.0], [1.0], [5.0]])
    found = nearest_other(samples)
    assert found.indices.tolist() == [1, 2, 1, 1]
    assert found.distances.tolist() == [1.0, 0.0, 0.0, 4.0]


def test_fakes_of_the_same_law_are_nearer_to_training_only_by_chance() -> None:
    """Over many draws the statistic has mean 0 and standard deviation 1, also where fakes crowd around a few points."""
    for spread in (1.0, 0.05):
        found = []
        for seed in range(150):
            source = torch.Generator().manual_seed(seed)
            places = torch.randn(10, 3, generator=source)[torch.randint(0, 10, (200,), generator=source)]
            fake = spread * torch.randn(200, 3, generator=source) + (places if spread < 1 else 0)
            training, held_out = torch.randn(150, 3, generator=source), torch.randn(50, 3, generator=source)
            found.append(memorisation(fake, training, held_out))
        z = torch.tensor([each.z for each in found])
        assert found[0].by_chance == 0.75
        assert abs(float(z.mean())) < 4 / math.sqrt(150)
        assert 0.8 < float(z.std()) < 1.2


def test_the_spread_is_that_of_exchanging_training_and_held_out() -> None:
    source = torch.Generator().manual_seed(3)
    fake, pool = torch.randn(100, 2, generator=source), torch.randn(40, 2, generator=source)
    shares, spreads = [], []
    for _ in range(400):
        order = torch.randperm(40, generator=source)
        found = memorisation(fake, pool[order[:30]], pool[order[30:]])
        shares.append(found.share)
        spreads += [(found.share - found.by_chance) / found.z] if found.z else []
    assert len(spreads) > 200
    assert spreads == pytest.approx([spreads[0]] * len(spreads), rel=1e-9)
    assert torch.tensor(shares).mean() == pytest.approx(0.75, abs=0.02)
    assert torch.tensor(shares).std() == pytest.approx(spreads[0], rel=0.1)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
def test_copies_of_training_are_seen(noise: float) -> None:
    training, held_out = torch.randn(400, 10), torch.randn(100, 10)
    fake = training[:150] + noise * torch.randn(150, 10)
    found = memorisation(fake, training, held_out)
    assert found.share > 0.99
    assert found.z > 5
    assert found.p < 1e-6
    assert found.copying_z < -10
    assert torch.equal(found.training.indices, torch.arange(150))


def test_fakes_far_from_all_reals_are_not_copies() -> None:
    found = memorisation(5 + torch.randn(100, 4), torch.randn(300, 4), torch.randn(100, 4))
    assert abs(found.z) < 4
    assert found.copying_z > 10


def test_the_most_suspicious_pairs_come_first() -> None:
    training, held_out = torch.randn(50, 3), torch.randn(20, 3)
    fake = torch.randn(30, 3)
    fake[11], fake[4] = training[7], training[9] + 1e-4
    pairs = memorisation(fake, training, held_out).nearest_pairs(3)
    assert pairs.shape == (3, 3)
    assert pairs[:2, :2].tolist() == [[11, 7], [4, 9]]
    assert pairs[0, 2] == nearest(fake[11:12], held_out).indices[0]


def test_a_tie_counts_half() -> None:
    found = memorisation(torch.zeros(4, 1), torch.ones(1, 1), -torch.ones(1, 1))
    assert (found.share, found.by_chance, found.z, found.p) == (0.5, 0.5, 0.0, 0.5)
    assert found.copying_z < 0  # all fakes are nearer to training than the held-out sample is


def test_exact_duplicates_are_counted_in_pairs() -> None:
    images = torch.randn(20, 1, 4, 5)
    images[3], images[9], images[12] = images[1], images[1], images[0]
    found = exact_duplicates(images)
    assert (found.pairs, found.samples) == (4, 5)
    assert found.indices.tolist() == [[0, 12], [1, 3], [1, 9], [3, 9]]
    none = exact_duplicates(torch.randn(10, 3))
    assert (none.pairs, none.samples, none.indices.shape) == (0, 0, (0, 2))


@pytest.mark.parametrize("limit", [1, 3, 10, 2000])
def test_many_duplicates_are_counted_and_few_listed(limit: int) -> None:
    found = exact_duplicates(torch.zeros(50, 2), limit=limit)
    assert (found.pairs, found.samples, len(found.indices)) == (1225, 50, min(limit, 1225))
    assert bool((found.indices[:, 0] < found.indices[:, 1]).all())
    close = near_duplicates(torch.zeros(50, 2), 0.0, limit=limit)
    assert (close.pairs, close.samples, len(close.indices)) == (1225, 50, min(limit, 1225))


@given(seed=st.integers(0, 1000), chunk=st.integers(1, 40), radius=st.floats(0.1, 2.0))
def test_near_duplicates_are_those_of_all_distances(seed: int, chunk: int, radius: float) -> None:
    samples = torch.randn(35, 3, generator=torch.Generator().manual_seed(seed))
    every = (samples.double()[:, None] - samples.double()[None]).norm(dim=2)
    expected = (every <= radius).triu(1).nonzero()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        found = near_duplicates(samples, radius)
    assert found.pairs == len(expected)
    assert {tuple(pair) for pair in found.indices.tolist()} == {tuple(pair) for pair in expected.tolist()}
    assert found.samples == len(expected.unique())
    assert bool((found.distances.diff() >= 0).all())
    torch.testing.assert_close(found.distances, every[found.indices[:, 0], found.indices[:, 1]])


def test_the_radius_is_as_rare_among_reals_as_asked() -> None:
    real = torch.randn(500, 4)
    radius = near_radius(real, 0.1)
    assert (nearest_other(real).distances <= radius).double().mean() == pytest.approx(0.1, abs=0.005)
    assert near_duplicates(real, radius).samples == pytest.approx(50, abs=2)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: nearest(torch.zeros(3), torch.zeros(3, 2)), "samples of shape"),
        (lambda: nearest(torch.zeros(3, 2), torch.zeros(0, 2)), "references of shape"),
        (lambda: nearest(torch.zeros(3, 2), torch.zeros(3, 4)), "width 2 and 4"),
        (lambda: nearest(torch.full((3, 2), math.nan), torch.zeros(3, 2)), "NaN"),
        (lambda: nearest_other(torch.zeros(1, 2)), "one sample"),
        (lambda: memorisation(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 3)), "width 2 and 3"),
        (lambda: memorisation(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(0, 2)), "held-out of shape"),
        (lambda: near_duplicates(torch.zeros(3, 2), -1.0), "radius of -1"),
        (lambda: near_radius(torch.zeros(3, 2), 0.0), "share of 0"),
        (lambda: exact_duplicates(torch.zeros(3)), "samples of shape"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(call: object, match: str) -> None:
    assert callable(call)
    with pytest.raises(SteadyganError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_order_and_threads_do_not_matter() -> None:
    fake, training, held_out = torch.randn(300, 8), torch.randn(400, 8), torch.randn(100, 8)
    plain = memorisation(fake, training, held_out)
    turned = memorisation(fake.flip(0), training[torch.randperm(400)], held_out.flip(0))
    torch.set_num_threads(2)
    threaded = memorisation(fake, training, held_out)
    for other in (turned, threaded):
        assert other[:5] == pytest.approx(plain[:5], rel=1e-12)
    assert torch.equal(threaded.training.indices, plain.training.indices)
    torch.testing.assert_close(turned.training.distances.flip(0), plain.training.distances, rtol=1e-12, atol=0)
