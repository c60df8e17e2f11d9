"""The command line that makes a run again, from its settings alone."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.health.illnesses import sicken_config
from steadygan.report.reading import COMMAND
from steadygan.runtime import storage
from steadygan.session import planning, settings
from steadygan.session.families import family, options

FLAGS = ("images", "seed", "threads")
"""Settings that have a flag of their own."""
APART = ("format", "recipe", "why", "shape", "classes", "data", *FLAGS)
"""Settings that follow from the rest, or are said in another way."""
TABLES = ("penalties", "weight_penalties", "extra")
"""Groups of settings with names of the person's own, out of which an entry can be taken."""
ROUNDS = 4
"""Times that settings are added: one may change what others are where nobody says so, as the batch does."""


def keep(path: Path, config: RunConfig, base: Callable[[], RunConfig]) -> None:
    """Put the command that makes this run again into its folder, where there is one.

    Args:
        path: the run folder.
        config: its settings.
        base: what its recipe says of its own for this data.

    Raises:
        SteadyganError: where the file cannot be written.
    """
    try:
        line = command(config, base())
    except SteadyganError:  # a recipe that is gone, or one that lives outside the package
        return
    if line:
        with storage.writing(path / COMMAND):
            storage.write_file(path / COMMAND, line + "\n")


def command(config: RunConfig, base: RunConfig) -> str:
    """``steadygan train`` with all that makes this run what it is, or nothing where there is no such line.

    What the recipe settles by itself is left out. The line is tried before it is given: it leads to the same settings.

    Raises:
        SteadyganError: for settings that cannot be said.
    """
    differ: dict[str, Any] = {}
    given: list[str] = []
    for _ in range(ROUNDS):
        found = _differences(_settled(config, base, given), config)
        if not found:
            break
        differ |= found
        given = [f"{key}={settings.shown(value)}" for key, value in differ.items()]
    else:
        return ""
    words = ["steadygan", "train", config.data.source, "--recipe", config.recipe]
    words += [word for name in FLAGS for word in (f"--{name}", str(getattr(config, name)))]
    words += ["--sicken", config.sicken] if config.sicken else []
    own = [f"data.{key}={settings.shown(value)}" for key, value in _data(config).items()]
    words += [word for text in (*own, *given) for word in ("--set", text)]
    return shlex.join(words)


def _settled(config: RunConfig, base: RunConfig, given: list[str]) -> RunConfig:
    """What the recipe's own settings and these come to, as planning settles them."""
    flags = [f"{name}={getattr(config, name)}" for name in FLAGS]
    built = settings.apply(base, [*flags, *given])
    built = built.model_copy(update={"shape": config.shape, "classes": config.classes})
    own = options(family(built), built).model_dump(mode="json")
    ill = sicken_config(config.sicken, built.model_copy(update={"options": own}))
    return planning.settle(ill.model_copy(update={"sicken": config.sicken}))


def _differences(base: RunConfig, config: RunConfig) -> dict[str, Any]:
    """Settings of the run that are not those of the base; None for an entry of a table that only the base has."""
    old, new = _flat(base), _flat(config)
    gone = {_entry(key): None for key in old if key not in new}
    return {**{key: value for key, value in new.items() if key not in old or old[key] != value}, **gone}


def _entry(key: str) -> str:
    """The entry of a table with names of the person's own that a setting belongs to, or the setting itself."""
    parts = key.split(".")
    place = next((i for i, part in enumerate(parts) if part in TABLES), len(parts))
    return ".".join(parts[: place + 2])


def _flat(config: RunConfig) -> dict[str, Any]:
    tree = config.model_dump(mode="json", exclude=set(APART))
    return {key: value for key, value in settings.compact(tree).items() if value != {}}


def _data(config: RunConfig) -> Mapping[str, Any]:
    """Settings of the data that are not the usual ones."""
    usual = type(config.data)(source=config.data.source).model_dump(mode="json")
    found = config.data.model_dump(mode="json")
    return {key: value for key, value in found.items() if value != usual[key] and key != "source"}
