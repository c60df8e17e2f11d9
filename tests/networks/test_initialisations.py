"""Statistics of the initial weights, and what they do to a signal."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from steadygan.config import NetworkConfig
from steadygan.networks import DISCRIMINATORS, INITIALISATIONS, build_discriminator, build_generator
from steadygan.networks.activations import ACTIVATIONS, gain
from steadygan.networks.initialisations import dcgan, fans, he, orthogonal, xavier
from steadygan.networks.layers import PlainLinear, ResidualBlock


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"maxout"}))
def test_gain_keeps_the_second_moment(name: str) -> None:
    torch.manual_seed(0)
    out = gain(name) * ACTIVATIONS[name]()(torch.randn(400_000))
    assert out.square().mean().item() == pytest.approx(1, abs=0.02)


def test_known_gains() -> None:
    assert gain("relu") == pytest.approx(math.sqrt(2), rel=1e-6)
    assert gain("leaky-relu") == pytest.approx(math.sqrt(2 / 1.04), rel=1e-6)
    torch.manual_seed(0)
    largest = torch.randn(400_000, 5).amax(1).square().mean().item()
    assert gain("maxout") == pytest.approx(largest**-0.5, rel=0.01)


def test_fans_count_strides_and_groups() -> None:
    assert fans(nn.Linear(3, 5)) == (3, 5)
    assert fans(nn.Conv2d(4, 8, 3)) == (36, 72)
    assert fans(nn.Conv2d(4, 8, 4, 2, groups=2)) == (32, 16)
    assert fans(nn.ConvTranspose2d(4, 8, 4, 2, 1)) == (16, 128)


def test_weight_statistics() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 128, 3)
    norm = nn.BatchNorm2d(128)
    whole = nn.Sequential(layer, norm)
    dcgan(whole, "relu")
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert layer.bias is not None
    assert not layer.bias.any()
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert norm.weight.std() > 0.01
    he(whole, "relu")
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 576), rel=0.02)
    xavier(whole, "relu")
    bound = math.sqrt(2) * math.sqrt(6 / (576 + 1152))
    assert bound * 0.99 < layer.weight.abs().max().item() <= bound
    orthogonal(whole, "tanh")
    flat = layer.weight.flatten(1) / gain("tanh")
    torch.testing.assert_close(flat @ flat.T, torch.eye(128), atol=1e-4, rtol=0)
    plain = PlainLinear(4000, 10)
    he(plain, "relu")
    assert plain.weight.std().item() == pytest.approx(4000**-0.5, rel=0.02)


@pytest.mark.parametrize("initialisation", sorted(INITIALISATIONS))
@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_initialisation_in_every_family(name: str, initialisation: str) -> None:
    config = NetworkConfig(name=name, capacity=4, initialisation=initialisation)
    generator = build_generator(config, (1, 16, 16), 5)
    assert torch.isfinite(build_discriminator(config, (1, 16, 16))(generator(torch.randn(2, 5)))).all()


@pytest.mark.parametrize("name", ["r3", "sngan"])
def test_fixup_starts_residual_branches_at_zero(name: str) -> None:
    config = NetworkConfig(name=name, capacity=4, depth=2, initialisation="fixup", spectral_norm=False)
    blocks = [m for m in build_discriminator(config, (1, 32, 32)).modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) > 3
    for block in blocks:
        *inner, last = block.branch_layers()
        assert isinstance(last, nn.Conv2d)
        assert not last.weight.any()
        assert all(isinstance(layer, nn.Conv2d) and layer.weight.any() for layer in inner)


def test_signal_neither_dies_nor_explodes_in_deep_r3() -> None:
    """Spread of output images and of logits stays of order 1 from one block a size to eight."""
    for depth in (1, 8):
        torch.manual_seed(0)
        config = NetworkConfig(name="r3", capacity=16, depth=depth, output="linear")
        generator, discriminator = build_generator(config, (3, 64, 64), 64), build_discriminator(config, (3, 64, 64))
        with torch.no_grad():
            images = generator(torch.randn(16, 64))
            logits = discriminator(torch.randn(16, 3, 64, 64))
        assert 0.1 < images.std().item() < 10
        assert 0.005 < logits.std().item() < 10


def test_r3_starts_without_a_checkerboard() -> None:
    """At the start neighbouring rows of one doubled pixel are as alike as rows of different ones."""
    torch.manual_seed(0)
    generator = build_generator(NetworkConfig(name="r3", capacity=16, output="linear"), (1, 64, 64), 64)
    with torch.no_grad():
        images = generator(torch.randn(64, 64))[:, 0, 8:-8]
    step = (images[:, 1:] - images[:, :-1]).square().mean((0, 2))
    even, odd = step[0::2].mean(), step[1::2].mean()
    assert 0.5 < (even / odd).item() < 2
