"""Families as a run has them: by name from the table, with their own settings checked, and sampled."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError, unknown
from steadygan.games.family import Family
from steadygan.games.table import FAMILIES
from steadygan.runtime import seeding
from steadygan.session.settings import settings_of

CHUNK = 64
"""Samples come in chunks of this many, each of a seed of its own: sample i does not depend on how many are asked."""


def lookup(kind: str, name: str, table: dict[str, Any]) -> Any:
    """The table's entry, or what ``module:function`` points to outside the package."""
    if name in table:
        return table[name]
    module, _, function = name.partition(":")
    if not function:
        raise unknown(kind, name, table)
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise SteadyganError(f"cannot load {kind} {name!r} ({error})", "check the module path") from None


def draw_latents(
    config: RunConfig,
    like: Tensor,
    seed: int,
    chunk: int,
    label: int | None = None,
    code: Mapping[str, float] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Latents and labels of a chunk of the samples of ``seed``, where and of the type of ``like``.

    Classes take turns where the generator takes labels and none is given; the latents are the same for every label.
    """
    found = family(config)
    latents = found.latent(config, options(found, config))
    latent = latents.with_codes(latents(CHUNK, seeding.generator("sample", seed, chunk)), code or {})
    labels = None
    if config.players["generator"].network.conditional:
        turns = torch.arange(CHUNK) + chunk * CHUNK
        labels = (turns % config.classes if label is None else torch.full((CHUNK,), label)).to(like.device)
    return latent.to(like.device, like.dtype), labels


@torch.no_grad()
def draw_samples(
    network: nn.Module,
    config: RunConfig,
    device: torch.device,
    seed: int,
    chunk: int,
    label: int | None = None,
    code: Mapping[str, float] | None = None,
) -> Tensor:
    """Chunk number ``chunk`` of the samples of ``seed``."""
    like = next(network.parameters())
    made: Tensor = network(*draw_latents(config, like, seed, chunk, label, code))
    return made.float().clamp(-1, 1).cpu()


def family(config: RunConfig) -> Family:
    """The family that the settings name. Raises SteadyganError where there is none of that name."""
    found = lookup("game", config.game, FAMILIES)
    if not isinstance(found, Family):
        raise SteadyganError(f"{config.game!r} is not a Family", "see the page on families")
    return found


def options(found: Family, config: RunConfig) -> Any:
    """The family's own settings, checked. Raises SteadyganError for those that it does not have."""
    return settings_of(found.options, config.options, "options.")


def build_players(config: RunConfig, names: Collection[str] | None = None) -> dict[str, nn.Module]:
    """The networks of the game's players, or of those that are named, freshly initialised, in the family's order."""
    found = family(config)
    own = options(found, config)
    latent = found.latent(config, own)
    wanted = {name: build for name, build in found.players.items() if names is None or name in names}
    return {name: build(config, own, latent) for name, build in wanted.items()}


def check_players(config: RunConfig, found: Family) -> None:
    """Raise SteadyganError for a player that the family needs and the settings lack, or the other way round."""
    for name in found.players:
        if name not in config.players:
            raise SteadyganError(f"the game {config.game!r} needs a player {name!r}", "add it to players")
    for name in config.players:
        if name not in found.players:
            raise SteadyganError(
                f"the game {config.game!r} has no player {name!r}", f"its players are {', '.join(found.players)}"
            )
    if config.augmentation.adaptive and found.judge is None:
        raise SteadyganError(
            f"in the game {config.game!r} no player judges images, as adaptive augmentation needs",
            "set augmentation.adaptive=false",
        )
