"""A trained run read back: its averaged networks, and what they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadygan.config import RunConfig
from steadygan.data.given import Progress, read_images
from steadygan.errors import SteadyganError, unknown
from steadygan.game import checkpoint
from steadygan.games.latents import Code
from steadygan.report.jsonl import read_jsonl
from steadygan.runtime import devices
from steadygan.runtime.folder import RunFolder
from steadygan.session.families import CHUNK, build_players, draw_latents, draw_samples, family, options
from steadygan.session.running import open_run


class Trained:
    """A run's averaged networks, ready to be sampled, and its records.

    ``networks`` holds the average of every player that the family keeps one of; ``generator`` is one of them.
    """

    def __init__(
        self, path: Path, config: RunConfig, images_seen: int, weights: dict[str, Tensor], device: str
    ) -> None:
        self.path, self.config, self.images_seen = path, config, images_seen
        self.device = devices.choose_device(device)
        if config.shape is None:
            raise SteadyganError(f"{path / 'config.json'} has no shape", "restore it from a copy")
        self.family = family(config)
        self.networks: dict[str, nn.Module] = {}
        for name, network in build_players(config, self.family.averages).items():
            prefix = f"state/averages/{name}/"
            network.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
            self.networks[name] = network.eval().requires_grad_(False).to(self.device)
        self.generator = self.networks["generator"]
        self._weights = weights

    def player(self, name: str) -> nn.Module:
        """A player as it stood at the checkpoint, not averaged: also those that keep no average.

        Raises:
            SteadyganError: a name that the family has no player of, or a checkpoint with averages alone.
        """
        if name not in self.family.players:
            raise unknown("player", name, self.family.players)
        prefix = f"state/players/{name}/"
        found = {k.removeprefix(prefix): v for k, v in self._weights.items() if k.startswith(prefix)}
        if not found:
            raise SteadyganError(f"no weights of the {name} are kept here", "load the last checkpoint, not the best")
        network = build_players(self.config, (name,))[name]
        network.load_state_dict(found)
        return network.eval().requires_grad_(False).to(self.device)

    def sample(
        self, count: int = 64, *, seed: int = 0, label: int | None = None, code: Mapping[str, float] | None = None
    ) -> Tensor:
        """``count`` images (N, C, H, W) in [-1, 1]; image i of a seed is the same whatever the count.

        Args:
            count: how many.
            seed: which ones.
            label: class of all of them, where the generator takes labels; None: classes take turns.
            code: values of named parts of the latent, where it has any (``codes``); the others are drawn.
        """
        return torch.cat(list(self.samples(count, seed=seed, label=label, code=code)))

    def samples(
        self, count: int, *, seed: int = 0, label: int | None = None, code: Mapping[str, float] | None = None
    ) -> Iterator[Tensor]:
        """The same in chunks, for counts that do not fit in memory."""
        if count < 1:
            raise SteadyganError(f"cannot make {count} samples", "ask for at least 1")
        self._check_label(label)
        draw_latents(self.config, torch.zeros(()), seed, 0, label, code)  # refuses a wrong code before the first chunk
        starts = range(0, count, CHUNK)
        return (self._chunk(first // CHUNK, seed, label, code)[: count - first] for first in starts)

    def _chunk(self, chunk: int, seed: int, label: int | None, code: Mapping[str, float] | None) -> Tensor:
        return draw_samples(self.generator, self.config, self.device, seed, chunk, label, code)

    def _check_label(self, label: int | None) -> None:
        if label is not None and not self.config.players["generator"].network.conditional:
            raise SteadyganError("this run's generator takes no labels", "leave the label out")
        if label is not None and not 0 <= label < self.config.classes:
            last = self.config.classes - 1
            raise SteadyganError(f"label {label} is not a class of this run", f"choose from 0 to {last}")

    @property
    def codes(self) -> Mapping[str, Code]:
        """The named parts of this run's latent; empty for most families."""
        return self.family.latent(self.config, options(self.family, self.config)).codes

    @property
    def encodes(self) -> bool:
        """Whether the run has a way from images to latents."""
        return self.family.encode is not None

    @torch.no_grad()
    def encode(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents (N, Z) of images (N, C, H, W) in [-1, 1].

        Raises:
            SteadyganError: a family without an encoder, or images of another shape.
        """
        self._check_encodes()
        self._check_shape(images)
        networks, encode = self.networks, self.family.encode
        assert encode is not None  # as it was just checked
        return self._in_chunks(lambda part, one: encode(networks, part, one), images, label)

    @torch.no_grad()
    def classify(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) of the classes, or of the categories that the game found, of images in [-1, 1].

        Raises:
            SteadyganError: a family that tells no classes, or images of another shape.
        """
        if self.family.classify is None:
            raise SteadyganError(
                f"the game {self.config.game!r} tells no classes", "train with semi-supervised, acgan or infogan"
            )
        self._check_shape(images)
        networks, classify, own = self.networks, self.family.classify, options(self.family, self.config)
        return self._in_chunks(lambda part, _: classify(networks, part, own), images, None)

    def _check_encodes(self) -> None:
        if self.family.encode is None:
            raise SteadyganError(
                f"the game {self.config.game!r} has no encoder", "train one that has, as `steadygan recipes` lists them"
            )

    def _check_shape(self, images: Tensor) -> None:
        if tuple(images.shape[1:]) != self.config.shape:
            raise SteadyganError(
                f"images of shape {tuple(images.shape)} do not fit this run",
                f"bring them to (N, {', '.join(map(str, self.config.shape or ()))})",
            )

    @torch.no_grad()
    def decode(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of latents (N, Z), and of labels (N,) where the generator takes them."""
        return self._in_chunks(self.generator, latent, label).clamp(-1, 1)

    def bring_back(self, images: Tensor, *, label: int | None = None) -> Tensor:
        """What the generator makes of the latents of images (N, C, H, W) in [-1, 1]; of the same shape.

        Args:
            images: what is encoded.
            label: class that all are made in, and encoded in, where the networks take labels.

        Raises:
            SteadyganError: a family without an encoder, images of another shape, or a label missing or not wanted.
        """
        self._check_encodes()
        conditional = self.config.players["generator"].network.conditional
        if conditional and label is None:
            raise SteadyganError("this run's generator takes labels", "say which class to make with label")
        self._check_label(label)
        labels = None if label is None else torch.full((len(images),), label)
        return self.decode(self.encode(images, labels), labels)

    def read(self, source: str, count: int = CHUNK, *, progress: Progress | None = None) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] from an image, a folder, a zip or an array, brought to this run's shape.

        Args:
            source: where they are.
            count: how many at most; the first ones are taken.
            progress: told what takes long.

        Raises:
            SteadyganError: a family without an encoder, no such source, or no image that can be read there.
        """
        self._check_encodes()
        shape = self.config.shape
        assert shape is not None  # as the constructor has seen to
        rows = read_images(source, self.config.data, shape, count, progress=progress)
        return torch.from_numpy(rows.copy()).float().div_(127.5).sub_(1.0)

    def _in_chunks(
        self, job: Callable[[Tensor, Tensor | None], Tensor], values: Tensor, label: Tensor | None
    ) -> Tensor:
        like = next(self.generator.parameters())
        found = []
        for start in range(0, len(values), CHUNK):
            one = None if label is None else label[start : start + CHUNK].to(like.device)
            found.append(job(values[start : start + CHUNK].to(like), one))
        return torch.cat(found).float().cpu()

    def records(self) -> list[dict[str, Any]]:
        """The run's records, one dictionary a line."""
        return read_jsonl(self.path / "records.jsonl")


def load(run: str | Path, *, device: str = "cpu", best: bool = False) -> Trained:
    """The newest good average of a run, or with ``best`` the one that health found best.

    Raises:
        SteadyganError: where the folder is no run or holds no usable checkpoint.
    """
    folder, config = open_run(Path(run))
    reasons = []
    for path, weights in _best(folder) if best else checkpoint.newest(folder.checkpoints, weights_only=True):
        if isinstance(weights, checkpoint.BrokenCheckpoint):
            reasons.append(f"{path.name}: {weights}")
            continue
        seen = int(checkpoint.facts(path)["images_seen"]) if best else checkpoint.place(path)[1]
        try:
            return Trained(folder.path, config, seen, weights, device)
        except RuntimeError:
            reasons.append(f"{path.name}: its weights are not those of {folder.config.name}")
    why = f" ({reasons[0]})" if reasons else ""
    if best:
        raise SteadyganError(f"{folder.path} has no usable best average{why}", "train with health on, or take the last")
    raise SteadyganError(f"{folder.path} has no usable checkpoint{why}", f"train first: `steadygan resume {run}`")


def _best(folder: RunFolder) -> Iterator[tuple[Path, Any]]:
    if folder.best.is_dir():
        try:
            yield folder.best, checkpoint.read(folder.best, weights_only=True)
        except checkpoint.BrokenCheckpoint as broken:
            yield folder.best, broken
