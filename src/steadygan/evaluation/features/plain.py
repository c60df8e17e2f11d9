"""Features that need no training: the pixels themselves, and a random convolutional network."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from steadygan.evaluation.features.reading import Reading, checked, hash_of
from steadygan.runtime import seeding

LARGEST = 3072
"""Numbers that an image may have as pixel features: 32 x 32 in colour."""
WIDTHS = (32, 64, 128)
"""Channels of the random network, from the first layer to the last."""
CALIBRATION = 512
"""Real images that set the random network's normalisation."""


class Pixels:
    """The pixel values, 0 to 1: (N, C * H * W); large images are averaged down to at most 3,072 numbers.

    Distances between pixels see shifts, noise and colour, and little of what an image means.
    """

    name = "pixels"
    rounding = "none"

    def __init__(self, shape: tuple[int, int, int]) -> None:
        channels, height, width = shape
        shrink = max(1.0, math.sqrt(channels * height * width / LARGEST))
        self.size = max(1, math.floor(height / shrink)), max(1, math.floor(width / shrink))
        same = self.size == (height, width)
        self.resize = "none" if same else f"area mean to {self.size[1]}x{self.size[0]}"
        self.hash = hash_of({"network": "pixels", "shape": shape, "size": self.size})
        self.shape = shape

    def read(self, images: Tensor) -> Reading:
        values = checked(images, self.shape[0]).float() / 255.0
        if tuple(values.shape[-2:]) != self.size:
            values = F.adaptive_avg_pool2d(values, self.size)
        return Reading(values.flatten(1))


class Random:
    """A convolutional network with seeded random weights, its normalisation calibrated on real images: (N, 256).

    Three 3 x 3 convolutions of stride 2 (stride 1 on sides below 8), each followed by a normalisation whose mean and
    variance come from one pass of real images, and a leaky ReLU; the features are mean and maximum of each channel of
    the last layer. Without that pass the features of deep random networks hardly differ from image to image. Such
    features are good for testing arithmetic and for gross faults; they miss small ones.

    Args:
        shape: channels, height and width.
        calibration: real images (N, C, H, W) uint8; the first 512 are taken.
        seed: where the weights come from.
    """

    name = "random"
    resize = "none"
    rounding = "none"

    def __init__(self, shape: tuple[int, int, int], calibration: Tensor, seed: int = 0) -> None:
        self.shape = shape
        source = seeding.generator("random features", seed)
        self.layers: list[tuple[Tensor, int]] = []
        channels, side = shape[0], min(shape[1:])
        for width in WIDTHS:
            weight = torch.randn(width, channels, 3, 3, generator=source) * math.sqrt(2.0 / (channels * 9))
            stride = 2 if side >= 8 else 1
            self.layers.append((weight, stride))
            channels, side = width, -(-side // stride)
        self.moments: list[tuple[Tensor, Tensor]] = []
        self._forward(checked(calibration, shape[0])[:CALIBRATION], calibrate=True)
        tensors = {f"mean{i}": mean for i, (mean, _) in enumerate(self.moments)}
        tensors |= {f"scale{i}": scale for i, (_, scale) in enumerate(self.moments)}
        self.hash = hash_of({"network": "random", "shape": shape, "seed": seed, "widths": WIDTHS}, tensors)

    def read(self, images: Tensor) -> Reading:
        return Reading(self._forward(checked(images, self.shape[0])))

    @torch.no_grad()
    def _forward(self, images: Tensor, *, calibrate: bool = False) -> Tensor:
        values = images.float() / 127.5 - 1.0
        for index, (weight, stride) in enumerate(self.layers):
            values = F.conv2d(values, weight, stride=stride, padding=1)
            if calibrate:
                mean = values.mean((0, 2, 3), keepdim=True)
                self.moments.append((mean, 1.0 / values.std((0, 2, 3), keepdim=True).clamp(min=1e-3)))
            mean, scale = self.moments[index]
            values = F.leaky_relu((values - mean) * scale, 0.2)
        return torch.cat([values.mean((2, 3)), values.amax((2, 3))], dim=1)
