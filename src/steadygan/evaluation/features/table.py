"""The table of feature networks, and how one is opened for a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from steadygan.data.cache import default_folder
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError, unknown
from steadygan.evaluation.features.judge import Definition, Judge, load_judge, pack, train_judge
from steadygan.evaluation.features.plain import CALIBRATION, Pixels, Random
from steadygan.evaluation.features.pretrained import load_dino, load_inception
from steadygan.evaluation.features.reading import FeatureNetwork, hash_of
from steadygan.runtime import storage

Progress = Callable[[str, int, int], None]
Opener = Callable[[DataSet, str, torch.device, Progress | None], FeatureNetwork]
"""From the real data, the file behind the colon (or nothing), the device and a watcher to a feature network."""


def _pixels(data: DataSet, file: str, device: torch.device, progress: Progress | None) -> FeatureNetwork:
    _no_file("pixels", file)
    return Pixels(data.shape)


def _random(data: DataSet, file: str, device: torch.device, progress: Progress | None) -> FeatureNetwork:
    _no_file("random", file)
    return Random(data.shape, data.rows(data.train[:CALIBRATION]))


def _judge(data: DataSet, file: str, device: torch.device, progress: Progress | None) -> FeatureNetwork:
    return load_judge(Path(file), device) if file else own_judge(data, device=device, progress=progress)


def _inception(
    resize: str, data: DataSet, file: str, device: torch.device, progress: Progress | None
) -> FeatureNetwork:
    return load_inception(file, resize, device=device, progress=progress)


def _dino(data: DataSet, file: str, device: torch.device, progress: Progress | None) -> FeatureNetwork:
    return load_dino(file, device=device)


FEATURES: dict[str, Opener] = {
    "judge": _judge,
    "inception": partial(_inception, "tensorflow"),
    "inception-centred": partial(_inception, "centred"),
    "inception-clean": partial(_inception, "clean"),
    "dino": _dino,
    "random": _random,
    "pixels": _pixels,
}
"""Feature networks by name; ``NAME:FILE`` hands a file of weights to those that take one."""


def open_features(
    spec: str, data: DataSet, *, device: torch.device | None = None, progress: Progress | None = None
) -> FeatureNetwork:
    """The feature network that ``spec`` names, ready for images of the shape of ``data``.

    Args:
        spec: a name in ``FEATURES``, or ``NAME:FILE``.
        data: the real images: their shape, and what a judge is trained on.
        device: where it computes; None: the CPU.
        progress: told what takes long.

    Raises:
        SteadyganError: for an unknown name, or weights that are missing or foreign.
    """
    name, _, file = spec.partition(":")
    if name not in FEATURES:
        raise unknown("features", name, FEATURES)
    # a network draws its first weights when it is built, which must not disturb a run that goes on beside
    with torch.random.fork_rng(devices=[]):
        return FEATURES[name](data, file, device or torch.device("cpu"), progress)


def own_judge(
    data: DataSet,
    *,
    seed: int = 0,
    images: int | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> Judge:
    """The judge of a data set: trained on its training rows the first time, then read from the cache.

    Args:
        data: the real images; where they have labels the judge is a classifier.
        seed: of weights and batches.
        images: how many images it is taught on; None: enough for a minute.
        device: where it computes.
        progress: told how far the training is.
        cache: folder of all caches; None: ``$STEADYGAN_CACHE``, then ``~/.cache/steadygan``.
    """
    length = {} if images is None else {"images": images}
    classes = data.classes if data.classes > 1 else 0
    definition = Definition(*data.shape, classes=classes, seed=seed, **length)
    key = hash_of({**asdict(definition), "data": data.fingerprint})
    path = (cache or default_folder()) / "judges" / f"{key}.safetensors"
    if path.is_file():
        try:
            return _named(load_judge(path, device))
        except SteadyganError:
            path.unlink(missing_ok=True)  # broken: made anew below
    judge = train_judge(definition, _drawer(data), len(data.train), device=device, progress=progress)
    facts = {"data": data.fingerprint}
    if classes and data.labels is not None and len(data.held_out):
        labels = torch.from_numpy(data.labels[data.held_out])
        facts["held_out_accuracy"] = f"{judge.accuracy(data.rows(data.held_out), labels):.4f}"
    storage.make_folder(path.parent)
    with storage.writing(path):
        storage.write_file(path, pack(judge, facts))
    return judge


def _named(judge: Judge) -> Judge:
    judge.name = "judge"
    return judge


def _drawer(data: DataSet) -> Callable[[Tensor], tuple[Tensor, Tensor | None]]:
    def draw(rows: Tensor) -> tuple[Tensor, Tensor | None]:
        places = data.train[rows.numpy()]
        return data.rows(places), None if data.labels is None else torch.from_numpy(data.labels[places])

    return draw


def _no_file(name: str, file: str) -> None:
    if file:
        raise SteadyganError(f"the features {name!r} take no file", f"write --features {name}")
