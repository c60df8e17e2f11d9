"""Classification accuracy score: what a classifier that has seen only labelled fakes knows about real images."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadygan.errors import SteadyganError

CHUNK = 512


class AccuracyScore(NamedTuple):
    """Accuracies (0 to 1) on the real test images, after training on fakes and after training on as many reals.

    ``ratio`` is the first over the second; ``per_class`` (K,) the accuracy of each class after training on fakes, NaN
    for a class without test images: a class near 0 is one that the generator has lost or muddled.
    """

    fake: float
    real: float
    ratio: float
    per_class: Tensor


class Classifier(nn.Module):
    """A small convolutional classifier for images of any size and number of channels."""

    def __init__(self, channels: int, size: tuple[int, int], classes: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side, inside, outside = min(size), channels, width
        while True:
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.GroupNorm(4, outside), nn.ReLU()]
            if side < 8 or outside >= 8 * width:
                break
            layers.append(nn.MaxPool2d(2))
            side, inside, outside = side // 2, outside, outside * 2
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d((min(3, side), min(3, side))), nn.Flatten())
        self.last = nn.Linear(outside * min(3, side) ** 2, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.body(images))
        return logits


def train_classifier(
    images: Tensor, labels: Tensor, classes: int, *, steps: int = 400, batch: int = 64, seed: int = 0
) -> Classifier:
    """Train a small classifier on images (N, C, H, W) in [-1, 1] with labels (N,); the same seed gives the same one.

    Adam with a rate that falls from 2e-3 along a cosine, ``steps`` batches whatever N is, so that two sets of different
    size get the same work. The global random state is left as it was.

    Raises:
        SteadyganError: for shapes that do not fit, labels outside ``0 .. classes - 1``, NaN, or fewer than two classes.
    """
    _check(images, labels, classes, "training")
    if steps < 1 or batch < 1:
        raise SteadyganError(f"{steps} steps of {batch} images", "give at least 1 of each")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(images.shape[1], (images.shape[2], images.shape[3]), classes).to(images.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / steps))
    source = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        while len(order) < min(batch, len(images)):
            order = torch.cat([order, torch.randperm(len(images), generator=source)])
        rows, order = order[:batch], order[batch:]
        rows = rows.to(images.device)
        loss = F.cross_entropy(network(images[rows].float()), labels[rows].long())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def predictions(classifier: nn.Module, images: Tensor) -> Tensor:
    """The likeliest class (N,), on the CPU, of each of the images (N, C, H, W)."""
    starts = range(0, len(images), CHUNK)
    return torch.cat([classifier(images[start : start + CHUNK].float()).argmax(1).cpu() for start in starts])


def accuracy_score(
    fake: tuple[Tensor, Tensor],
    real: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    classes: int,
    steps: int = 400,
    batch: int = 64,
    seed: int = 0,
) -> AccuracyScore:
    """Train on labelled fakes, test on reals; and the same with reals to train on, which is what fakes could reach.

    Each argument is images (N, C, H, W) in [-1, 1] with labels (N,). Where there are more reals than fakes, only as
    many are used, so that the reference has no more images than the score. Paper: Ravuri and Vinyals 2019,
    Classification Accuracy Score for Conditional Generative Models.

    Raises:
        SteadyganError: for shapes or labels that do not fit, NaN, or sizes that differ between the sets.
    """
    _check(*test, classes, "test")
    for name, (images, labels) in {"fake": fake, "real": real}.items():
        _check(images, labels, classes, name)
        if images.shape[1:] != test[0].shape[1:]:
            shapes = f"{name} images of shape {tuple(images.shape[1:])} and test images of {tuple(test[0].shape[1:])}"
            raise SteadyganError(shapes, "bring all to one size")
    chosen = torch.randperm(len(real[0]), generator=torch.Generator().manual_seed(seed))[: len(fake[0])]
    first = train_classifier(*fake, classes, steps=steps, batch=batch, seed=seed)
    second = train_classifier(real[0][chosen], real[1][chosen], classes, steps=steps, batch=batch, seed=seed)
    truth = test[1].long().cpu()
    right = (predictions(first, test[0]) == truth).double()
    reference = float((predictions(second, test[0]) == truth).double().mean())
    per_class = torch.bincount(truth, weights=right, minlength=classes) / torch.bincount(truth, minlength=classes)
    score = float(right.mean())
    return AccuracyScore(score, reference, score / reference if reference > 0 else math.nan, per_class)


def _check(images: Tensor, labels: Tensor, classes: int, what: str) -> None:
    if images.dim() != 4 or images.numel() == 0 or min(images.shape[2:]) < 2:
        raise SteadyganError(f"{what} images of shape {tuple(images.shape)}", "give (N, C, H, W), sides of 2 or more")
    if labels.shape != images.shape[:1] or labels.is_floating_point():
        raise SteadyganError(
            f"{what} labels of shape {tuple(labels.shape)} for {len(images)} images", "give one integer an image"
        )
    if classes < 2 or int(labels.min()) < 0 or int(labels.max()) >= classes:
        found = f"{what} labels from {int(labels.min())} to {int(labels.max())} for {classes} classes"
        raise SteadyganError(found, "give at least 2 classes, and labels counted from 0")
    if not bool(images.isfinite().all()):
        raise SteadyganError(f"{what} images that hold NaN or infinity", "check the images")
