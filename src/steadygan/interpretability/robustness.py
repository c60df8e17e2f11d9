"""How little has to change for a verdict to turn: attacks on a classifier, or on the discriminator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from steadygan.interpretability.attribution import gradient

Logits = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) in [-1, 1] to class logits (N, K), differentiable."""
Losses = Callable[[Tensor], Tensor]
"""Images to a loss each, (N,), which an attack makes larger."""


@dataclass(frozen=True)
class Endurance:
    """Share of verdicts that stay right, by how far every pixel may change.

    Attributes:
        sizes: largest change of a pixel, on the scale from 0 to 1.
        noise: share right after noise of that size, one sign a pixel by chance.
        single: after one step along the gradient's sign.
        many: after many small steps.
    """

    sizes: tuple[float, ...]
    noise: tuple[float, ...]
    single: tuple[float, ...]
    many: tuple[float, ...]


def fgsm(losses: Losses, images: Tensor, size: float) -> Tensor:
    """Images moved by ``size`` in every pixel to where the loss grows: ``x + size * sign ∇loss``, within [-1, 1].

    Paper: Goodfellow et al. 2015, Explaining and Harnessing Adversarial Examples.
    """
    return (images + size * gradient(losses, images).sign()).clamp(-1, 1)


def pgd(losses: Losses, images: Tensor, size: float, steps: int = 10) -> Tensor:
    """The same in many steps of ``2.5 size / steps``, brought back to within ``size`` of the image after each.

    Paper: Madry et al. 2018, Towards Deep Learning Models Resistant to Adversarial Attacks.
    """
    moved = images.clone()
    for _ in range(steps):
        moved = moved + 2.5 * size / steps * gradient(losses, moved).sign()
        moved = torch.clamp(torch.minimum(torch.maximum(moved, images - size), images + size), -1, 1)
    return moved


def endurance(
    losses: Losses,
    right: Callable[[Tensor], Tensor],
    images: Tensor,
    sizes: Sequence[float],
    *,
    steps: int = 10,
    seed: int = 0,
) -> Endurance:
    """How many verdicts survive attacks of growing size, beside noise of the same size.

    Args:
        losses: what the attacks make larger.
        right: images to (N,) bool, whether the verdict is right.
        images: (N, C, H, W) in [-1, 1].
        sizes: largest change of a pixel on the scale from 0 to 1, twice as much in [-1, 1].
        steps: of the attack in many steps.
        seed: of the noise.
    """
    source = torch.Generator().manual_seed(seed)
    signs = (torch.randint(0, 2, images.shape, generator=source) * 2.0 - 1.0).to(images)

    def share(changed: Tensor) -> float:
        with torch.no_grad():
            return float(right(changed).double().mean())

    found: list[tuple[float, float, float]] = []
    for size in sizes:
        reach = 2 * size
        noisy = (images + reach * signs).clamp(-1, 1)
        attacked = (fgsm(losses, images, reach), pgd(losses, images, reach, steps))
        found.append((share(noisy), share(attacked[0]), share(attacked[1])))
    noise, single, many = zip(*found, strict=True)
    return Endurance(tuple(sizes), noise, single, many)


def of_classifier(logits: Logits, labels: Tensor) -> tuple[Losses, Callable[[Tensor], Tensor]]:
    """Loss and verdict of a classifier: cross-entropy with the labels (N,), and whether the class is right."""
    return (
        lambda images: F.cross_entropy(logits(images), labels, reduction="none"),
        lambda images: logits(images).argmax(1) == labels,
    )


def of_discriminator(logits: Losses, threshold: float, real: bool) -> tuple[Losses, Callable[[Tensor], Tensor]]:
    """Loss and verdict of a discriminator on reals, or on fakes: which side of the threshold the logit lies on."""
    sign = 1.0 if real else -1.0
    return (lambda images: -sign * logits(images), lambda images: sign * (logits(images) - threshold) > 0)
