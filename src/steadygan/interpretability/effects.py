"""What a direction does to images, in figures: which traits move, how steadily, and whether the class stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygan.interpretability.directions import Generate
from steadygan.interpretability.ranks import rank_correlation
from steadygan.interpretability.traits import traits_of

Classify = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) in [-1, 1] to class probabilities (N, K)."""

STEPS = (-3.0, -2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""How far along a direction is looked, in standard deviations of the latents along it."""
KEPT = 0.9
"""Share of images whose class has to stay for a step to count as within reach."""
SURE = 0.9
"""Probability from which on an image has a class that it can keep or lose."""
STILL = 1e-4
"""Spread of a trait below which it does not vary at all."""
CHUNK = 256


@dataclass(frozen=True)
class Direction:
    """A direction in the latent space and where it comes from.

    Attributes:
        name: of this one, such as ``variance 3``.
        method: how it was found, such as ``GANSpace``.
        vector: (Z,), of unit length.
        strength: what the method ranks by; NaN where it does not.
    """

    name: str
    method: str
    vector: Tensor
    strength: float = float("nan")


@dataclass(frozen=True)
class Effect:
    """What happens along a direction, over the steps that keep the class.

    Attributes:
        direction: which.
        reach: farthest step, in standard deviations.
        kept: share of the images within reach that keep their class, None without classes.
        correlation: by trait, Spearman's between step and value, for each image alone and then averaged; -1 to 1.
        change: by trait, mean difference between the two ends, in the trait's unit.
        relative: the same in standard deviations of the trait over samples.
        path: by trait, mean at each step within reach.
        steps: those steps.
    """

    direction: Direction
    reach: float
    kept: float | None
    correlation: dict[str, float]
    change: dict[str, float]
    relative: dict[str, float]
    path: dict[str, list[float]]
    steps: tuple[float, ...]

    @property
    def main(self) -> str:
        """The trait that moves most."""
        return max(self.relative, key=lambda name: abs(self.relative[name] * self.correlation[name]))


@torch.no_grad()
def walk(
    generate: Generate, direction: Direction, latents: Tensor, label: Tensor | None, steps: Sequence[float]
) -> Tensor:
    """Images (N, S, C, H, W) of latents moved along a direction by so many standard deviations of theirs along it."""
    vector = direction.vector.to(latents)
    scale = (latents @ vector).std().clamp_min(1e-6)
    offsets = torch.tensor(list(steps)).to(latents) * scale
    moved = (latents[:, None] + offsets[None, :, None] * vector).flatten(0, 1)
    labels = None if label is None else label.repeat_interleave(len(steps))
    parts = [
        generate(moved[at : at + CHUNK], None if labels is None else labels[at : at + CHUNK]).clamp(-1, 1)
        for at in range(0, len(moved), CHUNK)
    ]
    made = torch.cat(parts)
    return made.view(len(latents), len(steps), *made.shape[1:])


@torch.no_grad()
def measure(
    generate: Generate,
    direction: Direction,
    latents: Tensor,
    label: Tensor | None,
    spread: dict[str, float],
    classify: Classify | None,
    *,
    steps: Sequence[float] = STEPS,
    kept: float = KEPT,
) -> Effect:
    """Walk along a direction from every latent and measure what moves.

    Args:
        generate: makes images.
        direction: where to.
        latents: (N, Z) to start from.
        label: (N,) for a conditional generator, or None.
        spread: standard deviation over samples of every trait.
        classify: gives classes; None: the whole of ``steps`` is within reach.
        steps: symmetric around 0, ascending.
        kept: share of images that has to keep the class it has at step 0, of those whose class is sure there.
    """
    images = walk(generate, direction, latents, label, steps)
    flat = images.flatten(0, 1)
    traits = {name: value.view(*images.shape[:2]) for name, value in traits_of(flat).items()}
    place = torch.tensor(list(steps), dtype=torch.float64)
    reach, share = float(place.max()), None
    if classify is not None:
        found = torch.cat([classify(part) for part in torch.split(flat, CHUNK)]).cpu().view(*images.shape[:2], -1)
        start = found[:, int(place.abs().argmin())]
        same = (found.argmax(2) == start.argmax(1, keepdim=True)).double()
        sure = start.amax(1) >= SURE
        reach, share = _reach(place, same[sure] if bool(sure.any()) else same, kept)
    within = place.abs() <= reach + 1e-9
    ends = {name: (value[:, within][:, -1] - value[:, within][:, 0]).mean() for name, value in traits.items()}
    return Effect(
        direction,
        reach,
        share,
        {name: float(rank_correlation(place[within], value[:, within]).mean()) for name, value in traits.items()},
        {name: float(end) for name, end in ends.items()},
        {name: float(end) / spread[name] if spread[name] > STILL else 0.0 for name, end in ends.items()},
        {name: value[:, within].mean(0).tolist() for name, value in traits.items()},
        tuple(place[within].tolist()),
    )


def _reach(place: Tensor, same: Tensor, kept: float) -> tuple[float, float]:
    """The farthest step at which enough images within it, the start left out, still have their class; the share there.

    At least the second one: fewer points have no order to speak of.
    """
    found: tuple[float, float] | None = None
    for reach in sorted({abs(one) for one in place.tolist()} - {0.0})[1:]:
        inside = (place.abs() <= reach + 1e-9) & (place != 0)
        share = float(same[:, inside].mean())
        if found is None or share >= kept:
            found = reach, share
        if share < kept:
            break
    assert found is not None
    return found


def best(effects: Sequence[Effect], trait: str) -> Effect:
    """The direction that moves a trait farthest in one way, classes kept."""
    fit = [one for one in effects if one.kept is None or one.kept >= KEPT] or list(effects)
    return max(fit, key=lambda one: abs(one.relative[trait]) * one.correlation[trait] ** 2)
