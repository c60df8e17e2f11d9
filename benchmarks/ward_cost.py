"""What health costs of the round time: rounds with health watching over rounds with health off, in turns.

Called by ``python benchmarks/ward.py --cost``. Two runs of the same seed, one in the mode ``watch`` and one ``off``,
play blocks in turn in one process; a block is as long as the time from one check-up to the next, so that each has one.
Both play the same bits, so the ratio of the two times is the cost. ``mend`` decides by the same signals and costs the
same until it acts. Measure on a quiet machine.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import ward_judge
from ward_report import bootstrap_median

import steadygan.api
from steadygan.game.loop import loop
from steadygan.runtime import devices
from steadygan.runtime.folder import RunFolder
from steadygan.runtime.storage import write_file
from steadygan.session.running import Run

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "ward-cost.json"
CASES = {"digits": ("digits", "digits"), "dcgan": ("mnist", "dcgan"), "r3": ("mnist", "r3")}
"""Data and recipe at their own size and length: the default settings."""
PAIRS, THREADS = 12, 1


def planned(data: str, recipe: str, mode: str) -> steadygan.api.Plan:
    """The plan of a run with default settings."""
    folder = ward_judge.data_config(data).folder
    given = [f"threads={THREADS}", f"health.mode={mode}", *([f"data.folder={folder}"] if folder else [])]
    return steadygan.api.plan(data, recipe=recipe, set=given)


def block_rounds(plan: steadygan.api.Plan) -> int:
    """Rounds from one check-up to the next."""
    config = plan.config
    drawn = config.batch * max(player.steps for player in config.players.values())
    return max(2, round(config.health.every / drawn))


def started(plan: steadygan.api.Plan, place: Path) -> Run:
    """A run of the plan in a folder of its own, ready to play."""
    folder = RunFolder(place)
    folder.create(plan.config.model_dump_json())
    run = Run(folder, plan.config, plan.data)
    # as a run does before its first round: the pace is measured from here
    run._marks = [(time.monotonic(), 0)]
    return run


def played(run: Run) -> Iterator[None]:
    """Rounds of a run with its records, check-ups and best averages; pictures and checkpoints are left out."""
    for record in loop(run.state, run.wired.moves, run.wired.draw):
        run._attend(record)
        yield


def measure(data: str, recipe: str, pairs: int) -> dict[str, Any]:
    """Seconds of the blocks of both runs, and their ratio: of the sums, and the median of the pairs."""
    plans = {mode: planned(data, recipe, mode) for mode in ("watch", "off")}
    count = block_rounds(plans["watch"])
    times: dict[str, list[float]] = {mode: [] for mode in plans}
    with tempfile.TemporaryDirectory() as place, devices.computing(THREADS, deterministic=True):
        rounds = {mode: played(started(plan, Path(place) / mode)) for mode, plan in plans.items()}
        for pair in range(pairs + 1):
            for mode in list(plans) if pair % 2 else list(plans)[::-1]:
                start = time.perf_counter()
                for _ in range(count):
                    next(rounds[mode])
                if pair:  # the first block measures the real set, which is done once a run
                    times[mode].append(time.perf_counter() - start)
    ratios = [on / off for on, off in zip(times["watch"], times["off"], strict=True)]
    low, high = bootstrap_median(ratios)
    return {
        "data": data,
        "pairs": pairs,
        "rounds_a_block": count,
        "threads": THREADS,
        "load": round(os.getloadavg()[0], 2),
        "milliseconds_a_round": round(1000 * statistics.median(times["off"]) / count, 3),
        "cost_of_the_sums": round(sum(times["watch"]) / sum(times["off"]) - 1, 4),
        "cost": round(statistics.median(ratios) - 1, 4),
        "interval": [round(low - 1, 4), round(high - 1, 4)],
    }


def measure_all(quick: bool) -> None:
    """Measure every case, saving after each; a quick look is kept among the work files."""
    out = ward_judge.WORK / "cost-quick.json" if quick else RESULTS
    cells: dict[str, Any] = {}
    for recipe, (data, name) in list(CASES.items())[: 1 if quick else None]:
        cells[recipe] = measure(data, name, 3 if quick else PAIRS)
        print(recipe, json.dumps(cells[recipe]), flush=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_file(out, json.dumps({"torch": torch.__version__, "cells": cells}, indent=1) + "\n")
