"""steadygan from Python: ``train``, ``resume``, ``load``, ``evaluate``, ``compare``, ``write_report``, ``explain``."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet, write_quarantine
from steadygan.data.shelf import is_address, names_shards
from steadygan.data.sources import SOURCES, open_data
from steadygan.errors import SteadyganError
from steadygan.evaluation.comparison import Row, compare_values
from steadygan.game import checkpoint
from steadygan.health.illnesses import sicken_config, sicken_data
from steadygan.health.lookout import review
from steadygan.recipes.facts import DataFacts
from steadygan.report import pictures, trackers
from steadygan.runtime import agreement, devices, processes
from steadygan.runtime.folder import RunFolder
from steadygan.session import (
    again,
    benching,
    checking,
    evaluating,
    explain_writing,
    memory,
    planning,
    reporting,
    settings,
)
from steadygan.session.benching import Bench as Bench
from steadygan.session.diagnosing import Diagnosed as Diagnosed
from steadygan.session.diagnosing import diagnose as diagnose
from steadygan.session.diagnosing import lines_of
from steadygan.session.evaluating import Evaluation, Fakes
from steadygan.session.explained import Explanation as Explanation
from steadygan.session.explaining import explain as explain
from steadygan.session.running import Run, open_run
from steadygan.session.trained import Trained as Trained
from steadygan.session.trained import load as load
from steadygan.session.watching import Several, Watcher
from steadygan.session.wiring import check_processes, prepare

Progress = Callable[[str, int, int], None]

RUNS = Path("runs")
"""Where runs go that were given no other place."""


@dataclass(frozen=True)
class Plan:
    """A settled config with the data that it is for, and the measurements that it rests on."""

    config: RunConfig
    data: DataSet
    trials: Sequence[planning.Trial] = ()


def plan(
    data: str = "digits",
    *,
    recipe: str = "auto",
    minutes: float | None = None,
    images: int | None = None,
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
    sicken: str = "",
    set: Sequence[str] = (),  # noqa: A002 - the same word as on the command line
    progress: Progress | None = None,
) -> Plan:
    """Open the data, choose the recipe, measure where ``minutes`` ask for it, and settle every setting.

    Raises:
        SteadyganError: for data, names or values that cannot be used.
    """
    processes.join()
    given = [*([f"images={images}"] if images is not None else []), f"seed={seed}", *set]
    asked = {"data": _placed(data), "recipe": recipe, "minutes": minutes, "image size": image_size, "sicken": sicken}
    agreement.same("settings", asked | dict(map(settings.pair, given)))
    _check_minutes(minutes, given)
    source = settings.data_config(DataConfig(source=_placed(data), image_size=image_size), set)
    _check_early(recipe, source, given)
    opened = _opened(source, progress)
    device = devices.choose_device(str(dict(map(settings.pair, given)).get("device", "auto"))).type
    facts = DataFacts(opened.name, len(opened.train), opened.shape, opened.classes, source, device)
    config = prepare(settings.apply(recipes.build(recipe, facts), given), opened)
    trials: list[planning.Trial] = []
    if minutes is not None:
        free = {name for name in ("capacity", "batch") if not any(name in text.partition("=")[0] for text in given)}
        if any(player.network.hidden for player in config.players.values()):
            free.discard("capacity")
        with memory.advice(config):
            config = planning.choose_threads(config, opened)
            config, trials = planning.fit_to_minutes(config, opened, minutes, free)
    # the healthy run is planned, so that the illness alone is what differs
    ill = sicken_config(sicken, config).model_copy(update={"sicken": sicken})
    if not ill.threads:
        ill = ill.model_copy(update={"threads": planning.idle_cores()})
    return Plan(planning.settle(ill), sicken_data(sicken, opened, seed), trials)


def _opened(source: DataConfig, progress: Progress | None) -> DataSet:
    """The data; of several processes the first decodes what must be decoded, and the others read what it left."""

    return agreement.after_first(lambda: open_data(source, progress=progress))


def _placed(data: str) -> str:
    """A path in full, so that the run can be resumed from another folder; other names as they are."""
    path = Path(data).expanduser()
    if data in SOURCES or is_address(data):
        return data
    return str(path.resolve()) if path.exists() else str(path.absolute()) if names_shards(data) else data


def _check_early(recipe: str, source: DataConfig, given: Sequence[str]) -> None:
    """Raise SteadyganError for what cannot be right whatever the data turn out to be."""
    height, width = source.image_size or (32, 32)
    facts = DataFacts(source.source, 10_000, (source.channels or 3, height, width), 10, source)
    checking.check(settings.apply(recipes.build(recipe, facts), given))


def _check_minutes(minutes: float | None, given: Sequence[str]) -> None:
    if minutes is None:
        return
    if not 0 < minutes < 1e5:
        raise SteadyganError(f"{minutes:g} minutes are not a usable time", "give a number above 0")
    if any(settings.pair(text)[0] == "images" for text in given):
        raise SteadyganError("minutes and images were both given", "give one of them")


def check_out(path: Path) -> None:
    """Raise SteadyganError where a new run cannot be written to ``path``: better before the planning than after."""
    RunFolder(path).check_free()


def start(planned: Plan, out: str | Path | None = None, watcher: Watcher | None = None) -> Trained:
    """Create the run folder of a plan and train to the end."""
    processes.join()
    path = Path(agreement.agree(str(out) if out is not None else str(fresh_path(planned.config))))
    folder, config = RunFolder(path), planned.config
    folder.check_free()
    with memory.advice(config), _watched(path, config, watcher) as onlooker:
        # wired before the folder is made: settings that cannot be wired leave nothing behind
        run = Run(folder, config, planned.data, onlooker)
        folder.create(config.model_dump_json(indent=1))
        with _nothing_left(folder), memory.advice(config):
            if processes.leads():
                write_quarantine(path / "quarantine.csv", planned.data.quarantine)
                again.keep(path, config, lambda: _recipe(config, len(planned.data.train)))
            run.conduct()
    return load(path)


def _recipe(config: RunConfig, count: int) -> RunConfig:
    """What a run's recipe says of its own for data of its shape and this many training images."""
    shape = config.shape or (0, 0, 0)
    return recipes.build(config.recipe, DataFacts(config.data.source, count, shape, config.classes, config.data))


