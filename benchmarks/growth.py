"""Growth: what an image costs as images, batches, data sets and processes grow, and what many GPUs would give.

    python benchmarks/growth.py                    every point that the results lack, under ten minutes of one thread
    python benchmarks/growth.py --processes 1 2 4  the same for processes, which need as many free cores
    python benchmarks/growth.py --table            the tables of docs/growth.md from the results
    python benchmarks/growth.py --figures          the figures of docs/growth.md from the results
    python benchmarks/growth.py --quick            a few seconds; checks that it runs, keeps nothing in the repository

Each point is a fresh process with one thread that plays rounds of ``dcgan`` as a session wires them. A cost is the
median over rounds of the processor's time, not of the clock's, so that other programs on the machine count little. The
memory is the process's peak beyond what it had with everything imported. An exponent is the slope of the straight line
through all points of a curve in logarithms of both axes, by least squares.

- ``size``: images of 16x16 to 256x256, three channels, batch 16, capacity 16; with the operations that a round counts.
- ``batch``: 16 to 1,024 images of 32x32, capacity 16.
- ``rows``: memory maps of 1,000 to 1,000,000 rows of 16x16, as a run opens them; the cost of opening, of the order and
  of reading stand by themselves.
- ``processes``: one batch of 64 over all of them, two lengths of a run, by the clock.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.game.gradients import Buckets
from steadygan.game.loop import loop
from steadygan.recipes.facts import DataFacts
from steadygan.report.canvas import PillowCanvas
from steadygan.runtime import devices
from steadygan.session.planning import settle, with_capacity
from steadygan.session.wiring import Wired, prepare, wire

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent / "docs" / "images" / "growth"
CURVES: dict[str, tuple[int, ...]] = {
    "size": (16, 32, 64, 128, 256),
    "batch": (16, 32, 64, 128, 256, 512, 1024),
    "rows": (1_000, 10_000, 100_000, 1_000_000),
}
WORDS = {
    "size": "side of an image, pixels",
    "batch": "images a batch",
    "rows": "rows of the set",
    "processes": "processes",
}
COSTS = {
    "size": {"cost": "a round", "operations": "operations counted"},
    "batch": {"cost": "a round"},
    "rows": {
        "cost": "a round",
        "opening": "opening at first",
        "again": "opening again",
        "order": "order",
        "reading": "reading",
    },
    "processes": {"cost": "a round"},
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")


def random_data(shape: tuple[int, int, int], count: int) -> DataSet:
    """Random bytes in memory: what pictures show does not change what they cost."""
    rows = np.arange(count, dtype=np.int64)
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    return DataSet("random", images, None, (), rows, rows[:0], "random")


def planned(data: DataSet, batch: int, capacity: int) -> RunConfig:
    """The config of ``dcgan``, settled as ``steadygan train`` settles it."""
    facts = DataFacts(data.name, len(data.train), data.shape, 0, DataConfig(source=data.name))
    config = with_capacity(recipes.build("dcgan", facts), capacity)
    return settle(prepare(config.model_copy(update={"threads": 1, "batch": batch}), data))


def status(name: str) -> float:
    """A line of the process's own memory, in MB."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.partition(f"{name}:")[2].split()[0]) / 1024


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor that a call takes, and what it returns."""
    begun = time.process_time()
    found = call()
    return time.process_time() - begun, found


def rounds(wired: Wired, seconds: float, least: int = 3) -> float:
    """Seconds that a round takes at the median, after one of warm-up."""
    played: Iterator[Any] = loop(wired.state, wired.moves, wired.draw)
    next(played)
    found: list[float] = []
    while len(found) < least or sum(found) < seconds:
        found.append(timed(lambda: next(played))[0])
    return statistics.median(found)


def play(data: DataSet, batch: int, capacity: int, seconds: float) -> dict[str, float]:
    """What an image costs in rounds of this batch, in seconds, and the memory that this takes."""
    config = planned(data, batch, capacity)
    before = status("VmRSS")
    with devices.computing(1, deterministic=True):
        wired = wire(config, data)
        cost = rounds(wired, seconds) / batch
    return {"cost": cost, "peak_mb": status("VmHWM") - before}


def size(side: int, seconds: float, work: Path) -> dict[str, float]:
    """A point of the curve over image sizes."""
    data = random_data((3, side, side), 64)
    found = play(data, 16, 16, seconds)
    counted = counts(planned(data, 16, 16), data)
    return found | {"operations": counted["operations"] / 16, "parameters": counted["parameters"]}


def batch(count: int, seconds: float, work: Path) -> dict[str, float]:
    """A point of the curve over batches."""
    return play(random_data((3, 32, 32), 2048), count, 16, seconds)


def rows(count: int, seconds: float, work: Path) -> dict[str, float]:
    """A point of the curve over data sets: opening, order and reading by themselves, and rounds."""
    path, cache = work / f"{count}.npy", work / f"cache-{count}"
    if not path.exists():
        made = np.lib.format.open_memmap(path.with_suffix(".part"), "w+", np.uint8, (count, 16, 16))
        source = np.random.default_rng(0)
        for start in range(0, count, 50_000):
            made[start : start + 50_000] = source.integers(0, 256, made[start : start + 50_000].shape, np.uint8)
        made.flush()
        path.with_suffix(".part").rename(path)
    shutil.rmtree(cache, ignore_errors=True)
    config = DataConfig(source=str(path))
    first = fresh(_open_at_first, config, cache)
    import torch  # noqa: F401 - what it takes is no part of the figure

    own = status("RssAnon")
    again, data = timed(lambda: open_data(config, cache=cache, workers=1))
    order = data.order(0)
    drawn, _ = timed(lambda: order.epoch(0))
    # a share of an epoch is enough, since every batch lies anywhere in the map
    some = min(len(data.train) // 64, 2_000)
    read, _ = timed(lambda: [len(data.rows(order.take(64 * number, 64))) for number in range(some)])
    kept = status("RssAnon") - own
    found = play(data, 64, 16, seconds)
    shutil.rmtree(cache, ignore_errors=True)
    return {
        "cost": found["cost"],  # no peak of memory: pages of the map that the system lends would count
        "opening": first / count,
        "again": again / count,
        "order": drawn / len(data.train),
        "reading": read / (64 * some),
        "own_mb": kept,
    }


def _open_at_first(config: DataConfig, cache: Path) -> float:
    return timed(lambda: open_data(config, cache=cache, workers=1))[0]


def processes(count: int, seconds: float, work: Path) -> dict[str, float]:
    """A point of the curve over processes: the difference of a long run and a short one, by the clock."""
    took: dict[int, float] = {}
    for images in (640, 640 + 64 * max(10, int(seconds * 60))):
        with tempfile.TemporaryDirectory(dir=work) as place:
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
            command += ["-m", "steadygan", "train", "digits", "--recipe", "dcgan", "--images", str(images)]
            command += ["--out", f"{place}/run", "--health", "off", "--set", "batch=64", "--set", "threads=1"]
            command += [
                "--set",
                "data.image_size=[32,32]",
                "--set",
                "sample_every=1000000",
                "--set",
                "checkpoint_every=1000000",
            ]
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
            took[images] = time.perf_counter() - begun
    short, long = sorted(took)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"cost": (took[long] - took[short]) / (long - short), "peak_mb": peak}


POINTS: dict[str, Callable[[int, float, Path], dict[str, float]]] = {
    "size": size, "batch": batch, "rows": rows, "processes": processes,
}  # fmt: skip


def _send(call: Callable[..., Any], given: tuple[Any, ...], send: Any) -> None:
    send.send(call(*given))


def fresh(call: Callable[..., Any], *given: Any) -> Any:
    """What a call returns in a process that has done nothing else."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(call, given, send))
    process.start()
    send.close()
    try:
        found = receive.recv()
    except EOFError:
        raise SystemExit(f"the process for {call.__name__} {given[0]} died") from None
    process.join()
    return found


