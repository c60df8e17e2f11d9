"""Dissection of a generator whose units are known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from steadygan.interpretability import dissection
from steadygan.interpretability.tracing import activations, edited, layers


class Known(nn.Module):
    """Unit u, active where latent u is positive, draws column u; 8 units, 4 of which are never seen."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8, bias=False)
        self.bend = nn.ReLU(inplace=True)
        self.draw = nn.Linear(8, 64)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(8))
            self.draw.weight.zero_()
            self.draw.bias.fill_(-1.0)
            for unit in range(4):
                self.draw.weight.view(8, 8, 8)[:, unit, unit] = 1.0

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.draw(self.bend(self.first(latent))).view(-1, 1, 8, 8)
        return out


def has_column(images: Tensor) -> Tensor:
    """Class 1: something is drawn in column 2."""
    there = (images[:, 0, :, 2].mean(1) > -0.9).double()
    return torch.stack([1 - there, there], 1)


def test_units_of_a_class_are_found_and_proved_to_make_it() -> None:
    network, latents = Known(), torch.randn(400, 8)
    layer = dissection.middle(network, latents[:2], None)
    assert layer is not None and layer.name == "bend" and layer.units == 8
    seen = dissection.observe(network, layer, latents, None, has_column)
    found = dissection.dissect(network, layer, latents, None, has_column, 1, seen, share=0.125, draws=6)
    assert found.units == (2,) and found.likelihood > 0.95
    assert found.off == 1.0 and found.off_chance < 0.5
    assert found.insert == 1.0 and found.insert_chance < 0.5


def test_where_a_unit_draws() -> None:
    network = Known()
    layer = layers(network, torch.zeros(2, 8), None)[1]
    found = dissection.where(network, layer, torch.rand(6, 8), None)
    assert found.maps.shape == (8, 8, 8)
    assert found.strength[:4].gt(0).all() and found.strength[4:].eq(0).all()
    for unit in range(4):
        assert found.maps[unit].sum(0).nonzero()[:, 0].tolist() == [unit]


@given(st.integers(1, 9), st.integers(1, 9))
def test_affinity_is_the_share_of_pairs_that_are_in_order(inside: int, outside: int) -> None:
    values = torch.randint(0, 4, (inside + outside, 2)).double()
    member = torch.arange(inside + outside) < inside
    pairs = values[member][:, None] - values[~member][None]
    wanted = ((pairs > 0).double() + 0.5 * (pairs == 0).double()).mean((0, 1))
    torch.testing.assert_close(dissection.affinities(values, member), wanted)


def test_a_class_that_never_comes_has_no_units() -> None:
    assert dissection.affinities(torch.randn(5, 3), torch.zeros(5, dtype=torch.bool)).eq(0.5).all()


def test_layers_are_listed_in_order_of_use_and_read_before_anything_writes_into_them() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    assert [one.name for one in layers(network, torch.randn(5, 3))] == ["0", "1", "2"]
    values = torch.randn(5, 3)
    torch.testing.assert_close(activations(network, "0", values), network[0](values))


def test_an_edit_ends_with_its_block() -> None:
    network, values = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.randn(5, 3)
    before = network(values)
    with edited(network, "0", dissection.setter(torch.arange(4), None)):
        torch.testing.assert_close(network(values), network[1].bias.expand(5, 2))
    assert torch.equal(network(values), before)


@pytest.mark.parametrize("size", [28, 64])
def test_the_layer_to_dissect_is_early(size: int) -> None:
    network = nn.Sequential(
        nn.Linear(5, 4 * (size // 8) ** 2),
        nn.Unflatten(1, (4, size // 8, size // 8)),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 3, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(3, 1, 4, 4),
        nn.Tanh(),
    )
    network.forward = lambda z, y=None: nn.Sequential.forward(network, z)  # type: ignore[method-assign]
    found = dissection.middle(network, torch.randn(2, 5), None)
    assert found is not None and found.name == "2"


def test_a_layer_that_is_used_twice_is_left_out() -> None:
    shared = nn.ReLU()
    network = nn.Sequential(nn.Linear(3, 4), shared, nn.Linear(4, 2), shared)
    assert [one.name for one in layers(network, torch.randn(5, 3))] == ["0", "2"]