@contextlib.contextmanager
def _nothing_left(folder: RunFolder) -> Iterator[None]:
    """Take a new run's folder away again where it failed before its first record, as for want of memory."""
    try:
        yield
    except SteadyganError:
        records = folder.path / "records.jsonl"
        if (
            processes.leads()
            and records.is_file()
            and not records.stat().st_size
            and not checkpoint.listed(folder.checkpoints)
        ):
            shutil.rmtree(folder.path, ignore_errors=True)
        raise


@contextlib.contextmanager
def _watched(path: Path, config: RunConfig, watcher: Watcher | None) -> Iterator[Watcher | None]:
    """The watcher, joined by those that hand the run on to other programs where the config asks for them."""
    with contextlib.ExitStack() as stack:
        wanted = trackers.wanted(config) if processes.leads() else []
        found = [stack.enter_context(tracker(path)) for tracker in wanted]
        yield Several(*found, *([watcher] if watcher else [])) if found else watcher


def train(
    data: str = "digits",
    *,
    recipe: str = "auto",
    minutes: float | None = None,
    images: int | None = None,
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    sicken: str = "",
    set: Sequence[str] = (),  # noqa: A002 - the same word as on the command line
    watcher: Watcher | None = None,
) -> Trained:
    """Train a GAN on ``data`` and return the trained run.

    Args:
        data: a built-in set (``digits``, ``mnist``, ``fashion-mnist``, ``cifar10``), or a path to a folder or zip of
            images or to an ``.npy``/``.npz`` file.
        recipe: a name of ``steadygan.recipes.RECIPES``; ``auto`` chooses from the data.
        minutes: how long it may take on this machine; sizes and length are planned to fit.
        images: length of the run in real images seen, instead of ``minutes``.
        image_size: height and width.
        seed: the same seed, data, settings and machine give the same bits.
        out: the run folder; must be new or empty. None: ``runs/<recipe>-<data>-<time>``.
        sicken: an illness to put in on purpose, ``NAME`` or ``NAME:SEVERITY`` (``steadygan.health.illnesses``).
        set: further settings as ``key=value``, as on the command line; ``health.mode=watch`` only tells what goes
            wrong, and ``off`` does not look.

    Raises:
        SteadyganError: for anything that a person can mend, in one line.
    """
    size = image_size
    planned = plan(
        data, recipe=recipe, minutes=minutes, images=images, image_size=size, seed=seed, sicken=sicken, set=set
    )
    return start(planned, out, watcher)


