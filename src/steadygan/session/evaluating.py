"""Evaluation wired: fakes from a run or from files, reals at their size, and measuring while a run goes on."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from steadygan.config import DataConfig, RunConfig
from steadygan.data import files
from steadygan.data.dataset import DataSet
from steadygan.data.shelf import names_shards
from steadygan.data.sources import SOURCES, open_data
from steadygan.errors import SteadyganError
from steadygan.evaluation.evaluate import Draw, evaluate, look, measure_sides
from steadygan.evaluation.features import Reading, open_features
from steadygan.evaluation.frechet import FewSamplesWarning
from steadygan.evaluation.material import Side
from steadygan.evaluation.metrics_table import choose
from steadygan.evaluation.protocol import Value
from steadygan.evaluation.reference import FEWEST, LOOKED_AT, Reference, customary_count
from steadygan.report.pictures import to_uint8
from steadygan.runtime import agreement, processes, seeding
from steadygan.session import families, sharding

Progress = Callable[[str, int, int], None]

METRICS_ASKED = "fid,kid,prdc"
"""Metrics that are measured where nobody says which."""
FEW = 1_000
"""Images below which a value is told to be rough."""
LOSSY = frozenset({".jpg", ".jpeg"})
CHUNK = 256


@dataclass(frozen=True)
class Fakes:
    """A source of fakes.

    Attributes:
        name: what it is called.
        shape: channels, height and width.
        batches: from a seed and a count to batches (n, C, H, W) uint8.
        available: how many there are; None: as many as wanted.
        averaged: whether the averaged generator makes them; None for files.
        images_seen: where on the clock the run stands that makes them.
        endings: of the files they were read from.
    """

    name: str
    shape: tuple[int, int, int]
    batches: Callable[[int, int], Iterable[Tensor]]
    available: int | None = None
    averaged: bool | None = None
    images_seen: int | None = None
    endings: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Evaluation:
    """Measured values, and what should be known about them in words."""

    values: Sequence[Value]
    notices: Sequence[str] = field(default=())

    def __getitem__(self, metric: str) -> Value:
        """The value of one metric by name."""
        for value in self.values:
            if value.metric == metric:
                return value
        raise KeyError(metric)


def fakes_of_files(path: str, *, progress: Progress | None = None) -> Fakes:
    """The images of a folder, a zip or an array as fakes, at the size that they have.

    Raises:
        SteadyganError: where there are no images, too few, or of several sizes.
    """
    data = open_data(DataConfig(source=path, held_out=0.0), progress=progress)
    sizes = data.facts.get("sizes_found", {})
    if len(sizes) > 1:
        words = ", ".join(f"{size} ({count:,})" for size, count in sizes.items())
        raise SteadyganError(f"the fakes in {path} have several sizes: {words}", "bring all to one size")
    if sizes:
        width, height = (int(side) for side in next(iter(sizes)).split("x"))
        if (height, width) != data.shape[1:]:
            data = open_data(DataConfig(source=path, held_out=0.0, image_size=(height, width)), progress=progress)
    if len(data) < FEWEST:
        raise SteadyganError(f"{path} holds {len(data)} image(s), too few to measure", f"give at least {FEWEST}")

    def batches(seed: int, count: int) -> Iterator[Tensor]:
        order = torch.randperm(len(data), generator=seeding.generator("evaluation fakes", seed)).numpy()
        rows = data.train[order[:count]]
        return (data.rows(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK))

    return Fakes(path, data.shape, batches, available=len(data), endings=endings(path))


def endings(source: str) -> frozenset[str]:
    """The endings of the image files of a folder or zip, in lower case; empty for anything else."""
    path = Path(source).expanduser()
    if source in SOURCES or not path.exists() or names_shards(source):
        return frozenset()
    if path.is_dir():
        listing = files.list_folder(path)
    elif path.suffix.lower() == ".zip":
        listing = files.list_zip(path)
    else:
        return frozenset()
    listing.close()
    return frozenset(PurePosixPath(name).suffix.lower() for name in listing.names)


def reals(config: DataConfig, fakes: Fakes, *, progress: Progress | None = None) -> DataSet:
    """The real set, brought to the size and the channels of the fakes.

    Raises:
        SteadyganError: where the data cannot be opened, or cannot be brought to that shape.
    """
    channels, height, width = fakes.shape
    found = open_data(
        config.model_copy(update={"image_size": (height, width), "channels": channels}), progress=progress
    )
    if found.shape != fakes.shape:
        raise SteadyganError(
            f"fakes of {_words(fakes.shape)} and reals of {_words(found.shape)}", "make samples of the reals' shape"
        )
    return found


def measure(
    fakes: Fakes,
    data: DataSet,
    *,
    metrics: str | Sequence[str] = METRICS_ASKED,
    features: str = "judge",
    count: int | None = None,
    seeds: int = 3,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure fakes against reals of the same shape.

    Raises:
        SteadyganError: for names or numbers that cannot be used, or images that do not fit the features.
    """
    names = choose(metrics if isinstance(metrics, str) else tuple(metrics))
    count, notices = _settle_count(fakes, data, count)
    if seeds < 1:
        raise SteadyganError(f"{seeds} seeds", "ask for at least 1")
    if fakes.available is not None and count >= fakes.available and seeds > 1:
        seeds = 1
        notices.append(f"one measurement, not several: {fakes.name} is one set of {fakes.available:,} images")
    network = open_features(features, data, device=device, progress=progress)
    reference = Reference(data, network, count, progress=progress)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", FewSamplesWarning)
        values = evaluate(reference, _draw(fakes, count), names, seeds=range(seeds), averaged=fakes.averaged)
    notices += dict.fromkeys(str(one.message) for one in warned if issubclass(one.category, FewSamplesWarning))
    width = reference.real.features.shape[1]
    if "fid" in names and min(count, len(reference.real.features)) <= width:
        notices.append(
            f"fid of {count:,} images in {width} dimensions rests on covariances without full rank: trust kid"
        )
    if reference.floor_count < count:
        notices.append(
            f"too few reals for a floor at {count:,}: it is measured with {reference.floor_count:,} on either side"
        )
    return Evaluation(values, [*notices, *_file_notices(fakes, data)])


