"""Labels as learned maps beside the image: counts, gradients, exact state, wrong labels, penalties."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks import Discriminator, Shape, build_discriminator
from steadygan.networks.contract import label_maps

NAMES = ("mlp", "dcgan", "sngan", "r3")


def judge(name: str, shape: Shape, classes: int, **options: Any) -> Discriminator:
    torch.manual_seed(0)
    settings = {"name": name, "capacity": 4, "conditional": True, "condition": "concatenation", **options}
    found = build_discriminator(NetworkConfig.model_validate(settings), shape, classes)
    assert isinstance(found, Discriminator)
    return found


@given(st.integers(1, 2000), st.integers(1, 64), st.integers(1, 64))
def test_there_are_maps_enough_for_a_value_of_each_class_and_no_more(classes: int, height: int, width: int) -> None:
    config = NetworkConfig(name="mlp", conditional=True, condition="concatenation")
    maps = label_maps(config, (1, height, width), classes)
    assert maps * height * width >= classes > (maps - 1) * height * width


@pytest.mark.parametrize("name", NAMES)
def test_the_label_reaches_the_features_and_the_images_keep_their_shape(name: str) -> None:
    network = judge(name, (2, 13, 9), 3, initialisation="he").eval()
    images = torch.randn(1, 2, 13, 9).repeat(3, 1, 1, 1)
    features = network.features(images, torch.arange(3))
    assert (features[0] - features[1]).abs().max() > 1e-4
    logits = network(images, torch.arange(3))
    assert torch.equal(logits, network.head(features, torch.arange(3)))
    assert network.projection is None
    with pytest.raises(SteadyganError, match=r"images of shape \(1, 3, 13, 9\) do not fit"):
        network(torch.randn(1, 3, 13, 9), torch.zeros(1, dtype=torch.long))


def test_vectors_get_a_value_for_each_class() -> None:
    network = judge("mlp", (2, 1, 1), 5)
    assert network.maps is not None
    assert network.maps.maps.shape == (5, 5, 1, 1)
    assert network(torch.randn(5, 2, 1, 1), torch.arange(5)).shape == (5,)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_maps_of_labels_that_were_shown_learn(name: str) -> None:
    network = judge(name, (1, 12, 12), 4, initialisation="he")
    network(torch.randn(6, 1, 12, 12), torch.tensor([0, 0, 2, 2, 0, 2])).square().sum().backward()
    assert network.maps is not None
    gradient = network.maps.maps.grad
    assert gradient is not None
    assert [bool(one.any()) for one in gradient] == [True, False, True, False]


@pytest.mark.parametrize("name", NAMES)
def test_penalties_are_taken_on_the_image_alone(name: str) -> None:
    network = judge(name, (1, 12, 12), 2, initialisation="he", activation="silu")
    images = torch.randn(4, 1, 12, 12, requires_grad=True)
    logits = network(images, torch.tensor([0, 1, 0, 1]))
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    assert gradient.shape == images.shape
    gradient.square().sum().backward()  # type: ignore[no-untyped-call]
    assert network.maps is not None
    assert network.maps.maps.grad is not None, "how steep it is depends on the label too"


@pytest.mark.parametrize("options", [{}, {"spectral_norm": True}, {"normalisation": "virtual-batch"}])
def test_state_goes_round_exactly(options: dict[str, Any]) -> None:
    first, second = (judge("dcgan", (1, 12, 12), 3, **options) for _ in range(2))
    images, label = torch.randn(4, 1, 12, 12), torch.tensor([0, 1, 2, 0])
    first(images, label)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert torch.equal(first.eval()(images, label), second.eval()(images, label))


@pytest.mark.parametrize("initialisation", ["dcgan", "orthogonal", "he", "xavier", "fixup"])
def test_maps_keep_the_scale_of_an_input(initialisation: str) -> None:
    network = judge("sngan", (1, 28, 28), 10, initialisation=initialisation)
    assert network.maps is not None
    assert math.isclose(float(network.maps.maps.detach().std()), 1, abs_tol=0.05)
    assert not any(isinstance(part, nn.Embedding) for part in network.modules())


@pytest.mark.parametrize("name", NAMES)
def test_wrong_labels_are_named(name: str) -> None:
    network, images = judge(name, (1, 16, 16), 3), torch.randn(2, 1, 16, 16)
    for look in (network, network.features):
        with pytest.raises(SteadyganError, match="the conditional discriminator got no label"):
            look(images)
        with pytest.raises(SteadyganError, match=r"label of shape \(2, 3\)"):
            look(images, torch.zeros(2, 3))
    with pytest.raises(SteadyganError, match="is conditional and the data have no classes"):
        judge(name, (1, 16, 16), 0)
