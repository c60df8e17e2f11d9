"""Quality of restored images beside their originals: PSNR, SSIM, MS-SSIM and distances in a network's maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from steadygan.errors import SteadyganError

Maps = Callable[[Tensor], Sequence[Tensor]]
"""From images (N, C, H, W) to the maps (N, C_l, H_l, W_l) of a network's layers."""

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM's scales, finest first (Wang et al. 2003)."""


def psnr(first: Tensor, second: Tensor, *, span: float = 2.0) -> Tensor:
    """Peak signal-to-noise ratio (N,) in decibels of each pair of images (N, C, H, W); infinite for equal images.

    ``10 log10(span² / mean squared error)`` over channels and pixels; ``span`` is the largest minus the smallest
    possible pixel: 2 for [-1, 1], 1 for [0, 1], 255 for bytes.

    Raises:
        SteadyganError: for shapes that differ, no images, values that are not finite, or a span that is not positive.
    """
    x, y = _pair(first, second, span)
    return 10 * torch.log10(span**2 / (x - y).square().flatten(1).mean(1))


def ssim(first: Tensor, second: Tensor, *, span: float = 2.0) -> Tensor:
    """Structural similarity (N,) of each pair of images (N, C, H, W); 1 for equal images, at least -1.

    ``(2 μx μy + c1) (2 σxy + c2) / ((μx² + μy² + c1) (σx² + σy² + c2))``, ``c = (0.01 span)², (0.03 span)²``, with
    local moments under a Gaussian window of 11x11, sigma 1.5 (biased: divided by the sum of weights), averaged over
    all places where the window lies inside the image, and over channels. Where a side is shorter than 11 pixels, the
    window is the largest odd one that fits. Paper: Wang et al. 2004, Image Quality Assessment.

    Raises:
        SteadyganError: as ``psnr`` does.
    """
    x, y = _pair(first, second, span)
    return _similarity(x, y, span)[0]


def ms_ssim(first: Tensor, second: Tensor, *, span: float = 2.0) -> Tensor:
    """Multi-scale structural similarity (N,) of each pair of images (N, C, H, W), 0 to 1; 1 for equal images.

    ``Π csᵢ^wᵢ · ssim^w_last``: the contrast-structure term of every scale but the coarsest, where the whole
    similarity counts; each scale halves the last by 2x2 means, and a negative term counts as 0. ``scales`` says how
    many there are: five from 176 pixels on, fewer for smaller images, with their weights scaled to sum to 1. So values
    of images of different scale counts must not be compared.
    Paper: Wang et al. 2003, Multi-Scale Structural Similarity.

    Raises:
        SteadyganError: as ``psnr`` does.
    """
    x, y = _pair(first, second, span)
    weights = torch.tensor(SCALES[: scales(x.shape[-2], x.shape[-1])], dtype=torch.float64)
    if len(weights) < len(SCALES):  # the paper's five sum to 1.0001, and are kept as they are
        weights = weights / weights.sum()
    product = torch.ones(len(x), dtype=torch.float64)
    for place, weight in enumerate(weights):
        whole, contrast = _similarity(x, y, span)
        term = whole if place == len(weights) - 1 else contrast
        product = product * term.clamp(min=0) ** weight
        if place < len(weights) - 1:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return product


def scales(height: int, width: int) -> int:
    """How many scales MS-SSIM has at this size: one to five, as many as leave sides of at least 11 pixels."""
    count, side = 1, min(height, width)
    while count < len(SCALES) and side // 2 >= WINDOW:
        count, side = count + 1, side // 2
    return count


def perceptual_distance(
    first: Tensor, second: Tensor, maps: Maps, weights: Sequence[Tensor] | None = None, *, chunk: int = 64
) -> Tensor:
    """Distance (N,) of each pair of images (N, C, H, W) in a network's intermediate maps; 0 for equal images.

    Each place's feature vector is scaled to length 1; squared differences, times ``weights`` (one tensor (C_l,) a
    layer; None: 1), are summed over channels, averaged over places and summed over layers. With the layers and weights
    of LPIPS that is LPIPS; with those of any other network the values have a scale of their own. Paper: Zhang et al.
    2018, The Unreasonable Effectiveness of Deep Features.

    Raises:
        SteadyganError: as ``psnr`` does, for maps that are not (N, C_l, H_l, W_l), or weights that do not fit.
    """
    _pair(first, second, 1.0)
    found = []
    with torch.no_grad():
        for start in range(0, len(first), chunk):
            one, two = maps(first[start : start + chunk]), maps(second[start : start + chunk])
            found.append(_map_distance(one, two, weights))
    return torch.cat(found)


def _map_distance(first: Sequence[Tensor], second: Sequence[Tensor], weights: Sequence[Tensor] | None) -> Tensor:
    if len(first) == 0 or (weights is not None and len(weights) != len(first)):
        given = "no weights" if weights is None else f"{len(weights)} weights"
        raise SteadyganError(f"{len(first)} maps with {given}", "give at least one map, and one weight tensor for each")
    total = torch.zeros(len(first[0]), dtype=torch.float64)
    for place, (one, two) in enumerate(zip(first, second, strict=True)):
        if one.dim() != 4 or one.shape != two.shape:
            raise SteadyganError(f"a map of shape {tuple(one.shape)}", "return (N, C, H, W) from every layer")
        difference = (_unit(one) - _unit(two)).square()
        if weights is not None:
            if weights[place].numel() != one.shape[1]:
                raise SteadyganError(
                    f"{weights[place].numel()} weights for a map of {one.shape[1]} channels", "give one a channel"
                )
            difference = difference * weights[place].detach().double().cpu().reshape(1, -1, 1, 1)
        total = total + difference.sum(1).mean((1, 2))
    return total


def _unit(values: Tensor) -> Tensor:
    values = values.detach().double().cpu()
    lengths: Tensor = values.square().sum(1, keepdim=True).sqrt()
    return values / (lengths + 1e-10)


def _similarity(x: Tensor, y: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """Means (N,) of the whole similarity and of its contrast-structure part."""
    channels, height, width = x.shape[1:]
    down, across = _window(height), _window(width)

    def blur(values: Tensor) -> Tensor:
        rows = F.conv2d(values, down.reshape(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)
        both: Tensor = F.conv2d(rows, across.reshape(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)
        return both

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x.square(), blur(y * y) - mean_y.square()
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    contrast = (2 * covariance + c2) / (var_x + var_y + c2)
    whole = contrast * (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return whole.flatten(1).mean(1), contrast.flatten(1).mean(1)


def _window(side: int) -> Tensor:
    """Gaussian weights that sum to 1, 11 of them or the largest odd number that fits the side."""
    reach = min(WINDOW // 2, (side - 1) // 2)
    places = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = (-places.square() / (2 * SIGMA**2)).exp()
    return weights / weights.sum()


def _pair(first: Tensor, second: Tensor, span: float) -> tuple[Tensor, Tensor]:
    if first.dim() != 4 or first.shape != second.shape or first.numel() == 0:
        raise SteadyganError(
            f"images of shape {tuple(first.shape)} and {tuple(second.shape)}", "give two sets (N, C, H, W) of one shape"
        )
    if not span > 0:
        raise SteadyganError(f"a span of {span:g}", "give the largest minus the smallest possible pixel")
    x, y = (each.detach().to(device="cpu", dtype=torch.float64) for each in (first, second))
    if not (bool(x.isfinite().all()) and bool(y.isfinite().all())):
        raise SteadyganError("images that hold NaN or infinity", "check the images")
    return x, y
