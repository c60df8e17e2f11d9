"""A trained run to be explored: its samples moved about, one picture at a time."""

from __future__ import annotations

import copy
import io
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steadygan.errors import SteadyganError, unknown
from steadygan.evaluation.path_length import between
from steadygan.interpretability import directions
from steadygan.interpretability.attribution import integrated_gradients
from steadygan.interpretability.effects import Direction
from steadygan.interpretability.traits import traits_of
from steadygan.report import pictures
from steadygan.runtime import seeding
from steadygan.session.explain_figures import heated
from steadygan.session.explaining import found_alone, told_by_labels
from steadygan.session.families import draw_latents
from steadygan.session.subject import Progress, Subject
from steadygan.session.trained import load
from steadygan.studio.painting import Painter, Wanted

QUICK = ("SeFa", "GANSpace")
"""Methods that are quick enough to wait for."""
SAMPLES = 1024
"""Samples from which directions are found."""
REALS = 60_000
"""Training images that are searched at most."""
READ = 2**30
"""Bytes of them that are read at most."""
SIDE = 32
"""Pixels a side at which images are compared."""
NEAREST = 6
STEPS = 12
"""Gradients of a heat map."""


def painter(run: str | Path, *, progress: Progress | None = None) -> Painter:
    """The functions that the page for exploring calls; directions are sought in the background from now on.

    Args:
        run: its folder.
        progress: told how far the data are decoded, where they are not yet.

    Raises:
        SteadyganError: a folder that is no run, a run without a checkpoint, or one that makes no images.
    """
    easel = Easel(Subject(load(run), progress=progress, judged=False))
    search = threading.Thread(target=easel.search, daemon=True)
    search.start()

    def close() -> None:
        # a process must not end while another thread computes
        easel.closing.set()
        search.join()

    return Painter(easel.describe, easel.picture, easel.heat, easel.nearest, easel.real, easel.numbers, close)


