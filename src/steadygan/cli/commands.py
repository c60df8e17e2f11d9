"""What the subcommands do: call the API and print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from steadygan import api
from steadygan import recipes as book
from steadygan.cli.progress import Decoding, Terminal, clock, console
from steadygan.config import DataConfig, RunConfig
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError, Stopped
from steadygan.game import checkpoint
from steadygan.recipes.facts import DataFacts
from steadygan.report import pictures
from steadygan.runtime import storage
from steadygan.session import settings
from steadygan.session.running import open_run


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``64`` or ``92x112`` (width x height) as (height, width)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if not 1 <= len(parts) <= 2 or not all(part.isdigit() for part in parts):
        raise SteadyganError(f"--image-size {text!r} is not a size", "write 64, or width x height as 92x112")
    width, height = int(parts[0]), int(parts[-1])
    return height, width


def train(
    data: str,
    recipe: str,
    minutes: float | None,
    images: int | None,
    image_size: str | None,
    seed: int,
    out: Path | None,
    given: Sequence[str],
) -> None:
    """Plan, show the plan, train, and say where everything is."""
    if out is not None:
        api.check_out(out)
    if minutes is not None and images is not None:
        raise SteadyganError("--minutes and --images were both given", "give one of them")
    if minutes is not None:
        console.print("measuring this machine ...")
    planned = api.plan(
        data,
        recipe=recipe,
        minutes=minutes,
        images=images,
        image_size=parse_size(image_size),
        seed=seed,
        set=given,
        progress=Decoding(),
    )
    path = out or api.fresh_path(planned.config)
    console.print(plan_table(planned, path))
    watcher = Terminal(path)
    _conduct(lambda: api.start(planned, path, watcher), watcher, path)


def resume(run: Path) -> None:
    """Go on with a run."""
    watcher = Terminal(run)
    _conduct(lambda: api.resume(run, watcher=watcher, progress=Decoding()), watcher, run)


def _conduct(job: Any, watcher: Terminal, path: Path) -> None:
    try:
        trained = job()
    except Stopped as stop:
        watcher.stop()
        console.print(f"{stop}\ngo on with: steadygan resume {path}")
        raise
    finally:
        watcher.stop()
    _summary(trained)


def plan_table(planned: api.Plan, path: Path) -> Table:
    """The plan as a person reads it."""
    config, data = planned.config, planned.data
    assert config.shape is not None
    channels, height, width = config.shape
    table = Table(show_header=False, box=None, padding=(0, 2))
    rows = {
        "data": f"{data.name}: {len(data.train):,} images for training, {len(data.held_out):,} held out",
        "image": f"{width} x {height} pixels, {channels} channel{'s' if channels > 1 else ''}",
        "recipe": f"{config.recipe} ({config.why})",
        "networks": ", ".join(f"{n} {p.network.name} of capacity {p.network.capacity}" for n, p in config.players.items()),
        "game": ", ".join([config.loss, *config.penalties]),
        "length": f"{config.images:,} images in batches of {config.batch}{_duration(planned)}",
        "threads": f"{config.threads}",
        "run": str(path),
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", value)
    return table


def _duration(planned: api.Plan) -> str:
    capacity = planned.config.players["generator"].network.capacity
    for trial in planned.trials:
        if trial.capacity == capacity:
            return f", about {clock(planned.config.images / trial.pace)} at {trial.pace:,.0f} images/s"
    return ""


def _summary(trained: api.Trained) -> None:
    """Where everything is, and what to try next."""
    path = trained.path
    made = {
        "samples": path / "samples.png",
        "evolution": path / "evolution.webp",
        "curves": path / "curves.png",
        "records": path / "records.jsonl",
        "settings": path / "config.json",
        "weights": path / "checkpoints",
    }
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, place in made.items():
        if place.exists():
            table.add_row(f"[bold]{name}[/]", str(place))
    console.print(f"done: {trained.images_seen:,} images seen")
    console.print(table)
    console.print(f"next: steadygan sample {path} --count 64 --seed 1    (new images)")
    console.print("      steadygan train YOUR-FOLDER --minutes 30    (your own images)")


def one_form(*, grid: bool, folder: bool, npz: bool) -> str:
    """The one form of output that was asked for."""
    asked = [name for name, on in (("grid", grid), ("folder", folder), ("npz", npz)) if on]
    if len(asked) > 1:
        raise SteadyganError(f"--{asked[0]} and --{asked[1]} were both given", "give one of them")
    return asked[0] if asked else "grid"


def sample(run: Path, count: int, seed: int, form: str, label: int | None, out: Path | None, device: str) -> None:
    """Write samples as a grid, a folder or an array."""
    trained = api.load(run, device=device)
    stem = f"{count}-seed{seed}" + (f"-label{label}" if label is not None else "")
    suffix = {"grid": ".png", "folder": "", "npz": ".npz"}[form]
    path = out or run / "generated" / f"{stem}{suffix}"
    if path.exists() and out is not None:
        raise SteadyganError(f"{path} exists", "choose another --out")
    storage.make_folder(path if form == "folder" else path.parent)
    if form == "folder":
        index = 0
        for images in trained.samples(count, seed=seed, label=label):
            for image in images:
                pictures.save_png(path / f"{index:06d}.png", pictures.image(image))
                index += 1
    elif form == "npz":
        images = pictures.to_uint8(trained.sample(count, seed=seed, label=label)).permute(0, 2, 3, 1).numpy()
        np.savez_compressed(path, images=images, seed=seed, images_seen=trained.images_seen)
    else:
        pictures.save_png(path, pictures.grid(trained.sample(count, seed=seed, label=label)))
    console.print(f"{count} images of {run} (seed {seed}, {trained.images_seen:,} images seen): {path}")


def info(what: str, given: Sequence[str]) -> None:
    """Describe a run or a data set."""
    path = Path(what)
    if (path / "config.json").is_file():
        _run_info(path)
        return
    config = settings.data_config(DataConfig(source=what), given)
    data = open_data(config, progress=Decoding())
    channels, height, width = data.shape
    _print_rows(
        {
            "name": data.name,
            "images": f"{len(data):,} ({len(data.train):,} for training, {len(data.held_out):,} held out)",
            "size": f"{width} x {height}, {channels} channel{'s' if channels > 1 else ''}",
            "classes": ", ".join(data.label_names) if data.classes else "none",
            **{name.replace("_", " "): str(value) for name, value in data.facts.items()},
            "fingerprint": data.fingerprint,
        }
    )
    for file, reason in data.quarantine[:20]:
        console.print(f"  quarantined {file}: {reason}", markup=False)


def _run_info(path: Path) -> None:
    folder, config = open_run(path)
    found = checkpoint.listed(folder.checkpoints)
    seen = int(found[0].name.split("-")[0]) if found else 0
    records = api.read_jsonl(path / "records.jsonl")
    state = "finished" if seen >= config.images else f"to go on: steadygan resume {path}"
    rows: dict[str, str] = {
        "recipe": f"{config.recipe} ({config.why})",
        "data": config.data.source,
        "image": " x ".join(str(side) for side in reversed(config.shape or ())),
        "images seen": f"{seen:,} of {config.images:,} ({state})",
        "checkpoints": ", ".join(place.name for place in found) or "none",
    }
    if records:
        last = records[-1]
        rows |= {name: f"{last[name]:.4g}" for name in sorted(last) if name.endswith("/loss") and last[name] is not None}
    _print_rows(rows)


def _print_rows(rows: dict[str, str]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", value.replace("[", "\\["))
    console.print(table)


def recipes(name: str | None) -> None:
    """List recipes or show one."""
    if name is None:
        _print_rows({one: book.about(one) for one in book.RECIPES})
        console.print("auto (the default) chooses from the data; `steadygan recipes NAME` shows all settings")
        return
    book.about(name)
    facts = DataFacts("mnist", 57_000, (1, 28, 28), 10, DataConfig(source="mnist"))
    config: RunConfig = book.RECIPES[name](facts)
    console.print(book.about(name), markup=False)
    console.print("its settings for 57,000 grey images of 28x28 (change any with --set key=value):")
    default = settings.flat(config.model_dump(mode="json"))
    for key, value in default.items():
        console.print(f"  {key}={value}", markup=False)