def _draw(fakes: Fakes, count: int) -> Draw:
    return lambda seed: fakes.batches(seed, count)


def _settle_count(fakes: Fakes, data: DataSet, count: int | None) -> tuple[int, list[str]]:
    """How many fakes are measured, and what should be said of it."""
    asked = count
    if len(data.train) < 2 * FEWEST:
        raise SteadyganError(
            f"{data.name} has {len(data.train)} image(s), too few to measure against", f"give at least {2 * FEWEST}"
        )
    count = customary_count(data) if asked is None else asked
    if fakes.available is not None and fakes.available < count:
        if asked is not None:
            raise SteadyganError(
                f"{asked:,} fakes asked for, but {fakes.name} has {fakes.available:,}", "lower --count"
            )
        count = fakes.available
    if count < FEWEST:
        raise SteadyganError(f"{count} fake image(s) are too few to measure", f"give at least {FEWEST}, better 1,000")
    return count, [f"{count:,} images are few: values below {FEW:,} are rough"] if count < FEW else []


def _file_notices(fakes: Fakes, data: DataSet) -> list[str]:
    """JPEG on one side only: its blocks and lost detail move every distance."""
    real = endings(str(data.facts.get("source", data.name)))
    lossy, other = bool(fakes.endings & LOSSY), bool(real & LOSSY)
    if fakes.endings and lossy != other:
        first, second = ("fakes", "reals") if lossy else ("reals", "fakes")
        return [f"the {first} are JPEG and the {second} are not: compression alone moves the values; save both alike"]
    return []


