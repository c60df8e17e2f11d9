"""The ward: GANs made ill on purpose, to see whether steadygan notices, names the illness, mends it and does no harm.

    python benchmarks/ward.py --list                what would be run, and how long it takes
    python benchmarks/ward.py --jobs 4              everything that the results file lacks
    python benchmarks/ward.py --quick --jobs 4      about five minutes; keeps nothing in the repository
    python benchmarks/ward.py --cost                what health costs of the round time; on a quiet machine
    python benchmarks/ward.py --table               figures into docs/health-benchmark.md, and its pictures

Four arms on paired seeds and the same budget: an ill run that is treated (``health.mode=mend``) and one that is not
(``watch``), a healthy run with health on (``mend``) and one with health off. Watching changes no bit of the training,
so a run in which nothing was done *is* its untreated twin: the second run of a pair is made only where the first one's
``events.jsonl`` tells of an action. The cells are fixed in ``ward_cells.py``: one half is for tuning, the other, with
other severities, seeds and data, is only scored.

Definitions, on the Fréchet distance in the features of a judge that the monitor never sees (``ward_judge.py``):

- *ill*: the untreated run's last average lies beyond 1.25 times the median of the healthy runs of the same half, data
  and recipe (also told for 1.5 and 2), or the run died.
- *detected*: at least one diagnosis besides ``finished`` after the onset of the illness and before the end.
- *right name*: one of the illness's expected diagnoses is among the first two of the ranking (of the last diagnosis;
  that of the first stands beside it).
- *delay*: images from the onset of the illness to the first diagnosis after it.
- *false alarm*: a healthy run with any diagnosis besides ``finished``.
- *cured*: of the runs that are ill, the share whose treated twin ends within 1.25 times healthy. What counts is what
  the run itself recommends: the best average where health was on; the last one stands beside it.
- *harm*: a healthy run with health on whose recommended average is more than 10 % worse than the control of its seed.
- *cost*: the time of rounds with health on over that with health off, in turns (``--cost``).

Every run is a line of ``benchmarks/results/ward.jsonl``; a stopped ward goes on where it was.
"""

from __future__ import annotations

import os

# Before torch is imported, here and in every process that this one starts.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import contextlib
import json
import multiprocessing
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import torch
import ward_cells
import ward_judge
from ward_cells import SETTINGS, Unit

import steadygan
from steadygan.config import RunConfig
from steadygan.errors import SteadyganError, Stopped
from steadygan.report.jsonl import read_jsonl
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
RESULTS, WORK = HERE / "results" / "ward.jsonl", HERE / "runs" / "ward"
MODES = {"treated": "mend", "untreated": "watch", "on": "mend", "off": "off"}
"""The setting ``health.mode`` of each arm."""
TWINS = {"treated": "untreated", "on": "off"}
ACTIONS = frozenset({"intervention", "rollback", "undone", "given-up", "stop"})
"""Events after which a run is no longer, bit for bit, what it would have been without treatment."""
EVENTS_KEPT = 24
JUDGED_SEED = 1


class Job(NamedTuple):
    """One run of a unit."""

    unit: Unit
    arm: str

    @property
    def key(self) -> str:
        """Its name in the results: the version of the cells, the unit, and the arm."""
        return f"v{ward_cells.VERSION}/{self.unit.key}/{self.arm}"


class Place(NamedTuple):
    """Where results and run folders go, and whether the folders stay."""

    results: Path
    work: Path
    keep: bool


def events_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's ``events.jsonl``; none where the run died before it had one."""
    path = run / "events.jsonl"
    return read_jsonl(path) if path.is_file() else []


def acted(events: Sequence[dict[str, Any]]) -> bool:
    """Whether anything was done to the run, so that its twin has to be run too."""
    return any(event["kind"] in ACTIONS for event in events)


def told(events: Sequence[dict[str, Any]], onset: int) -> dict[str, Any]:
    """What the events say, in short.

    Returns:
        ``diagnoses``: clock and name of every diagnosis besides ``finished``; ``first_ranking`` and ``last_ranking``:
        of the first such diagnosis from ``onset`` on and of the last; ``acted``; ``proofs``: how many cases were proved
        cured and not cured; ``kinds``: how many events of each kind; ``events``: the first few, as clock, kind, name.
    """
    ill = [event for event in events if event["kind"] == "diagnosis" and event["diagnosis"] != "finished"]
    since = [event for event in ill if event["images_seen"] >= onset]
    proofs = [bool(event.get("cured")) for event in events if event["kind"] == "proof"]
    kinds = [event["kind"] for event in events]
    return {
        "diagnoses": [[event["images_seen"], event["diagnosis"]] for event in ill[:EVENTS_KEPT]],
        "first_ranking": ranking(since[0]) if since else [],
        "last_ranking": ranking(since[-1]) if since else [],
        "acted": acted(events),
        "proofs": [proofs.count(True), proofs.count(False)],
        "kinds": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "events": [
            [event["images_seen"], event["kind"], event.get("intervention") or event.get("diagnosis") or ""]
            for event in events
            if event["kind"] != "best"
        ][:EVENTS_KEPT],
    }