def counts(config: RunConfig, data: DataSet) -> dict[str, float]:
    """What a round is made of: operations, calls of kernels, values of all gradients, and messages that carry them."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):
        calls = operations = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = function(*args, **(kwargs or {}))
            known = flop_registry.get(function._overloadpacket)
            self.calls += 1
            self.operations += known(*args, **(kwargs or {}), out_val=found) if known else 0
            return found

    wired = wire(config, data)
    played = loop(wired.state, wired.moves, wired.draw)
    next(played)
    with Counter() as counter:
        next(played)
    # between rounds a player may be frozen
    players = [list(player.requires_grad_(True).parameters()) for player in wired.state.players.values()]
    return {
        "operations": float(counter.operations),
        "calls": float(counter.calls),
        "parameters": float(sum(one.numel() for player in players for one in player)),
        "messages": float(sum(len(Buckets(player).buckets) for player in players)),
    }


def exponent(places: list[float], values: list[float]) -> float:
    """Slope of log value over log place by least squares."""
    return float(np.polyfit(np.log(places), np.log(values), 1)[0])


def curve_of(results: dict[str, Any], curve: str) -> tuple[list[float], dict[str, list[float]]]:
    """Places and, by name, the values of a curve as far as they are known."""
    known = {int(place): found for place, found in results.get(curve, {}).items()}
    places = sorted(known)
    names = [name for name in (*COSTS[curve], "peak_mb", "own_mb") if places and name in known[places[0]]]
    return [float(place) for place in places], {name: [known[place][name] for place in places] for name in names}


def tables(results: dict[str, Any]) -> str:
    """A table for each curve, with the exponent over all points and that between the last two."""
    parts: list[str] = []
    for curve in (*CURVES, "processes"):
        places, values = curve_of(results, curve)
        if len(places) < 2:
            continue
        lines = [f"| {WORDS[curve]} | {' | '.join(f'{int(place):,}' for place in places)} | exponent | last step |"]
        lines.append("|---" * (len(places) + 3) + "|")
        for name, found in values.items():
            words, unit = _named(curve, name)
            cells = " | ".join(
                f"{value * unit:.3g}" if value * unit < 1000 else f"{value * unit:,.0f}" for value in found
            )
            slopes = " | ".join(f"{exponent(places[-n:], found[-n:]):.2f}" if min(found) > 0 else "" for n in (0, 2))
            lines.append(f"| {words} | {cells} | {slopes} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _named(curve: str, name: str) -> tuple[str, float]:
    if name.endswith("_mb"):
        return {"peak_mb": "peak memory, MB", "own_mb": "memory to open, order and read, MB"}[name], 1.0
    if name == "operations":
        return "operations counted an image, millions", 1e-6
    return f"{COSTS[curve][name]}, µs an image", 1e6


def figure(results: dict[str, Any], curve: str) -> bytes:
    """Costs and memory of a curve, both axes logarithmic, as PNG."""
    places, values = curve_of(results, curve)
    canvas = PillowCanvas(720, 300, f"cost and memory against {WORDS[curve]}")
    canvas.box(0, 0, 720, 300, "#ffffff")
    costs = {name: found for name, found in values.items() if not name.endswith("_mb") and name != "operations"}
    words = {name: _named(curve, name)[0].replace("µs", "microseconds") for name in costs}
    panel(canvas, 60, places, {words[name]: [value * 1e6 for value in found] for name, found in costs.items()})
    stores = {name: found for name, found in values.items() if name.endswith("_mb") and min(found) > 0}
    panel(canvas, 420, places, {_named(curve, name)[0]: found for name, found in stores.items()})
    for left in (60, 420):
        canvas.text(left + 130, 290, WORDS[curve], 11, "#222222", "middle")
    return canvas.finish()


def _short(place: float) -> str:
    return f"{place:g}" if place < 1e4 else f"{place / 1e3:g}k" if place < 1e6 else f"{place / 1e6:g}M"


def panel(canvas: PillowCanvas, left: float, places: list[float], lines: dict[str, list[float]]) -> None:
    """Lines over logarithmic axes with a mark at each point, and their exponents in the key."""
    top, width, height = 30 + 15 * len(lines), 270.0, 215.0 - 15 * len(lines)
    every = [value for line in lines.values() for value in line]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)) + 1e-9)
    begin, end = math.log10(places[0]), math.log10(places[-1])

    def spot(place: float, value: float) -> tuple[float, float]:
        across = (math.log10(place) - begin) / (end - begin)
        return left + across * width, top + height * (1 - (math.log10(value) - low) / max(1, high - low))

    for power in range(low, max(high, low + 1) + 1):
        y = spot(places[0], 10.0**power)[1]
        canvas.line([(left, y), (left + width, y)], "#e6e6e6")
        canvas.text(left - 6, y + 4, f"{10.0**power:g}", 10, "#6b6b6b", "end")
    for place in places:
        x = spot(place, 10.0**low)[0]
        canvas.text(x, top + height + 15, _short(place), 10, "#6b6b6b", "middle")
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number]
        spots = [spot(*pair) for pair in zip(places, line, strict=True)]
        canvas.line(spots, colour, 1.8)
        for x, y in spots:
            canvas.box(x - 2.5, y - 2.5, 5, 5, colour)
        canvas.box(left, 12 + 15 * number, 12, 4, colour)
        canvas.text(left + 18, 18 + 15 * number, f"{name}: exponent {exponent(places, line):.2f}", 11, "#222222")


def main() -> None:
    """Measure what the results lack, or show what they hold."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--work", type=Path, default=HERE / "runs" / "growth")
    options.add_argument("--out", type=Path, default=HERE / "results" / "growth.json")
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--only", nargs="+", choices=tuple(CURVES), default=list(CURVES))
    options.add_argument("--processes", type=int, nargs="+", default=[])
    for name in ("table", "figures", "quick"):
        options.add_argument(f"--{name}", action="store_true")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.out, chosen.seconds = chosen.work / "quick.json", 0.1
    chosen.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    if not (chosen.table or chosen.figures):
        wanted = {curve: CURVES[curve][: 2 if chosen.quick else None] for curve in chosen.only}
        for curve, places in ({"processes": tuple(chosen.processes)} if chosen.processes else wanted).items():
            for place in places:
                if str(place) in results.get(curve, {}):
                    continue
                values = fresh(POINTS[curve], place, chosen.seconds, chosen.work)
                found = {name: float(f"{value:.5g}") for name, value in values.items()}
                results.setdefault(curve, {})[str(place)] = found | {"load_before": round(os.getloadavg()[0], 1)}
                print(curve, place, json.dumps(results[curve][str(place)]), flush=True)
                chosen.out.parent.mkdir(parents=True, exist_ok=True)
                chosen.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if chosen.figures:
        IMAGES.mkdir(parents=True, exist_ok=True)
        for curve in results:
            (IMAGES / f"{curve}.png").write_bytes(figure(results, curve))
    print(tables(results))


if __name__ == "__main__":
    main()
