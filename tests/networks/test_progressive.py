"""Networks that grow: what is played at a stage, fades, equalised rates."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from steadygan.config import NetworkConfig
from steadygan.networks import Discriminator, Generator, build_discriminator, build_generator
from steadygan.networks.activations import gain
from steadygan.networks.equalised import equalise
from steadygan.networks.initialisations import fans
from steadygan.networks.layers import PlainConv2d
from steadygan.networks.progressive import Growth

SHAPE = (1, 32, 32)
LAST = 3


def pair(**options: Any) -> tuple[Generator, Discriminator]:
    config = NetworkConfig.model_validate({"name": "progressive", "capacity": 4, **options})
    generator, discriminator = build_generator(config, SHAPE, 6), build_discriminator(config, SHAPE)
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)
    return generator, discriminator


def at(player: nn.Module, stage: float) -> nn.Module:
    for part in player.modules():
        if isinstance(part, Growth):
            part.grow(stage)
    return player


def reduced(images: Tensor, times: int) -> Tensor:
    return F.avg_pool2d(images, 2**times) if times else images


@pytest.mark.parametrize("level", range(LAST + 1))
def test_a_whole_stage_makes_images_of_its_size_enlarged(level: int) -> None:
    generator, _ = pair()
    images = at(generator, level)(torch.randn(3, 6))
    assert images.shape == (3, *SHAPE)
    block = 2 ** (LAST - level)
    small = images[:, :, ::block, ::block]
    assert torch.equal(small.repeat_interleave(block, 2).repeat_interleave(block, 3), images)
    if level:
        assert not torch.equal(small[:, :, ::2], small[:, :, 1::2]), "there is detail at the size of the stage"


@pytest.mark.parametrize("level", range(LAST + 1))
def test_the_discriminator_sees_nothing_finer_than_its_stage(level: int) -> None:
    _, discriminator = pair()
    images = torch.randn(2, *SHAPE)
    times = LAST - level
    coarse = F.interpolate(reduced(images, times), scale_factor=float(2**times))
    at(discriminator, level)
    torch.testing.assert_close(discriminator(images), discriminator(coarse))
    if level < LAST:
        at(discriminator, level + 1)
        assert not torch.allclose(discriminator(images), discriminator(coarse), atol=1e-6)


@given(st.floats(0.0, float(LAST)))
def test_a_fade_is_linear_between_the_sizes(stage: float) -> None:
    generator, _ = pair(output="linear")
    latent = torch.randn(2, 6)
    stage = float(torch.tensor(stage))
    low = int(stage)
    share = stage - low
    below, above = (at(generator, min(whole, LAST))(latent) for whole in (low, low + 1))
    torch.testing.assert_close(at(generator, stage)(latent), (1 - share) * below + share * above, rtol=1e-4, atol=1e-5)


def test_the_discriminators_fade_has_no_jump() -> None:
    _, discriminator = pair()
    images = torch.randn(4, *SHAPE)
    for whole in range(LAST):
        here, next_ = (at(discriminator, whole + step)(images) for step in (0, 1))
        torch.testing.assert_close(at(discriminator, whole + 1e-6)(images), here, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(at(discriminator, whole + 1 - 1e-6)(images), next_, rtol=1e-3, atol=1e-4)


def test_a_new_network_is_grown_and_a_stage_stays_within_its_range() -> None:
    growth = Growth(3)
    assert growth.at() == (3, 1.0)
    for asked, found in ((-1.0, (0, 1.0)), (0.0, (0, 1.0)), (9.0, (3, 1.0)), (1.25, (2, 0.25)), (2.0, (2, 1.0))):
        growth.grow(asked)
        assert growth.at() == found


def test_the_stage_travels_with_the_weights_and_copies() -> None:
    generator, _ = pair()
    at(generator, 1.3)
    latent = torch.randn(2, 6)
    other, _ = pair()
    other(latent)
    other.load_state_dict(generator.state_dict())
    assert torch.equal(other(latent), generator(latent))
    assert torch.equal(copy.deepcopy(generator).eval()(latent), generator.eval()(latent))
    average = copy.deepcopy(generator).eval()
    at(generator, 2.7)
    for mine, theirs in zip(average.buffers(), generator.buffers(), strict=True):
        mine.copy_(theirs)
    assert torch.equal(average(latent), generator(latent)), "as an average follows, by its buffers alone"


def test_what_is_not_played_costs_and_learns_nothing() -> None:
    generator, discriminator = pair()
    discriminator_loss = at(discriminator, 1)(at(generator, 1)(torch.randn(2, 6))).sum()
    discriminator_loss.backward()
    for player in (generator, discriminator):
        idle = {name for name, parameter in player.named_parameters() if parameter.grad is None}
        assert {name.split(".", 2)[1] for name in idle} == {"blocks", "images"}
        assert all(int(name.split(".")[2]) != 0 for name in idle if name.startswith("body.blocks"))


def test_equalised_layers_compute_the_same_and_learn_in_proportion() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.2), PlainConv2d(8, 2, 1))
    values = torch.randn(2, 3, 6, 6)
    before = layers(values)
    equalise(layers, "leaky-relu")
    torch.testing.assert_close(layers(values), before)
    for layer, boost in ((layers[0], gain("leaky-relu")), (layers[2], 1.0)):
        table = layer.parametrizations.weight
        factor = boost / fans(layer)[0] ** 0.5
        torch.testing.assert_close(layer.weight, factor * table.original)
        used = layer.weight.detach().clone()
        with torch.no_grad():
            table.original.add_(0.5)
        torch.testing.assert_close(layer.weight - used, torch.full_like(used, 0.5 * factor))


def test_spectral_normalisation_leaves_nothing_to_equalise() -> None:
    generator, _ = pair(spectral_norm=True)
    weights = [part for part in generator.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert all(parametrize.is_parametrized(part) for part in weights)
    assert all(len(part.parametrizations.weight) == 1 for part in weights)  # type: ignore[union-attr, arg-type]
