"""Games played by one process or by several, for their trajectories to be compared.

Run as ``python playing.py JOBS.json OUT`` by every process of a group; what rank k found lies in ``OUT.k``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__)
TINY = ("batch=8", "images=96", "threads=1", "record_every=8", "latent.size=8", "precision=float64", "health.mode=off")
RUN = ("sample_count=4", "sample_every=48", "checkpoint_every=16", "keep=100", "health.every=16", "health.count=16")
NARROW = {"mlp": ("generator.network.hidden=[8]", "discriminator.network.hidden=[8]")}


def group(count: int, *arguments: str, patience: float = 60.0, environment: dict[str, str] | None = None) -> Any:
    """``count`` processes of ``python ...`` that find each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    common |= {"MASTER_PORT": str(port), "STEADYGAN_PATIENCE": str(patience), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for rank in range(count)
    ]


def ended(processes: Sequence[Any], limit: float = 200.0) -> list[tuple[int, str]]:
    """Exit status and words of each; those that are still there after ``limit`` seconds are ended."""
    deadline, found = time.monotonic() + limit, []
    try:
        for process in processes:
            words, _ = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
            found.append((process.returncode, words))
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return found


def settled(recipe: str, given: Sequence[str], sicken: str = "") -> tuple[Any, Any]:
    """A tiny run on the digits, and these."""
    from steadygan import recipes
    from steadygan.config import DataConfig
    from steadygan.data.sources import open_data
    from steadygan.health.illnesses import sicken_config
    from steadygan.recipes.facts import DataFacts
    from steadygan.session import planning, settings
    from steadygan.session.wiring import prepare

    data = open_data(DataConfig())
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    small = planning.with_capacity(recipes.build(recipe, facts), 4)
    config = settings.apply(small, [*TINY, *NARROW.get(recipe, ()), *given])
    config = sicken_config(sicken, prepare(config, data)).model_copy(update={"sicken": sicken})
    return planning.settle(config), data


def trajectory(recipe: str, given: Sequence[str]) -> dict[str, Any]:
    """What a game is after its rounds: every tensor of players and memory, and every record."""
    from steadygan.game.loop import loop
    from steadygan.runtime import shards
    from steadygan.session.wiring import wire

    wired = wire(*settled(recipe, given))
    state, records = wired.state, []
    for record in loop(state, wired.moves, wired.draw):
        for one in state.companions.values():
            for order in one.read(record, state.controls):
                state.obey(order)
        records.append(record.line())
    tensors = {f"{name}/{key}": v for name, player in state.players.items() for key, v in player.state_dict().items()}
    tensors |= {f"average/{key}": value for key, value in state.averages["generator"].state_dict().items()}
    tensors |= {f"memory/{name}": value for name, value in state.memory.items()}
    tensors = {name: shards.full(tensor).detach().clone() for name, tensor in tensors.items()}
    rows = {name: [one.numel() for one in shards.local(list(p.parameters()))] for name, p in state.players.items()}
    return {"tensors": tensors, "records": records, "rows": rows}


def whole_run(path: str, recipe: str, given: Sequence[str], sicken: str, wishes: dict[str, Any]) -> dict[str, Any]:
    """A run in its folder, from where it stands to its end."""
    from steadygan.game import checkpoint
    from steadygan.health.illnesses import sicken_data
    from steadygan.report import outputs
    from steadygan.runtime import shards
    from steadygan.runtime.folder import RunFolder
    from steadygan.session import keeping
    from steadygan.session.running import Run
    from steadygan.session.watching import Silent

    class Person(Silent):
        def record(self, line: Any, pace: Any, health: str) -> None:
            if wish := wishes.pop(str(line["images_seen"]), None):
                RunFolder(Path(path)).append("wishes.jsonl", {"id": str(line["images_seen"])} | wish)

    # reports, flushing and pictures have tests of their own, and take longer than these runs
    left_out = ((outputs, "finish"), (keeping, "finish"), (os, "fsync"))
    folder = RunFolder(Path(path))
    config, data = settled(recipe, (*RUN, *given), sicken)
    if not (folder.path / "config.json").exists():
        folder.create(config.model_dump_json(indent=1))
    run = Run(folder, config, sicken_data(sicken, data, config.seed), Person())
    with contextlib.ExitStack() as stack:
        for place, name in left_out:
            stack.enter_context(mock.patch.object(place, name))
        run.conduct()
    tensors: dict[str, Any] = {}
    tree = shards.whole(run.state.state_dict())
    # what check-ups leave for each other is kept by the process that examines
    tree["companions"] = {}
    plain = checkpoint.flatten(tree, "", tensors)
    return {"tensors": {name: one.detach().clone() for name, one in tensors.items()}, "plain": json.dumps(plain)}


def cut(run: str, to: str, keep: int) -> None:
    """Copy a run as it stood with its ``keep`` oldest checkpoints, as a kill would leave it."""
    from steadygan.game import checkpoint

    shutil.copytree(run, to)
    for newer in checkpoint.listed(Path(to) / "checkpoints")[:-keep]:
        shutil.rmtree(newer)


def play(job: dict[str, Any]) -> dict[str, Any]:
    """One job: what came of it, or the words of the error."""
    from steadygan.errors import SteadyganError
    from steadygan.runtime import agreement

    try:
        if "cut" in job:
            agreement.lead(lambda: cut(job["cut"], job["path"], 3))
        if "path" in job:
            return whole_run(job["path"], job["recipe"], job["given"], job.get("sicken", ""), job.get("wishes", {}))
        return trajectory(job["recipe"], job["given"])
    except SteadyganError as error:
        return {"error": str(error)}


def main(jobs: str, out: str) -> None:
    """Play all jobs and keep what came of them."""
    import torch

    from steadygan.runtime import processes, shards

    torch.set_num_threads(1)
    processes.join()
    found = {}
    for name, job in json.loads(Path(jobs).read_text()).items():
        shards.PIECE = job.get("piece", shards.PIECE)
        own = job.get("only", {}).get(str(processes.rank()), [])
        found[name] = play(job | {"given": [*job["given"], *own]})
    torch.save(found, f"{out}.{processes.rank()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
