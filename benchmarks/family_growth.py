"""Exams of the families that grow and draw in styles: quality for time, what styles do, faces and clothes.

The first seed at full length also leaves a picture in ``docs/images``. MNIST's fakes are judged by the independent
LeNet of ``judge.py``; clothes and faces, where there is none, by the toolkit's own judge, taught on training images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from family_exam import Exam, Figure, Figures, trained
from judge import data_folder, load_judge, look, real_chunks
from torch import Tensor
from torch.nn import functional as F

from steadygan import api
from steadygan.data.sources import open_data
from steadygan.evaluation.diversity import mean_pairwise_distance
from steadygan.evaluation.features.table import own_judge
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics
from steadygan.game import checkpoint
from steadygan.games.style import mix, path_lengths
from steadygan.networks.pyramid import PyramidGenerator
from steadygan.networks.style import StyleGenerator
from steadygan.report import pictures
from steadygan.session.trained import Trained
from steadygan.session.watching import Pace, Silent

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "images"
FACES = data_folder() / "faces" / "att-faces.zip"
SAMPLES, COURSE_SAMPLES = 3_000, 2_000
MARKS = 8
"""Places of a run at which its averaged generator is judged."""
SIDE = 32
TAUGHT = 12_000
"""Images that the own judge is taught on."""
SMALL = ("batch=16",)
"""Runs as short as these learn more from many small batches than from few large ones."""

Judge = Callable[[Tensor], tuple[Tensor, Tensor]]


# Growing, against the same networks at full size


class Stopwatch(Silent):
    """Notes the processor time at every record."""

    def __init__(self) -> None:
        self.start = time.process_time()
        self.spent: dict[int, float] = {0: 0.0}

    def record(self, line: Mapping[str, Any], pace: Pace, health: str) -> None:
        """Note the time."""
        self.spent[int(line["images_seen"])] = time.process_time() - self.start


def course(out: Path, images: int, seed: int, settings: tuple[str, ...]) -> list[tuple[float, Trained]]:
    """A run on MNIST at 32 pixels, and its averages at even distances with the processor seconds until then."""
    every = max(640, images // MARKS)
    given = [
        "threads=1",
        "health.mode=off",
        f"record_every={every}",
        f"checkpoint_every={every}",
        "keep=100",
        *settings,
    ]
    planned = api.plan("mnist", recipe="progressive", images=images, image_size=(SIDE, SIDE), seed=seed, set=given)
    watch = Stopwatch()
    api.start(planned, out, watch)
    found = []
    for path in checkpoint.listed(out / "checkpoints")[::-1]:
        seen = checkpoint.place(path)[1]
        if seen in watch.spent and seen:
            weights = checkpoint.read(path, weights_only=True)
            found.append((watch.spent[seen], Trained(out, planned.config, seen, weights, "cpu")))
    return found


def growing(seed: int, folder: Path, scale: float, *, images: int) -> Figures:
    """Growing against full size from the start: the same networks, loss, data and number of images."""
    length = max(2560, round(images * scale))
    judge, curves = load_judge(), {}
    reference = gaussian_statistics(look(judge, real_chunks("test"))[0])
    for name, settings in (("growing", ()), ("full", ("options.first=3",))):
        found = course(folder / name, length, seed, settings)
        curves[name] = [
            (
                spent,
                frechet_distance(*gaussian_statistics(look(judge, run.samples(COURSE_SAMPLES, seed=1))[0]), *reference),
            )
            for spent, run in found
        ]
        if name == "growing" and seed == 0 and scale == 1:
            _save(torch.stack([run.sample(6, seed=2) for _, run in found], 1).flatten(0, 1), "progressive", len(found))
    (full_spent, full), (spent, grown) = curves["full"][-1], curves["growing"][-1]
    reached = next((when for when, value in curves["growing"] if value <= full), None)
    return {
        "growing": grown,
        "full": full,
        "seconds": spent,
        "full_seconds": full_spent,
        "same_time": _between(curves["full"], spent),
        "reached": None if reached is None else reached / full_spent,
    }


def _between(curve: list[tuple[float, float]], when: float) -> float:
    """The last value of a curve that was there at a time."""
    return next((value for spent, value in curve[::-1] if spent <= when), curve[0][1])


# A pyramid on digits


def pyramid(seed: int, folder: Path, scale: float, *, images: int) -> Figures:
    """LAPGAN on MNIST at 32 pixels, and what its finer levels add to the coarsest."""
    run = trained("mnist", "lapgan", images, seed, folder, scale, (f"data.image_size={SIDE}x{SIDE}", *SMALL))
    judge = load_judge()
    reference = gaussian_statistics(look(judge, real_chunks("test"))[0])
    found, told = look(judge, run.samples(SAMPLES, seed=1))
    rows = chain(run, 10)
    if seed == 0 and scale == 1:
        shown = torch.cat([F.interpolate(row, (SIDE, SIDE), mode="nearest") for row in rows])
        _save(torch.cat([shown, run.sample(40, seed=4)]), "lapgan", 10)
    enlarged = F.interpolate(chain(run, 2000)[0], (SIDE, SIDE), mode="bilinear", align_corners=False)
    coarse = gaussian_statistics(look(judge, torch.split(enlarged, 500))[0])
    return {
        "frechet": frechet_distance(*gaussian_statistics(found), *reference),
        "coarsest": frechet_distance(*coarse, *reference),
        "confidence": float(told.max(1).values.mean()),
    }


@torch.no_grad()
def chain(run: Trained, count: int) -> list[Tensor]:
    """The images of every level of some samples, the coarsest first, clamped to their range."""
    generator: Any = run.generator
    body = cast(PyramidGenerator, generator.body)
    source = torch.Generator().manual_seed(2)
    parts = body.split(torch.randn(count, generator.latent, generator=source))
    found = [body.level(0, parts[0], None)]
    for index in range(1, len(parts)):
        found.append(body.level(index, parts[index], body.enlarged(index, found[-1])))
    return [image.clamp(-1, 1) for image in found]


# Clothes and faces


def quality(run: Trained, count: int = SAMPLES) -> Figures:
    """Fréchet distance to the training images in the own judge's features, and variety beside theirs."""
    data = open_data(run.config.data)
    judge = own_judge(data, images=TAUGHT)
    rows = data.train[torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0)).numpy()[:count]]
    real = torch.cat([judge.read(data.rows(part)).features for part in _parts(rows)])
    fake = torch.cat([judge.read(pictures.to_uint8(chunk)).features for chunk in run.samples(count, seed=1)])
    return {
        "frechet": frechet_distance(*gaussian_statistics(fake), *gaussian_statistics(real)),
        "variety": float(mean_pairwise_distance(fake[:500].double()) / mean_pairwise_distance(real[:500].double())),
    }


