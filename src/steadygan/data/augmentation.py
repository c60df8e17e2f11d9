"""Augmentation on the device, inside the round, of reals and fakes alike.

Each entry of ``AUGMENTATIONS`` is ``f(images, apply) -> images`` with images (N, C, H, W), floats in [-1, 1], and
``apply`` a bool (N,): samples that are False come back unchanged. Draws come from torch's global generator of the
images' device, so a result is a function of the seed. Everything is plain indexing and arithmetic, because a
gradient penalty on augmented images needs second derivatives and ``grid_sample`` has none. Colour operations do not
clamp: a clamped value would pass no gradient back.

Papers: Differentiable Augmentation for Data-Efficient GAN Training (Zhao 2020); Training Generative Adversarial
Networks with Limited Data (Karras 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import groupby

import torch
from torch import Tensor

from steadygan.errors import SteadyganError, unknown
from steadygan.runtime import processes

Augmentation = Callable[[Tensor, Tensor], Tensor]
"""``f(images (N, C, H, W), apply (N,) bool) -> images``."""


def augment(images: Tensor, policy: tuple[str, ...], strength: Tensor | float) -> Tensor:
    """Play the named operations in order, each on a random share of the samples.

    An operation is applied to a sample with probability ``strength * SHARE.get(name, 1)``; neighbouring members of
    ``MATRICES`` are joined into one resampling, so that images are blurred once.

    Args:
        images: (N, C, H, W), floats in [-1, 1].
        policy: names in ``AUGMENTATIONS`` (see ``resolve``).
        strength: 0 to 1; a number or a tensor of no dimension. 0 gives back ``images`` itself. (A tensor on an
            accelerator is not read back, since that would halt the queue; its 0 leaves every value unchanged.)

    Raises:
        SteadyganError: an unknown name, or a strength outside 0 to 1.
    """
    if not policy or _is_zero(strength):
        return images
    for is_matrix, names in groupby(policy, key=lambda name: name in MATRICES):
        chosen = [(name, _choose(images, strength, name)) for name in names]
        if is_matrix:
            images = _resample(images, chosen)
        else:
            for name, apply in chosen:
                images = AUGMENTATIONS[name](images, apply)
    return images


def resolve(policy: str | Iterable[str]) -> tuple[str, ...]:
    """Names of operations and of bundles in ``POLICIES``, spelt out as operations.

    Raises:
        SteadyganError: a name in neither table.
    """
    names: list[str] = []
    for name in [policy] if isinstance(policy, str) else policy:
        if name in POLICIES:
            names.extend(POLICIES[name])
        elif name in AUGMENTATIONS:
            names.append(name)
        else:
            raise unknown("augmentation", name, [*AUGMENTATIONS, *POLICIES])
    return tuple(names)


def random_flip(images: Tensor, share: float = 0.5, parts: int = 1) -> Tensor:
    """Mirror each image left to right with probability ``share``; (N, C, H, W) of any type.

    With several processes they are this one's share of a batch of ``parts`` micro-batches.
    """
    if share <= 0:
        return images
    chances = processes.drawn(len(images), lambda count: torch.rand(count, device=images.device), parts)
    return flip(images, chances < share)


def flip(images: Tensor, apply: Tensor) -> Tensor:
    """Mirror left to right."""
    return _where(apply, images.flip(-1), images)


def rotate90(images: Tensor, apply: Tensor) -> Tensor:
    """Turn by 90, 180 or 270 degrees, equally likely; images that are not square by 180."""
    if images.shape[-1] != images.shape[-2]:
        return _where(apply, images.flip(-2, -1), images)
    turns = processes.drawn(len(images), lambda count: torch.randint(1, 4, (count,), device=images.device))
    result = images
    for count in (1, 2, 3):
        result = _where(apply & (turns == count), torch.rot90(images, count, (-2, -1)), result)
    return result


def transpose(images: Tensor, apply: Tensor) -> Tensor:
    """Mirror at the main diagonal. Raises SteadyganError for images that are not square."""
    height, width = images.shape[-2:]
    if height != width:
        raise SteadyganError(
            f"augmentation 'transpose' needs square images and these are {width}x{height} (width x height)",
            "leave it out of augmentation.policy",
        )
    return _where(apply, images.transpose(-2, -1), images)


def translate(images: Tensor, apply: Tensor, ratio: float = 0.125) -> Tensor:
    """Shift by whole pixels, uniform within ``ratio`` of each side (at least one), 0 included; zeros come in."""
    count, height, width = len(images), *images.shape[-2:]
    down = _shift(count, height, ratio, images)
    right = _shift(count, width, ratio, images)
    rows = torch.arange(height, device=images.device) - down[:, None]
    columns = torch.arange(width, device=images.device) - right[:, None]
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    return _where(apply, _pick(images, index).masked_fill(~inside[:, None], 0), images)


def cutout(images: Tensor, apply: Tensor, ratio: float = 0.5) -> Tensor:
    """Blank (to 0) a box of ``ratio`` of each side around a uniform random pixel, cut off at the border."""
    count, height, width = len(images), *images.shape[-2:]
    rows = _box(count, height, ratio, images)
    columns = _box(count, width, ratio, images)
    blank = (rows[:, :, None] & columns[:, None, :] & apply[:, None, None])[:, None]
    return images.masked_fill(blank, 0)


def brightness(images: Tensor, apply: Tensor) -> Tensor:
    """Add one number a sample, uniform in [-0.5, 0.5]."""
    return _where(apply, images + (_uniform(images) - 0.5), images)


def contrast(images: Tensor, apply: Tensor) -> Tensor:
    """Multiply the distance from the sample's mean by a number uniform in [0.5, 1.5]."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return _where(apply, (images - mean) * (_uniform(images) + 0.5) + mean, images)


