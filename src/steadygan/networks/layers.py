"""Small layers that several families share: resampling, markers for initialisation, statistics of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from steadygan.networks.sizes import Size
from steadygan.runtime import convolution, processes


class Unactivated:
    """Marks a layer that no activation follows: it is initialised with gain 1."""


class BatchWide:
    """Marks a layer to which a batch is more than its rows: it looks at several, or at chance, or changes with use."""


KNOWN = frozenset({"steadygan", "torch", "builtins", "abc", "typing"})
"""Packages whose layers are known to be batch-wide or not."""


def by_rows(network: nn.Module) -> bool:
    """Whether a network in training makes of two batches at once what it makes of one after the other.

    Layers that come from elsewhere may do anything, so that they count as batch-wide.
    """
    kinds = {kind for part in network.modules() for kind in type(part).__mro__}
    wide = (BatchWide, nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd, parametrizations._SpectralNorm)
    return all(kind.__module__.partition(".")[0] in KNOWN and not issubclass(kind, wide) for kind in kinds)


class PlainConv2d(Unactivated, nn.Conv2d):
    """A convolution that no activation follows."""


class PlainConvTranspose2d(Unactivated, nn.ConvTranspose2d):
    """A transposed convolution that no activation follows; one that writes a single channel does so faster."""

    def forward(self, values: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, h, w) to (N, C', H, W)."""
        if self.out_channels > 1 or output_size is not None or not _learning(values, self.weight):
            return super().forward(values, output_size)
        assert not isinstance(self.padding, str)  # a transposed convolution has none by name
        plan = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return convolution.conv_transpose2d(values, self.weight, self.bias, *plan)


class ImageConv2d(nn.Conv2d):
    """A convolution that looks at images; the way back to those of a single channel is faster."""

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', h, w)."""
        if self.in_channels > 1 or isinstance(self.padding, str) or not _learning(values):
            return super().forward(values)
        plan = (self.stride, self.padding, self.dilation, self.groups)
        return convolution.conv2d(values, self.weight, self.bias, *plan)


def _learning(*tensors: Tensor) -> bool:
    """Whether derivatives by any of these will be taken, in the type that they have."""
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return wanted and not torch.is_autocast_enabled(tensors[0].device.type)


class SmoothDoubling(PlainConvTranspose2d):
    """A transposed 4 x 4 convolution of stride 2 that Fix-up starts as bilinear doubling of mixed channels.

    Its overlapping parts then agree, so that a run begins without a checkerboard that it would have to unlearn.
    """

    def start_smooth(self) -> None:
        """Set the weights to a random mix of channels, N(0, 1 / channels), times the bilinear filter."""
        with torch.no_grad():
            ramp = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=self.weight.dtype, device=self.weight.device)
            mix = torch.randn_like(self.weight[:, :, :1, :1]) / self.in_channels**0.5
            self.weight.copy_(mix * ramp[:, None] * ramp[None, :])


class PlainLinear(Unactivated, nn.Linear):
    """A linear layer that no activation follows."""


class ResidualBlock(nn.Module, ABC):
    """A block that adds a branch to its input; says which layers the branch has, for Fix-up initialisation."""

    @abstractmethod
    def branch_layers(self) -> list[nn.Module]:
        """Weight layers of the branch in the order of use."""


class Crop(nn.Module):
    """Keeps the first rows and columns: the step from a doubled map to an odd size."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, >=h, >=w) to (N, C, h, w)."""
        height, width = self.size
        return values if values.shape[2:] == self.size else values[:, :, :height, :width]


class PadToEven(nn.Module):
    """Adds a last row or column of zeros where a side is odd, so that halving rounds up."""

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to the next even height and width."""
        odd_height, odd_width = values.shape[2] % 2, values.shape[3] % 2
        return F.pad(values, (0, odd_width, 0, odd_height)) if odd_height or odd_width else values


class Upsample(nn.Module):
    """Doubles a map, by ``bilinear`` or ``nearest``, and crops to the wanted size."""

    def __init__(self, size: Size, mode: str) -> None:
        super().__init__()
        self.size, self.mode = size, mode

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, ceil(h / 2), ceil(w / 2)) to (N, C, h, w)."""
        smooth = {"align_corners": False} if self.mode == "bilinear" else {}
        doubled = F.interpolate(values, scale_factor=2.0, mode=self.mode, **smooth)
        height, width = self.size
        return doubled if doubled.shape[2:] == self.size else doubled[:, :, :height, :width]


class Halve(nn.Module):
    """Mean over 2 x 2 pixels; at an odd edge over those that are there."""

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
        return F.avg_pool2d(values, 2, ceil_mode=True, count_include_pad=False)


class Dropout(BatchWide, nn.Dropout):
    """Dropout that drops the same values of the whole batch, however many processes share it."""

    def forward(self, values: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or processes.acting() == 1:
            return super().forward(values)
        return values * processes.drawn_like(values.detach(), lambda whole: F.dropout(whole.fill_(1.0), self.p))


class Noise(BatchWide, nn.Module):
    """Adds N(0, deviation²) to every value while training (Salimans et al. 2016)."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, values: Tensor) -> Tensor:
        """The same shape."""
        if not self.training:
            return values
        return values + self.deviation * processes.noise(values.float()).to(values.dtype)


class LabelMaps(nn.Module):
    """Learned maps of each class that stand beside the image's own channels, N(0, 1) at the start.

    Not a weight layer, so that neither initialisations nor spectral normalisation change its scale: it is an input.
    """

    def __init__(self, classes: int, channels: int, size: Size) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(classes, channels, *size))

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        """(N, C, H, W) and labels (N,) to (N, C + maps, H, W)."""
        beside = F.embedding(label, self.maps.flatten(1)).view(len(label), *self.maps.shape[1:])
        return torch.cat([images, beside.to(images.dtype)], 1)


class MinibatchStd(BatchWide, nn.Module):
    """Appends a channel with the mean standard deviation over groups of samples (Karras et al. 2018).

    The batch is cut into groups of at most four (the largest of 4, 3, 2, 1 that divides it); within a group the
    standard deviation over its samples is taken at every channel and pixel and averaged to one number.
    """

    largest_group = 4

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, ...) to (N, C + 1, ...)."""
        own, values = values, processes.whole(values)
        count = len(values)
        group = next(g for g in range(min(self.largest_group, count), 0, -1) if count % g == 0)
        grouped = values.reshape(group, count // group, -1)
        spread = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean(1)
        column = spread.repeat(group).view(count, *[1] * (values.ndim - 1))
        column = processes.share(column.expand(count, 1, *values.shape[2:]))
        return torch.cat([own, column], 1)


class MinibatchDiscrimination(BatchWide, nn.Module):
    """How close a sample is to the others of its batch, in several learned projections (Salimans et al. 2016).

    M = T f; o_b(i) = sum over j != i of exp(-|M_ib - M_jb|_1).
    """

    def __init__(self, features: int, kernels: int = 16, dimensions: int = 8) -> None:
        super().__init__()
        self.kernels = kernels
        self.projection = nn.Parameter(torch.randn(features, kernels * dimensions) / features**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) to (N, kernels), range 0 to N - 1."""
        rows = (features @ self.projection).view(len(features), self.kernels, -1)
        distance = (rows[:, None] - processes.whole(rows)[None]).abs().sum(3)
        return torch.exp(-distance).sum(1) - 1
