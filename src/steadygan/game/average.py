"""The average: an exponentially weighted copy of a player's weights, which is what gets sampled and saved."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from steadygan.runtime import shards

RUNNING = ("running_mean", "running_var")
"""Buffers that are averages themselves."""


def half_life_at(half_life: float, ramp_up: float, images_seen: int) -> float:
    """The half-life in force: at most ``ramp_up * images_seen``, so that the first weights are soon forgotten."""
    return min(half_life, ramp_up * images_seen) if ramp_up > 0 else half_life


class Average:
    """theta_avg <- beta theta_avg + (1 - beta) theta with beta = 0.5^(images / half_life).

    Running statistics of batch normalisation are averaged alike, so that they fit the averaged weights; every other
    buffer (a reference batch, the unit vectors of spectral normalisation) is copied: its mean means nothing. Papers:
    Yazici et al. 2019; the ramp after Karras et al. 2020 (StyleGAN2-ADA).
    """

    def __init__(self, player: nn.Module) -> None:
        self.network = copy.deepcopy(player).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, player: nn.Module, images: int, half_life: float) -> None:
        """Move towards ``player`` after ``images`` more images; a half-life of 0 copies it."""
        keep = 0.5 ** (images / half_life) if half_life > 0 else 0.0
        own: list[Tensor] = list(self.network.parameters())
        new: list[Tensor] = list(player.parameters())
        for (name, mine), theirs in zip(self.network.named_buffers(), player.buffers(), strict=True):
            if name.endswith(RUNNING):
                own.append(mine)
                new.append(theirs)
            else:
                mine.copy_(theirs)
        torch._foreach_lerp_(shards.local(own), shards.local(new), 1.0 - keep)

    def state_dict(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(state)