def saturation(images: Tensor, apply: Tensor) -> Tensor:
    """Multiply the distance from the pixel's mean over channels by a number uniform in [0, 2].

    One channel has no colour: such images come back as they are.
    """
    if images.shape[1] == 1:
        return images
    mean = images.mean(dim=1, keepdim=True)
    return _where(apply, (images - mean) * (_uniform(images) * 2) + mean, images)


def hue(images: Tensor, apply: Tensor) -> Tensor:
    """Turn the first three channels about their grey axis (1, 1, 1) by an angle uniform in [-pi, pi].

    Further channels stay; with fewer than three there is no hue, and the images come back as they are.
    """
    if images.shape[1] < 3:
        return images
    angle = (_uniform(images) * 2 - 1) * math.pi
    colour, rest = images[:, :3], images[:, 3:]
    grey = colour.mean(dim=1, keepdim=True)
    # Rodrigues' formula: the cross product with (1, 1, 1) / sqrt(3) is a difference of the two other channels.
    cross = (colour.roll(1, dims=1) - colour.roll(-1, dims=1)) / math.sqrt(3)
    turned = grey + (colour - grey) * angle.cos() + cross * angle.sin()
    return _where(apply, torch.cat([turned, rest], dim=1), images)


def lumaflip(images: Tensor, apply: Tensor) -> Tensor:
    """Turn light into dark and keep the colour: mirror each pixel at the plane of mean 0."""
    return _where(apply, images - 2 * images.mean(dim=1, keepdim=True), images)


def noise(images: Tensor, apply: Tensor, deviation: float = 0.1) -> Tensor:
    """Add white Gaussian noise whose standard deviation is the size of a draw from N(0, deviation^2)."""
    size = _normal(images).abs() * deviation
    return _where(apply, images + processes.noise(images) * size, images)


def scale(images: Tensor, apply: Tensor) -> Tensor:
    """Zoom by 2^s with s from N(0, 0.2^2)."""
    return _resample(images, [("scale", apply)])


def rotate(images: Tensor, apply: Tensor) -> Tensor:
    """Turn by an angle uniform in [-pi, pi]."""
    return _resample(images, [("rotate", apply)])


def anisotropic(images: Tensor, apply: Tensor) -> Tensor:
    """Stretch by 2^s across and 2^-s down with s from N(0, 0.2^2)."""
    return _resample(images, [("anisotropic", apply)])


def _scaling(images: Tensor) -> Tensor:
    factor = torch.exp2(_normal(images).flatten() * 0.2)
    return torch.diag_embed(torch.stack([factor, factor], dim=-1))


def _turning(images: Tensor) -> Tensor:
    angle = (_uniform(images).flatten() * 2 - 1) * math.pi
    rows = [torch.stack([angle.cos(), -angle.sin()], dim=-1), torch.stack([angle.sin(), angle.cos()], dim=-1)]
    return torch.stack(rows, dim=-2)


def _stretching(images: Tensor) -> Tensor:
    factor = torch.exp2(_normal(images).flatten() * 0.2)
    return torch.diag_embed(torch.stack([factor, 1 / factor], dim=-1))


def _resample(images: Tensor, chosen: list[tuple[str, Tensor]]) -> Tensor:
    """Apply the product of the chosen matrices about the image's centre, in one bilinear look-up.

    What would come from outside is mirrored in at the border, as Karras 2020 does.
    """
    unit = torch.eye(2, device=images.device, dtype=_real_type(images))
    product = unit.expand(len(images), 2, 2)
    touched = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for name, apply in chosen:
        matrix = torch.where(apply[:, None, None], MATRICES[name](images), unit)
        # Summed by hand: a matrix product would be rounded to 16 bits under autocast.
        product = (matrix[:, :, :, None] * product[:, None, :, :]).sum(dim=2)
        touched = touched | apply
    a, b, c, d = (product[:, i, j, None, None] for i in (0, 1) for j in (0, 1))
    height, width = images.shape[-2:]
    y = (torch.arange(height, device=images.device, dtype=unit.dtype) - (height - 1) / 2)[None, :, None]
    x = (torch.arange(width, device=images.device, dtype=unit.dtype) - (width - 1) / 2)[None, None, :]
    determinant = a * d - b * c
    source_x = (d * x - b * y) / determinant + (width - 1) / 2
    source_y = (a * y - c * x) / determinant + (height - 1) / 2
    return _where(touched, _bilinear(images, source_y, source_x), images)