def resume(run: str | Path, *, watcher: Watcher | None = None, progress: Progress | None = None) -> Trained:
    """Go on with a run from its newest good checkpoint to its end, in the same bits as if it had never stopped."""
    processes.join()
    folder, config = open_run(Path(run))
    check_processes(config)
    try:
        data = sicken_data(config.sicken, _opened(config.data, progress), config.seed)
    except SteadyganError as error:
        remedy = f"{error.remedy}; or set data.source in {folder.config} to where the data are now"
        raise SteadyganError(error.what, remedy, code=error.code) from None
    with memory.advice(config), _watched(folder.path, config, watcher) as onlooker:
        Run(folder, config, data, onlooker).conduct()
    return load(run)


def bench(
    recipe: Sequence[str] = (),
    *,
    shape: tuple[int, int, int] = (1, 28, 28),
    device: str = "auto",
    precision: str = "auto",
    **settings: Any,
) -> Bench:
    """How near rounds of the recipes (none: ``benching.USUAL``) come to what this machine can do on random images.

    ``shape`` is C, H, W; ``settings`` are ``batches``, ``threads``, ``capacity``, ``minutes`` and ``progress`` of
    ``benching.bench``. Raises SteadyganError for names or sizes that cannot be used.
    """
    facts = DataFacts("random", 57_000, shape, 2, DataConfig(), devices.choose_device(device).type)
    own, names = {"device": device, "precision": precision}, recipe or benching.USUAL
    configs = {name: recipes.build(name, facts).model_copy(update=own) for name in names}
    return benching.bench(configs, shape, **settings)


def fresh_path(config: RunConfig) -> Path:
    """A new name under ``runs/`` for a run of this config."""
    name = re.sub(r"[^\w.-]+", "-", Path(config.data.source).stem).strip("-.") or "data"
    first = RUNS / f"{config.recipe}-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    later = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([first], later) if not path.exists())