def _parts(rows: Any) -> list[Any]:
    return [rows[start : start + 500] for start in range(0, len(rows), 500)]


def clothes(recipe: str, seed: int, folder: Path, scale: float, *, images: int) -> Figures:
    """A recipe on Fashion-MNIST."""
    run = trained("fashion-mnist", recipe, images, seed, folder, scale, SMALL)
    if seed == 0 and scale == 1:
        _save(run.sample(60, seed=2), recipe, 10)
    return quality(run)


def faces(recipe: str, seed: int, folder: Path, scale: float, *, images: int) -> Figures:
    """A recipe on faces of 64 x 64 pixels."""
    run = trained(str(FACES), recipe, images, seed, folder, scale, ("data.image_size=64x64", *SMALL))
    if seed == 0 and scale == 1:
        _save(run.sample(24, seed=2), f"{recipe}-faces", 8)
    return quality(run, 2000)


# What mixing and path length regularisation do


def styles(seed: int, folder: Path, scale: float, *, images: int) -> Figures:
    """The style recipe on Fashion-MNIST as it is, and without mixing and without path length regularisation."""
    given = {"whole": (), "without": ("options.mixing=0", "options.path_length=0")}
    runs = {
        name: trained("fashion-mnist", "style", images, seed, folder, scale, (*SMALL, *one))
        for name, one in given.items()
    }
    found: Figures = {}
    for name, run in runs.items():
        found |= {f"{name}_{key}": value for key, value in (quality(run) | of_styles(run)).items()}
    if seed == 0 and scale == 1:
        _save(runs["whole"].sample(60, seed=2), "style", 10)
        _save(crossed(runs["whole"], 8), "style-mixing", 9)
    return found