def _bilinear(images: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Values at pixel coordinates y, x, each (N, H, W), mirrored in at the border."""
    height, width = images.shape[-2:]
    y, x = _mirror(y, height), _mirror(x, width)
    top, left = y.floor(), x.floor()
    down, right = (y - top)[:, None].to(images.dtype), (x - left)[:, None].to(images.dtype)
    top, left = top.long(), left.long()
    below, beside = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    upper = _pick(images, top * width + left) * (1 - right) + _pick(images, top * width + beside) * right
    lower = _pick(images, below * width + left) * (1 - right) + _pick(images, below * width + beside) * right
    return upper * (1 - down) + lower * down


def _mirror(position: Tensor, length: int) -> Tensor:
    """Fold any coordinate into [0, length - 1] by reflection at the outer edges of the border pixels."""
    folded = (position + 0.5).remainder(2 * length)
    return (torch.where(folded > length, 2 * length - folded, folded) - 0.5).clamp(0, length - 1)


def _pick(images: Tensor, index: Tensor) -> Tensor:
    """The pixels at flat positions ``index`` (N, H, W) of every channel."""
    flat = index.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, flat).view(images.shape)


def _where(apply: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    return torch.where(apply[:, None, None, None], changed, images)


def _shift(count: int, length: int, ratio: float, images: Tensor) -> Tensor:
    most = min(length - 1, max(1, int(length * ratio + 0.5)))
    return processes.drawn(count, lambda number: torch.randint(-most, most + 1, (number,), device=images.device))


def _box(count: int, length: int, ratio: float, images: Tensor) -> Tensor:
    """Which of ``length`` positions lie in a box of ``ratio * length`` around a random one; bool (N, length)."""
    side = max(1, int(length * ratio + 0.5))
    drawn = processes.drawn(count, lambda number: torch.randint(0, length, (number, 1), device=images.device))
    begin = drawn - side // 2
    position = torch.arange(length, device=images.device)[None]
    return (position >= begin) & (position < begin + side)


def _within(position: Tensor, length: int) -> Tensor:
    return (position >= 0) & (position < length)


def _real_type(images: Tensor) -> torch.dtype:
    """Random numbers and coordinates are never drawn in 16 bits, where neighbouring pixels would fall together."""
    return torch.float64 if images.dtype == torch.float64 else torch.float32


def _uniform(images: Tensor) -> Tensor:
    return _each(images, torch.rand)


def _normal(images: Tensor) -> Tensor:
    return _each(images, torch.randn)


def _each(images: Tensor, draw: Callable[..., Tensor]) -> Tensor:
    """A number for every sample, (N, 1, 1, 1)."""
    like = {"device": images.device, "dtype": _real_type(images)}
    return processes.drawn(len(images), lambda count: draw(count, 1, 1, 1, **like)).to(images.dtype)


def _choose(images: Tensor, strength: Tensor | float, name: str) -> Tensor:
    if name not in AUGMENTATIONS:
        raise unknown("augmentation", name, AUGMENTATIONS)
    share = SHARE.get(name, 1.0)
    if name == "rotate90" and images.shape[-1] != images.shape[-2]:
        share = 0.5
    chances = processes.drawn(len(images), lambda count: torch.rand(count, device=images.device))
    return chances < strength * share


def _is_zero(strength: Tensor | float) -> bool:
    if isinstance(strength, Tensor) and strength.device.type != "cpu":
        return False
    value = float(strength)
    if not 0.0 <= value <= 1.0:
        raise SteadyganError(f"augmentation strength {value:g} is out of range", "give a number from 0 to 1")
    return value == 0.0


AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": flip,
    "rotate90": rotate90,
    "transpose": transpose,
    "translate": translate,
    "scale": scale,
    "rotate": rotate,
    "anisotropic": anisotropic,
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
    "lumaflip": lumaflip,
    "cutout": cutout,
    "noise": noise,
}
"""Every operation by name."""

MATRICES: dict[str, Callable[[Tensor], Tensor]] = {
    "scale": _scaling,
    "rotate": _turning,
    "anisotropic": _stretching,
}
"""The operations that are a random matrix (N, 2, 2) on (x, y)."""

SHARE: dict[str, float] = {"flip": 1 / 2, "rotate90": 3 / 4, "transpose": 1 / 2, "lumaflip": 1 / 2}
"""Share of the chosen samples that such an operation really changes.

These form finite groups. Drawing uniformly from the whole group, the identity included, keeps the transition
invertible for every strength below 1, so that the generator does not learn the augmentation (Karras 2020).
"""

POLICIES: dict[str, tuple[str, ...]] = {
    "diffaugment": ("brightness", "saturation", "contrast", "translate", "cutout"),
    "ada": (
        *("flip", "rotate90", "translate", "scale", "rotate", "anisotropic"),
        *("brightness", "contrast", "lumaflip", "hue", "saturation"),
    ),
    "colour": ("brightness", "contrast", "saturation", "hue"),
    "geometric": ("flip", "translate", "scale", "rotate", "anisotropic"),
}
"""Named bundles: those of Zhao 2020 and (without wavelet filtering) Karras 2020, and two halves."""
