"""The commands ``evaluate``, ``compare`` and ``report``: what a run is worth, as tables and as a page."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from steadygan import api
from steadygan.cli.printing import console, rows
from steadygan.cli.progress import Decoding
from steadygan.errors import SteadyganError
from steadygan.evaluation.comparison import Row
from steadygan.evaluation.metrics_table import column
from steadygan.evaluation.protocol import Protocol, Value
from steadygan.report import pictures
from steadygan.runtime import storage


def evaluate(
    samples: str,
    against: str | None,
    metrics: str,
    features: str,
    count: int | None,
    seeds: int,
    device: str,
    given: Sequence[str],
) -> None:
    """Measure, and print the values, the protocol and what should be known."""
    progress = Decoding()
    try:
        found = api.evaluate(
            samples,
            against,
            metrics=metrics,
            features=features,
            count=count,
            seeds=seeds,
            device=device,
            set=given,
            progress=progress,
        )
    finally:
        progress.stop()
    table([("metric", "value", "real against real", "better"), *map(_row, found.values)])
    rows(_protocol(found.values[0].protocol))
    for notice in found.notices:
        console.print(f"note: {notice}", markup=False)


def _row(value: Value) -> tuple[str, ...]:
    known = column(value.metric)
    floor = "" if value.floor is None else figure(value.floor)
    return value.metric, with_error(value), floor, known.better if known else ""


def figure(value: float) -> str:
    """A number in four digits."""
    return f"{value:.4g}"


def with_error(value: Value) -> str:
    """A value with what it may be off by: its spread over the seeds, or else the estimator's own error."""
    off = value.spread if value.spread is not None else value.error
    return figure(value.value) if off is None else f"{figure(value.value)} ± {off:.2g}"


def _protocol(protocol: Protocol) -> dict[str, str]:
    averaged = {True: "averaged generator", False: "generator without averaging", None: "files"}[protocol.averaged]
    seeds = ", ".join(map(str, protocol.seeds))
    return {
        "protocol": protocol.hash,
        "features": f"{protocol.features} ({protocol.features_hash}), resize {protocol.resize}",
        "fakes": f"{protocol.fake:,} of {protocol.size}, {averaged}, seeds {seeds}",
        "reals": f"{protocol.real:,} ({protocol.split}) of the data {protocol.data[:12]}",
        "floor": f"{protocol.floor_count:,} reals against as many others",
        "versions": f"steadygan {protocol.steadygan}, torch {protocol.torch}",
    }


def table(lines: Sequence[Sequence[str]]) -> None:
    """Lines of cells in columns, the first line their titles."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        console.print("  " + "  ".join(cells).rstrip(), markup=False)


def compare(runs: Sequence[Path], out: Path | None) -> None:
    """Print runs side by side, and draw their samples."""
    if out is not None and out.exists():
        raise SteadyganError(f"{out} exists; nothing is overwritten", "choose another --out")
    found = api.compare(runs)
    lines: list[tuple[str, ...]] = [("", *(one.path.name for one in found.runs))]
    lines += [("recipe", *(one.recipe for one in found.runs))]
    lines += [("images seen", *(f"{one.images_seen:,}" for one in found.runs))]
    lines += [("health", *(one.health for one in found.runs))]
    for name in dict.fromkeys(name for one in found.runs for name in one.losses):
        lines.append((name, *(figure(one.losses[name]) if name in one.losses else "-" for one in found.runs)))
    lines += [(row.metric, *map(_cell, row.cells)) for row in found.rows if row.comparable]
    table(lines)
    if not found.rows:
        console.print("no metrics yet: measure each with `steadygan evaluate RUN`", markup=False)
    for line in dict.fromkeys(line for row in found.rows for line in _warnings(row)):
        console.print(line, markup=False)
    path = out or _place(found)
    storage.make_folder(path.parent)
    with storage.writing(path):
        pictures.save_png(path, found.figure)
    console.print(f"samples side by side: {path}", markup=False)


def report(runs: Sequence[Path], out: Path | None) -> None:
    """Write the page, and say where it is."""
    path = api.write_report(runs, out)
    console.print(f"report: {path} ({storage.size(path.stat().st_size)})", markup=False)


def _cell(value: Value | None) -> str:
    if value is None:
        return "-"
    return with_error(value) + ("" if value.floor is None else f" (floor {figure(value.floor)})")


def _warnings(row: Row) -> list[str]:
    if not row.comparable:
        why = "; ".join(row.differences)
        return [f"WARNING: {row.metric} is NOT compared, the protocols differ: {why}"]
    return [f"note: {remark}" for remark in row.remarks]


def _place(found: api.Comparison) -> Path:
    """A name that stands for the runs and how far they are, so that equal names have equal content."""
    what = "\n".join(f"{one.path.resolve()} {one.images_seen}" for one in found.runs)
    return api.RUNS / f"comparison-{hashlib.sha256(what.encode()).hexdigest()[:8]}.png"
