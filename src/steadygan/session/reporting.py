"""Reports on runs that are there already: what their folders lack is made first, where that can be done."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from steadygan.config import RunConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game import checkpoint
from steadygan.health.illnesses import sicken_data
from steadygan.report.reading import COMMAND, EXAMPLES, NEIGHBOURS, OVERVIEW, PAIRS
from steadygan.runtime.folder import RunFolder
from steadygan.session import again, keeping
from steadygan.session.running import open_run
from steadygan.session.trained import load


def report(paths: Sequence[Path], out: Path | None, base: Callable[[RunConfig, int], RunConfig]) -> Path:
    """Write the report on a run, or on several side by side; see ``steadygan.write_report``.

    Args:
        paths: run folders.
        out: the file, a name that is not taken yet; None: a name in the run, or beside the first of several.
        base: from a run's settings and the number of its training images to what its recipe says of its own.

    Raises:
        SteadyganError: for no run, a folder that is none, or a place that cannot be written.
    """
    if not paths:
        raise SteadyganError("nothing to report on", "name a run")
    if out is not None and out.exists():
        raise SteadyganError(f"{out} exists; nothing is overwritten", "choose another --out")
    missing = {path: _complete(path, base) for path in paths}
    return keeping.write(paths, out, missing)


def _complete(path: Path, base: Callable[[RunConfig, int], RunConfig]) -> dict[str, str]:
    """Make what a report needs of the data and the networks and the folder lacks; what cannot be had, and why."""
    folder, config = open_run(path)
    overview = all((path / name).is_file() for name in (OVERVIEW, EXAMPLES))
    near = _neighbours_at(path) == _newest(folder)
    if overview and near and (path / COMMAND).is_file():
        return {}
    missing: dict[str, str] = {}
    try:
        data = _data(config)
    except SteadyganError as error:
        return {name: error.what for name, there in ((OVERVIEW, overview), (NEIGHBOURS, near)) if not there}
    if not overview:
        with _told(missing, OVERVIEW):
            keeping.keep_overview(path, data)
    if not (path / COMMAND).is_file():
        with _told(missing, COMMAND):
            again.keep(path, config, lambda: base(config, len(data.train)))
    if not near:
        with _told(missing, NEIGHBOURS):
            trained = load(path)
            sample = lambda count, seed: trained.samples(count, seed=seed)  # noqa: E731 - its type is the parameter's
            keeping.keep_neighbours(path, data, sample, trained.images_seen)
    return missing


@contextlib.contextmanager
def _told(missing: dict[str, str], name: str) -> Iterator[None]:
    try:
        yield
    except SteadyganError as error:
        missing[name] = error.what


def _data(config: RunConfig) -> DataSet:
    """The data of a run as it saw them, from this machine only."""
    here = config.data.model_copy(update={"download": False})
    return sicken_data(config.sicken, open_data(here), config.seed)


def _newest(folder: RunFolder) -> int:
    """Where on the clock the newest checkpoint stands; -1 where there is none."""
    return max((checkpoint.place(path)[1] for path in checkpoint.listed(folder.checkpoints)), default=-1)


def _neighbours_at(path: Path) -> int | None:
    """Where on the clock the neighbours were found; None where there are none."""
    try:
        found = json.loads((path / NEIGHBOURS).read_text(encoding="utf-8")) if (path / PAIRS).is_file() else {}
    except (OSError, ValueError):
        return None
    seen = found.get("images_seen") if isinstance(found, dict) else None
    return seen if isinstance(seen, int) else None