def evaluate(
    samples: str | Path,
    against: str | None = None,
    *,
    metrics: str | Sequence[str] = evaluating.METRICS_ASKED,
    features: str = "judge",
    count: int | None = None,
    seeds: int = 3,
    device: str = "cpu",
    set: Sequence[str] = (),  # noqa: A002 - the same word as on the command line
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a run's fakes, or images that somebody else made, against real data.

    Args:
        samples: a run, a folder or zip of images, or an array.
        against: the real data, as ``train`` takes it; None: the data that the run was trained on.
        metrics: names of ``steadygan.evaluation.metrics_table.METRICS``, in a list or joined by commas; ``all``.
        features: a name of ``steadygan.evaluation.features.FEATURES``, or ``NAME:FILE``.
        count: number of fakes; None: half of the reals, at most 10,000.
        seeds: how often fakes are drawn and measured; the value is the mean.
        device: where the networks compute.
        set: further settings of the real data, as ``data.split=test``.
        progress: told what takes long.

    Returns:
        The values, each with its floor and protocol, and notices in words. Those of a run are also written to its
        ``metrics.jsonl``, unless a process is training there.

    Raises:
        SteadyganError: for anything that a person can mend, in one line.
    """
    place = devices.choose_device(device)
    trained = load(samples, device=device) if (Path(samples) / "config.json").is_file() else None
    if trained is None and against is None:
        raise SteadyganError(f"{samples} is no run, so its reals are not known", "say against which data")
    fakes = _fakes(trained) if trained else evaluating.fakes_of_files(str(samples), progress=progress)
    source = trained.config.data if trained else DataConfig()
    if against is not None and _placed(against) != source.source:
        source = DataConfig(source=_placed(against), fit=source.fit)
    data = evaluating.reals(settings.only_data(source, set), fakes, progress=progress)
    with devices.unhurried():
        found = evaluating.measure(
            fakes,
            data,
            metrics=metrics,
            features=features,
            count=count,
            seeds=seeds,
            device=place,
            progress=progress,
        )
    return found if trained is None else _stored(trained, found)


def _fakes(trained: Trained) -> Fakes:
    """A run's averaged generator as a source of fakes."""
    shape = trained.config.shape or (0, 0, 0)

    def batches(seed: int, count: int) -> Iterator[Tensor]:
        return (pictures.to_uint8(images) for images in trained.samples(count, seed=seed))

    return Fakes(str(trained.path), shape, batches, averaged=True, images_seen=trained.images_seen)


def _stored(trained: Trained, found: Evaluation) -> Evaluation:
    """Write the values into the run's ``metrics.jsonl``; where that cannot be done, say so among the notices."""
    folder = RunFolder(trained.path)
    try:
        with folder:
            for value in found.values:
                folder.append("metrics.jsonl", value.line(trained.images_seen))
    except (OSError, SteadyganError) as error:
        return Evaluation(found.values, [*found.notices, f"not written to metrics.jsonl ({error})"])
    return found


@dataclass(frozen=True)
class Summary:
    """What a comparison says of one run besides its measured values."""

    path: Path
    recipe: str
    images_seen: int
    health: str
    losses: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side: what each is, a row for every metric, and their samples of one seed as a picture."""

    runs: tuple[Summary, ...]
    rows: tuple[Row, ...]
    figure: Image.Image


def compare(runs: Sequence[str | Path], *, count: int = 16, seed: int = 0) -> Comparison:
    """Put runs side by side by what stands in their folders.

    Args:
        runs: two or more run folders.
        count: samples of each in the picture.
        seed: of the samples.

    Raises:
        SteadyganError: for fewer than two runs, or one that cannot be read.
    """
    if len(runs) < 2:
        raise SteadyganError("nothing to compare", "name two or more runs")
    loaded = [load(run) for run in runs]
    rows = compare_values([lines_of(trained.path / "metrics.jsonl") for trained in loaded])
    side = max(1, round(count**0.5))
    panels = [(trained.path.name, pictures.grid(trained.sample(count, seed=seed), columns=side)) for trained in loaded]
    return Comparison(tuple(map(_summary, loaded)), tuple(rows), evaluating.side_by_side(panels))


def _summary(trained: Trained) -> Summary:
    records = lines_of(trained.path / "records.jsonl")
    standing = review(records, trained.config.images).standing
    last = records[-1] if records else {}
    losses = {name: float("nan") if value is None else value for name, value in last.items() if name.endswith("/loss")}
    return Summary(trained.path, trained.config.recipe, trained.images_seen, ", ".join(standing) or "steady", losses)


def write_report(runs: Sequence[str | Path] | str | Path, out: str | Path | None = None) -> Path:
    """Write the report on a run, or on several side by side, as one HTML file that fetches nothing.

    What it needs of the data and the networks is made first where a folder lacks it; where it cannot be had, as for a
    run without a checkpoint or data that are gone, the page says so.

    Args:
        runs: a run folder, or several.
        out: the file, a name that is not taken yet; None: ``report.html`` in the run, which is replaced, or for several
            runs a name beside the first of them.

    Raises:
        SteadyganError: for no run, a folder that is none, or a place that cannot be written.
    """
    paths = [Path(runs)] if isinstance(runs, (str, Path)) else [Path(run) for run in runs]
    return reporting.report(paths, None if out is None else Path(out), _recipe)


def write_explanation(
    run: str | Path,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    best: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Explain what the networks of a run have learned, as one HTML file that fetches nothing; see ``explain``.

    Args:
        run: its folder.
        out: the file, a name that is not taken yet; None: ``explain.html`` in the run, which is replaced.
        seed: of all draws.
        device: where the networks compute.
        best: explain the averaged generator that health found best.
        progress: told what is being done.

    Raises:
        SteadyganError: a run that cannot be explained, or a place that cannot be written.
    """
    path = explain_writing.place(Path(run), None if out is None else Path(out))
    return explain_writing.write(explain(run, seed=seed, device=device, best=best, progress=progress), path)
