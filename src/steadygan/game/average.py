"""The average: an exponentially weighted copy of a player's weights, which is what gets sampled and saved."""

from __future__ import annotations

import copy
from dataclasses import dataclass

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
        self._pairs: _Pairs | None = None

    @torch.no_grad()
    def update(self, player: nn.Module, images: int, half_life: float) -> None:
        """Move towards ``player`` after ``images`` more images; a half-life of 0 copies it.

        Its parameters and buffers must stay the tensors that they are, whatever their values.
        """
        keep = 0.5 ** (images / half_life) if half_life > 0 else 0.0
        if self._pairs is None or self._pairs.player is not player:
            self._pairs = _Pairs.of(self.network, player)
        pairs = self._pairs
        torch._foreach_lerp_(shards.local(pairs.mean), shards.local(pairs.new), 1.0 - keep)
        if pairs.copies:
            torch._foreach_copy_(pairs.copies, pairs.originals)

    def state_dict(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(state)


@dataclass(frozen=True)
class _Pairs:
    """Tensors of an average beside those of its player, listed once: walking modules costs as much as averaging."""

    player: nn.Module
    mean: list[Tensor]
    new: list[Tensor]
    copies: list[Tensor]
    originals: list[Tensor]

    @classmethod
    def of(cls, network: nn.Module, player: nn.Module) -> _Pairs:
        pairs = cls(player, list(network.parameters()), list(player.parameters()), [], [])
        for (name, mine), theirs in zip(network.named_buffers(), player.buffers(), strict=True):
            averaged = name.endswith(RUNNING)
            (pairs.mean if averaged else pairs.copies).append(mine)
            (pairs.new if averaged else pairs.originals).append(theirs)
        return pairs
