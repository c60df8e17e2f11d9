"""Every family of the field on real data: what it gives, beside what it should.

    python benchmarks/families.py --list
    python benchmarks/families.py --jobs 2              everything that the results file lacks
    python benchmarks/families.py --only info-gan       one exam, or several
    python benchmarks/families.py --quick               short runs that keep nothing in the repository
    python benchmarks/families.py --table               the figures into docs/families.md

An exam trains a family with its recipe and measures it, from several seeds; exams are listed in the ``family_*.py``
beside this file. A seed of an exam is a line of ``benchmarks/results/families.jsonl``; a stopped pass goes on where it
was. Every run has one thread. Digits are judged by the independent LeNet of ``judge.py``.
"""

from __future__ import annotations

import os

# Before torch is imported, here and in every process that this one starts.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import importlib
import json
import multiprocessing
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from family_exam import Exam, Figure

from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
RESULTS, WORK = HERE / "results" / "families.jsonl", HERE / "runs" / "families"
PAGE = HERE.parent / "docs" / "families.md"
MARKS = ("<!-- figures of benchmarks/families.py -->", "<!-- end of families.py -->")
MODULES = ("family_classes", "family_encoders", "family_growth", "family_variety", "family_ring")
QUICK = 0.02
"""Share of the images of every run in a quick pass."""


def exams() -> dict[str, Exam]:
    """Every exam by name."""
    present = [name for name in MODULES if (HERE / f"{name}.py").is_file()]
    return {exam.name: exam for name in present for exam in importlib.import_module(name).EXAMS}


def sit(name: str, seed: int, scale: float, work: Path) -> dict[str, Any]:
    """One seed of an exam; its line of the results."""
    torch.set_num_threads(1)
    place = work / f"{name}-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    start, busy = time.monotonic(), time.process_time()
    figures = exams()[name].run(seed, place, scale)
    spent = {"seconds": round(time.monotonic() - start, 1), "processor_seconds": round(time.process_time() - busy, 1)}
    shutil.rmtree(place, ignore_errors=True)
    rounded = {key: None if value is None else float(f"{value:.6g}") for key, value in figures.items()}
    return {"exam": name, "seed": seed, "figures": rounded, **spent}


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a results file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.is_file() else []


def conduct(names: Sequence[str], jobs: int, scale: float, results: Path) -> None:
    """Sit every seed that the results lack, the first seed of all exams before the second of any."""
    done = {(row["exam"], row["seed"]) for row in read(results)}
    known = exams()
    missing = [
        (name, seed)
        for seed in range(max(known[name].seeds for name in names))
        for name in names
        if seed < known[name].seeds and (name, seed) not in done
    ]
    results.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(sit, name, seed, scale, WORK): (name, seed) for name, seed in missing}
        for future in as_completed(waiting):
            try:
                row = future.result()
            except Exception as error:  # one exam's fault must not take the others with it; it is told and not kept
                print(f"{waiting[future]} failed: {type(error).__name__}: {error}"[:300], flush=True)
                continue
            with results.open("a") as file:
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
            told = "  ".join(f"{key} {value}" for key, value in row["figures"].items())
            print(f"{row['exam']:24} seed {row['seed']}  {row['seconds']:5.0f} s  {told}", flush=True)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The figures as a table in Markdown: median and range over seeds, beside the goal."""
    lines = [
        "| family | data | images seen | seeds | minutes | figure | median (range) | goal or published | met |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for exam in exams().values():
        mine = [row for row in rows if row["exam"] == exam.name]
        if not mine:
            lines.append(f"| {exam.family} | {exam.data} | {exam.images:,} | 0 | – | – | not run | – | – |")
            continue
        minutes = statistics.median(row["processor_seconds"] for row in mine) / 60
        head = f"| {exam.family} | {exam.data} | {exam.images:,} | {len(mine)} | {minutes:.1f} "
        for figure in exam.figures:
            values = [row["figures"][figure.name] for row in mine if row["figures"].get(figure.name) is not None]
            lines.append(head + _cells(figure, values))
            head = "| | | | | "
    return "\n".join(lines)


def _cells(figure: Figure, values: Sequence[float]) -> str:
    if not values:
        return f"| {figure.meaning} | – | {figure.goal or '–'} | {'–' if figure.bound is None else 'no'} |"
    middle, low, high = statistics.median(values), min(values), max(values)
    shown = f"{middle:.4g}" + (f" ({low:.4g} to {high:.4g})" if len(values) > 1 else "")
    judged = (high if figure.higher else low) if figure.best else middle
    met = "–"
    if figure.bound is not None:
        met = "yes" if (judged >= figure.bound if figure.higher else judged <= figure.bound) else "no"
    return f"| {figure.meaning} | {shown} | {figure.goal or '–'} | {met} |"


def write_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Put the table between its marks in the page."""
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    write_file(PAGE, f"{before}{MARKS[0]}\n\n{table(rows)}\n\n{MARKS[1]}{after}".encode())


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing, or do what was asked for instead; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--only", nargs="*", metavar="EXAM", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args(arguments)
    known = exams()
    if wrong := [name for name in options.only if name not in known]:
        parser.error(f"no exam {wrong[0]}; known: {', '.join(known)}")
    if options.list:
        for exam in known.values():
            print(f"{exam.name:24} {exam.seeds} seeds  {exam.images:>9,} images  {exam.family} on {exam.data}")
    elif options.table:
        write_table(read(RESULTS))
    else:
        results = WORK / "quick.jsonl" if options.quick else RESULTS
        results.unlink(missing_ok=True) if options.quick else None
        conduct(options.only or list(known), options.jobs, QUICK if options.quick else 1.0, results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
