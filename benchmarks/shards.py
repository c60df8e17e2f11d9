"""Shards against the memory-mapped cache: images a second, the first start, the disk and the memory, in one run.

    python benchmarks/shards.py             every cell that the results file lacks, about three minutes of one thread
    python benchmarks/shards.py --table     the tables of docs/data.md from the results
    python benchmarks/shards.py --quick     a few seconds; checks that it runs, keeps nothing in the repository

Two sets, made once from real images where they are there: small ones (MNIST as 28x28 PNG) and photographs (facades as
256x256 JPEG, brought to 64x64). Each is packed as shards with labels and, the same files, as one zip, from which the
cache is built. Batches of 64 in the order that a run would read them in are then read in turns, a block of each at a
time, so that a machine that slows down slows all:

- ``cache``: rows of the memory map. ``shards``: the shards on the disk, decoded by ``--threads`` threads.
- ``away``: the same at an address that answers after 30 ms with 50 MB/s a connection (memory that waits), read in
  blocks ahead of need. ``away, row by row``: the same in the order of a cache, which has no blocks: a request an image.

The sets are small, so windows and what is kept of an address are an eighth of the usual (16 blocks, 36 kept): what is
far away is then no more within reach than it would be in a set that outgrows the memory.

Then one round of ``dcgan`` on batches of each, and the peak memory of a fresh process that reads an epoch.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import io
import itertools
import json
import multiprocessing
import os
import statistics
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from steadygan.config import DataConfig
from steadygan.data import DataSet, open_data, order, shelf
from steadygan.data.lazy import Members
from steadygan.data.order import Order

HERE = Path(__file__).resolve().parent
BATCH = 64
LATENCY, SPEED = 0.03, 50e6
WAYS = ("cache", "shards", "away", "away, row by row")


class Away(MemoryFileSystem):
    """Memory that answers as slowly as an object store in another town, and counts."""

    protocol = ("away",)
    store: ClassVar[dict[str, Any]] = {}
    requests = 0
    sent = 0
    lock = threading.Lock()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(path.replace("away://", "memory://") if isinstance(path, str) else path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **rest: Any) -> bytes:
        """A range of a file."""
        data: bytes = super().cat_file(path, start=start, end=end, **rest)
        with Away.lock:
            Away.requests, Away.sent = Away.requests + 1, Away.sent + len(data)
        time.sleep(LATENCY + len(data) / SPEED)
        return data


def small(data: Path, count: int) -> Iterator[tuple[str, bytes, int]]:
    """MNIST's training images as PNG with their labels, or random patterns."""
    folder = data / "mnist"
    if folder.is_dir():
        pixels = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
        images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
        labels = np.frombuffer(
            gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
        )
    else:
        images = np.random.default_rng(0).integers(0, 256, (4096, 7, 7), np.uint8).repeat(4, 1).repeat(4, 2)
        labels = np.arange(4096) % 10
    for number in range(count):
        row = number % len(images)
        yield "png", encoded(Image.fromarray(np.roll(images[row], number // len(images), 1)), "PNG"), int(labels[row])


def photographs(data: Path, count: int) -> Iterator[tuple[str, bytes, int]]:
    """Parts of 256x256 photographs of facades, shifted and mirrored, as JPEG; or smooth noise."""
    path = data / "translation" / "paris-artdeco-facades-256.zip"
    images: list[Image.Image] = []
    if path.exists():
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.lower().endswith(".jpg"))
            images = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    source = np.random.default_rng(0)
    while len(images) < 16:
        noise = Image.fromarray(source.integers(0, 256, (24, 24, 3), dtype=np.uint8))
        images.append(noise.resize((256, 256), Image.Resampling.BICUBIC))
    for number in range(count):
        image = np.roll(np.asarray(images[number % len(images)]), source.integers(0, 256, 2), (0, 1))
        yield "jpg", encoded(Image.fromarray(image[:, :: (-1) ** number]), "JPEG"), number % 2


def encoded(image: Image.Image, form: str) -> bytes:
    """An image as a file."""
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


SETS: dict[str, tuple[Callable[[Path, int], Iterator[tuple[str, bytes, int]]], int, dict[str, Any]]] = {
    "28x28 PNG": (small, 60_000, {}),
    "256x256 JPEG to 64x64": (photographs, 4_000, {"image_size": (64, 64)}),
}
"""How a set is made, how many images it has, and the settings that it is read with."""


def make(name: str, work: Path, count: int) -> tuple[Path, Path]:
    """The folder of a set's shards, 1,000 samples each, and the zip of the same files; made where they are missing."""
    folder, packed = work / name.replace(" ", "-") / "shards", work / name.replace(" ", "-") / "files.zip"
    if packed.exists():
        return folder, packed
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(os.environ.get("STEADYGAN_DATA", "../shared/data"))
    samples = enumerate(SETS[name][0](data, count))
    with zipfile.ZipFile(packed.with_suffix(".part"), "w") as archive:
        for shard in range(-(-count // 1000)):
            with tarfile.open(folder / f"{shard:03d}.tar", "w") as tar:
                for number, (ending, image, label) in itertools.islice(samples, 1000):
                    archive.writestr(f"{label}/{number:06d}.{ending}", image)
                    for last, content in (("cls", str(label).encode()), (ending, image)):
                        member = tarfile.TarInfo(f"{number:06d}.{last}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
    packed.with_suffix(".part").rename(packed)
    return folder, packed


def opened(source: Path | str, cache: Path, settings: dict[str, Any], threads: int) -> tuple[DataSet, float]:
    """A set, its decoding threads as asked, and the seconds that opening took."""
    begun = time.perf_counter()
    data = open_data(DataConfig(source=str(source), **settings), cache=cache, workers=1)
    took = time.perf_counter() - begun
    if isinstance(data.images, Members):
        old = data.images
        data = dataclasses.replace(data, images=Members(old.shelf, old.places, old.target, threads))
    return data, took


def reader(data: DataSet, places: Order) -> Callable[[], None]:
    """A function that reads the next batch."""
    place = 0

    def read() -> None:
        nonlocal place
        data.rows(places.take(place, BATCH))
        place += BATCH

    return read


Figures = dict[str, list[tuple[float, float]]]


def rates(ways: dict[str, Callable[[], None]], blocks: int, seconds: float) -> Figures:
    """Images a second by the clock and seconds of the processor an image, of each way, block by block in turns."""
    found: Figures = {name: [] for name in ways}
    for number in range(blocks + 1):
        for name, step in ways.items():
            begun, busy, count = time.perf_counter(), time.process_time(), 0
            while (spent := time.perf_counter() - begun) < seconds:
                step()
                count += BATCH
            if number:  # the first block is a warm-up
                found[name].append((count / spent, (time.process_time() - busy) / count))
    return found


def middle(found: Figures) -> dict[str, dict[str, float]]:
    """Medians over the blocks: images a second, and microseconds of the processor an image."""
    return {
        way: {
            "images_per_second": round(statistics.median(pace for pace, _ in values)),
            "processor_us": float(f"{1e6 * statistics.median(cost for _, cost in values):.4g}"),
        }
        for way, values in found.items()
    }


def played(data: DataSet) -> Callable[[], None]:
    """A function that plays one round of ``dcgan`` on the next batch."""
    import torch

    from steadygan import recipes
    from steadygan.game.loop import loop
    from steadygan.recipes.facts import DataFacts
    from steadygan.session.planning import settle
    from steadygan.session.wiring import prepare, wire

    torch.set_num_threads(1)
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig(source=data.name))
    config = recipes.build("dcgan", facts).model_copy(update={"threads": 1, "batch": BATCH})
    wired = wire(settle(prepare(config, data)), data)
    rounds = loop(wired.state, wired.moves, wired.draw)
    return lambda: [next(rounds), None][1]


def epoch(source: str, cache: Path, settings: dict[str, Any], send: Any) -> None:
    """Open a set in this fresh process and read it once; send the most memory of its own in MB that this took."""
    import torch  # noqa: F401 - what it takes is no part of the figure

    before = _status("RssAnon")
    data, _ = opened(source, cache, settings, 1)
    read = reader(data, data.order(0))
    own = 0.0
    for _ in range(len(data.train) // BATCH):
        read()
        own = max(own, _status("RssAnon") - before)
    send.send({"own_mb": round(own, 1)})


def _status(name: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return round(int(text.partition(f"{name}:")[2].split()[0]) / 1024, 1)


def memory(source: Path, cache: Path, settings: dict[str, Any]) -> dict[str, float]:
    """What ``epoch`` sends from a process that has done nothing else."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=epoch, args=(str(source), cache, settings, send))
    process.start()
    found: dict[str, float] = receive.recv()
    process.join()
    return found


def size(folder: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return folder.stat().st_size if folder.is_file() else sum(path.stat().st_size for path in folder.rglob("*"))


def requests(data: DataSet, places: Order, batches: int) -> dict[str, float]:
    """Requests and bytes for an image while batches are read."""
    before = Away.requests, Away.sent
    read = reader(data, places)
    for _ in range(batches):
        read()
    time.sleep(1.0)  # what is read ahead has come by then
    images = batches * BATCH
    return {"requests": (Away.requests - before[0]) / images, "bytes": (Away.sent - before[1]) / images}


def measure(name: str, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of a set."""
    count = 600 if options.quick else SETS[name][1]
    blocks, seconds = (1, 0.2) if options.quick else (options.blocks, options.seconds)
    folder, packed = make(name, work, count)
    settings, place = SETS[name][2], work / f"cache-{os.getpid()}"
    cached, built = opened(packed, place / "rows", settings, 1)
    here, looked = opened(folder, place / "index", settings, options.threads)
    fsspec.register_implementation("away", Away, clobber=True)
    for path in sorted(folder.iterdir()):
        Away().pipe(f"/set/{path.name}", path.read_bytes())
    away, _ = opened("away://set", place / "away", settings, options.threads)
    assert away.fingerprint == here.fingerprint
    assert len(cached) == len(here)
    ways = {
        "cache": reader(cached, cached.order(0)),
        "shards": reader(here, here.order(0)),
        "away": reader(away, away.order(0)),
        "away, row by row": reader(away, Order(away.train, 1)),
    }
    found = rates(ways, blocks, seconds)
    rounds = rates(
        {way: played(data) for way, data in (("cache", cached), ("shards", here), ("away", away))}, blocks, seconds
    )
    result = {
        "images": len(here),
        "first_start_seconds": {"cache": round(built, 2), "shards": round(looked, 2)},
        "disk_mb": {
            "files": round(size(packed) / 1e6, 2),
            "shards": round(size(folder) / 1e6, 2),
            "rows": round(size(place / "rows") / 1e6, 2),
            "index": round(size(place / "index") / 1e6, 2),
        },
        "reading": middle(found),
        "rounds": middle(rounds),
        "asked_away": requests(away, away.order(2), max(4, len(away.train) // BATCH)),
        "memory": {
            "cache": memory(packed, place / "rows", settings),
            "shards": memory(folder, place / "index", settings),
        },
    }
    Away.store.clear()
    return result


def table(results: dict[str, Any]) -> str:
    """The tables of the docs."""
    head = "| set | read from | images/s | processor, µs an image | in a round of `dcgan` | first start | on the disk |"
    lines = [head + " own memory |", "|---|---|---|---|---|---|---|---|"]
    for name, one in results["sets"].items():
        for way in WAYS:
            read, played_at = one["reading"][way], one["rounds"].get(way)
            started = one["first_start_seconds"].get(way)
            disk = {"cache": one["disk_mb"]["rows"], "shards": one["disk_mb"]["index"]}.get(way)
            own = one["memory"].get(way, {}).get("own_mb")
            words = [
                name if way == WAYS[0] else "",
                way,
                f"{read['images_per_second']:,}",
                f"{read['processor_us']:,.{0 if read['processor_us'] > 100 else 2}f}",
                f"{played_at['processor_us']:,.0f}" if played_at else "",
                f"{started:.1f} s" if started else "",
                f"{disk:.1f} MB beside {one['disk_mb']['shards' if way == 'shards' else 'files']:.1f}" if disk else "",
                f"{own:.0f} MB" if own else "",
            ]
            lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)


def main() -> None:
    """Make the sets, measure what the results lack, and write them as JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--work", type=Path, default=HERE / "runs" / "shards")
    options.add_argument("--out", type=Path, default=HERE / "results" / "shards.json")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--blocks", type=int, default=5)
    options.add_argument("--seconds", type=float, default=1.5)
    options.add_argument("--table", action="store_true")
    options.add_argument("--quick", action="store_true")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.work, chosen.out = chosen.work / "quick", chosen.work / "quick" / "shards.json"
    results: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {"sets": {}}
    shelf.KEPT, order.WINDOW = shelf.KEPT // 8, order.WINDOW // 8
    if not chosen.table:
        results |= {"command": f"python benchmarks/shards.py --threads {chosen.threads}", "threads": chosen.threads}
        for name in SETS:
            if name in results["sets"]:
                continue
            load = round(os.getloadavg()[0], 2)
            results["sets"][name] = measure(name, chosen.work, chosen) | {"load_before": load}
            chosen.out.parent.mkdir(parents=True, exist_ok=True)
            chosen.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
