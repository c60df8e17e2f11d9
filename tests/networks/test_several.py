"""Networks of which each sample takes one way: routing, several generators, coupled layers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks import build_discriminator, build_generator
from steadygan.networks.several import Forked, Several, routed

LABELS = torch.tensor([0, 1, 1, 0, 1])


def coupled(classes: int = 2, **options: object) -> tuple[nn.Module, nn.Module]:
    config = NetworkConfig.model_validate({"name": "coupled", "capacity": 4, "conditional": True, **options})
    return build_generator(config, (1, 16, 16), 6, classes), build_discriminator(config, (1, 16, 16), classes)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 99))
def test_each_sample_takes_its_way(which: list[int], seed: int) -> None:
    values = torch.randn(len(which), 3, generator=torch.Generator().manual_seed(seed))
    seen: list[int] = []

    def way(number: int, part: Tensor, label: Tensor | None) -> Tensor:
        assert label is None
        seen.append(number)
        return part * (number + 1) + number

    ways = [lambda part, label, number=number: way(number, part, label) for number in range(4)]
    found = routed(torch.tensor(which), ways, values, None)
    expected = torch.stack([row * (number + 1) + number for row, number in zip(values, which, strict=True)])
    assert torch.equal(found, expected)
    assert seen == sorted(set(which)), "a way without a sample is not passed"


def test_the_gradient_of_a_sample_is_its_ways() -> None:
    layers = [nn.Linear(3, 2) for _ in range(2)]
    values = torch.randn(5, 3, requires_grad=True)
    routed(LABELS, layers, values).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    for row, number in zip(values.grad, LABELS, strict=True):
        assert torch.allclose(row, layers[int(number)].weight.detach().sum(0))


def test_several_generators_make_what_each_alone_would() -> None:
    generators = [nn.Linear(3, 4) for _ in range(3)]
    together = Several([Alone(one) for one in generators])
    latent, which = torch.randn(6, 3), torch.tensor([2, 0, 1, 1, 0, 2])
    made = together(torch.cat([latent, nn.functional.one_hot(which, 3).float()], 1))
    for row, (one, number) in enumerate(zip(latent, which, strict=True)):
        assert torch.allclose(made[row], generators[int(number)](one), atol=1e-6)


class Alone(nn.Module):
    """A generator that takes a label and does not look at it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, latent: Tensor, label: Tensor | None) -> Tensor:
        made: Tensor = self.layer(latent)
        return made


def test_a_pair_differs_only_by_what_is_each_domains_own() -> None:
    generator, discriminator = (network.eval() for network in coupled())
    latent, images = torch.randn(5, 6), torch.randn(5, 1, 16, 16)
    zeros, ones = torch.zeros(5).long(), torch.ones(5).long()
    assert not torch.allclose(generator(latent, zeros), generator(latent, ones))
    assert not torch.allclose(discriminator(images, zeros), discriminator(images, ones))
    for network in (generator, discriminator):
        assert isinstance(network.body, Forked)
        first, second = network.body.own
        second.load_state_dict(first.state_dict())
    assert torch.allclose(generator(latent, zeros), generator(latent, ones))
    assert torch.allclose(discriminator(images, zeros), discriminator(images, ones))


def test_most_of_a_coupled_network_is_shared() -> None:
    for network in coupled():
        body = network.body
        assert isinstance(body, Forked)
        own = [sum(value.numel() for value in part.parameters()) for part in body.own]
        shared = sum(value.numel() for value in network.parameters()) - sum(own)
        assert own[0] == own[1] > 0
        assert shared > 5 * own[0]
        pairs = zip(*(part.parameters() for part in body.own), strict=True)
        assert any(not torch.equal(one, other) for one, other in pairs), "each domain starts with weights of its own"


def test_a_domain_that_a_batch_lacks_gets_no_gradient() -> None:
    generator, discriminator = coupled(classes=3)
    discriminator(generator(torch.randn(5, 6), LABELS), LABELS).sum().backward()
    for network in (generator, discriminator):
        assert isinstance(network.body, Forked)
        given = [all(value.grad is not None for value in part.parameters()) for part in network.body.own]
        assert given == [True, True, False]


@pytest.mark.parametrize("options", [{"spectral_norm": True}, {"minibatch_std": True}, {"depth": 2}, {"dropout": 0.2}])
def test_options_reach_coupled_networks(options: dict[str, object]) -> None:
    generator, discriminator = coupled(**options)
    logits = discriminator(generator(torch.randn(5, 6), LABELS), LABELS)
    assert logits.shape == (5,)
    assert logits.isfinite().all()


def test_what_cannot_be_coupled_is_refused() -> None:
    with pytest.raises(SteadyganError, match=r"two domains or more, and the data have one: set data.domains"):
        coupled(classes=1)
    with pytest.raises(SteadyganError, match="'virtual-batch' keeps one reference batch"):
        coupled(normalisation="virtual-batch")
