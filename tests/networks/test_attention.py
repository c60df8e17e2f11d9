"""Self-attention: the hand-written formula, where it stands, and that it begins as nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.networks import build_discriminator, build_generator
from steadygan.networks.attention import SelfAttention, attended
from steadygan.networks.sizes import Shape, stage_sizes


def by_hand(layer: SelfAttention, maps: Tensor) -> Tensor:
    """One place after the other, with nothing but sums."""
    count, _, height, width = maps.shape
    mixed = torch.zeros_like(maps)

    def mixes(conv: nn.Conv2d, values: Tensor) -> Tensor:
        return conv.weight[:, :, 0, 0] @ values

    for sample in range(count):
        places = maps[sample].flatten(1)
        keys, values = mixes(layer.key, places), mixes(layer.value, places)
        windows = [
            [y * width + x for y in range(top, min(top + 2, height)) for x in range(left, min(left + 2, width))]
            for top in range(0, height, 2)
            for left in range(0, width, 2)
        ]
        pooled_keys = torch.stack([keys[:, window].amax(1) for window in windows])
        pooled_values = torch.stack([values[:, window].amax(1) for window in windows])
        for place in range(height * width):
            query = mixes(layer.query, places)[:, place]
            scores = [math.exp(float(query @ key)) for key in pooled_keys]
            total = sum(score / sum(scores) * value for score, value in zip(scores, pooled_values, strict=True))
            mixed[sample, :, place // width, place % width] = mixes(layer.project, torch.as_tensor(total))
    return maps + layer.gamma * mixed


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 2)])
def test_it_is_the_formula(size: tuple[int, int]) -> None:
    layer = SelfAttention(8).double()
    with torch.no_grad():
        layer.gamma.fill_(0.7)
        maps = torch.randn(2, 8, *size, dtype=torch.float64)
        torch.testing.assert_close(layer(maps), by_hand(layer, maps))


def test_it_begins_as_nothing_and_its_share_learns_at_once() -> None:
    layer = SelfAttention(16)
    maps = torch.randn(2, 16, 6, 6)
    assert torch.equal(layer(maps), maps)
    layer(maps).square().sum().backward()
    assert layer.gamma.grad is not None
    assert float(layer.gamma.grad) != 0


def test_distant_places_are_reached_in_one_layer() -> None:
    layer = SelfAttention(8)
    with torch.no_grad():
        layer.gamma.fill_(1.0)
    maps = torch.randn(1, 8, 8, 8, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(maps)[0, :, 0, 0].sum(), maps)
    assert float(slope[0, :, 6:, 6:].abs().sum()) > 0


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 28, 28), (14, 14)), ((3, 64, 64), (32, 32)), ((1, 8, 8), (4, 4)), ((3, 128, 128), (32, 32)),
     ((1, 112, 92), (28, 23)), ((1, 9, 256), (3, 64))],
)  # fmt: skip
def test_it_stands_at_half_the_size_or_the_largest_that_is_not_dear(shape: Shape, size: tuple[int, int]) -> None:
    assert stage_sizes(*shape[1:])[attended(shape)] == size
    config = NetworkConfig(name="sagan", capacity=2)
    seen: list[tuple[int, ...]] = []
    for player, values in (
        (build_generator(config, shape, 5), torch.randn(2, 5)),
        (build_discriminator(config, shape), torch.randn(2, *shape)),
    ):
        (layer,) = (part for part in player.modules() if isinstance(part, SelfAttention))
        layer.register_forward_pre_hook(lambda part, given: seen.append(tuple(given[0].shape[2:])))
        player(values)
    assert seen == [size, size]


def test_every_weight_of_both_players_is_normalised() -> None:
    config = NetworkConfig(name="sagan", capacity=4)
    for player in (build_generator(config, (1, 16, 16), 5), build_discriminator(config, (1, 16, 16))):
        player.eval()
        for part in player.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                assert float(torch.linalg.matrix_norm(part.weight.detach().flatten(1), 2)) < 2.0
                assert hasattr(part, "parametrizations")
