"""Plans, runs and data sets as rows of name and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steadygan import api
from steadygan.cli.printing import clock, plural
from steadygan.config import RunConfig
from steadygan.data.dataset import DataSet
from steadygan.game import checkpoint
from steadygan.report.jsonl import read_jsonl
from steadygan.report.trackers import TRACKERS
from steadygan.runtime.folder import RunFolder

SHOWN = 20
"""Quarantined files that are named; the rest is counted."""


def plan(planned: api.Plan, path: Path) -> dict[str, str]:
    """The plan as a person reads it."""
    config, data = planned.config, planned.data
    return {
        "data": f"{data.name}: {plural(len(data.train), 'image')} for training, {len(data.held_out):,} held out",
        **({"left out": f"{plural(len(data.quarantine), 'unreadable file')}"} if data.quarantine else {}),
        **_setup(config),
        "length": f"{config.images:,} images in batches of {config.batch}{_duration(planned)}",
        "threads": f"{config.threads}",
        "run": str(path),
    }


def _setup(config: RunConfig) -> dict[str, str]:
    networks = (f"{name} {one.network.name} of capacity {one.network.capacity}" for name, one in config.players.items())
    return {
        "image": _image(config.shape or (0, 0, 0)),
        "recipe": f"{config.recipe} ({config.why})" if config.why else config.recipe,
        "networks": ", ".join(networks),
        "game": ", ".join([config.loss, *config.penalties]),
    }


def _image(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{width} x {height} pixels, {plural(channels, 'channel')}"


def _duration(planned: api.Plan) -> str:
    config = planned.config
    capacity = config.players["generator"].network.capacity
    for trial in planned.trials:
        if (trial.capacity, trial.config.batch) == (capacity, config.batch):
            return f", about {clock(config.images / trial.pace)} at {trial.pace:,.0f} images/s"
    return ""


def made(trained: api.Trained) -> dict[str, str]:
    """Where everything is after a run."""
    path = trained.path
    places = {
        "report": path / "report.html",
        "samples": path / "samples.png",
        "evolution": path / "evolution.webp",
        "curves": path / "curves.png",
        "records": path / "records.jsonl",
        **{name: path / name for name in TRACKERS},
        "settings": path / "config.json",
        "weights": path / "checkpoints",
    }
    return {name: str(place) for name, place in places.items() if place.exists()}


def run(folder: RunFolder, config: RunConfig) -> dict[str, str]:
    """What a run is, how far it got, and its latest figures."""
    found = checkpoint.listed(folder.checkpoints)
    seen = int(found[0].name.split("-")[0]) if found else 0
    state = "finished" if seen >= config.images else f"to go on: steadygan resume {folder.path}"
    records = folder.path / "records.jsonl"
    last: dict[str, Any] = (read_jsonl(records) or [{}])[-1] if records.is_file() else {}
    latest = {name: value for name, value in sorted(last.items()) if name.endswith(("/loss", "win_rate", "spread"))}
    grids = sorted(folder.samples.glob("[0-9]*.png"))
    return {
        "data": config.data.source,
        **_setup(config),
        "seed": f"{config.seed}",
        "images seen": f"{seen:,} of {config.images:,} ({state})",
        "checkpoints": ", ".join(place.name for place in found) or "none",
        **({"latest grid": str(grids[-1])} if grids else {}),
        **{name: "not finite" if value is None else f"{value:.4g}" for name, value in latest.items()},
    }


def data(found: DataSet) -> dict[str, str]:
    """What a data set holds, and what was done to it."""
    facts = {name: value for name, value in found.facts.items() if name not in _SAID}
    held_out = f"{len(found.held_out):,} held out"
    if note := found.facts.get("held_out_note"):
        held_out += f": {note}"
    return {
        "data": found.name,
        "images": f"{len(found):,} ({len(found.train):,} for training, {held_out})",
        "size": str(found.facts.get("size") or _image(found.shape)),
        "channels": str(found.facts.get("channels") or found.shape[0]),
        "classes": f"{found.classes}: {_shortened(found.label_names)}" if found.classes else "none",
        **{name.replace("_", " "): _words(value) for name, value in facts.items()},
        "quarantined": f"{len(found.quarantine):,}",
        "fingerprint": found.fingerprint,
    }


_SAID = {"source", "images", "size", "size (width x height)", "channels", "classes", "train", "held_out"}
_SAID |= {"held_out_note", "quarantined"}


def _words(value: Any) -> str:
    """A fact as text; a count of kinds as ``8x8 (1,797), 9x9 (3)``."""
    if isinstance(value, dict):
        return ", ".join(f"{kind} ({count:,})" for kind, count in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _shortened(names: tuple[str, ...], most: int = 20) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
