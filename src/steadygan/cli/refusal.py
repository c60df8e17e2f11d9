"""Why a command line was not understood, in one line.

The parser's own words fill a screen and change with its version; the commands' signatures say the same.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import get_args, get_origin, get_type_hints

from steadygan.errors import SteadyganError, nearest, unknown

Commands = Mapping[str, Callable[..., None]]
_FRAME = re.compile(r"[\u2500-\u257f]+")


def refusal(arguments: Sequence[str], commands: Commands, said: str = "") -> SteadyganError:
    """The error for arguments that the parser refused, which ``said`` so itself at length."""
    if not arguments:
        return SteadyganError("no command", f"choose one of {', '.join(commands)}, or see steadygan --help")
    name, rest = arguments[0], arguments[1:]
    if name not in commands:
        if name.startswith("-"):
            return SteadyganError(f"unknown option {name}", "a command comes first, see steadygan --help")
        return unknown("command", name, commands)
    # a flag that is a word of Python's own has an underscore behind its name there
    flags = {f"--{key.rstrip('_').replace('_', '-')}": kind for key, kind in _options(commands[name]).items()}
    place = 0
    positional = 0
    while place < len(rest):
        word, joined, value = rest[place].partition("=")
        place += 1
        if not re.match(r"-\D", word):
            positional += 1
            continue
        if (word := word.replace("_", "-")) not in flags:
            return _unknown_option(word, name, flags)
        if flags[word] is bool:
            if joined:
                return SteadyganError(f"{word} takes no value", f"write {word} alone")
            continue
        if not joined:
            if place == len(rest) or rest[place] in flags:
                return SteadyganError(f"{word} needs a value", f"see steadygan {name} --help")
            value = rest[place]
            place += 1
        if not _fits(flags[word], value):
            kind = {int: "a whole number", float: "a number"}[flags[word]]
            return SteadyganError(f"{word} {value!r} is not {kind}", f"see steadygan {name} --help")
    return _miscounted(name, commands[name], positional) or _own_words(said, name)


def _options(command: Callable[..., None]) -> dict[str, type]:
    """The flags of a command and the type that each one's value must have."""
    hints = get_type_hints(command)
    parameters = inspect.signature(command).parameters.values()
    return {one.name: _plain(hints[one.name]) for one in parameters if one.kind is one.KEYWORD_ONLY}


def _plain(hint: object) -> type:
    """``int``, ``float`` or ``bool`` where the hint is one of them or None; else ``str``, which anything fits."""
    parts = [part for part in get_args(hint) if part is not type(None)] if get_origin(hint) else [hint]
    found = next((part for part in parts if part in (int, float, bool)), str)
    return found if isinstance(found, type) else str


def _fits(kind: type, value: str) -> bool:
    try:
        kind(value)
    except ValueError:
        return False
    return True


def _unknown_option(word: str, name: str, flags: Mapping[str, type]) -> SteadyganError:
    near = nearest(word, flags)
    return SteadyganError(f"unknown option {word}", f"did you mean {near}?" if near else f"see steadygan {name} --help")


def _miscounted(name: str, command: Callable[..., None], given: int) -> SteadyganError | None:
    """The error for too few or too many words beside the options."""
    takes = [one for one in inspect.signature(command).parameters.values() if one.kind is one.POSITIONAL_ONLY]
    several = any("tuple" in str(one.annotation) for one in takes)
    if given > len(takes) and not several:
        return SteadyganError(f"{name} takes one name, not {given}", "quote a path that has spaces")
    missing = [one.name for one in takes[given:] if one.default is one.empty]
    words = {"data": "data", "run": "a run's folder", "what": "a run or data"}
    words |= {"samples": "a run, or images", "runs": "two or more runs", "record": "a run, or a file of figures"}
    words |= {"folder": "a folder of runs"}
    return SteadyganError(f"{name} needs {words[missing[0]]}", f"see steadygan {name} --help") if missing else None


def _own_words(said: str, name: str) -> SteadyganError:
    """What the parser said, without its frame: for cases that nobody has thought of."""
    text = " ".join(_FRAME.sub(" ", said).split())
    return SteadyganError(text[:200] or "the command line was not understood", f"see steadygan {name} --help")
