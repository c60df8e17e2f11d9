"""Judges of the ward: how far a run's samples lie from real images, by networks that the monitor never sees.

MNIST is judged by the LeNet of ``judge.py``, which nobody here trained. The digits and Fashion-MNIST have no such
network, so a small classifier is trained on their real images once, from a fixed seed, and kept in
``benchmarks/runs``. The distance is Fréchet's, between features of ``SAMPLES`` samples and of real images.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import judge as independent
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics

WORK = Path(__file__).resolve().parent / "runs" / "ward"
SAMPLES = 3000
SIZE = (16, 16)
"""Height and width of MNIST and Fashion-MNIST in the ward; the digits have 8x8 pixels."""
FAMILIAR = 10_000
"""Training images from which a classifier learns."""
Features = Callable[[Tensor], Tensor]


class Classifier(nn.Module):
    """Two convolutions and a hidden layer of 48 on grey images: the features are that layer's activations."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.hidden, self.last = nn.Linear(32 * (side // 4) ** 2, 48), nn.Linear(48, 10)

    def features(self, images: Tensor) -> Tensor:
        """(N, 48) of images (N, 1, H, W) in [-1, 1]."""
        x = F.max_pool2d(F.relu(self.first(images)), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        return F.relu(self.hidden(x.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.features(images))  # type: ignore[no-any-return]


def data_config(data: str, split: Any = "train") -> DataConfig:
    """How the ward opens a data set: the digits as they are, others reduced to 16x16."""
    if data == "digits":
        return DataConfig(source=data)
    folder = str(independent.data_folder() / data)
    return DataConfig(source=data, split=split, folder=folder, image_size=SIZE)


def real_images(data: str, split: str) -> tuple[Tensor, Tensor]:
    """Real images (N, 1, H, W) in [-1, 1] and their labels; the digits have one part only."""
    opened = open_data(data_config(data, split))
    labels = torch.zeros(len(opened)) if opened.labels is None else torch.from_numpy(opened.labels.copy())
    return torch.from_numpy(opened.images.copy()).float() / 127.5 - 1, labels.long()


@torch.enable_grad()
def trained(data: str, steps: int = 1500) -> Classifier:
    """A classifier of the real images, the same whenever it is trained on the same machine."""
    images, labels = real_images(data, "train")
    images, labels = images[:FAMILIAR], labels[:FAMILIAR]
    source = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Classifier(images.shape[-1])
    optimizer = torch.optim.Adam(network.parameters(), 2e-3, weight_decay=1e-4)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        rows = torch.randint(len(images), (64,), generator=source)
        optimizer.zero_grad()
        F.cross_entropy(network(images[rows]), labels[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval().requires_grad_(False)


def classifier(data: str) -> Classifier:
    """The kept classifier of ``data``; trained first where it is missing."""
    path = WORK / f"judge-{data}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(trained(data).state_dict(), partial)
        partial.replace(path)
    state = torch.load(path, weights_only=True)
    network = Classifier(8 if data == "digits" else SIZE[0])
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


@lru_cache(maxsize=8)
def features_of(data: str) -> Features:
    """The judge's function from images (N, 1, H, W) in [-1, 1] to features (N, D)."""
    if data == "mnist":
        lenet = independent.load_judge()
        return lambda images: independent.look(lenet, [images])[0]
    return classifier(data).features


@lru_cache(maxsize=8)
def reference(data: str) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the features of real images: all digits, or the test part of the others."""
    return statistics(data, real_images(data, "test")[0])


@torch.no_grad()
def statistics(data: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the judge's features, images rounded to 8 bits first."""
    rounded = ((images + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    return gaussian_statistics(torch.cat([features_of(data)(chunk) for chunk in torch.split(rounded, 1000)]).double())


def distance(data: str, images: Tensor) -> float | None:
    """Fréchet distance of images (N, 1, H, W) to real ones; None where they hold NaN or infinity."""
    if not bool(images.isfinite().all()):
        return None
    return frechet_distance(*statistics(data, images), *reference(data))


def floor(data: str) -> float:
    """The distance of real training images, as many as there are samples: what nothing can fall below by much."""
    return float(distance(data, real_images(data, "train")[0][:SAMPLES]) or 0.0)


def prepare(data: list[str]) -> None:
    """Train what is missing, before processes share the work."""
    for name in data:
        features_of(name)


__all__ = ["SAMPLES", "SIZE", "data_config", "distance", "floor", "prepare"]
