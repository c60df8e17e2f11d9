"""Exams of the families of classes: the class asked for, variety within it, codes that mean something, few labels.

The first seed at full length also leaves a picture in ``docs/images``. MNIST's fakes are judged by the independent
LeNet of ``judge.py``; for Fashion-MNIST, where there is none, by the judge that the toolkit teaches on training images.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from family_exam import Exam, Figure, Figures, trained
from judge import data_folder, load_judge, look, real_chunks
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from torch import Tensor

from steadygan.config import DataConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.evaluation.diversity import mean_pairwise_distance
from steadygan.evaluation.features.table import own_judge
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics
from steadygan.report import pictures

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "images"
SAMPLES = 10_000
KINDS = 10
"""Classes of either set."""
STEPS = 9
"""Values of a continuous code at which its effect is measured."""
EACH = 32
"""Images of every category at each of them."""


def asked(recipe: str, data: str, seed: int, folder: Path, scale: float, *, images: int) -> Figures:
    """A recipe that is asked for classes."""
    run = trained(data, recipe, images, seed, folder, scale)
    if seed == 0 and scale == 1:
        _save(run.sample(100, seed=2), f"family-{recipe}-{data}.png")
    label = torch.arange(SAMPLES) % KINDS
    if data == "mnist":
        judge = load_judge()
        found, told = look(judge, run.samples(SAMPLES, seed=1))
        features, _ = look(judge, real_chunks("test"))
        truth = _labels("mnist")
    else:
        found, told, features, truth = _fashion(run)
    within = [_spread(found[label == one]) / _spread(features[truth == one]) for one in range(KINDS)]
    return {
        "agreement": float((told.argmax(1) == label).float().mean()),
        "diversity": float(np.mean(within)),
        "least_diversity": min(within),
        "frechet": frechet_distance(*gaussian_statistics(found), *gaussian_statistics(features)),
    }


def _fashion(run: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features and probabilities of fakes, features of test images, and their labels, by the toolkit's own judge."""
    test = _open("fashion-mnist", "test")
    judge = own_judge(open_data(run.config.data))
    fakes = [judge.read(pictures.to_uint8(chunk)) for chunk in run.samples(SAMPLES, seed=1)]
    reals = [judge.read(torch.from_numpy(part.copy())) for part in np.array_split(test.images, 20)]
    probabilities = [one.probabilities for one in fakes if one.probabilities is not None]
    features = torch.cat([one.features for one in fakes])
    return features, torch.cat(probabilities), torch.cat([one.features for one in reals]), _labels("fashion-mnist")


def _spread(features: Tensor) -> float:
    return float(mean_pairwise_distance(features[:500].double()))


def _open(name: str, split: str) -> DataSet:
    return open_data(DataConfig(source=name, split=split, folder=str(data_folder() / name)))


def _labels(name: str) -> Tensor:
    labels = _open(name, "test").labels
    assert labels is not None
    return torch.from_numpy(labels)


def _unseen(name: str) -> Tensor:
    return torch.from_numpy(_open(name, "test").images.copy()).float() / 127.5 - 1


def _save(images: Tensor, name: str, columns: int = 10) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    pictures.grid(images, columns=columns).save(PICTURES / name, optimize=True)


# InfoGAN


def codes(seed: int, folder: Path, scale: float, *, images: int) -> Figures:
    """What InfoGAN's codes came to mean."""
    run = trained("mnist", "infogan", images, seed, folder, scale)
    judge = load_judge()
    met = np.zeros((KINDS, KINDS))
    for category in range(KINDS):
        _, told = look(judge, run.samples(500, seed=1, code={"category": category}))
        met[category] = np.bincount(told.argmax(1).numpy(), minlength=KINDS) / 500
    real = np.zeros((KINDS, KINDS))
    np.add.at(real, (run.classify(_unseen("mnist")).argmax(1).numpy(), _labels("mnist").numpy()), 1e-4)
    effects = {name: _effects(run, name) for name in ("value1", "value2")}
    if seed == 0 and scale == 1:
        _picture_codes(run, linear_sum_assignment(-met)[1])
    return {
        "fakes_match": float(met[linear_sum_assignment(-met)].sum() / KINDS),
        "reals_match": float(real[linear_sum_assignment(-real)].sum()),
        "slant": max(abs(effect["slant"]) for effect in effects.values()),
        "width": max(abs(effect["width"]) for effect in effects.values()),
        "ink": max(abs(effect["ink"]) for effect in effects.values()),
    }


def _effects(run: Any, name: str) -> dict[str, float]:
    """Rank correlation of a value with what is measured of its images, same noise and category; the mean of those."""
    places = np.linspace(-1, 1, STEPS)
    found: dict[str, list[float]] = {"slant": [], "width": [], "ink": []}
    for category in range(KINDS):
        rows = [run.sample(EACH, seed=3, code={"category": category, name: float(value)}) for value in places]
        measured = [measures(images) for images in rows]
        for kind, kept in found.items():
            kept.append(float(spearmanr(places, [float(one[kind].mean()) for one in measured]).statistic))
    return {kind: float(np.mean(kept)) for kind, kept in found.items()}


