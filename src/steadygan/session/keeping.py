"""What is put into a run folder for its report while the data and the networks are at hand, and the report itself."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from steadygan.data.dataset import DataSet
from steadygan.evaluation.memorisation import memorisation, nearest
from steadygan.health.diagnoses import DIAGNOSES
from steadygan.health.lookout import review
from steadygan.report import pictures
from steadygan.report.comparison import comparison_page
from steadygan.report.page import run_page
from steadygan.report.reading import EXAMPLES, NEIGHBOURS, OVERVIEW, PAIRS, Knowledge, RunFiles, Seen, read_run
from steadygan.runtime import seeding, storage
from steadygan.runtime.folder import RunFolder, plain
from steadygan.session import settings

Sample = Callable[[int, int], Iterator[Tensor]]
"""From a count and a seed to chunks of samples (n, C, H, W) in [-1, 1]."""

REPORT = "report.html"
SHOWN = 8
"""Samples that are shown with their nearest image; and images of the data a row."""
COUNT = 256
"""Samples that are compared with the data."""
SIDE = 16
"""Longest side in pixels that images are reduced to before they are compared: what is alike, not what is the same."""
VALUES = 1 << 24
"""Values of the training images that samples are compared with; more are left out by chance."""
KNOWN = 4096
"""Training images among which, and a quarter as many kept back, the nearest of all is looked for."""
READ = 1 << 28
"""Bytes of images that are read for it; of a larger set a part is taken by chance."""
FEWEST = 1024
"""Training images that are looked through in any case."""
CHUNK_VALUES = 1 << 23
"""Values of images that are reduced at once."""
NOTHING: Mapping[Path, Mapping[str, str]] = {}


def finish(path: Path, data: DataSet, sample: Sample, images_seen: int) -> Path:
    """Write everything that a report on this run needs, and the report.

    Raises:
        SteadyganError: where something cannot be written.
    """
    keep_overview(path, data)
    keep_neighbours(path, data, sample, images_seen)
    return write([path])


def keep_overview(path: Path, data: DataSet) -> None:
    """Put ``data.json`` and ``data.png`` into a run folder."""
    names = [data.label_names[i] for i in range(data.classes)]
    counts = [] if data.labels is None else np.bincount(data.labels[data.train], minlength=data.classes).tolist()
    overview = {
        "name": data.name,
        "train": len(data.train),
        "held_out": len(data.held_out),
        "shape": data.shape,
        "classes": data.classes,
        "counts": dict(zip(names, counts, strict=True)),
        "fingerprint": data.fingerprint,
        "quarantined": len(data.quarantine),
        "facts": data.facts,
    }
    pictures.save_png(path / EXAMPLES, pictures.grid(data.rows(_examples(data)), columns=SHOWN))
    _write_json(path / OVERVIEW, overview)


def _examples(data: DataSet) -> np.ndarray:
    """Rows of some training images; where there are classes, in turns."""
    rows = seeding.numpy_generator("examples").permutation(data.train)
    if data.labels is not None and data.classes:
        of_class = [rows[data.labels[rows] == label][: 4 * SHOWN] for label in range(data.classes)]
        turns = [one[i] for i in range(4 * SHOWN) for one in of_class if i < len(one)]
        rows = np.array(turns, np.int64)
    return rows[: 4 * SHOWN]


@torch.no_grad()
def keep_neighbours(path: Path, data: DataSet, sample: Sample, images_seen: int) -> None:
    """Put ``neighbours.json`` and ``neighbours.png`` into a run folder."""
    fakes = torch.cat(list(sample(min(COUNT, max(SHOWN, len(data.train))), 0)))
    width = _reduced(fakes[:1]).shape[1]
    most = max(FEWEST, min(VALUES // width, READ // math.prod(data.shape)))
    rows = np.sort(seeding.numpy_generator("neighbours").permutation(data.train)[:most])
    training, samples = _table(data, rows), _reduced(fakes)
    held_out = seeding.numpy_generator("kept back").permutation(data.held_out)[: KNOWN // 4]
    near = nearest(samples, training)
    # a balanced part of the data: beside all of a large set, what was kept back would hardly ever be the nearest
    part = torch.from_numpy(seeding.numpy_generator("a part").permutation(len(training))[:KNOWN].copy())
    found = memorisation(samples, training[part], _table(data, held_out)) if len(held_out) > 1 else None
    shown = data.rows(rows[near.indices[:SHOWN].numpy()])
    both = torch.cat([pictures.to_uint8(fakes[:SHOWN]), shown])
    pictures.save_png(path / PAIRS, pictures.grid(both, columns=min(SHOWN, len(fakes))))
    facts: dict[str, Any] = {
        "images_seen": images_seen,
        "samples": len(fakes),
        "training": len(data.train),
        "searched": len(rows),
        "space": f"pixels, images reduced to {_words(data.shape)}",
        "distances": [float(f"{value:.6g}") for value in near.distances[:SHOWN].tolist()],
    }
    if found:
        facts |= {name: float(f"{getattr(found, name):.6g}") for name in ("share", "by_chance", "z")}
    _write_json(path / NEIGHBOURS, facts)


def _size(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width that images of this shape (C, H, W) are reduced to."""
    factor = max(1, math.ceil(max(shape[1:]) / SIDE))
    return max(1, shape[1] // factor), max(1, shape[2] // factor)


def _words(shape: Sequence[int]) -> str:
    height, width = _size(shape)
    return f"{width}×{height}"


def _reduced(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] as rows (N, D) of few values."""
    return adaptive_avg_pool2d(images.float().nan_to_num(), _size(images.shape[1:])).flatten(1)


def _table(data: DataSet, rows: np.ndarray) -> Tensor:
    step = max(1, CHUNK_VALUES // math.prod(data.shape))
    parts = (data.rows(rows[start : start + step]) for start in range(0, len(rows), step))
    return torch.cat([_reduced(part.float().div_(127.5).sub_(1.0)) for part in parts])


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with storage.writing(path):
        storage.write_file(path, json.dumps(plain(value), indent=1, ensure_ascii=False, default=str))


def write(runs: Sequence[Path], out: Path | None = None, missing: Mapping[Path, Mapping[str, str]] = NOTHING) -> Path:
    """Write the report on a run, or on several side by side, from what stands in their folders.

    Args:
        runs: the folders.
        out: the file; None: a name in the run, or beside the first of several.
        missing: of each run, by file name, why one could not be made.

    Raises:
        SteadyganError: for no run, a folder that is none, or a place that cannot be written.
    """
    found = [_read(run, missing.get(run, {})) for run in runs]
    path = out or (found[0].path / REPORT if len(found) == 1 else _place(found))
    text = run_page(found[0]) if len(found) == 1 else comparison_page(found)
    storage.make_folder(path.parent)
    with storage.writing(path):
        storage.write_file(path, text)
    return path


def _place(runs: Sequence[RunFiles]) -> Path:
    """A name beside the first run that stands for the runs and how far they are."""
    what = "\n".join(f"{one.path.resolve()} {one.images_seen}" for one in runs)
    return runs[0].path.resolve().parent / f"report-{hashlib.sha256(what.encode()).hexdigest()[:8]}.html"


def _read(path: Path, missing: Mapping[str, str]) -> RunFiles:
    """A run's folder, and what its records show after the fact."""
    folder = RunFolder(path)
    config = settings.parse_config(folder.read_config(), folder.config)
    tree = config.model_dump(mode="json")
    meanings = {name: (one.meaning, one.advice) for name, one in DIAGNOSES.items()}
    run = read_run(folder.path, tree, Knowledge(meanings, missing=missing))
    if run.events or not run.records:
        return run
    seen = review(run.records, config.images)
    told = [Seen(one.images_seen, one.name, one.finding.words) for one in seen.told]
    return replace(run, knowledge=replace(run.knowledge, told=told, standing=list(seen.standing)))