class Easel:
    """Makes pictures of one run. The pictures come from a copy of the generator: the search hooks into the other."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.config = subject, subject.trained.config
        self.generator = copy.deepcopy(subject.generator)
        self.like = next(self.generator.parameters())
        self.found: dict[str, tuple[Direction, float]] = {}
        self.rows: np.ndarray[Any, np.dtype[np.int64]] = np.zeros(0, np.int64)
        self.small: Tensor | None = None
        self.judges = subject.judges
        self.state = "Looking for directions"
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def search(self) -> None:
        """Find directions and gather real images, the quickest first; the page shows what is there."""
        try:
            latents, label = self.subject.latents(self.subject.count(SAMPLES, 256), "directions")
            for found in self._steps(latents, label):
                if self.closing.is_set():
                    return
                self._keep(found, latents)
            self.state = ""
        except (SteadyganError, RuntimeError, ValueError) as error:
            # the page goes on with what was found so far
            self.state = f"The search for directions ended early: {error}"

    def _steps(self, latents: Tensor, label: Tensor | None) -> Iterator[list[Direction]]:
        yield found_alone(self.subject, latents, label, QUICK)
        images = self.subject.images(latents, label)
        yield told_by_labels(self.subject, latents, None, traits_of(images))
        self._gather()
        yield []
        if not self.subject.conditional:
            yield self._of_classes(latents, images)

    def _keep(self, found: list[Direction], latents: Tensor) -> None:
        more = {one.name: (one, float((latents @ one.vector.to(latents)).std())) for one in found}
        # one assignment, so that whoever reads sees all of them or none
        self.found = {**self.found, **more}

    def _gather(self) -> None:
        data = self.subject.data
        if data is None:
            return
        order = seeding.numpy_generator("explore reals").permutation(len(data.train))[
            : min(REALS, READ // math.prod(data.shape))
        ]
        rows = np.sort(data.train[order])
        parts = [_small(data.rows(part)) for part in np.array_split(rows, max(1, len(rows) // 2048))]
        self.rows, self.small = rows, torch.cat(parts)

    def _of_classes(self, latents: Tensor, images: Tensor) -> list[Direction]:
        """Boundaries between classes; a sample's class is that of the real image nearest to it."""
        data = self.subject.data
        if self.small is None or data is None or data.labels is None or data.classes < 2:
            return []
        close = torch.cat([self._distances(part).argmin(1) for part in torch.split(images, 128)])
        guesses = torch.from_numpy(data.labels[self.rows])[close]
        found = []
        for label in range(min(data.classes, 12)):
            positive = guesses == label
            if 8 <= int(positive.sum()) <= len(positive) - 8:
                vector = directions.by_labels(latents, positive)
                found.append(Direction(f"class {self.subject.name(label)}", "class", vector))
        return found

    def describe(self) -> dict[str, Any]:
        """What there is to choose from."""
        codes = {
            name: {"choices": code.choices, "low": code.low, "high": code.high}
            for name, code in self.subject.trained.codes.items()
        }
        count = self.config.classes if self.subject.conditional else 0
        return {
            "name": self.subject.trained.path.resolve().name,
            "what": f"{self.config.recipe or self.config.game} on {Path(self.config.data.source).name}",
            "images_seen": self.subject.trained.images_seen,
            "size": self.subject.shape[1:],
            "classes": [self.subject.name(label) for label in range(count)],
            "codes": codes,
            "directions": [{"name": one.name, "method": one.method} for one, _ in self.found.values()],
            "heat": self.judges,
            "reals": len(self.rows),
            "notes": self.subject.notes,
            "state": self.state,
        }

    def latent(self, wanted: Wanted) -> tuple[Tensor, Tensor | None]:
        """The latent (1, Z) and label (1,) that a request comes to.

        Raises:
            SteadyganError: a class, a code or a direction that the run does not have.
        """
        found, trained = self.found, self.subject.trained
        if wanted.label is not None:
            if not self.subject.conditional:
                raise SteadyganError("this run's generator takes no labels", "leave the label out")
            if wanted.label >= self.config.classes:
                last = self.config.classes - 1
                raise SteadyganError(f"label {wanted.label} is not a class of this run", f"choose from 0 to {last}")
        seeds = [wanted.seed, *([] if wanted.other is None else [wanted.other])]
        drawn = [draw_latents(self.config, self.like, seed, 0, wanted.label, wanted.codes) for seed in seeds]
        latent, label = drawn[0][0][:1], drawn[0][1]
        if wanted.other is not None:
            place = torch.full((1, 1), wanted.way, dtype=torch.float64, device=latent.device)
            latent = between(latent, drawn[1][0][:1], place, "sphere").to(latent)
        for name, code in trained.codes.items():
            if name in wanted.codes:
                latent[:, code.place] = code.written(name, wanted.codes[name]).to(latent)
        for name, amount in wanted.moves.items():
            if name not in found:
                raise unknown("direction", name, found)
            direction, scale = found[name]
            latent = latent + amount * scale * direction.vector.to(latent)
        return latent, None if label is None else label[:1]

    @torch.no_grad()
    def image(self, wanted: Wanted) -> tuple[Tensor, Tensor | None]:
        """The image (1, C, H, W) in [-1, 1], and its label."""
        latent, label = self.latent(wanted)
        with self._lock, torch.random.fork_rng(devices=[]):
            # a generator may draw noise of its own: the same for every picture
            seeding.reseed("explore", wanted.seed)
            made: Tensor = self.generator(latent, label)
        return made.float().clamp(-1, 1).cpu(), label

    def picture(self, wanted: Wanted) -> bytes:
        """The image as a PNG."""
        return _png(self.image(wanted)[0])

    def heat(self, wanted: Wanted) -> bytes:
        """Integrated gradients of the discriminator's logit from the mean real image on, laid over the image."""
        if not self.judges:
            raise SteadyganError("no player of this run judges images", "explore a run with a discriminator")
        image, label = self.image(wanted)
        # before the reals are there, grey stands for their mean
        mean = torch.zeros_like(image[0]) if self.small is None else self.mean
        with self._lock:
            maps = integrated_gradients(self.subject.verdict(label), image, mean, STEPS).maps.sum(1)
        return _png(heated(image, maps.detach().cpu()))

    @property
    def mean(self) -> Tensor:
        """Mean (C, H, W) of some real images in [-1, 1]."""
        data = self.subject.data
        assert data is not None
        mean: Tensor = data.rows(self.rows[:256]).float().mean(0) / 127.5 - 1
        return mean

    def _distances(self, images: Tensor) -> Tensor:
        """Root mean square differences (N, M) from the reals, on the scale from 0 to 1, both at ``SIDE`` pixels."""
        assert self.small is not None
        mine = _small(pictures.to_uint8(images)).float()
        parts = [torch.cdist(mine, part.float()) for part in torch.split(self.small, 8192)]
        distances: Tensor = torch.cat(parts, 1) / (255 * mine.shape[1] ** 0.5)
        return distances

    def nearest(self, wanted: Wanted) -> list[dict[str, Any]]:
        """The nearest training images: row, distance, and the class where it is known."""
        if self.small is None:
            missing = "are being gathered" if self.state and self.subject.data is not None else "are not there"
            raise SteadyganError(f"the run's real images {missing}", "ask again later, or put the data back")
        data = self.subject.data
        distance = self._distances(self.image(wanted)[0])[0]
        found = []
        for place in distance.argsort()[:NEAREST].tolist():
            row = int(self.rows[place])
            labelled = data is not None and data.labels is not None and data.classes > 1
            name = self.subject.name(int(data.labels[row])) if labelled else ""  # type: ignore[union-attr,index]
            found.append({"row": row, "distance": round(float(distance[place]), 4), "label": name})
        return found

    def real(self, row: int) -> bytes:
        """A training image as a PNG."""
        data = self.subject.data
        if data is None or row not in self.rows:
            raise SteadyganError(f"there is no real image {row} here", "ask for the nearest ones again")
        return _png(data.rows([row]))

    def numbers(self, wanted: Wanted) -> dict[str, Any]:
        """Where the sample comes from, and its latent."""
        latent, label = self.latent(wanted)
        return {
            "run": self.subject.trained.path.resolve().name,
            "images_seen": self.subject.trained.images_seen,
            "seed": wanted.seed,
            "to": wanted.other,
            "way": wanted.way,
            "label": None if label is None else int(label[0]),
            "codes": dict(wanted.codes),
            "moves": dict(wanted.moves),
            "latent": latent[0].tolist(),
        }


def _small(rows: Tensor) -> Tensor:
    """Images (N, C, H, W) in bytes as rows (N, F) in bytes, at most ``SIDE`` pixels a side."""
    if max(rows.shape[-2:]) > SIDE:
        size = [min(SIDE, length) for length in rows.shape[-2:]]
        rows = torch.nn.functional.interpolate(rows.float(), size, mode="area").round().to(torch.uint8)
    return rows.flatten(1)


def _png(images: Tensor) -> bytes:
    body = io.BytesIO()
    picture = pictures.grid(images, columns=1, scale=1)
    margin = (picture.height - images.shape[2]) // 2
    picture.crop((margin, margin, picture.width - margin, picture.height - margin)).save(body, "PNG")
    return body.getvalue()