def measures(images: Tensor) -> dict[str, Tensor]:
    """Slant, width and ink (N,) of drawings (N, 1, H, W) in [-1, 1].

    With ink as mass: slant is cov(x, y) / var(y), how far a column leans a row; width is the deviation of x once the
    slant is taken out, in pixels; ink is the mean brightness, 0 to 1.
    """
    mass = (images[:, 0].double() + 1) / 2
    total = mass.sum((1, 2)).clamp_min(1e-9)
    rows = torch.arange(mass.shape[1], dtype=torch.double)[None, :, None]
    columns = torch.arange(mass.shape[2], dtype=torch.double)[None, None, :]

    def mean(values: Tensor) -> Tensor:
        return (mass * values).sum((1, 2)) / total

    rows = rows - mean(rows)[:, None, None]
    columns = columns - mean(columns)[:, None, None]
    slant = mean(rows * columns) / mean(rows.square()).clamp_min(1e-9)
    upright = columns - slant[:, None, None] * rows
    return {"slant": slant, "width": mean(upright.square()).sqrt(), "ink": mass.mean((1, 2))}


def _picture_codes(run: Any, digits: Any) -> None:
    """Categories in the order of their digits, then both values from -1 to 1 for three of them."""
    order = np.argsort(digits)
    _save(
        torch.stack([run.sample(10, seed=2, code={"category": int(one)}) for one in order], 1).flatten(0, 1),
        "family-infogan-categories.png",
    )
    places = np.linspace(-1, 1, 10)
    kept = [
        run.sample(1, seed=5, code={"category": int(order[digit]), name: float(value)})
        for name in ("value1", "value2")
        for digit in (0, 1, 4, 7)
        for value in places
    ]
    _save(torch.cat(kept), "family-infogan-values.png")


# semi-supervised


def few_labels(seed: int, folder: Path, scale: float, *, images: int) -> Figures:
    """The semi-supervised discriminator's errors on MNIST's test images, 100 labels; another hundred for each seed."""
    run = trained("mnist", "semi-supervised", images, seed, folder, scale, (f"options.choice={seed}",))
    if seed == 0 and scale == 1:
        _save(run.sample(100, seed=2), "family-semi-supervised-mnist.png")
    wrong = run.classify(_unseen("mnist")).argmax(1) != _labels("mnist")
    return {"error": float(wrong.float().mean())}


AGREEMENT = Figure("agreement", "judge agrees with the class asked for", "≥ .97", 0.97)
OTHERS = (
    Figure("diversity", "variety within a class, of the data's", "1 as the data"),
    Figure("least_diversity", "the same, least varied class"),
    Figure("frechet", "Fréchet distance in the judge's features", "reals 1.2"),
)
ASKED, PROJECTED, CODED, TAUGHT = 60_000, 120_000, 600_000, 480_000
"""Lengths of the runs; projection is slower to obey, and keeps more variety; categories take long to become digits."""
CODES = (
    Figure("fakes_match", "fakes of a category are one digit", "≥ .90, best seed", 0.9, best=True),
    Figure("reals_match", "test images' categories are digits", "published .95"),
    Figure("slant", "rank correlation of a value with slant", ""),
    Figure("width", "the same with width", ""),
    Figure("ink", "the same with ink", ""),
)


def _asked(recipe: str, family: str, data: str, title: str, seeds: int = 3, images: int = ASKED) -> Exam:
    figures = (AGREEMENT, *OTHERS) if data == "mnist" else (Figure("agreement", AGREEMENT.meaning), *OTHERS[:2])
    return Exam(
        f"{recipe}-{data}", family, title, images, partial(asked, recipe, data, images=images), figures, seeds=seeds
    )


EXAMS = (
    _asked("cgan", "conditional, concatenation", "mnist", "MNIST"),
    _asked("cgan-projection", "conditional, projection", "mnist", "MNIST", images=PROJECTED),
    _asked("acgan", "AC-GAN", "mnist", "MNIST"),
    Exam("infogan-mnist", "InfoGAN", "MNIST", CODED, partial(codes, images=CODED), CODES, seeds=5),
    Exam(
        "semi-supervised-mnist",
        "semi-supervised",
        "MNIST, 100 labels",
        TAUGHT,
        partial(few_labels, images=TAUGHT),
        (Figure("error", "test error", "published .0093", higher=False),),
    ),
    _asked("cgan", "conditional, concatenation", "fashion-mnist", "Fashion-MNIST", seeds=1),
    _asked("cgan-projection", "conditional, projection", "fashion-mnist", "Fashion-MNIST", seeds=1),
)
"""Exams of this module."""
