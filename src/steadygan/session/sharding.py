"""Players in shards as a run has them: which games can have them, and how they come onto their device."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from steadygan.config import RunConfig, constant
from steadygan.errors import SteadyganError
from steadygan.game.average import Average
from steadygan.runtime import processes, shards

ONCE = ("r1-approximate", "r2-approximate")
"""Penalties that need no second derivative, which parameters in shards do not have."""


def sharded(config: RunConfig) -> tuple[str, ...]:
    """Players that lie in shards here: a single process has all rows and nothing to deal."""
    return config.sharded if processes.count() > 1 else ()


def check(config: RunConfig) -> None:
    """Raise SteadyganError where the settings ask of players in shards what they cannot do."""
    if not config.sharded:
        return
    if config.game != "adversarial":
        raise SteadyganError(
            f"the game {config.game!r} cannot have players in shards", f"set {config.sharded[0]}.sharded=false"
        )
    for name in config.sharded:
        _check_weights(config, name)
    twice = [name for name in config.penalties if name not in ONCE]
    if "discriminator" in config.sharded and twice:
        near = f"{twice[0]}-approximate" if f"{twice[0]}-approximate" in ONCE else ONCE[0]
        raise SteadyganError(
            f"the penalty {twice[0]!r} takes second derivatives, which a discriminator in shards does not have",
            f"use the penalty {near!r} instead, or set discriminator.sharded=false",
        )


def _check_weights(config: RunConfig, name: str) -> None:
    player = config.players[name]
    terms = [f"the weight penalty {kind!r}" for kind in player.weight_penalties]
    terms += ["historical averaging"] if player.historical_averaging != constant(0.0) else []
    if terms:
        raise SteadyganError(
            f"{terms[0]} looks at all weights of the {name} at once, which lie in shards",
            f"leave it out, or set {name}.sharded=false",
        )


def settle(
    players: dict[str, nn.Module],
    averages: Collection[str],
    dealt: Collection[str],
    device: torch.device,
    dtype: torch.dtype,
    layout: torch.memory_format,
) -> dict[str, Average]:
    """Bring the players onto their device, those that are ``dealt`` in shards, and give their averages.

    Shards have one layout, so the players in them keep it; what they make is the same but for rounding.
    """
    found: dict[str, Average] = {}
    for name, player in players.items():
        if name in dealt:
            player.to(dtype)
        else:
            player.to(device, dtype)
            player.to(memory_format=layout)  # type: ignore[call-overload]
    for name in averages:
        found[name] = Average(players[name])
    for name in dealt:
        shards.shard(players[name], device)
        if name in found:
            shards.shard(found[name].network, device)
    return found
