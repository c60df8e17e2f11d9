"""Errors of images brought back, and the divergence from the prior, against their definitions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from steadygan.errors import SteadyganError
from steadygan.objectives.encoding import normal_divergence, squared_error


@given(count=st.integers(1, 5), size=st.integers(1, 7), seed=st.integers(0, 99))
def test_the_divergence_is_that_of_normal_laws(count: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    mean, spread = torch.randn(count, size).double() * 3, torch.randn(count, size).double() * 2
    law = Normal(mean, (spread / 2).exp())
    expected = kl_divergence(law, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1)
    assert torch.allclose(normal_divergence(mean, spread), expected)
    assert bool((normal_divergence(mean, spread) >= 0).all())


def test_the_divergence_is_nothing_at_the_prior_alone() -> None:
    nothing = torch.zeros(3, 4)
    assert torch.equal(normal_divergence(nothing, nothing), torch.zeros(3))
    assert bool((normal_divergence(nothing + 1e-2, nothing) > 0).all())
    assert bool((normal_divergence(nothing, nothing - 1e-2) > 0).all())


def test_the_error_is_a_mean_over_the_values_of_each_sample() -> None:
    wanted = torch.zeros(2, 1, 2, 2)
    made = torch.tensor([[1.0, -1.0, 1.0, 1.0], [2.0, 0.0, 0.0, 0.0]]).view(2, 1, 2, 2)
    assert squared_error(wanted, made).tolist() == [1.0, 1.0]


def test_samples_of_other_shapes_are_refused() -> None:
    with pytest.raises(SteadyganError, match=r"shapes \(2, 3\) and \(2, 1\): give two of the same shape"):
        squared_error(torch.zeros(2, 3), torch.zeros(2, 1))
