"""Inversion, where the latents are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.interpretability import inversion

WEIGHT = torch.randn(16, 3, generator=torch.Generator().manual_seed(4)) / 3


def made(latent: Tensor, label: Tensor | None) -> Tensor:
    return torch.tanh(latent @ WEIGHT.T).view(-1, 1, 4, 4)


def test_the_latents_of_own_images_are_found_again() -> None:
    wanted = torch.randn(6, 3)
    pool = torch.randn(64, 3)
    starts, label = inversion.nearest_starts(made, made(wanted, None), pool)
    assert label is None
    found = inversion.invert(made, made(wanted, None), starts, steps=300, closeness=0.0)
    torch.testing.assert_close(found.latents, wanted, atol=0.05, rtol=0.05)
    assert float(found.error.max()) < 0.01


def test_what_cannot_be_made_keeps_an_error() -> None:
    # images of one sign only cannot come from a map without bias that mixes signs
    found = inversion.invert(made, torch.ones(1, 1, 4, 4), torch.zeros(1, 3), steps=200)
    assert float(found.error) > 0.2


def test_descent_never_ends_worse_than_it_began() -> None:
    wanted, starts = made(torch.randn(5, 3), None), torch.randn(5, 3)
    before = (made(starts, None) - wanted).square().flatten(1).mean(1).sqrt()
    assert (inversion.invert(made, wanted, starts, steps=3, rate=5.0).error <= before + 1e-6).all()


def test_the_nearest_start_is_the_nearest_with_its_label() -> None:
    pool, labels = torch.randn(40, 3), torch.arange(40)
    starts, label = inversion.nearest_starts(made, made(pool[[7, 30]], None), pool, labels)
    assert label is not None and label.tolist() == [7, 30] and torch.equal(starts, pool[[7, 30]])


@pytest.mark.parametrize("job", [inversion.invert, inversion.nearest_starts])
def test_an_image_of_another_size_is_refused_in_one_line(job: Callable[..., object]) -> None:
    with pytest.raises(SteadyganError, match=r"cannot be inverted.*bring them to") as told:
        job(made, torch.zeros(2, 1, 5, 4), torch.zeros(2, 3))
    assert "\n" not in str(told.value)


def test_the_gap_of_equal_errors_is_none_and_of_memorised_images_is_told() -> None:
    errors = torch.rand(40)
    same = inversion.gap(errors, errors)
    assert same.easier == pytest.approx(0.5) and not same.memorised
    known = inversion.gap(errors * 0.1, errors + 0.2)
    assert known.easier == 1.0 and known.memorised and known.train < known.held_out


def test_a_class_that_is_not_made_stands_out() -> None:
    found = inversion.by_class(torch.tensor([0.1, 0.1, 0.9, 0.7]), torch.tensor([0, 0, 1, 1]), 3)
    assert found[:2] == pytest.approx([0.1, 0.8]) and found[2] != found[2]
