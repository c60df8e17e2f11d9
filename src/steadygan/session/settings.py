"""Settings from text: ``--set key=value``, ``config.json``, with errors that name the nearest valid key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steadygan.config import FORMAT, DataConfig, RunConfig
from steadygan.errors import SteadyganError, nearest, unknown


def apply(config: RunConfig, settings: Sequence[str]) -> RunConfig:
    """The config with every ``key=value`` of ``settings`` put in.

    Keys are dotted (``players.generator.network.capacity=32``); a player's name alone reaches it
    (``generator.network.capacity=32``). Values are JSON, or plain words.

    Raises:
        SteadyganError: for a key that does not exist (names the nearest one) or a value that does not fit.
    """
    tree = json.loads(config.model_dump_json())
    for text in settings:
        key, value = pair(text)
        put(tree, key, value)
    return check(tree)


def pair(text: str) -> tuple[str, Any]:
    """Key and value of ``key=value``; the value is JSON, or plain words, or a size written as 92x112."""
    key, separator, value = (part.strip() for part in text.partition("="))
    if not separator or not key:
        raise SteadyganError(f"--set {text!r} is not key=value", "write e.g. --set batch=64")
    sides = value.lower().split("x")
    if key.endswith("image_size") and all(side.isdecimal() for side in sides) and len(sides) <= 2:
        # said width first, as everywhere on the command line, but kept height first
        return key, [int(sides[-1]), int(sides[0])]
    return key, _value(value)


def shown(value: Any) -> str:
    """A setting's value as ``--set`` takes it."""
    return value if isinstance(value, str) and value else json.dumps(value)


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """A nested config as dotted keys."""
    if isinstance(tree, dict) and tree:
        return {k: v for key, value in tree.items() for k, v in flat(value, f"{path}.{key}" if path else key).items()}
    return {path: tree}


def data_config(config: DataConfig, settings: Sequence[str]) -> DataConfig:
    """The data's part of ``settings`` put into ``config``: it must be known before the data are opened."""
    tree: dict[str, Any] = {"data": json.loads(config.model_dump_json()), "players": {}}
    for key, value in map(pair, settings):
        if key.startswith("data."):
            put(tree, key, value)
    try:
        return DataConfig.model_validate(tree["data"])
    except ValidationError as error:
        raise _first(error, "data.") from None


def only_data(config: DataConfig, settings: Sequence[str]) -> DataConfig:
    """As ``data_config``, where nothing but data settings makes sense."""
    for key, _ in map(pair, settings):
        if not key.startswith("data."):
            raise SteadyganError(f"{key!r} is no data setting", "data settings begin with data., e.g. data.fit=pad")
    return data_config(config, settings)


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
    if key.split(".")[0] in tree["players"]:
        known = [name.removeprefix("players.") for name in known]
    near = nearest(key, known) or next((name for name in known if name.split(".")[-1] == key.split(".")[-1]), None)
    remedy = f"did you mean {near!r}?" if near else "see `steadygan recipes NAME`"
    return SteadyganError(f"unknown setting {key!r}", remedy)


def _keys(tree: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for key, value in tree.items():
        name = f"{path}{key}"
        found.append(name)
        if isinstance(value, dict) and "warm_up" not in value:
            found += _keys(value, f"{name}.")
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return None if text in ("None", "none") else text


def check(tree: Any, where: str = "") -> RunConfig:
    """The config of a tree, or one line naming the first thing that is wrong with it (and ``where``)."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise _first(error, f"{where}: " if where else "") from None


def _first(error: ValidationError, prefix: str) -> SteadyganError:
    """The first of pydantic's findings as one line."""
    first = error.errors()[0]
    key = prefix + ".".join(str(part) for part in first["loc"])
    given = first.get("input")
    if first["type"] == "extra_forbidden":
        return SteadyganError(f"unknown setting {key!r}", "see `steadygan recipes NAME` for those that there are")
    if first["type"] == "missing":
        return SteadyganError(f"{key} is missing", "give it a value")
    if first["type"] == "literal_error":
        return unknown(key, str(given), re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    if first["type"] == "value_error":
        return SteadyganError(f"{prefix}{first['msg'].removeprefix('Value error, ')}", "change one of the two")
    value = (
        f" is {shown(given)}" if isinstance(given, (str, int, float, type(None))) else " has a value of another kind"
    )
    return SteadyganError(f"{key}{value}", _wanted(first["type"], first["msg"], first.get("ctx", {})))


def _wanted(kind: str, message: str, bounds: Mapping[str, Any]) -> str:
    """What a value must be, from pydantic's name for what it is not."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    for name, word in words.items():
        if name in bounds:
            return f"it must be {word} {bounds[name]}"
    kinds = {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "string": "a word",
        "finite": "finite",
    }
    wanted = next((words for name, words in kinds.items() if kind.startswith(name)), None)
    return f"it must be {wanted}" if wanted else message[0].lower() + message[1:]


def parse_config(text: str, path: Path) -> RunConfig:
    """The config in ``config.json``. Raises SteadyganError where it is damaged or of a later format."""
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise SteadyganError(f"{path} is damaged ({error})", "restore it from a copy") from None
    if isinstance(tree, dict) and isinstance(tree.get("format"), int) and tree["format"] > FORMAT:
        raise SteadyganError(f"{path} was written by a later steadygan", "upgrade steadygan")
    return check(tree, str(path))
