"""Exams of the families that encode, on MNIST and on faces: what comes back, what latents know, how sharp it all is.

The first seed at full length also leaves a picture in ``docs/images``: images, what they came back as, and samples.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from family_exam import Exam, Figure, Figures, trained
from judge import data_folder, load_judge, look, real_chunks
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

import steadygan
from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics
from steadygan.evaluation.spectrum import spectrum_distance
from steadygan.report import pictures
from steadygan.session.families import build_players

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
SAMPLES = 10_000
PROBED = 10_000
"""Training images that the linear probe learns from; it is tested on all test images."""
FACES = "46x56"


def digits(recipe: str, seed: int, folder: Path, scale: float, *, images: int, given: tuple[str, ...] = ()) -> Figures:
    """A recipe on MNIST."""
    run = trained("mnist", recipe, images, seed, folder, scale, given)
    if seed == 0 and scale == 1:
        test = open_data(DataConfig(source="mnist", split="test", folder=str(data_folder() / "mnist")))
        picture(run, _pixels(test, test.train[:30]), IMAGES / f"family-{recipe}-mnist.png", columns=10)
    return look_at_digits(run)


def look_at_digits(run: Any) -> Figures:
    """Everything that is measured of a run on MNIST."""
    judge = load_judge()
    data = open_data(DataConfig(source="mnist", folder=str(data_folder() / "mnist")))
    test = open_data(DataConfig(source="mnist", split="test", folder=str(data_folder() / "mnist"), held_out=0.0))
    unseen, wanted = _pixels(test, test.train), test.labels[test.train]
    train = data.train[:PROBED]
    untrained = build_players(run.config, ("encoder",))["encoder"].eval()
    latents = run.encode(_pixels(data, train)), run.encode(unseen)
    back = run.decode(latents[1])
    held = _pixels(data, data.held_out)
    reals, fakes = look(judge, real_chunks("test"))[0], look(judge, run.samples(SAMPLES))[0]
    samples = run.sample(2000)
    return {
        "held_out_error": _error(held, run.decode(run.encode(held))),
        "test_error": _error(unseen, back),
        "kept_class": float((look(judge, [back])[1].argmax(1).numpy() == wanted).mean()),
        "latent_probe": probe(latents, (data.labels[train], wanted)),
        "feature_probe": probe(
            (_features(run.networks["encoder"], _pixels(data, train)), _features(run.networks["encoder"], unseen)),
            (data.labels[train], wanted),
        ),
        "untrained_probe": probe(
            (_features(untrained, _pixels(data, train)), _features(untrained, unseen)), (data.labels[train], wanted)
        ),
        "distance": frechet_distance(*gaussian_statistics(fakes), *gaussian_statistics(reals)),
        "sharpness_back": float(spectrum_distance(unseen, back).bands[-1]),
        "sharpness_samples": float(spectrum_distance(unseen, samples).bands[-1]),
    }


def faces(recipe: str, seed: int, folder: Path, scale: float, *, images: int, given: tuple[str, ...] = ()) -> Figures:
    """A recipe on the faces, which are not square."""
    source = str(data_folder() / "faces" / "att-faces.zip")
    run = trained(source, recipe, images, seed, folder, scale, (f"data.image_size={FACES}", *given))
    data = open_data(run.config.data)
    if seed == 0 and scale == 1:
        shown = np.concatenate([data.held_out[:9], data.train[:9]])
        picture(run, _pixels(data, shown), IMAGES / f"family-{recipe}-faces.png", columns=9)
    known, unseen = _pixels(data, data.train), _pixels(data, data.held_out)
    found = steadygan.evaluate(run.path, metrics="fid", features="random", count=380, seeds=1)
    return {
        "train_error": _error(known, run.decode(run.encode(known))),
        "held_out_error": _error(unseen, run.decode(run.encode(unseen))),
        "distance": found.values[0].value,
        "sharpness_back": float(spectrum_distance(known, run.decode(run.encode(known))).bands[-1]),
        "sharpness_samples": float(spectrum_distance(known, run.sample(380)).bands[-1]),
    }


def probe(values: tuple[Tensor, Tensor], labels: tuple[Any, Any]) -> float:
    """Share of the second set's labels that a linear classifier learned on the first gets right."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(values[0].numpy(), labels[0])
    return float(model.score(values[1].numpy(), labels[1]))


def picture(run: Any, images: Tensor, path: Path, columns: int) -> None:
    """Rows of images, each above what they came back as, then two rows of samples; 32 greys keep the file small."""
    back = run.bring_back(images)
    rows = [row for pair in zip(images.split(columns), back.split(columns), strict=True) for row in pair]
    shown = pictures.grid(torch.cat([*rows, run.sample(2 * columns)]), columns=columns, scale=2 if columns == 10 else 1)
    pictures.save_png(path, shown.quantize(32))


@torch.no_grad()
def _features(encoder: Any, images: Tensor) -> Tensor:
    """The encoder's last hidden features."""
    return torch.cat([encoder.features(part) for part in images.split(500)])


def _pixels(data: Any, rows: np.ndarray) -> Tensor:
    return data.rows(rows).float() / 127.5 - 1


def _error(images: Tensor, back: Tensor) -> float:
    """Mean square error of pixels in [0, 1]."""
    return float(((images - back) / 2).square().mean())


SHARP = "power of {} in the highest third of frequencies against test images, dB (0: as sharp)"
ON_DIGITS = (
    Figure("held_out_error", "mean square error of held-out images brought back, pixels in [0, 1]"),
    Figure("test_error", "the same of test images"),
    Figure("kept_class", "share of test images that the judge still takes for their class when brought back"),
    Figure("latent_probe", "linear probe of the latents, test accuracy"),
    Figure("feature_probe", "linear probe of the encoder's features, test accuracy", "0.95 for the best", 0.95),
    Figure("untrained_probe", "the same of an encoder as it was first built"),
    Figure("distance", "Fréchet distance of samples in the judge's features (training images: 1.2)", higher=False),
    Figure("sharpness_back", SHARP.format("images brought back")),
    Figure("sharpness_samples", SHARP.format("samples")),
)
ON_FACES = (
    Figure("train_error", "mean square error of training images brought back, pixels in [0, 1]"),
    Figure("held_out_error", "the same of held-out images"),
    Figure("distance", "Fréchet distance of samples in random features", higher=False),
    Figure("sharpness_back", SHARP.format("images brought back").replace("test", "training")),
    Figure("sharpness_samples", SHARP.format("samples").replace("test", "training")),
)
FAMILIES = {
    "vae": ("variational autoencoder", 150_000, 30_000),
    "aae": ("adversarial autoencoder", 150_000, 30_000),
    "bigan": ("BiGAN", 150_000, 30_000),
    "ali": ("ALI", 150_000, 30_000),
    "vae-gan": ("VAE-GAN", 150_000, 30_000),
}
"""Recipe to its name, and its length on MNIST and on faces."""

EXAMS: tuple[Exam, ...] = tuple(
    Exam(
        f"{recipe}-{where}",
        name,
        {"mnist": "MNIST", "faces": f"AT&T faces, {FACES}"}[where],
        length,
        partial({"mnist": digits, "faces": faces}[where], recipe, images=length),
        {"mnist": ON_DIGITS, "faces": ON_FACES}[where],
        seeds={"mnist": 3, "faces": 1}[where],
    )
    for place, where in enumerate(("mnist", "faces"))
    for recipe, (name, *lengths) in FAMILIES.items()
    for length in [lengths[place]]
)
