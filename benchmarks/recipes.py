"""Train every recipe on real data, keep its grid for the docs and its figures by the independent judge.

    python benchmarks/recipes.py                   # everything that is not done yet
    python benchmarks/recipes.py --only dcgan wgan
    python benchmarks/recipes.py --quick           # a hundredth of the length, results not kept
    python benchmarks/recipes.py --table           # write the figures into docs/recipes.md

Each cell is one line in ``benchmarks/results/recipes.json``; runs lie in ``benchmarks/runs`` and resume where they
stopped. Grids go to ``docs/images/recipe-<cell>.png``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import judge as independent

import steadygan
from steadygan.evaluation.frechet import gaussian_statistics
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "recipes.json"
PAGE = HERE.parent / "docs" / "recipes.md"
IMAGES = HERE.parent / "docs" / "images"
MARKS = ("<!-- figures of benchmarks/recipes.py -->", "<!-- end of figures -->")


@dataclass(frozen=True)
class Cell:
    """A recipe on a data set for a length in images; ``settings`` as for ``--set``."""

    recipe: str
    data: str
    images: int
    settings: tuple[str, ...] = ()
    size: tuple[int, int] | None = None


CELLS = {
    "mlp": Cell("mlp", "mnist", 2_000_000),
    "dcgan": Cell("dcgan", "mnist", 400_000),
    "dcgan-colour": Cell("dcgan", "cifar10", 400_000, size=(28, 28)),
    "digits": Cell("digits", "digits", 300_000),
    "lsgan": Cell("lsgan", "mnist", 400_000),
    "wgan": Cell("wgan", "mnist", 1_500_000),
    "wgan-gp": Cell("wgan-gp", "mnist", 600_000),
    "sngan": Cell("sngan", "mnist", 150_000),
    "r3": Cell("r3", "mnist", 200_000),
    "r3-faces": Cell("r3", str(independent.data_folder() / "faces" / "att-faces.zip"), 60_000, size=(56, 46)),
}


def train(name: str, cell: Cell, work: Path, threads: int, images: int) -> dict[str, Any]:
    """Train or resume one cell and judge its samples."""
    run, start = work / name, time.monotonic()
    if (run / "config.json").exists():
        trained = steadygan.resume(run)
    else:
        trained = steadygan.train(
            cell.data,
            recipe=cell.recipe,
            images=images,
            image_size=cell.size,
            out=run,
            set=[f"threads={threads}", *cell.settings],
        )
    row: dict[str, Any] = {
        "recipe": cell.recipe,
        "data": Path(cell.data).name,
        "images_seen": trained.images_seen,
        "seconds_last_sitting": round(time.monotonic() - start),
        "threads": threads,
        "capacity": trained.config.players["generator"].network.capacity,
        "seed": trained.config.seed,
    }
    if cell.data == "mnist":
        judge = independent.load_judge()
        reference = gaussian_statistics(independent.look(judge, independent.real_chunks("test"))[0])
        row |= independent.figures(judge, trained.samples(10_000, seed=1), reference)
    return row


def table(results: dict[str, Any]) -> str:
    """The figures as Markdown, a grid under them for every cell."""
    lines = [
        "| recipe | data | images seen | capacity | top probability | smallest class | distance |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results.values():
        judged = [f"{row[key]:.3g}" if key in row else "–" for key in ("top_probability", "smallest_class", "frechet")]
        cells = [f"`{row['recipe']}`", row["data"], f"{row['images_seen']:,}", str(row["capacity"]), *judged]
        lines.append(f"| {' | '.join(cells)} |")
    for name, row in results.items():
        lines += ["", f"`{row['recipe']}` on {row['data']}, {row['images_seen']:,} images:", ""]
        lines.append(f"![Samples of the recipe {row['recipe']} on {row['data']}](images/recipe-{name}.png)")
    return "\n".join(lines)


def write_table(results: dict[str, Any]) -> None:
    """Put the figures between the two marks of the docs page."""
    text = PAGE.read_text()
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    ordered = {name: results[name] for name in CELLS if name in results}
    write_file(PAGE, f"{before}{MARKS[0]}\n\n{table(ordered)}\n\n{MARKS[1]}{after}")


def main() -> None:
    """Run the cells that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=CELLS, default=list(CELLS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    if chosen.table:
        write_table(json.loads(RESULTS.read_text()))
        return
    work = HERE / "runs" / ("recipes-quick" if chosen.quick else "recipes")
    for name in chosen.only:
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        if name in results and not chosen.quick:
            continue
        cell = CELLS[name]
        images = cell.images // 100 if chosen.quick else cell.images
        row = train(name, cell, work, chosen.threads, images)
        print(name, json.dumps(row), flush=True)
        if not chosen.quick:
            IMAGES.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(work / name / "samples.png", IMAGES / f"recipe-{name}.png")
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            write_file(RESULTS, json.dumps(results | {name: row}, indent=1) + "\n")


if __name__ == "__main__":
    main()
