"""Settings from text: ``--set key=value``, ``config.json``, with errors that name the nearest valid key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steadygan.config import FORMAT, DataConfig, RunConfig
from steadygan.errors import SteadyganError, nearest


def apply(config: RunConfig, settings: Sequence[str]) -> RunConfig:
    """The config with every ``key=value`` of ``settings`` put in.

    Keys are dotted (``players.generator.network.capacity=32``); a player's name alone reaches it
    (``generator.network.capacity=32``). Values are JSON, or plain words.

    Raises:
        SteadyganError: for a key that does not exist (names the nearest one) or a value that does not fit.
    """
    tree = json.loads(config.model_dump_json())
    for text in settings:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise SteadyganError(f"--set {text!r} is not key=value", "write e.g. --set batch=64")
        put(tree, key.strip(), _value(value.strip()))
    return check(tree, "--set")


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """A nested config as dotted keys."""
    if isinstance(tree, dict) and tree:
        return {k: v for key, value in tree.items() for k, v in flat(value, f"{path}.{key}" if path else key).items()}
    return {path: tree}


def data_config(config: DataConfig, settings: Sequence[str]) -> DataConfig:
    """The data's part of ``settings`` put into ``config``: it must be known before the data are opened."""
    tree: dict[str, Any] = {"data": json.loads(config.model_dump_json()), "players": {}}
    for text in settings:
        key, _, value = text.partition("=")
        if key.strip().startswith("data."):
            put(tree, key.strip(), _value(value.strip()))
    try:
        return DataConfig.model_validate(tree["data"])
    except ValidationError as error:
        raise _first(error, "--set data") from None


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in a config's tree."""
    parts = key.split(".")
    if parts[0] in tree["players"]:
        parts = ["players", *parts]
    place: Any = tree
    for depth, part in enumerate(parts[:-1]):
        if not isinstance(place, dict) or part not in place:
            if isinstance(place, dict) and _open(parts[:depth]):
                place[part] = {}
            else:
                raise _no_key(key, tree)
        place = place[part]
    schedule = isinstance(place, dict) and "warm_up" in place
    if not isinstance(place, dict) or (parts[-1] not in place and not _open(parts[:-1]) and not schedule):
        raise _no_key(key, tree)
    place[parts[-1]] = value


def _open(parts: list[str]) -> bool:
    """Whether this part of the config is a table with names of the user's own."""
    return parts[-1:] in (["penalties"], ["weight_penalties"], ["extra"]) or (
        len(parts) > 1 and parts[-2] == "penalties"
    )


def _no_key(key: str, tree: dict[str, Any]) -> SteadyganError:
    known = sorted(_keys(tree))
    near = nearest(key, known) or next((name for name in known if name.split(".")[-1] == key.split(".")[-1]), None)
    return SteadyganError(
        f"unknown setting {key!r}", f"did you mean {near!r}?" if near else "see `steadygan recipes NAME`"
    )


def _keys(tree: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for key, value in tree.items():
        name = f"{path}{key}"
        found.append(name)
        if isinstance(value, dict) and "warm_up" not in value:
            found += _keys(value, f"{name}.")
    return found


def _value(text: str) -> Any:
    if "x" in text and all(part.isdigit() for part in text.split("x")):
        return [int(part) for part in text.split("x")]
    if text.lower() in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[text.lower()]
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def check(tree: Any, where: str) -> RunConfig:
    """The config of a tree, or one line naming the first thing that is wrong with it."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise _first(error, where) from None


def _first(error: ValidationError, where: str) -> SteadyganError:
    """The first of pydantic's findings as one line."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return SteadyganError(f"unknown setting {key!r} in {where}", "remove it")
    given = first.get("input")
    shown = f" is {given!r}" if isinstance(given, (str, int, float)) else ""
    message = first["msg"].removeprefix("Value error, ")
    return SteadyganError(f"{where}: {key or 'config'}{shown}", message[0].lower() + message[1:])


def parse_config(text: str, path: Path) -> RunConfig:
    """The config in ``config.json``. Raises SteadyganError where it is damaged or of a later format."""
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise SteadyganError(f"{path} is damaged ({error})", "restore it from a copy") from None
    if isinstance(tree, dict) and isinstance(tree.get("format"), int) and tree["format"] > FORMAT:
        raise SteadyganError(f"{path} was written by a later steadygan", "upgrade steadygan")
    return check(tree, str(path))
