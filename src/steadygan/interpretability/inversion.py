"""From images back to latents, and what that tells of memorising and of dropped modes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.interpretability.directions import Generate

CHUNK = 256


@dataclass(frozen=True)
class Inverted:
    """Latents of images, and the images that they give.

    Attributes:
        latents: (N, Z).
        label: (N,) where the generator takes labels.
        images: (N, C, H, W), what the generator makes of them, in [-1, 1].
        error: (N,), root of the mean squared difference from the wanted image, 0 to 2.
    """

    latents: Tensor
    label: Tensor | None
    images: Tensor
    error: Tensor


def invert(
    generate: Generate,
    images: Tensor,
    starts: Tensor,
    label: Tensor | None = None,
    *,
    steps: int = 120,
    rate: float = 0.05,
    closeness: float = 1e-3,
) -> Inverted:
    """Latents by descent (Adam) on the squared difference of the pixels.

    Minimises ``mean (G(z) - x)² + closeness * mean z²``, the second for latents as they are drawn; the best latent met
    on the way is kept. Paper: Zhu et al. 2016, Generative Visual Manipulation on the Natural Image Manifold.

    Args:
        generate: makes images.
        images: x (N, C, H, W) in [-1, 1].
        starts: (N, Z), see ``nearest_starts``; or what an encoder gives.
        label: (N,) where the generator takes labels.
        steps: of the descent.
        rate: of the descent.
        closeness: weight of the second term.

    Raises:
        SteadyganError: images of another size than those that are made.
    """
    with torch.no_grad():
        made = generate(starts, label)
    check_size(images, tuple(made.shape[1:]))
    wanted = images.to(made)
    latents = starts.detach().clone().requires_grad_(True)
    best, least = starts.detach().clone(), _errors(made, wanted)
    optimizer = torch.optim.Adam([latents], lr=rate)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(steps):
        made = generate(latents, label)
        with torch.no_grad():
            error = _errors(made, wanted)
            better = error < least
            best[better], least[better] = latents.detach()[better], error[better]
        loss = (made - wanted).square().flatten(1).mean(1) + closeness * latents.square().mean(1)
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()
    with torch.no_grad():
        made = generate(best, label).clamp(-1, 1)
    return Inverted(best, label, made, _errors(made, wanted))


@torch.no_grad()
def nearest_starts(
    generate: Generate, images: Tensor, latents: Tensor, label: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """For each image the latent, of those given, whose image is nearest in pixels, and its label.

    Args:
        generate: makes images.
        images: (N, C, H, W).
        latents: (M, Z) to choose from.
        label: (M,) that belong to them, or None.

    Raises:
        SteadyganError: images of another size than those that are made.
    """
    found = []
    for at in range(0, len(latents), CHUNK):
        found.append(generate(latents[at : at + CHUNK], None if label is None else label[at : at + CHUNK]))
        if at == 0:
            check_size(images, tuple(found[0].shape[1:]))
    made = torch.cat(found).clamp(-1, 1)
    nearest = torch.cdist(images.to(made).flatten(1), made.flatten(1)).argmin(1)
    return latents[nearest], None if label is None else label[nearest]


def check_size(images: Tensor, shape: tuple[int, ...]) -> None:
    """Raise SteadyganError for images (N, C, H, W) that are not of the shape (C, H, W) that is made."""
    if images.ndim != 4 or tuple(images.shape[1:]) != shape:
        raise SteadyganError(
            f"images of shape {tuple(images.shape)} cannot be inverted by a generator of {tuple(shape)}",
            f"bring them to (N, {', '.join(map(str, shape))})",
        )


def _errors(made: Tensor, wanted: Tensor) -> Tensor:
    return (made.detach().clamp(-1, 1) - wanted).square().flatten(1).mean(1).sqrt()


@dataclass(frozen=True)
class Gap:
    """How well training images are met beside held-out ones.

    Attributes:
        train: mean error of training images.
        held_out: mean error of held-out ones.
        easier: probability that a training image has the smaller error than a held-out one; ½ where nothing is
            memorised.
        error: standard error of ``easier`` if nothing were memorised.
    """

    train: float
    held_out: float
    easier: float
    error: float

    @property
    def memorised(self) -> bool:
        """Whether training images are met better than chance explains, three standard errors."""
        return self.easier > 0.5 + 3 * self.error


def gap(train: Tensor, held_out: Tensor) -> Gap:
    """Compare errors (N,) of training images with errors (M,) of held-out ones (Mann and Whitney's test)."""
    first, second = train.double(), held_out.double()
    wins = (first[:, None] < second[None]).double() + 0.5 * (first[:, None] == second[None]).double()
    count, other = len(first), len(second)
    error = ((count + other + 1) / (12 * count * other)) ** 0.5
    return Gap(float(first.mean()), float(second.mean()), float(wins.mean()), error)


def by_class(error: Tensor, labels: Tensor, classes: int) -> list[float]:
    """Mean error of every class; NaN where it has no image. One far above the others is made badly or not at all."""
    return [float(error[labels == one].mean()) for one in range(classes)]