def ranking(event: dict[str, Any]) -> list[str]:
    """The first names of a diagnosis's ranking, worst first; its own name where it has none."""
    names = event.get("ranking") or [event["diagnosis"]]
    return [str(name) for name in names][:4]


def train(job: Job, run: Path) -> str:
    """Train one run; the words of its death, or an empty string where it came to its end."""
    setting = SETTINGS[job.unit.setting]
    given: dict[str, Any] = {"sicken": job.unit.sicken} if job.unit.sicken else {}
    data = ward_judge.data_config(setting.data)
    folder = [f"data.folder={data.folder}"] if data.folder else []
    every = ward_cells.between_check_ups(job.unit)
    health = [f"health.mode={MODES[job.arm]}", f"health.every={every}"]
    try:
        steadygan.train(
            setting.data,
            recipe=setting.recipe,
            images=setting.images,
            image_size=data.image_size,
            seed=job.unit.seed,
            out=run,
            set=["threads=1", "sample_count=16", *health, *folder, *setting.settings],
            **given,
        )
    except SteadyganError as error:
        return str(error)[:200]
    except Stopped:  # somebody ends the ward: that is no result
        raise
    except Exception as error:  # a fault of the package is a result of the ward too, and is told as such
        return f"fault: {type(error).__name__}: {error}"[:200]
    return ""


def judged(run: Path, data: str, best: bool) -> tuple[float | None, int | None]:
    """Distance of a run's last or best average to real images, and its clock; None where there is no usable one."""
    try:
        made = steadygan.load(run, best=True) if best else steadygan.load(run)
        samples = made.sample(ward_judge.SAMPLES, seed=JUDGED_SEED)
        found = ward_judge.distance(data, samples)
    except SteadyganError:
        return None, None
    return (None if found is None else round(found, 4)), made.images_seen


def budget(run: Path, job: Job) -> tuple[int, int]:
    """The length of a run as it was planned, which an illness may shorten, and the onset of its illness."""
    try:
        config = RunConfig.model_validate_json((run / "config.json").read_text())
    except (OSError, ValueError):
        return SETTINGS[job.unit.setting].images, 0
    return config.images, ward_cells.onset(job.unit.sicken, config)


def run_job(job: Job, place: Place) -> dict[str, Any]:
    """Train and judge one run; its line of the results."""
    run = place.work / job.key.replace("/", "-").replace(":", "-")
    shutil.rmtree(run, ignore_errors=True)
    start, busy = time.monotonic(), time.process_time()
    died = train(job, run)
    seconds, busy = time.monotonic() - start, time.process_time() - busy
    setting = SETTINGS[job.unit.setting]
    last, clock = judged(run, setting.data, best=False)
    best, best_clock = judged(run, setting.data, best=True) if MODES[job.arm] != "off" else (None, None)
    images, onset = budget(run, job)
    row = {
        "key": job.key,
        **job.unit._asdict(),
        "arm": job.arm,
        "images": images,
        "images_seen": clock,
        "died": died,
        "last": last,
        "best": best,
        "best_at": best_clock,
        "onset": onset,
        **told(events_of(run), onset),
        "seconds": round(seconds, 1),
        "processor_seconds": round(busy, 1),
    }
    if not place.keep:
        shutil.rmtree(run, ignore_errors=True)
    return row


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a line in one write, so that several processes can share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        # a line that a kill tore must not swallow the next one
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, (("\n" if torn else "") + json.dumps(row, separators=(",", ":")) + "\n").encode())
    finally:
        os.close(handle)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a results file by their key, of the present version of the cells; torn lines are left out."""
    rows: dict[str, dict[str, Any]] = {}
    for text in path.read_text().splitlines() if path.is_file() else []:
        with contextlib.suppress(json.JSONDecodeError):
            row = json.loads(text)
            if row["key"].startswith(f"v{ward_cells.VERSION}/"):
                rows[row["key"]] = row
    return rows


def arms(unit: Unit) -> tuple[str, str]:
    """The arm that is run first, and its twin."""
    first = "treated" if unit.illness else "on"
    return first, TWINS[first]


def finished(unit: Unit, rows: dict[str, dict[str, Any]]) -> bool:
    """Whether the results have all that there is to know of a unit."""
    first, twin = (Job(unit, arm).key for arm in arms(unit))
    return first in rows and (not rows[first]["acted"] or twin in rows)


def play(unit: Unit, place: Place, rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Run what a unit lacks: the run with health on, then its twin where something was done; the new rows."""
    torch.set_num_threads(1)
    fresh = []
    first, twin = (Job(unit, arm) for arm in arms(unit))
    row = rows.get(first.key)
    if row is None:
        row = run_job(first, place)
        append(place.results, row)
        fresh.append(row)
    if row["acted"] and twin.key not in rows:
        fresh.append(run_job(twin, place))
        append(place.results, fresh[-1])
    return fresh


