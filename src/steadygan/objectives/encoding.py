"""What players that encode images want besides being believed: pictures that come back, and latents near the prior."""

from __future__ import annotations

import torch
from torch import Tensor

from steadygan.errors import SteadyganError


def squared_error(wanted: Tensor, made: Tensor) -> Tensor:
    """Mean square difference of each sample's values: ``mean_i (x_i - y_i)^2``, (N, ...) and (N, ...) to (N,).

    Images in [-1, 1] give values from 0 to 4.

    Raises:
        SteadyganError: shapes that differ.
    """
    if wanted.shape != made.shape:
        raise SteadyganError(
            f"a difference of shapes {tuple(wanted.shape)} and {tuple(made.shape)}", "give two of the same shape"
        )
    return (wanted - made).square().flatten(1).mean(1)


def normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``KL(N(m, s^2) || N(0, I)) = 1/2 sum_i (m_i^2 + s_i^2 - log s_i^2 - 1)`` in nats, (N, Z) to (N,), 0 or more.

    Paper: Kingma and Welling 2014, Auto-Encoding Variational Bayes (appendix B).
    """
    return 0.5 * (mean.square() + torch.expm1(log_variance) - log_variance).sum(1)
