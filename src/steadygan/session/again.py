"""The command line that makes a run again, from its settings alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from steadygan import recipes
from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.health.illnesses import sicken_config
from steadygan.recipes.facts import DataFacts
from steadygan.session import planning, settings
from steadygan.session.families import family, options

FLAGS = ("images", "seed", "threads")
"""Settings that have a flag of their own."""
APART = ("format", "recipe", "why", "shape", "classes", "data", *FLAGS)
"""Settings that follow from the rest, or are said in another way."""


def command(config: RunConfig, train: int) -> str:
    """``steadygan train`` with all that makes this run what it is, or nothing where there is no such line.

    What the recipe would settle by itself is left out. The line is tried before it is given: it leads to the same
    settings, or none is given, as for a recipe that lives outside the package or is gone.

    Args:
        config: of the run.
        train: number of training images, on which recipes may depend.
    """
    if config.shape is None:
        return ""
    facts = DataFacts(config.data.source, train, config.shape, config.classes, config.data)
    try:
        base = _settled(config, facts, [])
        given = [f"{key}={settings.shown(value)}" for key, value in _differences(base, config).items()]
        if _differences(_settled(config, facts, given), config):
            return ""
    except SteadyganError:
        return ""
    words = ["steadygan", "train", config.data.source, "--recipe", config.recipe]
    words += [word for name in FLAGS for word in (f"--{name}", str(getattr(config, name)))]
    words += ["--sicken", config.sicken] if config.sicken else []
    own = [f"data.{key}={settings.shown(value)}" for key, value in _data(config).items()]
    words += [word for text in (*own, *given) for word in ("--set", text)]
    return shlex.join(words)


def _settled(config: RunConfig, facts: DataFacts, given: list[str]) -> RunConfig:
    """What the recipe and these settings come to, as planning settles them."""
    flags = [f"{name}={getattr(config, name)}" for name in FLAGS]
    built = settings.apply(recipes.build(config.recipe, facts), [*flags, *given])
    built = built.model_copy(update={"shape": config.shape, "classes": config.classes})
    own = options(family(built), built).model_dump(mode="json")
    ill = sicken_config(config.sicken, built.model_copy(update={"options": own}))
    return planning.settle(ill.model_copy(update={"sicken": config.sicken}))


def _differences(base: RunConfig, config: RunConfig) -> dict[str, Any]:
    """Settings of the run that are not those of the base; None for one that only the base has."""
    old, new = _flat(base), _flat(config)
    return {key: new.get(key) for key in {**new, **old} if old.get(key) != new.get(key)}


def _flat(config: RunConfig) -> dict[str, Any]:
    tree = config.model_dump(mode="json", exclude=set(APART))
    return settings.compact(tree)


def _data(config: RunConfig) -> Mapping[str, Any]:
    """Settings of the data that are not the usual ones."""
    usual = type(config.data)(source=config.data.source).model_dump(mode="json")
    found = config.data.model_dump(mode="json")
    return {key: value for key, value in found.items() if value != usual[key] and key != "source"}
