"""Attacks on linear verdicts, whose margins are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from steadygan.interpretability import robustness


def logits(images: Tensor) -> Tensor:
    """The mean pixel against zero."""
    mean = images.flatten(1).mean(1)
    return torch.stack([-mean, mean], 1)


def test_a_step_is_as_long_as_allowed_and_stays_in_range() -> None:
    images = torch.tensor([0.0, 0.95, -1.0, 0.5]).view(4, 1, 1, 1).expand(4, 1, 2, 2).contiguous()
    losses, _ = robustness.of_classifier(logits, torch.tensor([0, 0, 0, 1]))
    for attack in (robustness.fgsm, robustness.pgd):
        moved = attack(losses, images, 0.1) - images
        torch.testing.assert_close(moved[:, 0, 0, 0], torch.tensor([0.1, 0.05, 0.1, -0.1]), atol=1e-6, rtol=0)


def test_a_verdict_turns_where_its_margin_ends_and_noise_does_not_turn_it() -> None:
    images = torch.full((5, 1, 8, 8), 0.1) * torch.arange(1, 6).view(5, 1, 1, 1)
    attacked = robustness.of_classifier(logits, torch.ones(5, dtype=torch.long))
    # a change of a share s of the range moves the mean by 2 s; margins are .1, .2, ..., .5
    found = robustness.endurance(*attacked, images, (0.0, 0.06, 0.16, 0.3))
    assert found.single == pytest.approx((1.0, 0.8, 0.4, 0.0))
    assert found.many == pytest.approx((1.0, 0.8, 0.4, 0.0))
    assert found.noise[1] == 1.0 and min(found.noise) >= 0.6


def test_the_discriminators_sides_are_attacked_each_its_own_way() -> None:
    images = torch.zeros(1, 1, 2, 2)

    def logit(given: Tensor) -> Tensor:
        return given.flatten(1).mean(1)

    for real, sign in ((True, -1.0), (False, 1.0)):
        losses, right = robustness.of_discriminator(logit, -0.05 if real else 0.05, real)
        moved = robustness.fgsm(losses, images, 0.1)
        assert float(moved.mean()) == pytest.approx(0.1 * sign)
        assert bool(right(images)) and not bool(right(moved))
