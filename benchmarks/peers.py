"""Peers, side by side: other people's GAN trainers and ours, on the same machine in the same minutes.

    python benchmarks/peers.py --bring                          how to get the peers (none of their code is kept here)
    python benchmarks/peers.py --speed --threads 2 4            every cell that the results file lacks
    python benchmarks/peers.py --quality --threads 1 --seeds 1
    python benchmarks/peers.py --table                          docs/peers.md anew
    python benchmarks/peers.py --table                          docs/peers.md anew
    python benchmarks/peers.py --quick                          does it run? half a minute; keeps nothing

``--speed``: the full round at equal networks. The peer plays its own loop or its own training step; our engine plays
the very same networks (``module:function`` in its config), with the peer's batch, precision, loss, penalties,
optimizers and steps a round. Both are processes of their own and take turns in blocks; a ratio is taken for each pair
of neighbouring blocks. Parameters are counted and must be equal within 1 %.

``--quality``: seconds of the processor and by the wall to a Fréchet distance in the judge's features (``judge.py``) on
MNIST. Everybody plays by own defaults; ours are ``steadygan train mnist --minutes M`` with nothing else. A peer's clock
starts with its first image, ours before planning. 2,000 samples are judged at times that grow by a fifth, clocks held.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from overhead import spread
from peers_gate import JUDGED, Lead, Played, Setup, led
from peers_players import BATCH, GAMES, PLAYERS, play

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "peers.jsonl"
TOLERANCE = 0.01
FIRST_LOOK, GROWTH = 8.0, 1.2
OURS = ("default", "dcgan")
THEIRS = ("examples", "PyTorch-GAN", "torchgan")

REPOSITORIES = {
    "examples": ("https://github.com/pytorch/examples", "77f55b912142e11fcfdf5b530231fb9c52f181e8"),
    "PyTorch-GAN": ("https://github.com/eriklindernoren/PyTorch-GAN", "36d3c77e5ff20ebe0aeefd322326a134a279b93e"),
    "torchgan": ("https://github.com/torchgan/torchgan", "fe86d7cf6cac9b6676aa43b56eabc6b4d583bbcf"),
    "mimicry": ("https://github.com/kwotsin/mimicry", "a7fda06c4aff1e6af8dc4c4a35ed6636e434c766"),
    "GAN_stability": ("https://github.com/LMescheder/GAN_stability", "c1f64c9efeac371453065e5ce71860f4c2b97357"),
    "R3GAN": ("https://github.com/brownvc/R3GAN", "19a7ddf463fbac2bd39b4c1c73d63f1c441c7403"),
}
"""Where each peer is public, and the commit that was measured."""


class Cell(NamedTuple):
    """One measurement."""

    kind: str
    player: str
    threads: int
    seed: int = 0
    minutes: float = 0.0

    @property
    def key(self) -> str:
        """Its name in the results."""
        return "/".join(map(str, self))


def bring() -> str:
    """How to get the peers into the folder of --peers."""
    lines = [
        f"git clone {address} {name} && git -C {name} checkout -q {commit}"
        for name, (address, commit) in REPOSITORIES.items()
    ]
    return "\n".join(lines)


def check_equal(parameters: dict[str, dict[str, int]]) -> None:
    """Raise RuntimeError where two players' networks differ by more than 1 % in size."""
    ours, theirs = parameters["engine"], parameters["peer"]
    for name, count in theirs.items():
        if not count or abs(ours[name] / count - 1) > TOLERANCE:
            raise RuntimeError(f"the {name}s differ: {ours[name]:,} parameters and {count:,}")


def block(lead: Lead, count: int, before: dict[str, Played]) -> Played:
    """What the next ``count`` rounds took; ``before`` is kept up to date."""
    now, then = lead.play("rounds", count), before[lead.name]
    before[lead.name] = now
    return Played(now.wall - then.wall, now.cpu - then.cpu, now.rounds - then.rounds, now.images - then.images)


def measure_speed(cell: Cell, options: argparse.Namespace) -> dict[str, Any]:
    """A peer and our engine in turns."""
    with tempfile.TemporaryDirectory() as place:
        setups = [setup_of(cell, options, place, player) for player in ("engine", cell.player)]
        with led(play, *setups) as leads:
            names = dict(zip(("engine", "peer"), leads, strict=True))
            first = {name: lead.ask("describe") for name, lead in names.items()}
            parameters = {name: found["parameters"] for name, found in first.items()}
            check_equal(parameters)
            before = {lead.name: Played(0.0, 0.0, 0, 0) for lead in leads}
            for lead in leads:
                block(lead, 2, before)
            slow = max(block(lead, 1, before).wall for lead in leads)
            count = max(1, round(options.seconds / slow))
            blocks = take_turns(names, count, options.pairs, before)
            memory = {name: held(lead.ask("describe"), first[name]) for name, lead in names.items()}
    return {
        "parameters": parameters["peer"],
        "same_parameters": parameters["engine"] == parameters["peer"],
        "shape": list(GAMES[cell.player].shape),
        "rounds_a_block": count,
        "pairs": options.pairs,
        "memory_mib": memory,
        **compared(blocks, count * BATCH * GAMES[cell.player].steps),
    }


def take_turns(names: dict[str, Lead], count: int, pairs: int, before: dict[str, Played]) -> dict[str, list[Played]]:
    """Blocks of both, whose order turns about."""
    blocks: dict[str, list[Played]] = {name: [] for name in names}
    for pair in range(pairs):
        for name in list(names)[:: -1 if pair % 2 else 1]:
            blocks[name].append(block(names[name], count, before))
    return blocks


