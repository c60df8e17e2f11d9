"""Scale of data: 200,000 small PNG files, the rate of building the cache, the second start and the memory.

    python benchmarks/data_scale.py --work benchmarks/runs/data_scale

The files are MNIST's training images (shifted copies beyond 60,000) padded to 32x32, or random crops where MNIST is
missing; they are made once and reused. Each build and each start runs in a process of its own. The rates of the
decoder alone (Pillow open and load of the same files) are taken beside it, on one core and on all at the same time.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import multiprocessing
import os
import platform
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from steadygan.config import DataConfig
from steadygan.data import open_data
from steadygan.data.workers import available_cores


def originals() -> tuple[np.ndarray[Any, np.dtype[np.uint8]], str]:
    """Images (N, 32, 32) uint8 to write, and what they are."""
    folder = Path(os.environ.get("STEADYGAN_DATA", "../shared/data"))
    path = folder / "mnist" / "train-images-idx3-ubyte.gz"
    if path.exists():
        flat = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16)
        return np.pad(flat.reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2))), "MNIST padded to 32x32, grey"
    noise = np.random.default_rng(0).integers(0, 256, (60_000, 4, 4), dtype=np.uint8)
    return noise.repeat(8, axis=1).repeat(8, axis=2), "random 4x4 patterns, 32x32, grey"


def make_files(folder: Path, count: int) -> str:
    """Write ``count`` PNG files, 1,000 a sub-folder; those already there are kept."""
    images, words = originals()
    for number in range(count):
        path = folder / f"{number // 1000:04d}" / f"{number:06d}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            turn, row = divmod(number, len(images))
            temporary = path.with_suffix(".part")
            Image.fromarray(np.roll(images[row], turn, axis=1)).save(temporary, format="PNG")
            temporary.replace(path)
    return words


def decode_alone(paths: list[str]) -> float:
    """Images a second that Pillow opens and loads, with nothing around it."""
    begun = time.perf_counter()
    for path in paths:
        with Path(path).open("rb", buffering=0) as file:
            Image.open(io.BytesIO(file.readall()), formats=("PNG",)).load()
    return len(paths) / (time.perf_counter() - begun)


def decoder_limit(folder: Path, cores: int) -> dict[str, float]:
    """The decoder's own rate on one core and, by as many processes, on all of them at once."""
    paths = [str(path) for part in sorted(folder.iterdir())[:20] for path in sorted(part.iterdir())]
    decode_alone(paths[:500])
    one = decode_alone(paths)
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        every = sum(pool.map(decode_alone, [paths] * cores, chunksize=1))
    return {"one_core": round(one), "all_cores": round(every)}


def start(folder: Path, cache: Path, send: Any) -> None:
    """Open the set in this fresh process; send seconds, peak memory in MB of it and its children, and the facts."""
    begun = time.perf_counter()
    data = open_data(DataConfig(source=str(folder)), cache=cache)
    seconds = time.perf_counter() - begun
    # Not ru_maxrss of this process, which begins with that of the parent it was started from.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    own = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    send.send(
        {"seconds": seconds, "peak_mb": own, "largest_worker_mb": children, "count": len(data), "facts": data.facts}
    )


def in_fresh_process(folder: Path, cache: Path) -> dict[str, Any]:
    """The result of ``start`` in a process that has done nothing else."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=start, args=(folder, cache, send))
    process.start()
    result: dict[str, Any] = receive.recv()
    process.join()
    return result


def measure(folder: Path, cache: Path) -> dict[str, Any]:
    """Build the cache from nothing, then start again twice with it."""
    shutil.rmtree(cache, ignore_errors=True)
    load = os.getloadavg()[0]
    first = in_fresh_process(folder, cache)
    again = min((in_fresh_process(folder, cache) for _ in range(2)), key=lambda result: float(result["seconds"]))
    return {
        "files": first["count"],
        "build_seconds": round(first["seconds"], 2),
        "build_images_per_second": round(first["count"] / first["seconds"]),
        "build_peak_mb": round(first["peak_mb"], 1),
        "build_largest_worker_mb": round(first["largest_worker_mb"], 1),
        "second_start_seconds": round(again["seconds"], 2),
        "second_start_peak_mb": round(again["peak_mb"], 1),
        "load_before": round(load, 2),
    }


def main() -> None:
    """Make the files, measure, and write the results as JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--work", type=Path, default=Path("benchmarks/runs/data_scale"))
    options.add_argument("--counts", type=int, nargs="+", default=[50_000, 200_000])
    options.add_argument("--out", type=Path, default=Path("benchmarks/results/data_scale.json"))
    chosen = options.parse_args()
    cores = available_cores()
    sets: list[dict[str, Any]] = []
    words = ""
    for count in chosen.counts:
        folder = chosen.work / f"files-{count}"
        words = make_files(folder, count)
        sets.append(measure(folder, chosen.work / "cache") | {"pillow_alone": decoder_limit(folder, cores)})
        print(json.dumps(sets[-1]), flush=True)
    shutil.rmtree(chosen.work / "cache", ignore_errors=True)
    result = {
        "command": "python benchmarks/data_scale.py",
        "images": words,
        "cores": cores,
        "machine": platform.machine(),
        "python": sys.version.split()[0],
        "pillow": PIL.__version__,
        "note": "each set took the cores as other work on the machine left them; load_before is the 1-minute average",
        "sets": sets,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
