"""Runs of every recipe, shot with SIGKILL again and again and resumed, against runs that were never stopped.

    python benchmarks/kills.py                50 kills, two runs at a time; goes on where it was stopped itself
    python benchmarks/kills.py --kills 8      fewer, to try it

Each recipe plays a tiny run on the digits through the command line. It is killed at moments drawn at random: of five
kills one falls anywhere from the start of the process on, two while it trains, and two while a checkpoint is being
written (a temporary folder is there). When the run has had its share of kills it is resumed once more to its end. Then
every byte of its newest checkpoint (weights, averages, optimizers, all other state), of its files of lines and of its
sample grids is compared with the run that was never stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from steadygan.recipes import RECIPES
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
WORK = HERE / "runs" / "kills"
SETTINGS = (
    "batch=8", "images=3200", "sample_count=4", "record_every=80", "sample_every=800", "checkpoint_every=80",
    "generator.network.capacity=4", "discriminator.network.capacity=4", "latent.size=8",
)  # fmt: skip
NARROW = {"mlp": ("generator.network.hidden=[8]", "discriminator.network.hidden=[8]")}
AIMS = ("anywhere", "training", "checkpoint", "training", "checkpoint")
LINES = ("records.jsonl", "events.jsonl", "metrics.jsonl")


def launch(arguments: list[str]) -> subprocess.Popen[bytes]:
    """The command line in a process of its own, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "steadygan", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def train(recipe: str, run: Path) -> subprocess.Popen[bytes]:
    """A new run, or an old one resumed."""
    if (run / "config.json").exists():
        return launch(["resume", str(run)])
    shutil.rmtree(run, ignore_errors=True)
    given = [part for text in (*SETTINGS, *NARROW.get(recipe, ())) for part in ("--set", text)]
    return launch(["train", "digits", "--recipe", recipe, "--threads", "1", "--out", str(run), *given])


def sittings(run: Path) -> int:
    """How often the run has been taken up."""
    try:
        return len(json.loads((run / "environment.json").read_text())["sittings"])
    except (OSError, ValueError):
        return 0


def checkpoints(run: Path) -> list[str]:
    """Names in the folder of checkpoints, the hidden ones of unfinished writes among them."""
    try:
        return sorted(os.listdir(run / "checkpoints"))
    except OSError:
        return []


def writing(run: Path) -> bool:
    """Whether a checkpoint is being written."""
    return any(name.endswith(".partial") for name in checkpoints(run))


def wait_for(process: subprocess.Popen[bytes], happens: Callable[[], bool]) -> bool:
    """Until it happens or the process ends; whether it happened."""
    while process.poll() is None:
        if happens():
            return True
        time.sleep(0.0002)
    return False


def kill_once(recipe: str, run: Path, aim: str, span: float, chance: random.Random) -> dict[str, Any] | None:
    """Start or resume the run and shoot it; None where it came to its end first."""
    before, launched = sittings(run), time.monotonic()
    process = train(recipe, run)
    moment = launched + chance.uniform(0.1, 4.0)
    if aim == "anywhere":
        wait_for(process, lambda: time.monotonic() > moment)
    elif wait_for(process, lambda: sittings(run) > before):
        time.sleep(chance.uniform(0, span))
        if aim == "checkpoint":
            wait_for(process, lambda: writing(run))
    process.kill()
    told = process.communicate()[0].decode(errors="replace")
    if process.returncode == 0:
        return None
    if process.returncode != -9:
        raise SystemExit(f"{recipe} ended by itself with {process.returncode}:\n{told}")
    whole = [name for name in checkpoints(run) if not name.startswith(".")]
    phase = "checkpoint" if writing(run) else "training" if sittings(run) > before else "start"
    return {"recipe": recipe, "aim": aim, "during": phase, "newest": whole[-1] if whole else "none"}


def contents(run: Path) -> dict[str, bytes]:
    """All that has to be the same, by name."""
    newest = [name for name in checkpoints(run) if not name.startswith(".")][-1]
    files = [*(run / "checkpoints" / newest).iterdir(), *(run / "samples").iterdir(), *(run / name for name in LINES)]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def finish(recipe: str, run: Path) -> float:
    """Take the run to its end; seconds."""
    start = time.monotonic()
    process = train(recipe, run)
    told = process.communicate()[0].decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"{recipe} failed with {process.returncode}:\n{told}")
    return time.monotonic() - start


def one(recipe: str, wanted: int, number: int) -> dict[str, Any]:
    """A recipe's kills and the comparison at the end."""
    folder, chance = WORK / f"{recipe}-{number}", random.Random(f"{recipe} {number}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seconds = finish(recipe, folder / "never")
    kills: list[dict[str, Any]] = []
    for turn in range(3 * wanted):
        if len(kills) == wanted:
            break
        aim = AIMS[(turn + list(RECIPES).index(recipe)) % len(AIMS)]
        kill = kill_once(recipe, folder / "killed", aim, max(0.1, seconds / wanted / 2), chance)
        if kill is None:
            break
        kills.append(kill)
    finish(recipe, folder / "killed")
    never, killed = contents(folder / "never"), contents(folder / "killed")
    differ = sorted(name for name in never.keys() | killed.keys() if never.get(name) != killed.get(name))
    size = sum(map(len, never.values()))
    return {"recipe": recipe, "number": number, "kills": kills, "files": len(never), "bytes": size, "differ": differ}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The totals that the documentation shows."""
    kills = [kill for run in runs for kill in run["kills"]]
    during = {phase: sum(kill["during"] == phase for kill in kills) for phase in ("start", "training", "checkpoint")}
    return {
        "command": "python benchmarks/kills.py",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "kills": len(kills),
        "during": during,
        "runs": len(runs),
        "runs_that_differ": sum(bool(run["differ"]) for run in runs),
        "by_recipe": {name: sum(len(r["kills"]) for r in runs if r["recipe"] == name) for name in RECIPES},
        "detail": runs,
    }


def main() -> None:
    """Kill until the number is reached; what is done stays done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "kills.json")
    options = parser.parse_args()
    runs: list[dict[str, Any]] = json.loads(options.out.read_text())["detail"] if options.out.exists() else []
    share = max(1, -(-options.kills // len(RECIPES)))

    def keep(done: dict[str, Any]) -> None:
        runs.append(done)
        runs.sort(key=lambda run: (run["number"], list(RECIPES).index(run["recipe"])))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_file(options.out, json.dumps(summary(runs), indent=1) + "\n")
        print(
            f"{done['recipe']}: {len(done['kills'])} kills, {done['files']} files, differ: {done['differ'] or 'none'}"
        )

    for number in range(10):
        done = {run["recipe"] for run in runs if run["number"] == number}
        left = options.kills - sum(len(run["kills"]) for run in runs)
        names = [name for name in RECIPES if name not in done][: max(0, -(-left // share))]
        with ThreadPoolExecutor(options.processes) as pool:
            for result in pool.map(lambda name, number=number: one(name, share, number), names):
                keep(result)
    totals = summary(runs)
    print(f"{totals['kills']} kills ({totals['during']}), {totals['runs_that_differ']} of {totals['runs']} runs differ")
    sys.exit(1 if totals["runs_that_differ"] else 0)


if __name__ == "__main__":
    main()
