"""Stacked MNIST by PacGAN's protocol: how many of 1,000 modes a recipe reaches, and how evenly.

    python benchmarks/stacked_mnist.py --perfect              what a perfect sampler scores through the same evaluator
    python benchmarks/stacked_mnist.py --minutes 120 --seeds 3 --threads 4
    python benchmarks/stacked_mnist.py --quick --threads 1    about two minutes; keeps nothing in the repository
    python benchmarks/stacked_mnist.py --table                the figures into docs/which-number.md

Three random digits are the channels of an image of 28x28 pixels; 128,000 such triples, drawn once, are the training
set. 26,000 samples are rounded to 8 bits; the independent judge (``judge.py``) reads the digit in every channel, and
the three digits name one of 1,000 modes. Figures are the modes with at least one sample and the KL divergence (nats)
of their shares to uniform ones. Papers: Metz et al. 2017; Lin et al. 2018 (PacGAN), whose set-up this is.

``dcgan`` and ``r3`` (the default) get ``--minutes`` each and nothing else; ``--set`` changes a setting of both. Cells
that are there already are not run again, and a run that was stopped is resumed. Runs lie in ``benchmarks/runs``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import judge as independent
import numpy as np
import torch
from torch import Tensor

import steadygan
from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.evaluation.modes import mode_count, stacked_index
from steadygan.runtime import seeding
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
WORK = HERE / "runs" / "stacked_mnist"
RESULTS = HERE / "results" / "stacked_mnist.json"
PAGE = HERE.parent / "docs" / "which-number.md"
MARKS = ("<!-- figures of benchmarks/stacked_mnist.py -->", "<!-- end of stacked_mnist.py -->")
TRIPLES, SAMPLES, MODES, CHUNK = 128_000, 26_000, 1000, 500
PERFECT_KL, PERFECT_WITHIN = 0.0194, 0.002
RECIPES = ("dcgan", "r3")
PUBLISHED = {
    "DCGAN": (99, 3.40),
    "ALI": (16, 5.40),
    "Unrolled GAN": (48.7, 4.32),
    "VEEGAN": (150, 2.95),
    "WGAN-GP": (959, 0.73),
    "StyleGAN2": (940, 0.42),
    "PacDCGAN2": (1000, 0.06),
    "MEG": (1000, 0.031),
    "DDGAN": (1000, 0.071),
    "R3GAN (32x32, 10M images)": (1000, 0.029),
}
"""Modes and KL as their papers give them. Protocols differ in data, networks, length and judge."""


def digits(split: str) -> tuple[Any, Any]:
    """MNIST's images (N, 1, 28, 28) of a split, and their labels."""
    data = open_data(DataConfig(source="mnist", split=split, folder=str(independent.data_folder() / "mnist")))
    return data.images, data.labels


def triples(count: int, seed: int, split: str = "train", *, balanced: bool = False) -> Iterator[Any]:
    """Chunks (N, 3, 28, 28) of random digits as channels, bytes; every class as likely as any where ``balanced``."""
    images, labels = digits(split)
    source = np.random.default_rng(seeding.derive("stacked", split, seed, int(balanced)))
    by_class = [np.flatnonzero(labels == label) for label in range(10)]
    for start in range(0, count, CHUNK):
        size = (min(CHUNK, count - start), 3)
        rows = source.integers(0, len(images), size)
        if balanced:
            classes = source.integers(0, 10, size)
            rows = np.stack([[source.choice(by_class[label]) for label in row] for row in classes])
        yield np.asarray(images)[rows.ravel(), 0].reshape(*size, 28, 28)


def training_set(count: int) -> Path:
    """The fixed triples as one array on disk, drawn the first time."""
    path = WORK / f"triples-{count}.npy"
    if not path.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial")
        with temporary.open("wb") as file:
            np.save(file, np.concatenate(list(triples(count, 0))))
        temporary.replace(path)
    return path


def evaluate(chunks: Iterable[Tensor]) -> dict[str, Any]:
    """Modes, KL and the judge's mean certainty of samples (N, 3, 28, 28) in [-1, 1]."""
    judge, found, certain = independent.load_judge(), [], []
    for images in chunks:
        _, probabilities = independent.look(judge, [images.reshape(-1, 1, *images.shape[2:])])
        certain.append(probabilities.max(1).values)
        found.append(stacked_index(probabilities.argmax(1).reshape(-1, 3)))
    count = mode_count(torch.cat(found), MODES)
    shown = {"modes": count.modes, "kl": round(count.kl, 4), "samples": count.samples}
    return shown | {"top_probability": round(float(torch.cat(certain).mean()), 4)}


def perfect() -> dict[str, Any]:
    """Real triples through the same evaluator, with classes evenly drawn and as MNIST has them: the best there is."""
    rows: dict[str, Any] = {}
    for split in ("train", "test"):
        for balanced in (True, False):
            chunks = (
                torch.from_numpy(part).float() / 127.5 - 1 for part in triples(SAMPLES, 1, split, balanced=balanced)
            )
            rows[f"{'even' if balanced else 'own'} class shares, {split} images"] = evaluate(chunks)
    for name, row in rows.items():
        row["as_it_must_be"] = row["modes"] == MODES and (
            not name.startswith("even") or abs(row["kl"] - PERFECT_KL) <= PERFECT_WITHIN
        )
    return rows


