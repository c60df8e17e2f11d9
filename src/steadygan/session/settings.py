"""Settings from text: ``--set key=value``, ``config.json``, with errors that name the nearest valid key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steadygan.config import FORMAT, DataConfig, RunConfig, ScheduleConfig, Settings
from steadygan.errors import SteadyganError, nearest, unknown

SETTLED = {
    "format": "it belongs to this version",
    "recipe": "name it with --recipe",
    "why": "the recipe says it",
    "shape": "set data.image_size or data.channels",
    "classes": "the data decide",
    "data.source": "give the data first, as in `steadygan train DATA`",
    "players": "set one of their keys, e.g. generator.network.capacity=48",
    "data": "set one of its keys, e.g. data.fit=pad",
}
"""Keys that ``--set`` cannot reach, and what to do instead."""


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
    if key in SETTLED:
        raise SteadyganError(f"{key!r} cannot be set", SETTLED[key])
    sides = value.lower().split("x")
    if key.endswith("image_size") and all(side.isdecimal() for side in sides) and len(sides) <= 2:
        # said width first, as everywhere on the command line, but kept height first
        return key, [int(sides[-1]), int(sides[0])]
    if key.endswith("normalisation") and value.lower() == "none":
        # a name in that table; to leave the choice to the family of networks is null
        return key, "none"
    return key, _value(value)


def shown(value: Any) -> str:
    """A setting's value as ``--set`` takes it."""
    return value if isinstance(value, str) and value else json.dumps(value)


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """A nested config as dotted keys."""
    if isinstance(tree, dict) and tree:
        return {k: v for key, value in tree.items() for k, v in flat(value, f"{path}.{key}" if path else key).items()}
    return {path: tree}


def compact(tree: Any, path: str = "") -> dict[str, Any]:
    """As ``flat``, but a schedule is its number where it is constant, else all that it has beside the defaults."""
    if isinstance(tree, dict) and "warm_up" in tree:
        usual = ScheduleConfig(value=tree["value"]).model_dump(exclude={"value"})
        said = {key: value for key, value in tree.items() if key == "value" or value != usual[key]}
        return {path: said if len(said) > 1 else tree["value"]}
    if isinstance(tree, dict) and tree:
        found = (compact(value, f"{path}.{key}" if path else key) for key, value in tree.items())
        return {key: value for part in found for key, value in part.items()}
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
    """Set a dotted key in a config's tree; None takes an entry out of a table of the user's own (penalties)."""
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
    if value is None and _open(parts[:-1]):
        place.pop(parts[-1], None)
    else:
        place[parts[-1]] = value


def _open(parts: list[str]) -> bool:
    """Whether this part of the config is a table with names of the user's own."""
    return parts[-1:] in (["penalties"], ["weight_penalties"], ["extra"], ["options"]) or (
        len(parts) > 1 and parts[-2] == "penalties"
    )


def _no_key(key: str, tree: dict[str, Any]) -> SteadyganError:
    known = sorted(_keys(tree))
    if not key.startswith("players."):
        known = [name.removeprefix("players.") for name in known]
    last = key.split(".")[-1]
    near = nearest(key, known)
    if near is None and (part := nearest(last, {name.split(".")[-1] for name in known})):
        near = next(name for name in known if name.split(".")[-1] == part)
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
    """A number (``.1``, ``2e-4``), true, false, none, JSON, or else the words themselves."""
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def settings_of(model: type[Settings], values: Mapping[str, Any], group: str) -> Settings:
    """The settings of a group with a model of its own, or one line naming the first thing that is wrong with them."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise _first(error, group) from None


def check(tree: Any, where: str = "") -> RunConfig:
    """The config of a tree, or one line naming the first thing that is wrong with it (and ``where``)."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise _first(error, where=f"{where}: " if where else "") from None


def _first(error: ValidationError, group: str = "", where: str = "") -> SteadyganError:
    """The first of pydantic's findings as one line."""
    first = error.errors()[0]
    fault = _fault(first, group + ".".join(str(part) for part in first["loc"]))
    return SteadyganError(f"{where}{fault.what}", fault.remedy)


def _fault(first: Mapping[str, Any], key: str) -> SteadyganError:
    kind, given = first["type"], first.get("input")
    if kind == "extra_forbidden":
        fields = {name for model in Settings.__subclasses__() for name in model.model_fields}
        near = nearest(key.split(".")[-1], fields)
        return SteadyganError(f"unknown setting {key!r}", f"did you mean {near!r}?" if near else "remove it")
    if kind == "missing":
        return SteadyganError(f"{key} is missing", "give it a value")
    if kind == "literal_error":
        return unknown(key, str(given), re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    if kind == "value_error":
        return SteadyganError(first["msg"].removeprefix("Value error, "), "change one of the two")
    plain = isinstance(given, (str, int, float, type(None)))
    value = f"is {shown(given)}" if plain else "has a value of another kind"
    return SteadyganError(f"{key} {value}", _wanted(kind, first["msg"], first.get("ctx", {})))


def _wanted(kind: str, message: str, bounds: Mapping[str, Any]) -> str:
    """What a value must be, from pydantic's name for what it is not."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    for name, word in words.items():
        if name in bounds:
            return f"it must be {word} {bounds[name]}"
    wanted = next((wanted for name, wanted in _KINDS.items() if kind.startswith(name)), None)
    if kind == "model_type" and bounds.get("class_name") == "ScheduleConfig":
        wanted = 'a number, or a schedule as {"kind": "linear", "value": 1, "end": 0}'
    if kind == "model_type" and bounds.get("class_name") == "PenaltyConfig":
        wanted = "a group of settings; to change its weight, put .weight behind the name"
    return f"it must be {wanted}" if wanted else message[0].lower() + message[1:]


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a word",
    "finite": "finite",
    "tuple": 'a list, as ["a", "b"] or [1, 2]; a size is written as 92x112',
    "dict": "a group of settings, each by its own key",
    "model_type": "a group of settings, each by its own key",
}
"""What a value must be, by the beginning of pydantic's name for its absence."""


def parse_config(text: str, path: Path) -> RunConfig:
    """The config in ``config.json``. Raises SteadyganError where it is damaged or of a later format."""
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise SteadyganError(f"{path} is damaged ({error})", "restore it from a copy") from None
    if not isinstance(tree, dict):
        raise SteadyganError(f"{path} is damaged (it is no table of settings)", "restore it from a copy")
    if isinstance(tree.get("format"), int) and tree["format"] > FORMAT:
        raise SteadyganError(f"{path} was written by a later steadygan", "upgrade steadygan")
    return check(tree, str(path))
