"""Quality on MNIST: what two recipes and a stranger's DCGAN reach in the same minutes on the same machine.

    python benchmarks/quality.py --minutes 10 --seeds 3 --threads 4 --reference dcgan.py
    python benchmarks/quality.py --quick --threads 1          about two minutes; keeps nothing in the repository

``dcgan`` is that recipe and ``default`` what ``auto`` chooses; both get MNIST's training images, ``--minutes`` and
nothing else. ``reference`` is the unmodified training script of a public DCGAN (``--reference FILE``; its code is not
part of this repository). It asks torchvision for MNIST and for a way to save pictures, which the classes below hand
to it instead, ready in memory; it is stopped when the minutes, counted from its first image, are over.

Each cell is a process of its own. 10,000 samples of each are judged by an independent classifier (``judge.py``):
mean top probability, share of every class, and Fréchet distance to MNIST's test images, beside that distance for
10,000 real training images (the floor).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import judge
import numpy as np
import torch
from PIL import Image
from torch import Tensor

import steadygan
from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.evaluation.frechet import gaussian_statistics
from steadygan.report.pictures import grid, save_png
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
WORK = HERE / "runs" / "quality"
SAMPLES, SHOWN, CHUNK = 10_000, 64, 64
RECIPES = {"dcgan": "dcgan", "default": "auto"}
PLAYERS = (*RECIPES, "reference")
LEAST_PROBABILITY, LEAST_CLASS = 0.95, 0.05


class TimeUp(Exception):
    """The reference has had its minutes."""


def mnist() -> Any:
    """MNIST's training images as the recipes get them."""
    return open_data(DataConfig(source="mnist", split="train", folder=str(judge.data_folder() / "mnist")))


def stand_ins(tick: Callable[[], None]) -> dict[str, types.ModuleType]:
    """Modules under torchvision's names with what a DCGAN script asks of it: MNIST, four transforms, save_image."""

    class Compose:
        def __init__(self, steps: list[Callable[[Any], Any]]) -> None:
            self.steps = steps

        def __call__(self, image: Any) -> Any:
            for step in self.steps:
                image = step(image)
            return image

    class Resize:
        def __init__(self, size: int) -> None:
            self.size = size

        def __call__(self, image: Image.Image) -> Image.Image:
            return image.resize((self.size, self.size), Image.Resampling.BILINEAR)

    class ToTensor:
        def __call__(self, image: Image.Image) -> Tensor:
            return torch.from_numpy(np.array(image, np.float32) / 255)[None]

    class Normalize:
        def __init__(self, mean: list[float], std: list[float]) -> None:
            self.mean, self.std = mean[0], std[0]

        def __call__(self, image: Tensor) -> Tensor:
            return (image - self.mean) / self.std

    class MNIST:
        """Transformed once, before the clock starts: the script's own loop pays nothing for decoding."""

        def __init__(self, root: str, train: bool, download: bool, transform: Callable[[Any], Tensor]) -> None:
            data = mnist()
            self.images = torch.stack([transform(Image.fromarray(image[0])) for image in np.asarray(data.images)])
            self.labels = data.labels.tolist()

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            tick()
            return self.images[index], self.labels[index]

    def save_image(*_: Any, **__: Any) -> None:
        """Pictures on the way are not needed, and cost the script nothing."""

    modules = {name: types.ModuleType(name) for name in ("torchvision", *(f"torchvision.{p}" for p in PARTS))}
    contents: dict[str, list[Any]] = {
        "transforms": [Compose, Resize, ToTensor, Normalize],
        "datasets": [MNIST],
        "utils": [save_image],
    }
    for part, objects in contents.items():
        module = modules[f"torchvision.{part}"]
        setattr(modules["torchvision"], part, module)
        for thing in objects:
            setattr(module, thing.__name__, thing)
    return modules


PARTS = ("transforms", "datasets", "utils")


