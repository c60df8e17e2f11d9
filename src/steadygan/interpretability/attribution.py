"""What in an image a verdict rests on: maps of the discriminator, or of any function from images to a value each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadygan.errors import SteadyganError
from steadygan.interpretability.ranks import rank_correlation
from steadygan.interpretability.tracing import Inputs, layers

Value = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) to a value each, (N,), such as logits."""


@dataclass(frozen=True)
class Integrated:
    """Integrated gradients.

    Attributes:
        maps: (N, C, H, W), what each pixel adds to the value.
        error: (N,), how far the sum of the map is from the difference of value between image and baseline, divided by
            that difference; 0 is complete.
    """

    maps: Tensor
    error: Tensor


def integrated_gradients(function: Value, images: Tensor, baseline: Tensor, steps: int = 64) -> Integrated:
    """``(x - b) ∫ ∇f(b + t (x - b)) dt`` over t from 0 to 1, by the midpoint rule, which is exact for quadratics.

    Paper: Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks.

    Args:
        function: whose value is explained.
        images: x (N, C, H, W).
        baseline: b, of one shape with an image or with ``images``.
        steps: gradients.

    Raises:
        SteadyganError: fewer than one step, or a baseline of another shape.
    """
    if steps < 1 or tuple(baseline.shape[-3:]) != tuple(images.shape[-3:]):
        raise SteadyganError(
            f"{steps} steps from a baseline of shape {tuple(baseline.shape)}", "give at least 1, and an image's shape"
        )
    difference = images - baseline
    total = torch.zeros_like(images)
    for step in range(steps):
        total += gradient(function, baseline + (step + 0.5) / steps * difference)
    maps = difference * total / steps
    with torch.no_grad():
        wanted = function(images) - function((images * 0) + baseline)
    error = (maps.flatten(1).sum(1) - wanted).abs() / wanted.abs().clamp_min(1e-6)
    return Integrated(maps, error)


def gradient(function: Value, images: Tensor) -> Tensor:
    """The value's gradient at each image, (N, C, H, W)."""
    inputs = images.detach().requires_grad_(True)
    (found,) = torch.autograd.grad(function(inputs).sum(), inputs)
    return found


@torch.no_grad()
def occlusion(function: Value, images: Tensor, baseline: Tensor, patch: int, stride: int) -> Tensor:
    """By how much the value falls where a square is covered with the baseline, spread over its pixels, (N, H, W).

    Paper: Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks.

    Args:
        function: whose value is explained.
        images: (N, C, H, W).
        baseline: (C, H, W), what stands in the covered place.
        patch: side of the square in pixels.
        stride: from one place to the next.
    """
    height, width = images.shape[-2:]
    whole, total = function(images), torch.zeros_like(images[:, 0])
    times = torch.zeros_like(total)
    for top in _places(height, patch, stride):
        for left in _places(width, patch, stride):
            rows, columns = slice(top, top + patch), slice(left, left + patch)
            covered = images.clone()
            covered[:, :, rows, columns] = baseline[:, rows, columns]
            total[:, rows, columns] += (whole - function(covered))[:, None, None]
            times[:, rows, columns] += 1
    return total / times.clamp_min(1)


def _places(length: int, patch: int, stride: int) -> list[int]:
    last = max(0, length - patch)
    return sorted({*range(0, last + 1, stride), last})


def grad_cam(network: nn.Module, function: Value, images: Tensor) -> tuple[Tensor, str] | None:
    """Maps of the last layer that has any, each weighted by its mean gradient, at the images' size (N, H, W).

    Only what speaks for a high value is kept (ReLU). The name of the layer stands beside; None where no layer has
    maps. Paper: Selvaraju et al. 2017, Grad-CAM.

    Args:
        network: in which the layers are looked for; ``function`` calls it.
        function: whose value is explained.
        images: (N, C, H, W).
    """
    found = _in_use(network, function, images)
    if found is None:
        return None
    kept: list[Tensor] = []
    handle = network.get_submodule(found).register_forward_hook(lambda _module, _inputs, out: kept.append(out))
    try:
        with torch.enable_grad():
            value = function(images.detach().requires_grad_(True)).sum()
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(value, kept[-1])
    coarse = (slope.mean((2, 3), keepdim=True) * kept[-1]).sum(1, keepdim=True).clamp_min(0).detach()
    return F.interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)[:, 0], found


def _in_use(network: nn.Module, function: Value, images: Tensor) -> str | None:
    """The last layer with maps of more than one place when ``function`` calls ``network``."""
    inputs: list[Inputs] = []
    handle = network.register_forward_pre_hook(lambda _module, given: inputs.append(given))
    try:
        with torch.no_grad():
            function(images)
    finally:
        handle.remove()
    if not inputs:
        return None
    with torch.no_grad():
        found = [one.name for one in layers(network, *inputs[-1]) if one.maps and one.shape[1] < images.shape[2]]
    return found[-1] if found else None


@dataclass(frozen=True)
class Course:
    """Mean value while pixels are taken away or put in, from the most important on; and the area below it.

    Attributes:
        shares: of the pixels that are changed, ascending from 0 to 1.
        values: mean value at each.
    """

    shares: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def area(self) -> float:
        """Mean of the value over the shares (trapezoids)."""
        steps = zip(pairwise(self.shares), pairwise(self.values), strict=True)
        return sum((b - a) * (x + y) / 2 for (a, b), (x, y) in steps)


@torch.no_grad()
def deletion(function: Value, images: Tensor, order: Tensor, baseline: Tensor, steps: int = 16) -> Course:
    """The value while pixels become the baseline, those with the highest ``order`` (N, H, W) first.

    A map that shows what the value rests on makes it fall fast. Paper: Petsiuk et al. 2018, RISE.
    """
    return _course(function, images, baseline.expand_as(images), order, steps)


@torch.no_grad()
def insertion(function: Value, images: Tensor, order: Tensor, baseline: Tensor, steps: int = 16) -> Course:
    """The value while the baseline becomes the image, pixels with the highest ``order`` (N, H, W) first."""
    return _course(function, baseline.expand_as(images).clone(), images, order, steps)


def _course(function: Value, start: Tensor, end: Tensor, order: Tensor, steps: int) -> Course:
    rank = order.flatten(1).argsort(1, descending=True).argsort(1)
    shares = [step / steps for step in range(steps + 1)]
    values = []
    for share in shares:
        changed = (rank < round(share * rank.shape[1])).view_as(order)[:, None]
        values.append(float(function(torch.where(changed, end, start)).mean()))
    return Course(tuple(shares), tuple(values))


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """A copy whose weights are shuffled within each tensor: the same values, nothing learned."""
    other = copy.deepcopy(network)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            order = torch.randperm(weight.numel(), generator=source).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return other


def likeness(first: Tensor, second: Tensor, *, signed: bool = True) -> float:
    """Mean rank correlation of two sets of maps (N, H, W), with signs or without.

    A map that stays the same when the weights are randomised does not explain what was learned. Without signs even
    good methods stay alike, since both maps are strong where the image is. Paper: Adebayo et al. 2018, Sanity Checks
    for Saliency Maps.
    """
    one, two = (first, second) if signed else (first.abs(), second.abs())
    return float(rank_correlation(one.flatten(1), two.flatten(1)).mean())