def train(recipe: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train or resume one cell, and judge its samples."""
    run, start = options.work / f"{recipe}-{seed}", time.monotonic()
    if (run / "config.json").exists():
        trained = steadygan.resume(run)
    else:
        trained = steadygan.train(
            str(training_set(options.triples)),
            recipe=recipe,
            minutes=options.minutes,
            seed=seed,
            out=run,
            set=[f"threads={options.threads}", "data.held_out=0", *options.set],
        )
    config = trained.config
    return {
        **wanted(options),
        "recipe": config.recipe,
        "capacity": config.players["generator"].network.capacity,
        "batch": config.batch,
        "images_seen": trained.images_seen,
        "seconds_last_sitting": round(time.monotonic() - start),
        **evaluate(trained.samples(options.samples, seed=seed)),
    }


def wanted(options: argparse.Namespace) -> dict[str, Any]:
    """What decides whether a kept cell is the one that was asked for."""
    return {"minutes": options.minutes, "threads": options.threads, "changes": list(options.set)}


def summary(cells: dict[str, Any]) -> dict[str, Any]:
    """Mean and worst over the seeds of each recipe."""
    found: dict[str, Any] = {}
    for recipe in RECIPES:
        rows = [row for name, row in cells.items() if name.startswith(f"{recipe}/")]
        if rows:
            modes, kl = [row["modes"] for row in rows], [row["kl"] for row in rows]
            found[recipe] = {
                "seeds": len(rows),
                "minutes": rows[0]["minutes"],
                "modes": round(sum(modes) / len(rows), 1),
                "modes_least": min(modes),
                "kl": round(sum(kl) / len(rows), 4),
                "kl_most": max(kl),
            }
    return found


def table(results: dict[str, Any]) -> str:
    """Ours, the perfect sampler and the published figures as one Markdown table."""
    lines = ["| who | modes | KL | protocol |", "|---|---|---|---|"]
    for name, row in results.get("perfect", {}).items():
        lines.append(f"| perfect sampler, {name} | {row['modes']} | {row['kl']:.4f} | this one |")
    for recipe, row in summary(results.get("cells", {})).items():
        protocol = f"this one, {row['minutes']:g} minutes, {row['seeds']} seed(s), worst {row['modes_least']}"
        lines.append(f"| `{recipe}` | {row['modes']:g} | {row['kl']:.3f} | {protocol} and {row['kl_most']:.3f} |")
    lines += [f"| {name} | {modes:g} | {kl:g} | its paper's |" for name, (modes, kl) in PUBLISHED.items()]
    return "\n".join(lines)


def write_table(results: dict[str, Any]) -> None:
    """Put the figures between the two marks of the docs page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    write_file(PAGE, f"{before}{MARKS[0]}\n\n{table(results)}\n\n{MARKS[1]}{after}")


def save(path: Path, results: dict[str, Any]) -> None:
    """Write the results so that the file is whole whenever it is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"torch": torch.__version__, "summary": summary(results.get("cells", {}))}
    write_file(path, json.dumps(results | head, indent=1) + "\n")


def options_from(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--only", nargs="*", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--set", nargs="*", default=[], help="changed settings, as in `steadygan train --set`")
    parser.add_argument("--perfect", action="store_true", help="judge a perfect sampler, and train nothing")
    parser.add_argument("--table", action="store_true", help="write the figures into the docs page, and run nothing")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    options.triples, options.samples, options.work = TRIPLES, SAMPLES, WORK
    if options.quick:
        options.minutes, options.seeds, options.triples, options.samples = 0.3, 1, 20_000, 2000
        options.work = WORK / "quick"
        shutil.rmtree(options.work, ignore_errors=True)
    options.out = options.out or (WORK / "quick.json" if options.quick else RESULTS)
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, saving after every cell."""
    options = options_from(arguments)
    results: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    if options.table:
        write_table(results)
        return
    torch.set_num_threads(options.threads)
    if options.perfect:
        results["perfect"] = perfect()
        save(options.out, results)
        print(json.dumps(results["perfect"], indent=1))
        return
    cells = results.setdefault("cells", {})
    for seed in range(options.seeds):
        for recipe in options.only:
            name, asked = f"{recipe}/{seed}", wanted(options)
            kept = {key: cells.get(name, {}).get(key) for key in asked}
            if kept != asked or options.quick:
                _forget_other(options, recipe, seed, asked)
                cells[name] = train(recipe, seed, options)
                save(options.out, results)
            print(name, json.dumps(cells[name]), flush=True)
    print(table(results))


def _forget_other(options: argparse.Namespace, recipe: str, seed: int, asked: dict[str, Any]) -> None:
    """Take a run of other minutes, threads or settings away, so that only the one that was asked for is resumed."""
    run, note = options.work / f"{recipe}-{seed}", options.work / f"{recipe}-{seed}.json"
    if not note.exists() or json.loads(note.read_text()) != asked:
        shutil.rmtree(run, ignore_errors=True)
        options.work.mkdir(parents=True, exist_ok=True)
        write_file(note, json.dumps(asked))


if __name__ == "__main__":
    main()
