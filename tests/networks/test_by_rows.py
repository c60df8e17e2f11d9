"""Networks that say that they look at every row alone do, and those that do not say so are asked twice."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from steadygan.config import NetworkConfig
from steadygan.networks import DISCRIMINATORS, NORMALISATIONS, Discriminator, build_discriminator
from steadygan.networks.layers import by_rows

SHAPE = (1, 16, 16)
WIDE: dict[str, dict[str, Any]] = {
    "statistics": {"normalisation": "batch"},
    "reference": {"normalisation": "virtual-batch"},
    "vectors": {"spectral_norm": True},
    "chance": {"dropout": 0.2},
    "deviation": {"minibatch_std": True},
    "neighbours": {"minibatch_discrimination": True},
}
"""Options with which a batch is more than its rows."""


def built(name: str, **options: Any) -> Discriminator:
    torch.manual_seed(0)
    plain: dict[str, Any] = {"normalisation": "none", "spectral_norm": False} | options
    found = build_discriminator(NetworkConfig(name=name, capacity=4, **plain), SHAPE, 3)
    assert isinstance(found, Discriminator)
    return found.double()


def logits(network: Discriminator, *batches: Tensor) -> Tensor:
    """Of all batches in one pass."""
    images = torch.cat(batches)
    found: Tensor = network(images, torch.arange(len(images)) % 3)
    return found


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_two_batches_at_once_are_the_same_as_one_after_the_other(name: str, conditional: bool) -> None:
    network = built(name, conditional=conditional)
    assert network.by_rows
    one, other = torch.randn(2, 6, *SHAPE, dtype=torch.float64)
    together = logits(network, one, other)
    assert torch.allclose(together, torch.cat([logits(network, one), logits(network, other)]), rtol=1e-12, atol=1e-12)
    assert together.std() > 0


@pytest.mark.parametrize("name", sorted({*NORMALISATIONS} - {"batch", "virtual-batch"}))
def test_what_normalises_a_row_by_itself_looks_at_rows(name: str) -> None:
    assert built("dcgan", normalisation=name).by_rows


@pytest.mark.parametrize("option", WIDE)
def test_what_looks_beyond_a_row_says_so(option: str) -> None:
    assert not built("dcgan", **WIDE[option]).by_rows


class Foreign(nn.Module):
    """Somebody else's layer, which may do anything."""

    def forward(self, values: Tensor) -> Tensor:
        return values - values.mean(0)


@pytest.mark.parametrize("layer", [Foreign(), nn.InstanceNorm2d(3), nn.Dropout2d(0.1), nn.SyncBatchNorm(3)])
def test_foreign_layers_are_not_relied_on(layer: nn.Module) -> None:
    assert by_rows(nn.Sequential(nn.Conv2d(1, 3, 3), nn.GroupNorm(1, 3), nn.ReLU()))
    assert not by_rows(nn.Sequential(nn.Conv2d(1, 3, 3), nn.Sequential(layer)))
    assert not by_rows(nn.Sequential(parametrizations.spectral_norm(nn.Linear(2, 2))))