def play_reference(script: Path, place: Path, seconds: float, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the script for ``seconds`` from its first image; its global names and what is to be told of the run."""
    clock = {"start": 0.0, "images": 0}

    def tick() -> None:
        now = time.monotonic()
        clock["start"] = clock["start"] or now
        clock["images"] += 1
        if now - clock["start"] > seconds:
            raise TimeUp

    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(script)}
    code = script.read_bytes()
    sys.modules.update(stand_ins(tick))
    # two folders deep, since the script puts its data two folders up
    inside = place / "a" / "b"
    inside.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the script draws from numpy's old global generator
    before, sys.argv = os.getcwd(), [str(script)]
    os.chdir(inside)
    ended = "its own epochs were over"
    try:
        with contextlib.redirect_stdout(io.TextIOWrapper(open(os.devnull, "wb"))):
            exec(compile(code, str(script), "exec"), names)  # noqa: S102 - the file that the user named
    except TimeUp:
        ended = "stopped by the clock"
    finally:
        os.chdir(before)
    trained = round(time.monotonic() - clock["start"], 1)
    told = {"images_seen": int(clock["images"]), "training_seconds": trained, "ended": ended}
    return names, told | {"script": script.name, "sha256": hashlib.sha256(code).hexdigest()}


@torch.no_grad()
def reference_samples(generator: torch.nn.Module, size: int, seed: int) -> Iterator[Tensor]:
    """10,000 samples in batches of 64, in whatever mode the generator is in."""
    source = torch.Generator().manual_seed(seed)
    for start in range(0, SAMPLES, CHUNK):
        yield generator(torch.randn(CHUNK, size, generator=source)).clamp(-1, 1)[: SAMPLES - start]


def reference_cell(options: argparse.Namespace, seed: int, place: Path) -> dict[str, Any]:
    """Train and judge the reference; as in its own script, its generator samples in training mode."""
    names, told = play_reference(options.reference, place, options.minutes * 60, seed)
    generator, size = names["generator"], names["opt"].latent_dim
    made = torch.cat(list(reference_samples(generator.train(), size, seed)))
    averaged = torch.cat(list(reference_samples(generator.eval(), size, seed)))
    return told | judged(made, options, f"reference-{seed}") | {"in_eval_mode": judged(averaged, options, None)}


def own_cell(player: str, options: argparse.Namespace, seed: int, place: Path) -> dict[str, Any]:
    """Train and judge a recipe, given the minutes and nothing else."""
    start = time.monotonic()
    trained = steadygan.train(
        "mnist",
        recipe=RECIPES[player],
        minutes=options.minutes,
        seed=seed,
        set=[f"threads={options.threads}", f"data.folder={judge.data_folder() / 'mnist'}"],
        out=place / "run",
    )
    config, seconds = trained.config, time.monotonic() - start
    told = {
        "recipe": config.recipe,
        "capacity": config.players["generator"].network.capacity,
        "images_seen": trained.images_seen,
        "seconds_with_planning": round(seconds, 1),
    }
    made = torch.cat(list(trained.samples(SAMPLES, seed=seed)))
    return told | judged(made, options, f"{player}-{seed}")


def judged(samples: Tensor, options: argparse.Namespace, picture: str | None) -> dict[str, Any]:
    """The judge's figures for samples (N, 1, H, W) in [-1, 1], and 64 of them as a picture."""
    if picture:
        save_png(options.pictures / f"quality-{picture}.png", grid(samples[:SHOWN], scale=2))
    found = judge.figures(judge.load_judge(), torch.split(samples, 1000), test_statistics())
    good = found["top_probability"] >= LEAST_PROBABILITY and found["smallest_class"] >= LEAST_CLASS
    return found | {"reaches_the_goal": bool(good)}


def test_statistics() -> tuple[Any, Any]:
    """Mean and covariance of the judge's features on MNIST's 10,000 test images."""
    features, _ = judge.look(judge.load_judge(), judge.real_chunks("test"))
    return gaussian_statistics(features)


def floor() -> dict[str, Any]:
    """The figures of 10,000 real training images."""
    return judge.figures(judge.load_judge(), judge.real_chunks("train", SAMPLES), test_statistics())


def run_cell(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One cell, in this process."""
    player, _, seed = name.partition("/")
    torch.set_num_threads(options.threads)
    place = WORK / f"{player}-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if player == "reference":
        found = reference_cell(options, int(seed), place)
    else:
        found = own_cell(player, options, int(seed), place)
    return {"minutes": options.minutes, "threads": options.threads, **found}


def spawn(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One cell, in a process of its own."""
    out = WORK / f"{name.replace('/', '-')}.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--cell", name, "--out", str(out), "--minutes", str(options.minutes)]
    command += ["--threads", str(options.threads), "--pictures", str(options.pictures)]
    command += ["--reference", str(options.reference)] if options.reference else []
    subprocess.run(command, check=True)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def summary(cells: dict[str, Any]) -> dict[str, Any]:
    """Mean and worst over the seeds of each player."""
    found: dict[str, Any] = {}
    for player in PLAYERS:
        rows = [row for name, row in cells.items() if name.startswith(f"{player}/")]
        if rows:
            found[player] = {
                "seeds": len(rows),
                "top_probability": round(sum(row["top_probability"] for row in rows) / len(rows), 4),
                "top_probability_least": min(row["top_probability"] for row in rows),
                "smallest_class_least": min(row["smallest_class"] for row in rows),
                "frechet": round(sum(row["frechet"] for row in rows) / len(rows), 3),
                "frechet_most": max(row["frechet"] for row in rows),
                "all_reach_the_goal": all(row["reaches_the_goal"] for row in rows),
            }
    return found


def options_from(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--only", nargs="*", choices=PLAYERS)
    parser.add_argument("--reference", type=Path, help="a DCGAN training script that asks torchvision for MNIST")
    parser.add_argument("--again", action="store_true", help="run anew what is there already")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--cell", help="run one cell in this process (used by the script itself)")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.minutes, options.seeds = 0.3, 1
    options.reference = options.reference.resolve() if options.reference else None
    kept = WORK / "quick.json" if options.quick else HERE / "results" / "quality.json"
    options.out = options.out or kept
    options.pictures = options.pictures or (WORK if options.quick else HERE.parent / "docs" / "images")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, saving after every cell."""
    options = options_from(arguments)
    if options.cell:
        write_file(options.out, json.dumps(run_cell(options.cell, options)))
        return
    WORK.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    cells: dict[str, Any] = kept.get("cells", {})
    real = kept.get("real_training_images") or floor()
    for player in options.only or PLAYERS:
        if player == "reference" and options.reference is None:
            print("reference: left out, since no --reference FILE was given")
            continue
        for seed in range(options.seeds):
            name = f"{player}/{seed}"
            wanted = (options.minutes, options.threads)
            if options.again or (cells.get(name, {}).get("minutes"), cells.get(name, {}).get("threads")) != wanted:
                cells[name] = spawn(name, options)
            content = {"torch": torch.__version__, "real_training_images": real, "summary": summary(cells)}
            options.out.parent.mkdir(parents=True, exist_ok=True)
            write_file(options.out, json.dumps({**content, "cells": cells}, indent=1))
            row = cells[name]
            shown = {key: row[key] for key in ("images_seen", "top_probability", "smallest_class", "frechet")}
            print(name, json.dumps(shown), flush=True)
    print("real", json.dumps(real))
    print(json.dumps(summary(cells), indent=1))


if __name__ == "__main__":
    main()
