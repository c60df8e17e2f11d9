"""What our metrics cost beside other ways to the same number, on the same features, in one run.

    python benchmarks/metrics_speed.py --threads 1     10,000 x 2048 features; a few minutes; keeps what is there
    python benchmarks/metrics_speed.py --quick         a few seconds at 400 x 64; keeps nothing in the repository
    python benchmarks/metrics_speed.py --only neighbours-large     the memory of ours at 50,000 x 256

Every way runs in a process of its own, ``--repeats`` times in turn with its rivals, held to the same ``--threads``
cores, so that nobody gains by taking more. ``wall`` and ``cpu`` are the least seconds over the repeats, without start,
imports and reading; ``memory`` is the rise of the peak resident memory over that before the call, in MiB. A way whose
library is missing is left out and said. On a busy machine trust ``cpu``.

The features are those of 256 latent factors and noise of each feature's own, cut off at 0 as networks give them; both
sides differ in mean and scale. ``frechet-hard`` has a spectrum that falls to nothing, for which the fast way is not
exact enough and ours takes singular values. Fréchet distances start from means and covariances. ``scipy``: the trace of
``sqrtm``; ``torch-eigvals``: the roots of the eigenvalues of the product, as torchmetrics; ``numpy-eigvals``: as
torch-fidelity. Kernel distances: ours over all pairs, others' over 100 subsets of 1,000.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics
from steadygan.evaluation.kernel import kernel_distance, kernel_distance_subsets
from steadygan.evaluation.neighbours import neighbour_scores
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
Arrays = dict[str, np.ndarray[Any, Any]]
LARGE = (50_000, 256)


def make(folder: Path, count: int, width: int, name: str) -> Path:
    """Features of both sides, with their means and covariances, as a file of arrays."""
    path = folder / f"features-{name}.npz"
    generator = torch.Generator().manual_seed(0)
    factors = width if name == "hard" else 256
    mixing = torch.randn(factors, width, generator=generator) / factors**0.5
    if name == "hard":
        mixing *= torch.arange(1, factors + 1).pow(-0.5)[:, None]
    real = torch.randn(count, factors, generator=generator) @ mixing
    fake = 1.1 * torch.randn(count, factors, generator=generator) @ mixing + 0.02
    if name != "hard":
        real, fake = ((each + 0.7 * torch.randn(each.shape, generator=generator) - 0.5).relu() for each in (real, fake))
    arrays = {"real": real.numpy(), "fake": fake.numpy()}
    if name != "large":
        for side, rows in (("real", real), ("fake", fake)):
            mean, covariance = gaussian_statistics(rows)
            arrays |= {f"{side}_mean": mean.numpy(), f"{side}_covariance": covariance.numpy()}
    np.savez(path, **arrays)
    return path


def rest(arrays: Arrays) -> float:
    """All of the Fréchet distance but the trace of the root."""
    step = arrays["real_mean"] - arrays["fake_mean"]
    return float(step @ step + arrays["real_covariance"].trace() + arrays["fake_covariance"].trace())


def frechet_ours(arrays: Arrays) -> float:
    """This package."""
    names = ("real_mean", "real_covariance", "fake_mean", "fake_covariance")
    return frechet_distance(*(torch.from_numpy(arrays[name]) for name in names))


def frechet_scipy(arrays: Arrays) -> float:
    """The root of the product of the covariances."""
    linalg = importlib.import_module("scipy.linalg")
    root = linalg.sqrtm(arrays["real_covariance"] @ arrays["fake_covariance"])
    return rest(arrays) - 2.0 * float(root.trace().real)


def frechet_torch(arrays: Arrays) -> float:
    """The eigenvalues of the product of the covariances, by torch."""
    product = torch.from_numpy(arrays["real_covariance"]) @ torch.from_numpy(arrays["fake_covariance"])
    return rest(arrays) - 2.0 * float(torch.linalg.eigvals(product).sqrt().real.sum())


def frechet_numpy(arrays: Arrays) -> float:
    """The same by numpy."""
    values = np.linalg.eigvals(arrays["real_covariance"] @ arrays["fake_covariance"])
    return rest(arrays) - 2.0 * float(np.sqrt(values.astype(complex)).real.sum())


def sides(arrays: Arrays) -> tuple[torch.Tensor, torch.Tensor]:
    """Both sides' features."""
    return torch.from_numpy(arrays["real"]), torch.from_numpy(arrays["fake"])


def neighbours_ours(arrays: Arrays) -> list[float]:
    """This package."""
    return list(neighbour_scores(*sides(arrays))[:4])


def neighbours_prdc(arrays: Arrays) -> list[float]:
    """The prdc package."""
    found = importlib.import_module("prdc").compute_prdc(arrays["real"], arrays["fake"], 5)
    return [float(found[name]) for name in ("precision", "recall", "density", "coverage")]


def kernel_ours(arrays: Arrays) -> list[float]:
    """This package, all pairs: the value and its standard error."""
    return list(kernel_distance(*sides(arrays))[:2])


def subset_size(arrays: Arrays) -> int:
    """The customary 1,000, or fewer where there are not as many."""
    return min(1000, len(arrays["real"]))