def of_styles(run: Trained) -> Figures:
    """How unevenly images move with their styles, and how far mixed images are from unmixed ones."""
    generator = cast(StyleGenerator, run.generator)
    source = torch.Generator().manual_seed(5)
    size = generator.latent
    lengths = []
    for _ in range(16):
        drawn = generator.map(torch.randn(32, size, generator=source))
        each = drawn[:, None].repeat(1, generator.layers, 1).requires_grad_()
        images = generator.synthesise(each)
        lengths.append(path_lengths(images, each, torch.randn(images.shape, generator=source)).detach())
    judge = own_judge(open_data(run.config.data), images=TAUGHT)
    features: dict[float, list[Tensor]] = {0.0: [], 1.0: []}
    torch.manual_seed(6)
    with torch.no_grad():
        for share, kept in features.items():
            for _ in range(10):
                one, other = (generator.map(torch.randn(200, size)) for _ in range(2))
                images = generator.synthesise(mix(one, other, generator.layers, share))
                kept.append(judge.read(pictures.to_uint8(images)).features)
    together = torch.cat(lengths)
    apart = (gaussian_statistics(torch.cat(features[share])) for share in (0.0, 1.0))
    (mean, spread), (other_mean, other_spread) = apart
    return {
        "unevenness": float(together.std() / together.mean()),
        "mixed": frechet_distance(mean, spread, other_mean, other_spread),
    }


@torch.no_grad()
def crossed(run: Trained, count: int) -> Tensor:
    """A table of images: coarse layers by the row, fine ones by the column; their own images at the edges."""
    generator = cast(StyleGenerator, run.generator)
    source = torch.Generator().manual_seed(9)
    drawn = generator.map(torch.randn(2 * count, generator.latent, generator=source))
    rows, columns = drawn[:count], drawn[count:]
    blank = torch.full((1, *generator.shape), -1.0)
    table = [torch.cat([blank, generator.synthesise(columns)])]
    half = generator.layers // 2
    for row in rows:
        first = row.expand(count, half, -1)
        rest = columns[:, None].expand(-1, generator.layers - half, -1)
        table.append(torch.cat([generator.synthesise(row[None]), generator.synthesise(torch.cat([first, rest], 1))]))
    return torch.cat(table)


def _save(images: Tensor, name: str, columns: int) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    pictures.grid(images, columns=columns, scale=1).save(PICTURES / f"family-{name}.png", optimize=True)


FRECHET = "Fréchet distance in the judge's features"
OF_QUALITY = (
    Figure("frechet", FRECHET, higher=False),
    Figure("variety", "variety beside real images (pairwise distance)", "1 as real"),
)

EXAMS: tuple[Exam, ...] = (
    Exam("progressive", "progressive growing", "MNIST 32x32", 16_000, partial(growing, images=16_000), (
        Figure("reached", "processor time to the quality of full size from the start, over that run's", "below 1", 1.0,
               higher=False),
        Figure("growing", f"{FRECHET}, growing", higher=False),
        Figure("full", "the same, full size from the start, as many images", higher=False),
        Figure("same_time", "the same, full size from the start, when the growing run has ended", higher=False),
        Figure("seconds", "processor seconds, growing", higher=False),
        Figure("full_seconds", "processor seconds, full size from the start", higher=False),
    ), seeds=1),
    Exam("lapgan", "pyramid (LAPGAN)", "MNIST 32x32", 12_000, partial(pyramid, images=12_000), (
        Figure("frechet", FRECHET, higher=False),
        Figure("coarsest", "the same of the coarsest level enlarged", higher=False),
        Figure("confidence", "the judge's mean top probability", "0.995 for real images"),
    ), seeds=1),
    Exam("style", "styles (StyleGAN-like)", "Fashion-MNIST", 9_000, partial(styles, images=9_000), (
        Figure("whole_frechet", f"{FRECHET}", higher=False),
        Figure("without_frechet", "the same without mixing and path length regularisation", higher=False),
        Figure("whole_unevenness", "deviation of path lengths over their mean", higher=False),
        Figure("without_unevenness", "the same without regularisation", higher=False),
        Figure("whole_mixed", "Fréchet distance of images of mixed styles to unmixed ones", higher=False),
        Figure("without_mixed", "the same without mixing in training", higher=False),
    ), seeds=1),
    Exam("sagan", "self-attention (SAGAN)", "Fashion-MNIST", 10_000, partial(clothes, "sagan", images=10_000),
         OF_QUALITY, seeds=1),
    *(
        Exam(f"{recipe}-faces", family, "faces 64x64", count, partial(faces, recipe, images=count), OF_QUALITY, seeds=1)
        for recipe, family, count in (
            ("progressive", "progressive growing", 6_000), ("style", "styles (StyleGAN-like)", 4_000),
            ("lapgan", "pyramid (LAPGAN)", 6_000), ("sagan", "self-attention (SAGAN)", 3_000),
        )
    ),
)  # fmt: skip
