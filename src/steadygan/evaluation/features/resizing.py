"""How images come to a network's size: the customary ways differ, and each moves the FID by several points.

Each takes images (N, C, H, W) uint8 and a side, and gives floats (N, C, side, side) in 0..255.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

Resize = Callable[[Tensor, int], Tensor]


def tensorflow(images: Tensor, side: int) -> Tensor:
    """Bilinear as TensorFlow 1 has it: corners at the upper left of pixels, no antialiasing (torch-fidelity's way)."""
    values = images.float()
    for axis in (2, 3):
        length = values.shape[axis]
        places = torch.arange(side, dtype=torch.float32, device=values.device) * (length / side)
        lower = places.floor().long().clamp(max=length - 1)
        upper = (lower + 1).clamp(max=length - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = side
        share = (places - lower).reshape(shape)
        first, second = values.index_select(axis, lower), values.index_select(axis, upper)
        values = first + (second - first) * share
    return values


def centred(images: Tensor, side: int) -> Tensor:
    """Bilinear with pixel centres at halves, no antialiasing (pytorch-fid's way)."""
    return F.interpolate(images.float(), (side, side), mode="bilinear", align_corners=False)


def clean(images: Tensor, side: int) -> Tensor:
    """Bicubic with antialiasing by Pillow, channel by channel in floats, without rounding (clean-fid's way)."""
    planes = images.cpu().numpy().astype(np.float32)
    found = np.empty((*planes.shape[:2], side, side), np.float32)
    for row in range(planes.shape[0]):
        for channel in range(planes.shape[1]):
            plane = Image.fromarray(planes[row, channel])
            found[row, channel] = np.asarray(plane.resize((side, side), Image.Resampling.BICUBIC))
    return torch.from_numpy(found).clamp(0.0, 255.0).to(images.device)


RESIZES: dict[str, Resize] = {"tensorflow": tensorflow, "centred": centred, "clean": clean}
"""Ways of resizing by name."""
WORDS = {
    "tensorflow": "bilinear as TensorFlow 1, no antialiasing",
    "centred": "bilinear, pixel centres, no antialiasing",
    "clean": "bicubic, antialiased",
}
