"""The two-player game on networks of one layer, and what a goal sees of a round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygan.game.move import Batch, Play
from steadygan.games.adversarial import AdversarialGame
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES


class Maker(nn.Module):
    """(N, 2) to (N, 1, 2, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 4).double()
        self.calls = 0

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        self.calls += 1
        made: Tensor = self.layer(latent).view(-1, 1, 2, 2)
        return made


class Judge(nn.Module):
    """(N, channels, 2, 2) to (N,), by way of three features."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.body, self.last = nn.Linear(4 * channels, 3).double(), nn.Linear(3, 1).double()
        self.seen: list[Tensor] = []

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.body(images.flatten(1)).tanh()
        return out

    def head(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.last(features).squeeze(1)
        return out

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        self.seen.append(images.detach())
        return self.head(self.features(images))


def latent(count: int, device: torch.device) -> Tensor:
    return torch.randn(count, 2, dtype=torch.float64)


@pytest.fixture
def game() -> Callable[..., AdversarialGame]:
    """``game(loss="hinge", ...)``"""
    return lambda loss="non-saturating", **options: AdversarialGame(ADVERSARIAL_LOSSES[loss], latent, **options)


KNOBS = ("augmentation", "instance_noise", "weight_clip", "feature_matching", "lecam")


@pytest.fixture
def play() -> Callable[..., Play]:
    """``play(packing=1, part=0, memory=..., **controls)``: a play of eight reals."""

    def make(*, packing: int = 1, round: int = 0, parts: int = 1, **controls: Any) -> Play:
        torch.manual_seed(1)
        players = {"generator": Maker(), "discriminator": Judge(packing)}
        real = torch.randn(8, 1, 2, 2, dtype=torch.float64)
        names = {name.replace("__", "."): value for name, value in controls.items()}
        knobs = dict.fromkeys(KNOBS, 0.0) | {"top_k": 1.0} | names
        return Play(players, Batch(real), knobs, {}, {}, round, parts=parts)

    return make