def held(last: dict[str, Any], first: dict[str, Any]) -> dict[str, float]:
    """Peak memory of the process, and by how much it lies above what it held before its first round, MiB."""
    return {"peak": last["peak"], "above_start": round(last["peak"] - first["memory"], 1)}


def compared(blocks: dict[str, list[Played]], images: int) -> dict[str, Any]:
    """Images a second of both, and how many times the peer's the engine's are."""
    pairs = list(zip(blocks["engine"], blocks["peer"], strict=True))
    wall, cpu = (sum(theirs[i] for _, theirs in pairs) / sum(ours[i] for ours, _ in pairs) for i in (0, 1))
    return {
        "images_a_second": {
            name: round(images / statistics.median(one.wall for one in found), 1) for name, found in blocks.items()
        },
        "times_faster": spread([theirs.wall / ours.wall for ours, theirs in pairs]),
        "times_less_cpu": spread([theirs.cpu / ours.cpu for ours, theirs in pairs]),
        "of_totals": {"wall": round(wall, 4), "cpu": round(cpu, 4)},
    }


def measure_quality(cell: Cell, options: argparse.Namespace) -> dict[str, Any]:
    """A player alone, judged as it goes."""
    looks: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as place, led(play, setup_of(cell, options, place, cell.player)) as (lead,):
        due, played = FIRST_LOOK, Played(0.0, 0.0, 0, 0)
        while played.wall < cell.minutes * 60 * 1.2 and due <= cell.minutes * 60 * GROWTH:
            last, played = played, lead.play("seconds", max(0.01, due - played.wall))
            if played.rounds == last.rounds:
                break
            found = lead.ask("judge", JUDGED)
            looks.append(look_of(played, found))
            print(f"  {cell.player} {json.dumps(looks[-1])}", flush=True)
            due = max(due, played.wall) * GROWTH
        parameters = lead.ask("describe")["parameters"]
    return {"parameters": parameters, "looks": looks, "least": min(look["frechet"] for look in looks)}


def look_of(played: Played, found: dict[str, Any]) -> dict[str, float]:
    """Clock and figures at one look."""
    clock = {"wall": round(played.wall, 2), "cpu": round(played.cpu, 2), "images_seen": played.images}
    return clock | {name: found[name] for name in ("frechet", "top_probability", "smallest_class")}


def setup_of(cell: Cell, options: argparse.Namespace, place: str, player: str) -> Setup:
    """What the player's process is told."""
    return Setup(
        player=player,
        peer=cell.player,
        purpose=cell.kind,
        peers=str(options.peers),
        place=f"{place}/{player}",
        threads=cell.threads,
        seed=cell.seed,
        minutes=cell.minutes,
    )


def machine() -> str:
    """The processor in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def commit() -> str:
    """Our commit, with a plus where the package has been changed since."""
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "../src"], capture_output=True, check=False)
    return head.stdout.strip() + ("+" if changed.returncode == 1 else "") or "unknown"


def cells(options: argparse.Namespace) -> list[Cell]:
    """What is asked for, in the order in which it is measured."""
    found: list[Cell] = []
    for threads in options.threads:
        if options.speed:
            found += [Cell("speed", peer, threads) for peer in GAMES if not options.only or peer in options.only]
        if options.quality:
            names = [name for name in (*OURS, *THEIRS) if not options.only or name in options.only]
            for seed in range(options.seeds):
                found += [Cell("quality", name, threads, seed, options.minutes) for name in names]
    return found


def kept(path: Path) -> dict[str, dict[str, Any]]:
    """Results by cell; of a cell measured more than once, the last."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return {row["cell"]: row for row in rows}


def options_from(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=HERE / "runs" / "peers", help="where the peers' repositories lie")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--only", nargs="*", choices=[name for name in PLAYERS if name != "engine"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a block; at least one round")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5.0, help="of --quality: what everybody gets")
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--bring", action="store_true", help="print how to get the peers")
    parser.add_argument("--table", action="store_true", help="write docs/peers.md from the results")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.speed, options.pairs, options.seconds = True, 2, 0.01
        options.only, options.out, options.again = (
            ["PyTorch-GAN", "torchgan"],
            HERE / "runs" / "peers-quick.jsonl",
            True,
        )
    options.peers, options.out = options.peers.resolve(), options.out.resolve()
    return options


def measure(cell: Cell, options: argparse.Namespace) -> None:
    """One cell, kept at once."""
    load = round(os.getloadavg()[0], 2)
    found = measure_speed(cell, options) if cell.kind == "speed" else measure_quality(cell, options)
    about = {"commit": commit(), "machine": machine(), "torch": torch.__version__, "load_before": load}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"cell": cell.key, **cell._asdict(), **found, **about}) + "\n")
    shown = {key: value for key, value in found.items() if key != "looks"}
    print(cell.key, json.dumps(shown), flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure what the results file lacks, keeping every cell at once."""
    options = options_from(arguments)
    if options.bring:
        print(bring())
    there, failed = kept(options.out), 0
    for cell in cells(options):
        if cell.key in there and not options.again:
            continue
        if cell.player in REPOSITORIES and not (options.peers / cell.player).is_dir():
            print(f"{cell.player}: left out, since it is not in {options.peers} (see --bring)", flush=True)
            continue
        try:
            measure(cell, options)
        except RuntimeError as error:
            failed += 1
            print(f"{cell.key}: not measured, since {error}", flush=True)
    if options.table:
        from peers_table import write_page

        write_page(kept(options.out))
    if failed:
        raise SystemExit(f"{failed} of the cells could not be measured")


if __name__ == "__main__":
    main()
