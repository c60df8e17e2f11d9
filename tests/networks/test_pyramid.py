"""Pyramids: levels, the reals' way up and down, the split latent, what a level sees."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks import Discriminator, Generator
from steadygan.networks.pyramid import (
    PyramidDiscriminator,
    PyramidGenerator,
    beside,
    level_sizes,
    pyramid_discriminator,
    pyramid_generator,
    split_sizes,
)
from steadygan.networks.sizes import Shape


def pair(
    shape: Shape = (1, 28, 28), levels: int = 0, latent: int = 9, **options: Any
) -> tuple[Generator, Discriminator]:
    config = NetworkConfig.model_validate({"name": "pyramid", "capacity": 4, **options})
    return pyramid_generator(config, shape, latent, 3, levels=levels), pyramid_discriminator(
        config, shape, 3, levels=levels
    )


@pytest.mark.parametrize(
    ("shape", "levels", "sizes"),
    [
        ((1, 28, 28), 0, [(7, 7), (14, 14), (28, 28)]),
        ((3, 64, 64), 0, [(8, 8), (16, 16), (32, 32), (64, 64)]),
        ((1, 8, 8), 0, [(4, 4), (8, 8)]),
        ((1, 45, 30), 0, [(12, 8), (23, 15), (45, 30)]),
        ((1, 28, 28), 4, [(4, 4), (7, 7), (14, 14), (28, 28)]),
        ((1, 28, 28), 1, [(28, 28)]),
    ],
)
def test_levels(shape: Shape, levels: int, sizes: list[tuple[int, int]]) -> None:
    assert level_sizes(shape, levels) == sizes


def test_a_pyramid_that_does_not_reach_the_image_is_refused() -> None:
    with pytest.raises(SteadyganError, match=r"5 levels does not reach 28x28: halving ends at 4x4.*at most 4 levels"):
        level_sizes((1, 28, 28), 5)
    with pytest.raises(SteadyganError, match=r"latent of 2 cannot be split over 3 levels: choose a larger latent.size"):
        split_sizes(2, 3)


@given(st.integers(1, 300), st.integers(1, 6))
def test_the_latent_is_split_to_the_last_value(latent: int, levels: int) -> None:
    if latent < levels:
        return
    parts = split_sizes(latent, levels)
    assert len(parts) == levels
    assert sum(parts) == latent
    assert min(parts) >= 1
    assert parts[0] == max(parts)


@given(st.integers(8, 40), st.integers(8, 40), st.integers(1, 3))
def test_differences_and_coarse_images_give_the_image_back(height: int, width: int, channels: int) -> None:
    generator, discriminator = pair((channels, height, width), capacity=1)
    up, down = cast(PyramidGenerator, generator.body), cast(PyramidDiscriminator, discriminator.body)
    images = torch.randn(2, channels, height, width, dtype=torch.float64)
    found = down.pyramid(images)
    assert [tuple(one.shape[2:]) for one in found] == up.sizes
    differences = [found[0], *(one - up.enlarged(k + 1, found[k]) for k, one in enumerate(found[1:]))]
    whole = differences[0]
    for index, difference in enumerate(differences[1:], 1):
        whole = up.enlarged(index, whole) + difference
    torch.testing.assert_close(whole, images)


def test_a_sample_is_the_chain_of_its_levels() -> None:
    generator, _ = pair()
    generator.eval()
    body = cast(PyramidGenerator, generator.body)
    latent = torch.randn(3, 9)
    parts = body.split(latent)
    assert [part.shape[1] for part in parts] == [5, 2, 2]
    image = body.level(0, parts[0], None)
    for index in (1, 2):
        coarse = body.enlarged(index, image)
        image = body.level(index, parts[index], coarse)
        torch.testing.assert_close(image - coarse, body.refiners[index - 1](parts[index], coarse))
    assert torch.equal(image, generator(latent))


def test_a_change_of_the_finest_part_leaves_the_coarse_image() -> None:
    generator, _ = pair(initialisation="he")
    generator.eval()
    latent = torch.randn(2, 9)
    moved = latent.clone()
    moved[:, 7:] += 3.0
    one, other = generator(latent), generator(moved)
    assert not torch.allclose(one, other)
    body = cast(PyramidGenerator, generator.body)
    coarse = [
        body.level(1, body.split(z)[1], body.enlarged(1, body.level(0, body.split(z)[0], None)))
        for z in (latent, moved)
    ]
    assert torch.equal(*coarse)


def test_logits_are_the_sum_of_the_levels() -> None:
    _, discriminator = pair(conditional=True)
    discriminator.eval()
    body = cast(PyramidDiscriminator, discriminator.body)
    images, label = torch.randn(5, 1, 28, 28), torch.tensor([0, 1, 2, 0, 1])
    levels = [discriminator.head(body.only(k, seen), label) for k, seen in enumerate(body.pairs(images))]
    bias = discriminator.score.bias  # type: ignore[union-attr]
    torch.testing.assert_close(torch.stack(levels).sum(0) - 2 * bias, discriminator(images, label))


def test_a_level_sees_the_image_beside_the_one_that_it_was_made_from() -> None:
    _, discriminator = pair()
    body = cast(PyramidDiscriminator, discriminator.body)
    images = torch.randn(2, 1, 28, 28)
    coarse, middle, fine = body.pairs(images)
    torch.testing.assert_close(coarse, F.avg_pool2d(images, 4))
    torch.testing.assert_close(middle[:, :1], F.avg_pool2d(images, 2))
    enlarged = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(fine, beside(images, enlarged))
