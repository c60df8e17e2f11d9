"""Rank correlation, the measure of a change that goes one way."""

from __future__ import annotations

from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """Ranks along the last dimension from 1 on, equal values sharing their mean rank; float64."""
    column, row = values.unsqueeze(-1), values.unsqueeze(-2)
    below, equal = (row < column).sum(-1), (row == column).sum(-1)
    return below.double() + (equal.double() + 1) / 2


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's rank correlation along the last dimension, in [-1, 1]; 0 where one side does not vary.

    Args:
        first: (..., S).
        second: (..., S), shapes broadcast.
    """
    one, two = ranks(first), ranks(second)
    one, two = one - one.mean(-1, keepdim=True), two - two.mean(-1, keepdim=True)
    scale = (one.square().sum(-1) * two.square().sum(-1)).sqrt()
    found: Tensor = (one * two).sum(-1) / scale.clamp_min(1e-12)
    return found