def kernel_ours_subsets(arrays: Arrays) -> float:
    """This package, subsets."""
    return kernel_distance_subsets(*sides(arrays), size=subset_size(arrays))[0]


def kernel_subsets(arrays: Arrays) -> float:
    """The customary subsets in the features' own type: the least of what the known tools do, in numpy as theirs."""
    source, size, total = np.random.default_rng(0), subset_size(arrays), 0.0
    for _ in range(100):
        x, y = (arrays[side][source.choice(len(arrays[side]), size, replace=False)] for side in ("real", "fake"))
        within = [(each @ each.T / x.shape[1] + 1) ** 3 for each in (x, y)]
        between = (x @ y.T / x.shape[1] + 1) ** 3
        total += sum(float(each.sum() - each.trace()) for each in within) / (size * (size - 1))
        total -= 2 * float(between.mean())
    return total / 100


WAYS: dict[str, dict[str, Callable[[Arrays], Any]]] = {
    "frechet": {
        "ours": frechet_ours,
        "scipy": frechet_scipy,
        "torch-eigvals": frechet_torch,
        "numpy-eigvals": frechet_numpy,
    },
    "frechet-hard": {"ours": frechet_ours, "scipy": frechet_scipy, "torch-eigvals": frechet_torch},
    "neighbours": {"ours": neighbours_ours, "prdc": neighbours_prdc},
    "kernel": {"ours": kernel_ours, "subsets": kernel_subsets, "ours-subsets": kernel_ours_subsets},
    "neighbours-large": {"ours": neighbours_ours},
}


def peak(forget: bool = False) -> float:
    """The highest resident memory so far, MiB; ``forget`` lets it begin anew at what is resident now (Linux)."""
    if forget:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def play(task: str, way: str, file: Path, threads: int) -> None:
    """One way, in this process; prints what was measured as JSON."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    torch.set_num_threads(threads)
    try:
        if way == "prdc":
            importlib.import_module("prdc")
        if way == "scipy":
            importlib.import_module("scipy.linalg")
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    with np.load(file) as stored:
        needed = [name for name in stored if ("_" in name) == task.startswith("frechet")]
        arrays = {name: stored[name] for name in needed}
    before, wall, cpu = peak(forget=True), time.perf_counter(), time.process_time()
    value = WAYS[task][way](arrays)
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"value": value, "wall": seconds[0], "cpu": seconds[1], "memory": peak() - before}))


def child(task: str, way: str, file: Path, threads: int) -> dict[str, Any]:
    """One way in a process of its own, with that many threads for every library."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    command = [sys.executable, __file__, "--play", task, way, str(file), "--threads", str(threads)]
    done = subprocess.run(
        command, env=os.environ | {name: str(threads) for name in names}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def run_task(task: str, file: Path, threads: int, repeats: int) -> dict[str, Any]:
    """All ways of a task in turn; the least times, and how many times ours each takes."""
    load = os.getloadavg()[0]
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS[task]}
    for _ in range(repeats):
        for way in found:
            found[way].append(child(task, way, file, threads))
            print(f"  {task} {way}: {json.dumps(found[way][-1])}", flush=True)
    rows: dict[str, Any] = {}
    for way, runs in found.items():
        if "value" not in runs[0]:
            rows[way] = runs[0]
            continue
        rows[way] = {"value": runs[0]["value"], "memory": round(statistics.median(run["memory"] for run in runs), 1)}
        rows[way] |= {clock: round(min(run[clock] for run in runs), 3) for clock in ("wall", "cpu")}
    ours = rows["ours"]
    for row in rows.values():
        if row is not ours and "value" in row and "value" in ours:
            row["times_ours"] = {clock: round(row[clock] / max(ours[clock], 1e-9), 2) for clock in ("wall", "cpu")}
            row["memory_times_ours"] = round(row["memory"] / max(ours["memory"], 1.0), 2)
    return {"ways": rows, "load_before": round(load, 2), "repeats": repeats}


def main(arguments: list[str] | None = None) -> None:
    """Measure what the results file lacks, saving after every task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(WAYS), default=[task for task in WAYS if "large" not in task])
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--play", nargs=3, metavar=("TASK", "WAY", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.play:
        play(given.play[0], given.play[1], Path(given.play[2]), given.threads)
        return
    count, width, repeats = (400, 64, 1) if given.quick else (given.count, given.width, given.repeats)
    name = "metrics_speed-quick.json" if given.quick else "metrics_speed.json"
    out = given.out or HERE / ("runs" if given.quick else "results") / name
    cells: dict[str, Any] = json.loads(out.read_text())["cells"] if out.exists() else {}
    for task in given.only:
        rows, columns = LARGE if "large" in task and not given.quick else (count, width)
        key = f"{task}/{rows} x {columns}/{given.threads} threads"
        if key not in cells or given.again or given.quick:
            (HERE / "runs").mkdir(exist_ok=True)
            file = make(HERE / "runs", rows, columns, task.partition("-")[2] or "plain")
            cells[key] = run_task(task, file, given.threads, repeats)
            file.unlink()
            out.parent.mkdir(parents=True, exist_ok=True)
            write_file(out, json.dumps({"torch": torch.__version__, "cells": cells}, indent=1))
        print(key, json.dumps(cells[key]["ways"], indent=1), flush=True)


if __name__ == "__main__":
    main()