def conduct(units: Sequence[Unit], place: Place, jobs: int, limit_minutes: float) -> int:
    """Play units in their order with ``jobs`` processes, starting none after the limit; the number of runs made."""
    rows = read(place.results)
    missing = [unit for unit in units if not finished(unit, rows)]
    ward_judge.prepare(sorted({SETTINGS[unit.setting].data for unit in missing}))
    start, made = time.monotonic(), 0
    waiting: Iterator[Unit] = iter(missing)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running: set[Future[list[dict[str, Any]]]] = set()
        while True:
            while len(running) < jobs and (not limit_minutes or time.monotonic() - start < limit_minutes * 60):
                unit = next(waiting, None)
                if unit is None:
                    break
                running.add(pool.submit(play, unit, place, rows))
            if not running:
                return made
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                fresh = future.result()
                made += len(fresh)
                for row in fresh:
                    print(line(row), flush=True)


def line(row: dict[str, Any]) -> str:
    """A row for the eye."""
    distances = "  ".join(f"{name} {row[name]:.3g}" for name in ("last", "best") if row[name] is not None)
    names = ", ".join(dict.fromkeys(name for _, name in row["diagnoses"])) or "-"
    died = f"  DIED: {row['died'][:60]}" if row["died"] else ""
    return f"{row['key']:64} {row['seconds']:5.0f} s  {distances}  [{names}]{died}"


def listing(units: Sequence[Unit], jobs: int) -> str:
    """What the units are, and the time that they take at most: every run with its twin."""
    ill = [unit for unit in units if unit.illness]
    seconds = sum(2 * SETTINGS[unit.setting].seconds for unit in ill)
    seconds += sum(1.2 * SETTINGS[unit.setting].seconds for unit in units if not unit.illness)
    cells = {(unit.half, unit.illness, unit.severity, unit.setting) for unit in ill}
    lines = [f"{half}/{illness}:{severity:g} on {setting}" for half, illness, severity, setting in sorted(cells)]
    healthy = len(units) - len(ill)
    lines.append(f"{len(cells)} cells of illnesses, {len(ill)} ill seeds, {healthy} healthy runs")
    lines.append(
        f"at most about {seconds / 3600:.1f} hours of one core, {seconds / 60 / jobs:.0f} minutes on {jobs} idle ones"
    )
    return "\n".join(lines)


def options_from(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, of one thread each")
    parser.add_argument("--half", choices=ward_cells.HALVES, help="one half of the cells only")
    parser.add_argument("--only", nargs="*", metavar="ILLNESS", choices=ward_cells.names())
    parser.add_argument("--healthy-only", action="store_true")
    parser.add_argument("--limit-minutes", type=float, default=0.0, help="start no run after that; 0: no limit")
    parser.add_argument("--keep", action="store_true", help="keep the run folders")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--course", type=Path, metavar="RUN", help="draw a kept run into docs/images/ward-course.png")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    options.out = options.out or (WORK / "ward-quick.jsonl" if options.quick else RESULTS)
    return options


def chosen(options: argparse.Namespace) -> list[Unit]:
    """The units that were asked for, in the order of their running."""
    units = ward_cells.quick() if options.quick else ward_cells.units()
    if options.half:
        units = [unit for unit in units if unit.half == options.half]
    if options.only:
        units = [unit for unit in units if not unit.illness or unit.illness in options.only]
    return [unit for unit in units if not (options.healthy_only and unit.illness)]


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing, or do what was asked for instead; the exit status."""
    import ward_pictures
    import ward_report

    options = options_from(arguments)
    units = chosen(options)
    if options.list:
        print(listing(units, options.jobs))
    elif options.cost:
        import ward_cost

        ward_cost.measure_all(options.quick)
    elif options.course:
        ward_report.IMAGES.mkdir(parents=True, exist_ok=True)
        write_file(ward_report.IMAGES / "ward-course.png", ward_pictures.course(options.course))
    elif options.table:
        ward_report.write(read(options.out))
    else:
        try:
            conduct(units, Place(options.out, WORK / "runs", options.keep), options.jobs, options.limit_minutes)
        except BrokenProcessPool:
            print("a process was killed, perhaps for want of memory; what is done is kept: run the same again")
            return 1
        except (Stopped, KeyboardInterrupt):
            print("stopped; what is done is kept: run the same again")
            return 1
        print(ward_report.summary(read(options.out)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
