"""Path lengths of generators whose path lengths are known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.path_length import between, path_length, squared_distance

SIZE = 6


def linear(weights: Tensor) -> object:
    return lambda latent: (latent @ weights.T)[:, :, None, None]


def plain(images: Tensor) -> Tensor:
    return images


def latents(count: int) -> tuple[Tensor, Tensor]:
    return torch.randn(count, SIZE, dtype=torch.float64), torch.randn(count, SIZE, dtype=torch.float64)


@pytest.mark.parametrize("where", ["anywhere", "start"])
def test_a_linear_generator_with_linear_features_on_lines(where: str) -> None:
    generator, features = torch.randn(8, SIZE, dtype=torch.float64), torch.randn(5, 8, dtype=torch.float64)
    start, finish = latents(20_000)
    found = path_length(
        linear(generator),  # type: ignore[arg-type]
        squared_distance(lambda images: images.flatten(1) @ features.T),
        start,
        finish,
        path="line",
        where=where,  # type: ignore[arg-type]
        trim=0.0,
    )
    steps = (finish - start) @ (features @ generator).T
    torch.testing.assert_close(found.lengths, steps.square().sum(1), rtol=1e-6, atol=0)
    expected = 2 * float((features @ generator).square().sum())
    assert abs(found.mean - expected) < 4 * found.error
    assert found.error < 0.02 * expected
    assert found.kept == 20_000


def test_turning_on_a_sphere_has_the_length_of_the_arc() -> None:
    start, finish = latents(500)
    start, finish = (3 * each / each.norm(dim=1, keepdim=True) for each in (start, finish))
    found = path_length(
        linear(torch.eye(SIZE, dtype=torch.float64)),  # type: ignore[arg-type]
        squared_distance(plain),
        start,
        finish,
        trim=0.0,
    )
    angle = ((start * finish).sum(1) / 9).acos()
    torch.testing.assert_close(found.lengths, 9 * angle.square(), rtol=1e-6, atol=0)


def test_a_generator_that_ignores_its_latent_has_none() -> None:
    start, finish = latents(50)
    found = path_length(lambda latent: torch.ones(len(latent), 1, 4, 4), squared_distance(plain), start, finish)
    assert (found.mean, found.error) == (0.0, 0.0)


def test_cliffs_are_longer_than_slopes() -> None:
    start, finish = (each.float() for each in latents(2000))

    def steep(latent: Tensor) -> Tensor:
        return torch.tanh(50 * latent)[:, :, None, None]

    def gentle(latent: Tensor) -> Tensor:
        return torch.tanh(latent)[:, :, None, None]

    lengths = [
        path_length(each, squared_distance(plain), start, finish, path="line", epsilon=1e-3, trim=0.0)
        for each in (gentle, steep)
    ]
    assert lengths[1].mean > 5 * lengths[0].mean


def test_chunks_do_not_matter_and_seeds_do() -> None:
    start, finish = latents(100)

    def curved(latent: Tensor) -> Tensor:
        return latent.square()[:, :, None, None]

    first = path_length(curved, squared_distance(plain), start, finish, chunk=100)
    second = path_length(curved, squared_distance(plain), start, finish, chunk=7)
    third = path_length(curved, squared_distance(plain), start, finish, seed=1)
    torch.testing.assert_close(first.lengths, second.lengths, rtol=1e-9, atol=0)
    assert first.mean == pytest.approx(second.mean, rel=1e-9)
    assert abs(first.mean - third.mean) > 1e-3 * first.mean


def test_the_ends_are_cut_off() -> None:
    start = torch.zeros(200, 1)
    finish = torch.arange(200.0)[:, None]

    found = path_length(
        lambda latent: latent[:, :, None, None],
        squared_distance(plain),
        start.double(),
        finish.double(),
        path="line",
        trim=0.05,
    )
    assert found.kept == 180
    assert found.mean == pytest.approx(float(torch.arange(10.0, 190.0).square().mean()), rel=1e-6)
    assert len(found.lengths) == 200


@given(time=st.floats(0, 1), seed=st.integers(0, 1000))
def test_ways_begin_and_end_where_they_should(time: float, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    a, b = torch.randn(4, SIZE, generator=source), torch.randn(4, SIZE, generator=source)
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    at = torch.full((4, 1), time, dtype=torch.float64)
    for path in ("sphere", "line"):
        torch.testing.assert_close(between(a, b, 0 * at, path), a)  # type: ignore[arg-type]
        torch.testing.assert_close(between(a, b, 0 * at + 1, path), b)  # type: ignore[arg-type]
    torch.testing.assert_close(between(a, b, at, "sphere").norm(dim=1), torch.ones(4))
    torch.testing.assert_close(between(a, a, at, "sphere"), a)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"start": torch.zeros(3)}, "latents of shape"),
        ({"finish": torch.zeros(4, 3)}, "latents of shape"),
        ({"path": "detour"}, "path 'detour'"),
        ({"where": "end"}, "at 'end'"),
        ({"epsilon": 0.0}, "epsilon 0"),
        ({"trim": 0.5}, "trim 0.5"),
        ({"distance": lambda first, second: torch.full((3,), math.nan)}, "not finite"),
        ({"distance": lambda first, second: torch.zeros(1)}, "1 path lengths for 3 walks"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(change: dict[str, object], match: str) -> None:
    given_: dict[str, object] = {
        "sample": lambda latent: latent[:, :, None, None],
        "distance": squared_distance(plain),
        "start": torch.randn(3, 3),
        "finish": torch.randn(3, 3),
    }
    with pytest.raises(SteadyganError, match=match) as caught:
        path_length(**(given_ | change))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
