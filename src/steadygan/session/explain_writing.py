"""The explanation of a run as a file."""

from __future__ import annotations

from pathlib import Path

from steadygan.errors import SteadyganError
from steadygan.runtime import storage
from steadygan.session.explain_page import explain_page
from steadygan.session.explained import Explanation

PAGE = "explain.html"


def place(run: Path, out: Path | None) -> Path:
    """Where the page goes: into the run, where it replaces an earlier one, or to a name that is not taken yet.

    Raises:
        SteadyganError: where something is there already, or no folder can be made.
    """
    if out is not None and out.exists():
        raise SteadyganError(f"{out} exists; nothing is overwritten", "choose another --out")
    if out is None:
        return run / PAGE
    # before minutes are spent on what cannot be written
    storage.make_folder(out.parent)
    return out


def write(found: Explanation, path: Path) -> Path:
    """Write the page, whole or not at all.

    Raises:
        SteadyganError: a place that cannot be written.
    """
    with storage.writing(path):
        storage.write_file(path, explain_page(found))
    return path
