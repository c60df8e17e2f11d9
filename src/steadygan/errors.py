"""The one error that steadygan shows to a person: a line that names the thing and the remedy."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class SteadyganError(Exception):
    """A fault that a person can mend, said in one line.

    Args:
        what: the thing that is wrong, named (a path, a key, a value).
        remedy: what to do about it.
        code: exit status of the command line: 2 for input that cannot be used, 1 for a run that failed.
    """

    def __init__(self, what: str, remedy: str = "", *, code: int = 2) -> None:
        self.what = " ".join(what.split())
        self.remedy = " ".join(remedy.split())
        self.code = code
        super().__init__(f"{self.what}: {self.remedy}" if self.remedy else self.what)


class Stopped(Exception):
    """A signal or a person asked the run to stop; the round was finished and everything is saved."""

    def __init__(self, number: int, images_seen: int, by: str = "") -> None:
        self.code = 128 + number
        self.images_seen = images_seen
        who = by or signal.Signals(number).name
        super().__init__(f"stopped by {who} at {images_seen:,} images; everything is saved")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None where nothing is alike."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown(kind: str, name: str, known: Iterable[str]) -> SteadyganError:
    """The error for a name that is in no table: names the nearest valid one, or all of them."""
    names = sorted(known)
    near = nearest(name, names)
    remedy = f"did you mean {near!r}?" if near else f"choose one of {', '.join(names)}"
    return SteadyganError(f"unknown {kind} {name!r}", remedy)
