"""What a start costs: seconds until the package is imported, help is printed, and the first round has been played.

    python benchmarks/startup.py --repeats 3

Every figure is of a process of its own, of the processor's time and by the wall; the middle of the repeats is printed.
MNIST is read from ``STEADYGAN_DATA`` (else ``../shared/data``), from its cache after the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIRST_ROUND = """
import os, sys, time
sys.argv = ["steadygan", "train", *sys.argv[1:], "--images", "640", "--threads", "1", "--set", "record_every=64"]
from steadygan.cli.main import parse
job = parse(sys.argv[1:])
import steadygan.cli.commands
from steadygan.session import running
record = running.Run._record
def first(self, line):
    record(self, line)
    print(time.process_time(), file=sys.stderr)
    os._exit(0)
running.Run._record = first
job()
"""
"""The command up to the first line of ``records.jsonl``, at which the process says its time and leaves."""
ENDING = "; import sys, time; print(time.process_time(), file=sys.stderr)"
HELP = """
import sys, time
sys.argv = ["steadygan", "--help"]
from steadygan.cli.main import main
try:
    main()
except SystemExit:
    print(time.process_time(), file=sys.stderr)
"""


def rows(place: Path) -> dict[str, list[str]]:
    """What is started, by what it is called."""
    data = Path(os.environ.get("STEADYGAN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "mnist"
    run = ["--out", str(place / "run")]
    return {
        "import torch": ["import torch" + ENDING],
        "import steadygan": ["import steadygan" + ENDING],
        "steadygan --help": [HELP],
        "first round of digits": [FIRST_ROUND, "digits", *run],
        "first round of mnist": [FIRST_ROUND, "mnist", *run, "--set", f"data.folder={data}"],
    }


def started(words: list[str]) -> tuple[float, float]:
    """Seconds of the processor and by the wall of a process of its own."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", *words], capture_output=True, text=True, check=True)
    return float(done.stderr.split()[-1]), time.perf_counter() - start


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    times: dict[str, list[tuple[float, float]]] = {}
    for _ in range(given.repeats):
        with tempfile.TemporaryDirectory() as place:
            for name, words in rows(Path(place)).items():
                if name.startswith("first"):
                    words[words.index("--out") + 1] += name.split()[-1]
                times.setdefault(name, []).append(started(words))
    for name, both in times.items():
        cpu, wall = (statistics.median(values) for values in zip(*both, strict=True))
        print(json.dumps({"what": name, "cpu": float(f"{cpu:.2f}"), "wall": float(f"{wall:.2f}")}))


if __name__ == "__main__":
    main()
