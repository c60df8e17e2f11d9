"""Runs so small that one takes a fraction of a second, and what is compared of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.game import checkpoint
from steadygan.recipes.facts import DataFacts
from steadygan.runtime.folder import RunFolder
from steadygan.session import planning, settings
from steadygan.session.running import Run, open_run
from steadygan.session.watching import Silent
from steadygan.session.wiring import Wired, prepare, wire

TINY = (
    "batch=8", "images=96", "threads=1", "sample_count=4", "record_every=8", "sample_every=48", "checkpoint_every=16",
    "keep=100", "latent.size=8",
)  # fmt: skip
NARROW = {
    "mlp": ("generator.network.hidden=[8]", "discriminator.network.hidden=[8]"),
}


class Diary(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.begun: list[int] = []

    def begin(self, config: RunConfig, images_seen: int) -> None:
        self.begun.append(images_seen)

    def event(self, text: str) -> None:
        self.events.append(text)


@dataclass
class Outcome:
    """All that two runs must share to have ended in the same bits."""

    records: bytes
    tensors: dict[str, Tensor]
    plain: Any

    def differences(self, other: Outcome) -> list[str]:
        """What is not the same, by name; empty where everything is."""
        names = self.tensors.keys() | other.tensors.keys()
        found = [name for name in sorted(names) if not _same(self.tensors.get(name), other.tensors.get(name))]
        found += ["records.jsonl"] if self.records != other.records else []
        return found + (["state.json"] if self.plain != other.plain else [])


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and one.dtype == other.dtype and torch.equal(one, other)


@dataclass
class Lab:
    """Makes configs, runs them, and looks at what they leave."""

    data: DataSet
    diary: Diary = field(default_factory=Diary)

    def config(self, recipe: str = "mlp", *given: str) -> RunConfig:
        """A tiny run of ``recipe`` on the digits, settled."""
        facts = DataFacts(self.data.name, len(self.data.train), self.data.shape, self.data.classes, DataConfig())
        small = planning.with_capacity(recipes.build(recipe, facts), 4)
        config = settings.apply(small, [*TINY, *NARROW.get(recipe, ()), *given])
        return planning.settle(prepare(config, self.data))

    def start(self, path: Path, config: RunConfig) -> RunFolder:
        """Lay out a run and play it to its end."""
        folder = RunFolder(path)
        folder.create(config.model_dump_json(indent=1))
        self.conduct(path)
        return folder

    def conduct(self, path: Path, data: DataSet | None = None) -> Run:
        """Go on with a run to its end."""
        run = Run(*open_run(path), data or self.data, self.diary)
        run.conduct()
        return run

    def cut(self, path: Path, to: Path, keep: int) -> Path:
        """A copy of a run as it stood with its ``keep`` oldest checkpoints, as a kill would leave it."""
        shutil.copytree(path, to)
        for newer in checkpoint.listed(to / "checkpoints")[::-1][keep:]:
            shutil.rmtree(newer)
        return to

    def checkpoints(self, path: Path) -> list[str]:
        """Names, the oldest first."""
        return [place.name for place in checkpoint.listed(path / "checkpoints")][::-1]

    def outcome(self, path: Path) -> Outcome:
        """Records, and the newest checkpoint's tensors and values."""
        tree = checkpoint.read(checkpoint.listed(path / "checkpoints")[0])
        tensors: dict[str, Tensor] = {}
        plain = checkpoint.flatten(tree, "", tensors)
        return Outcome((path / "records.jsonl").read_bytes(), tensors, plain)


@pytest.fixture(scope="session")
def digits(_own_cache: Iterator[None]) -> DataSet:
    return open_data(DataConfig())


@pytest.fixture
def lab(digits: DataSet) -> Lab:
    return Lab(digits)


@pytest.fixture(scope="session")
def sampler(digits: DataSet) -> Wired:
    """A wired ``dcgan`` that is only sampled."""
    return wire(Lab(digits).config("dcgan"), digits)


@pytest.fixture(scope="session")
def finished(digits: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the ``mlp`` recipe with all its checkpoints; copy it, do not touch it."""
    path = tmp_path_factory.mktemp("finished") / "run"
    shared = Lab(digits)
    shared.start(path, shared.config())
    return path
