"""The four transforms that DCGAN scripts use, on grey or colour pictures of Pillow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from torchvision.absent import absent as __getattr__

__all__ = ["Compose", "Normalize", "Resize", "ToTensor", "__getattr__"]


class Compose:
    """One after the other."""

    def __init__(self, steps: Sequence[Callable[[Any], Any]]) -> None:
        self.steps = steps

    def __call__(self, image: Any) -> Any:
        """The image after all steps."""
        for step in self.steps:
            image = step(image)
        return image


class Resize:
    """To a square, or to (height, width), bilinear."""

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = (size, size) if isinstance(size, int) else size

    def __call__(self, image: Image.Image) -> Image.Image:
        """The resized picture."""
        return image.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR)


class ToTensor:
    """(H, W) or (H, W, C) bytes to (C, H, W) in [0, 1]."""

    def __call__(self, image: Image.Image) -> Tensor:
        """The picture as a tensor."""
        values = np.array(image, np.float32) / 255
        return torch.from_numpy(values[None] if values.ndim == 2 else values.transpose(2, 0, 1).copy())


class Normalize:
    """(x - mean) / std by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def __call__(self, image: Tensor) -> Tensor:
        """The scaled image."""
        return (image - self.mean) / self.std
