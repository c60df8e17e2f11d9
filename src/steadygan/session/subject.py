"""A trained run as the functions that explaining needs: what makes images, what judges them, and real images."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.evaluation.features import own_judge
from steadygan.evaluation.features.judge import Judge
from steadygan.health.illnesses import sicken_data
from steadygan.report.pictures import to_uint8
from steadygan.runtime import seeding
from steadygan.session.families import CHUNK, draw_latents
from steadygan.session.trained import Trained

Progress = Callable[[str, int, int], None]

FEWEST = 8
"""Held-out images below which nothing is said about them."""


class Subject:
    """What is explained.

    Args:
        trained: the run.
        seed: of all draws.
        progress: told what takes long.
        judged: whether a judge is wanted, which may have to be taught first.

    Raises:
        SteadyganError: a run whose samples are no images.
    """

    def __init__(
        self, trained: Trained, seed: int = 0, progress: Progress | None = None, *, judged: bool = True
    ) -> None:
        channels, height, width = trained.config.shape or (0, 0, 0)
        if min(height, width) < 4:
            raise SteadyganError(
                f"{trained.path} makes {height}x{width} values, not images", "explain a run of images of 4x4 or more"
            )
        self.trained, self.seed, self.notes = trained, seed, list[str]()
        self.shape = channels, height, width
        self.generator = trained.generator
        self.conditional = trained.config.players["generator"].network.conditional
        whole, config = self._open(progress), trained.config
        # what a sick run was trained on; its judge is that of the healthy data
        self.data = None if whole is None else sicken_data(config.sicken, whole, config.seed)
        # a sickness may leave none to hold out; those of the healthy set were never seen either
        self.unseen = self.data if self.data is not None and len(self.data.held_out) >= FEWEST else whole
        self.judge: Judge | None = None
        if judged and whole is not None and len(whole.train) >= 16:
            self.judge = own_judge(whole, device=trained.device, progress=progress)
        if self.data is not None and self.data.classes < 2:
            self.notes.append("The data have no labels: what needs classes is left out.")

    def _open(self, progress: Progress | None) -> DataSet | None:
        config = self.trained.config.data.model_copy(update={"image_size": self.shape[1:], "channels": self.shape[0]})
        try:
            return open_data(config, progress=progress)
        except SteadyganError as error:
            self.notes.append(f"The data of the run cannot be read ({error.what}): what needs real images is left out.")
            return None

    @property
    def held_out(self) -> int:
        """How many real images there are that the run has never seen."""
        return 0 if self.unseen is None else len(self.unseen.held_out)

    @property
    def classes(self) -> int:
        """Classes that the judge tells apart; 0 where there are none."""
        return self.judge.definition.classes if self.judge is not None else 0

    def name(self, label: int) -> str:
        """A class as the data call it."""
        return self.data.label_names[label] if self.data is not None and self.data.classes else str(label)

    def count(self, most: int, least: int = 64) -> int:
        """How many images a part takes: fewer where they are large."""
        _, height, width = self.shape
        return max(least, min(most, most * 1024 // (height * width)) // CHUNK * CHUNK)

    def latents(self, count: int, what: str = "") -> tuple[Tensor, Tensor | None]:
        """``count`` latents and labels of the run's own kind; ``what`` names the draw."""
        like = next(self.generator.parameters())
        seed = seeding.derive("explain", self.seed, what)
        drawn = [draw_latents(self.trained.config, like, seed, chunk) for chunk in range(-(-count // CHUNK))]
        labels = [label for _, label in drawn if label is not None]
        return torch.cat([latent for latent, _ in drawn])[:count], torch.cat(labels)[:count] if labels else None

    def generate(self, latents: Tensor, label: Tensor | None = None) -> Tensor:
        """Images of latents; gradients flow to latents that want them."""
        made: Tensor = self.generator(latents, label)
        return made

    @torch.no_grad()
    def images(self, latents: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] in chunks, without gradients."""
        return self.trained.decode(latents, label)

    def reals(self, count: int, *, held_out: bool = False) -> tuple[Tensor, Tensor | None]:
        """Real images (N, C, H, W) in [-1, 1] and their labels, drawn without repetition; as many as there are."""
        source = self.unseen if held_out else self.data
        if source is None:
            raise SteadyganError("the run's data are not there", "put them back")
        rows = source.held_out if held_out else source.train
        order = seeding.numpy_generator("explain reals", self.seed, int(held_out)).permutation(len(rows))[:count]
        chosen = np.sort(rows[order])
        labels = None if source.labels is None else torch.from_numpy(source.labels[chosen].astype(np.int64))
        return source.rows(chosen).float() / 127.5 - 1, labels

    def classify(self, images: Tensor) -> Tensor:
        """The judge's probabilities (N, K)."""
        if self.judge is None or not self.classes:
            raise SteadyganError("there is no judge of classes", "train on data with labels")
        found = self.judge.read(to_uint8(images)).probabilities
        assert found is not None
        return found

    def features(self, images: Tensor) -> Tensor:
        """The judge's features (N, F)."""
        if self.judge is None:
            raise SteadyganError("there is no judge", "put the run's data back")
        return torch.cat([self.judge.read(part).features for part in torch.split(to_uint8(images), 256)])

    @torch.no_grad()
    def fine_features(self, images: Tensor) -> Tensor:
        """The judge's features (N, F) of images that are not rounded to bytes: for very small differences."""
        assert self.judge is not None
        features: Tensor = self.judge.network((images.to(self.judge.device) + 1) * 127.5)[0]
        return features

    def class_logits(self, images: Tensor) -> Tensor:
        """The judge's logits (N, K) with gradients, of images in [-1, 1] that are not rounded."""
        assert self.judge is not None
        logits: Tensor = self.judge.network((images.to(self.judge.device) + 1) * 127.5)[1]
        return logits

    @cached_property
    def players(self) -> dict[str, torch.nn.Module]:
        """Every player as it last played."""
        return {name: self.trained.player(name) for name in self.trained.family.players}

    @property
    def judges(self) -> bool:
        """Whether a player judges images."""
        return self.trained.family.judge is not None and "discriminator" in self.trained.family.players

    def verdict(self, label: Tensor | None) -> Callable[[Tensor], Tensor]:
        """The discriminator as a function from images to logits; packs hold the same image as often as it takes."""
        judge = self.trained.family.judge
        if judge is None:
            raise SteadyganError("no player of this run judges images", "explain a run with a discriminator")
        packing = self.trained.config.packing
        asked = label if self.trained.config.players["discriminator"].network.conditional else None

        def logits(images: Tensor) -> Tensor:
            given = images.to(self.trained.device)
            return judge(self.players, given.repeat(1, packing, 1, 1) if packing > 1 else given, asked)

        return logits
