"""Penalties on weights and clipping."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from steadygan.errors import SteadyganError
from steadygan.objectives.weights import WEIGHT_PENALTIES, clip_weights_


def test_l1_and_l2_by_hand() -> None:
    parameters = [torch.tensor([[1.0, -2.0]]), torch.tensor([3.0])]
    assert float(WEIGHT_PENALTIES["l1"](parameters)) == 6.0
    assert float(WEIGHT_PENALTIES["l2"](parameters)) == 14.0


def test_orthogonal_by_hand() -> None:
    # w1·w2 = 1, w1·w3 = 2, w2·w3 = 2: each product counts twice.
    filters = torch.tensor([[1.0, 0.0], [1.0, 5.0], [2.0, 0.0]])
    assert float(WEIGHT_PENALTIES["orthogonal"]([filters, torch.ones(7)])) == 2 * (1 + 4 + 4)


def test_orthogonal_leaves_the_lengths_free() -> None:
    square = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    lengths = torch.arange(1.0, 7.0, dtype=torch.float64)
    kernel = (lengths[:, None] * square)[:4].reshape(4, 6, 1, 1)
    assert float(WEIGHT_PENALTIES["orthogonal"]([kernel])) == pytest.approx(0.0, abs=1e-20)


def test_descending_the_orthogonal_penalty_makes_filters_orthogonal() -> None:
    weight = nn.Parameter(torch.randn(4, 3, 2, 2))
    before = float(WEIGHT_PENALTIES["orthogonal"]([weight]))
    optimizer = torch.optim.Adam([weight], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        WEIGHT_PENALTIES["orthogonal"]([weight]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(WEIGHT_PENALTIES["orthogonal"]([weight])) < 1e-4 * before
    assert float(weight.norm()) > 1.0


def test_clipping_is_in_place_and_leaves_no_trace() -> None:
    weight = nn.Parameter(torch.tensor([-1.0, -0.005, 0.0, 0.02]))
    place = weight.data_ptr()
    clip_weights_(iter([weight]), 0.01)
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.01, -0.005, 0.0, 0.01]))
    assert weight.data_ptr() == place
    assert weight.is_leaf
    assert weight.requires_grad


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_clipping_refuses(limit: float) -> None:
    with pytest.raises(SteadyganError, match="weight clipping"):
        clip_weights_([], limit)
