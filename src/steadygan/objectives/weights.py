"""Penalties on the weights themselves, and weight clipping. Any iterable of parameters will do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from steadygan.errors import SteadyganError

WeightPenalty = Callable[[Iterable[Tensor]], Tensor]
"""From parameters to one 0-d value; no parameters give 0."""


def l1(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of absolute values, ``Σ|w|``, over all parameters; 0-d."""
    return _total(parameter.abs().sum() for parameter in parameters)


def l2(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of squares, ``Σ w²``, over all parameters, without a half; 0-d."""
    return _total(parameter.square().sum() for parameter in parameters)


def orthogonal(parameters: Iterable[Tensor]) -> Tensor:
    """How far the filters of each layer are from pairwise orthogonal, their lengths left free; 0-d.

    ``Σ_W Σ_{i≠j} (w_i · w_j)²`` with w_i the flattened filter of output i. Parameters with fewer than two
    dimensions (biases, gains) do not count. A layer with more filters than inputs a filter cannot reach 0.

    Papers: Brock et al. 2017, Neural Photo Editing; in this off-diagonal form Brock, Donahue and Simonyan 2019,
    Large Scale GAN Training (BigGAN), with weight 1e-4.
    """
    return _total(_overlap(parameter.flatten(1)) for parameter in parameters if parameter.dim() >= 2)


WEIGHT_PENALTIES: dict[str, WeightPenalty] = {"l1": l1, "l2": l2, "orthogonal": orthogonal}
"""Every penalty on weights by name."""


@torch.no_grad()
def clip_weights_(parameters: Iterable[Tensor], limit: float) -> None:
    """Clip every weight to ``[-limit, limit]``, in place and without a trace in the graph; the paper has 0.01.

    Paper: Arjovsky, Chintala and Bottou 2017, Wasserstein GAN.

    Raises:
        SteadyganError: for a limit that is not above 0.
    """
    if not limit > 0.0:
        raise SteadyganError(f"weight clipping to {limit}", "choose a limit above 0, for example 0.01")
    for parameter in parameters:
        parameter.clamp_(-limit, limit)


def _overlap(filters: Tensor) -> Tensor:
    products = filters @ filters.T
    return (products - torch.diag(products.diagonal())).square().sum()


def _total(values: Iterable[Tensor]) -> Tensor:
    return sum(values, start=torch.zeros(()))