def _words(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{width}x{height} with {channels} channel(s)"


def side_by_side(panels: Sequence[tuple[str, Image.Image]], gap: int = 12) -> Image.Image:
    """Pictures in a row, each under its name."""
    line = 20
    height = line + max(picture.height for _, picture in panels)
    canvas = Image.new("RGB", (sum(p.width + gap for _, p in panels) + gap, height + gap), "white")
    left, draw = gap, ImageDraw.Draw(canvas)
    for name, picture in panels:
        # Pillow's own letters are about six pixels wide
        draw.text((left, 4), name[: max(4, picture.width // 6)], fill="black")
        canvas.paste(picture.convert("RGB"), (left, line))
        left += picture.width + gap
    return canvas


class Milestones:
    """Measures the averaged generator while a run goes on, outside the round, from draws of its own.

    What it gives depends on the weights, the config and the data alone, so a resumed run writes the same lines.

    Args:
        config: of the run.
        data: its real set.
        metrics: names in the table of metrics.
        features: as ``--features`` takes it.
        count: number of fakes; 0: as many as the data let the floor be measured with, at most 10,000.
        sample: from a count and a seed to chunks (n, C, H, W) in [-1, 1] of the averaged generator; with two more
            numbers every ``step``-th of them from ``first`` on.
    """

    def __init__(
        self,
        config: RunConfig,
        data: DataSet,
        metrics: Sequence[str],
        features: str,
        count: int,
        sample: Callable[..., Iterable[Tensor]],
    ) -> None:
        self.names = choose(tuple(metrics))
        self.config, self.sample = config, sample
        network = agreement.after_first(lambda: open_features(features, data))
        self.reference = agreement.after_first(lambda: Reference(data, network, count or None))

    def lines(self, images_seen: int) -> list[dict[str, Any]]:
        """The values of now as lines of ``metrics.jsonl``; several processes share the work up to the features."""
        shared = self._shared() if processes.count() > 1 else None
        if shared is None and sharding.sharded(self.config):
            shared = self._side()

        def measured() -> list[dict[str, Any]]:
            with warnings.catch_warnings():
                # told once, by the settings' own page; a run that goes on is no place to repeat it
                warnings.simplefilter("ignore", FewSamplesWarning)
                fakes = shared or self._side()
                seeds = (self.config.seed,)
                values = measure_sides(self.reference, lambda seed: fakes, self.names, seeds=seeds, averaged=True)
            return [value.line(images_seen) for value in values]

        return agreement.lead(measured)

    def _side(self) -> Side:
        chunks = self.sample(self.reference.count, self.config.seed)
        return look(self.reference.network, (to_uint8(images) for images in chunks))

    def _shared(self) -> Side | None:
        """The same of chunks that the processes make and look at in turns; None where there are too few to share."""
        chunks, world = math.ceil(self.reference.count / families.CHUNK), processes.count()
        if chunks < world:
            return None
        own = iter(self.sample(self.reference.count, self.config.seed, processes.rank(), world))
        images, readings = list[Tensor](), list[Reading]()
        for turn in range(math.ceil(chunks / world)):
            if (made := next(own, None)) is not None:
                readings.append(self.reference.network.read(to_uint8(made)))
                images += [to_uint8(made)] if turn * world * families.CHUNK < LOOKED_AT else []
            # so that nobody is far behind, and waited for in vain
            agreement.highest(0)
        features = _dealt_back([one.features for one in readings])
        probabilities = [one.probabilities for one in readings if one.probabilities is not None]
        reading = Reading(features, _dealt_back(probabilities) if probabilities else None)
        return Side(reading, _dealt_back(images)[:LOOKED_AT])


def _dealt_back(chunks: Sequence[Tensor]) -> Tensor:
    """The rows of all processes' chunks in the order of the chunks, which were dealt to them in turns."""
    hands = [torch.split(rows, families.CHUNK) for rows in processes.collected(torch.cat(list(chunks)))]
    return torch.cat([chunk for turn in itertools.zip_longest(*hands) for chunk in turn if chunk is not None])
