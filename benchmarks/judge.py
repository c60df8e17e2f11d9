"""The independent MNIST judge: a LeNet that nobody here trained, for judging generated digits.

Its weights are ``judges/lenet_mnist.pth`` in the data folder (``STEADYGAN_DATA``, else ``../shared/data``); it is
99.08 % right on MNIST's test images. Features are the 84 activations before its last layer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics


def data_folder() -> Path:
    """Where the real data lie."""
    return Path(os.environ.get("STEADYGAN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


class Judge(nn.Module):
    """LeNet-5 on 32x32 images in [0, 1]: 84 features, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c3, self.c5 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 5)
        self.f6, self.f7 = nn.Linear(120, 84), nn.Linear(84, 10)

    def features(self, images: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.c1(images)), 2)
        x = F.max_pool2d(F.relu(self.c3(x)), 2)
        return F.relu(self.f6(F.relu(self.c5(x)).flatten(1)))


def load_judge() -> Judge:
    """The judge with its weights."""
    state = torch.load(data_folder() / "judges" / "lenet_mnist.pth", weights_only=True, map_location="cpu")
    judge = Judge()
    judge.load_state_dict({".".join(name.split(".")[-2:]): value for name, value in state.items()})
    return judge.eval()


@torch.no_grad()
def look(judge: Judge, chunks: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Features (N, 84) and class probabilities (N, 10) of images (N, 1, H, W) in [-1, 1], rounded to 8 bits first."""
    features, probabilities = [], []
    for images in chunks:
        pixels = ((images + 1) * 127.5).round().clamp(0, 255) / 255
        pixels = F.interpolate(pixels, size=(32, 32), mode="bilinear", align_corners=False)
        features.append(judge.features(pixels))
        probabilities.append(judge.f7(features[-1]).softmax(1))
    return torch.cat(features), torch.cat(probabilities)


def real_chunks(split: str, count: int | None = None, chunk: int = 1000) -> Iterable[Tensor]:
    """MNIST's images of a split in [-1, 1]."""
    images = open_data(DataConfig(source="mnist", split=split, folder=str(data_folder() / "mnist"))).images
    for start in range(0, count or len(images), chunk):
        yield torch.from_numpy(images[start : start + chunk].copy()).float() / 127.5 - 1


def figures(judge: Judge, chunks: Iterable[Tensor], reference: tuple[Any, Any]) -> dict[str, Any]:
    """Mean top probability, share of each class, and Fréchet distance in the judge's features to ``reference``."""
    features, probabilities = look(judge, chunks)
    shares = torch.bincount(probabilities.argmax(1), minlength=10).double() / len(probabilities)
    distance = frechet_distance(*gaussian_statistics(features), *reference)
    return {
        "samples": len(features),
        "top_probability": round(float(probabilities.max(1).values.mean()), 4),
        "smallest_class": round(float(shares.min()), 4),
        "classes": [round(float(share), 4) for share in shares],
        "frechet": round(distance, 3),
    }
