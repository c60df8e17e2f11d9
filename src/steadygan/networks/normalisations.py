"""Normalisation layers by name, for maps (N, C, H, W) and vectors (N, C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from steadygan.errors import SteadyganError
from steadygan.networks.layers import BatchWide
from steadygan.runtime import processes

EPSILON = 1e-5
REFERENCE_SIZE = 64
"""Samples in the reference batch of virtual batch normalisation."""


class PixelNorm(nn.Module):
    """x / sqrt(mean over channels of x^2), at each pixel on its own (Karras et al. 2018)."""

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, ...) to the same shape, unit mean square over the channels."""
        return values * torch.rsqrt(values.square().mean(1, keepdim=True) + 1e-8)


def _of_all(layer: nn.modules.batchnorm._BatchNorm, values: Tensor) -> Tensor:
    """Batch normalisation by the statistics of all processes' values, with all derivatives; (N, C, ...) alike.

    Everybody tells its own mean and its squared deviations from that, in one message; with n_r values in process r, the
    variance of all is sum_r (M_r + n_r (m_r - m)^2) / sum_r n_r (Chan et al. 1979), so that nothing is lost where the
    mean is large.
    """
    kept = values.to(torch.promote_types(values.dtype, torch.float32))
    axes = (0, *range(2, values.ndim))
    sides = (1, -1) + (1,) * (values.ndim - 2)
    size = kept.numel() // kept.shape[1]
    own = kept.sum(axes) / max(size, 1)  # a process may have no row at all
    spread = (kept - own.view(sides)).square().sum(axes)
    told = processes.whole(torch.cat([own, spread, own.new_tensor([size])])[None])
    means, spreads = told[:, :-1].chunk(2, 1)
    counts = told[:, -1:].detach()
    count = counts.sum()
    mean = (counts * means).sum(0) / count
    variance = (spreads + counts * (means - mean).square()).sum(0) / count
    away = kept - mean.view(sides)
    if layer.track_running_stats and layer.running_mean is not None and layer.running_var is not None:
        with torch.no_grad():
            share = layer.momentum if layer.momentum is not None else 0.1
            layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), share)
            unbiased = variance * (count / (count - 1))
            layer.running_var.lerp_(unbiased.to(layer.running_var.dtype), share)
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked.add_(1)
    out = away * torch.rsqrt(variance + layer.eps).view(sides)
    if layer.affine:
        out = out * layer.weight.view(sides) + layer.bias.view(sides)
    return out.to(values.dtype)


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation of vectors (N, C) by the whole batch, of which several processes may have shares."""

    def forward(self, values: Tensor) -> Tensor:
        """(N, C) to the same shape."""
        return _of_all(self, values) if self.training and processes.acting() > 1 else super().forward(values)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of maps (N, C, H, W) by the whole batch, of which several processes may have shares."""

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return _of_all(self, values) if self.training and processes.acting() > 1 else super().forward(values)


class VirtualBatchNorm(BatchWide, nn.Module):
    """Normalises each sample by a fixed reference batch and itself (Salimans et al. 2016).

    The first ``REFERENCE_SIZE`` rows are the reference batch, put there by ``ReferenceBatch``. With R reference
    samples, mean and mean square are R/(R+1) of the reference's and 1/(R+1) of the sample's own, so no sample
    depends on its neighbours in the batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, values: Tensor) -> Tensor:
        """(R + N, C, ...) to the same shape."""
        own = tuple(range(2, values.ndim))
        mean = values.mean(own, keepdim=True) if own else values
        square = values.square().mean(own, keepdim=True) if own else values.square()
        share = 1 / (REFERENCE_SIZE + 1)
        mean = share * mean + (1 - share) * mean[:REFERENCE_SIZE].mean(0, keepdim=True)
        square = share * square + (1 - share) * square[:REFERENCE_SIZE].mean(0, keepdim=True)
        variance = (square - mean.square()).clamp_min(0)
        sides = (-1,) + (1,) * len(own)
        scale = torch.rsqrt(variance + EPSILON) * self.weight.view(sides)
        return (values - mean) * scale + self.bias.view(sides)


class ReferenceBatch(BatchWide, nn.Module):
    """The reference batch of virtual batch normalisation: the first batch that a network ever sees.

    Kept in buffers, so that a checkpoint holds it. A first batch that is smaller is repeated, a larger one cut.
    """

    samples: Tensor
    labels: Tensor
    fixed: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("samples", torch.zeros(REFERENCE_SIZE, *shape))
        self.register_buffer("labels", torch.zeros(REFERENCE_SIZE, dtype=torch.long))
        self.register_buffer("fixed", torch.tensor(False))
        self._known_fixed = False

    def prepend(self, samples: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Samples and labels with the reference batch before them."""
        if not self._known_fixed:  # Asking the buffer each time would make a GPU wait.
            if not bool(self.fixed):
                self._fix(samples, label)
            self._known_fixed = True
        samples = torch.cat([self.samples.to(samples.dtype), samples])
        return samples, None if label is None else torch.cat([self.labels, label])

    @torch.no_grad()
    def _fix(self, samples: Tensor, label: Tensor | None) -> None:
        samples = processes.whole(samples.detach())
        label = None if label is None else processes.whole(label)
        rows = torch.arange(REFERENCE_SIZE, device=samples.device) % len(samples)
        self.samples.copy_(samples[rows])
        if label is not None:
            self.labels.copy_(label[rows])
        self.fixed.fill_(True)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._known_fixed = False
        super()._load_from_state_dict(*args, **kwargs)


class ClassAffine(nn.Module):
    """Scale and shift looked up by class, the second half of conditional batch norm (Dumoulin et al. 2017)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, values: Tensor, label: Tensor) -> Tensor:
        """(N, C, H, W) and labels (N,) to (N, C, H, W)."""
        return values * self.scale[label][:, :, None, None] + self.shift[label][:, :, None, None]


def _batch(channels: int, vector: bool) -> nn.Module:
    return BatchNorm1d(channels) if vector else BatchNorm2d(channels)


def _instance(channels: int, vector: bool) -> nn.Module:
    if vector:
        raise SteadyganError(
            "normalisation 'instance' needs images, and this layer has vectors", "choose 'layer' or 'batch'"
        )
    return nn.GroupNorm(channels, channels)


def _group(channels: int, vector: bool) -> nn.Module:
    return nn.GroupNorm(max(g for g in range(1, 33) if channels % g == 0 and (g == 1 or channels // g > 1)), channels)


NORMALISATIONS: dict[str, Callable[[int, bool], nn.Module]] = {
    "none": lambda channels, vector: nn.Identity(),
    "batch": _batch,
    "layer": lambda channels, vector: nn.GroupNorm(1, channels),
    "instance": _instance,
    "group": _group,
    "pixel": lambda channels, vector: PixelNorm(),
    "virtual-batch": lambda channels, vector: VirtualBatchNorm(channels),
}
"""Name to maker; arguments are the channels and whether the values are vectors (N, C) rather than maps."""

SHIFTS_ITSELF = frozenset({"batch", "instance", "virtual-batch"})
"""Normalisations that take away whatever constant the layer before adds, so that its bias would be idle."""
