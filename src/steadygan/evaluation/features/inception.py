"""The Inception network of the FID: its definition, its weights by checksum, and the resizing that goes with each use.

It is Inception v3 as TensorFlow published it in 2015: average pools do not count their padding, the last block pools by
maximum, and classes are 1008. Papers: Szegedy et al. 2016, Rethinking the Inception Architecture; Heusel et al. 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 1008
WIDTH = 2048
SIDE = 299
Size = tuple[int, int]


class Unit(nn.Module):
    """Convolution without bias, batch normalisation with epsilon .001, ReLU."""

    def __init__(self, before: int, after: int, kernel: int | Size, stride: int = 1, padding: int | Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(maps)))


def _mean(maps: Tensor) -> Tensor:
    """The 3 x 3 average that leaves padding out of account."""
    return F.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)


class FineBlock(nn.Module):
    """1 x 1, 5 x 5 and double 3 x 3 branches beside a pooled one, at 35 x 35."""

    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(before, 64, 1)
        self.branch5x5_1 = Unit(before, 48, 1)
        self.branch5x5_2 = Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Unit(before, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, padding=1)
        self.branch_pool = Unit(before, pooled, 1)

    def forward(self, maps: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        wide = self.branch5x5_2(self.branch5x5_1(maps))
        return torch.cat([self.branch1x1(maps), wide, double, self.branch_pool(_mean(maps))], 1)


class FirstReduction(nn.Module):
    """From 35 x 35 to 17 x 17."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(before, 384, 3, 2)
        self.branch3x3dbl_1 = Unit(before, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, 2)

    def forward(self, maps: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch3x3(maps), double, F.max_pool2d(maps, 3, 2)], 1)


class LongBlock(nn.Module):
    """Branches of 1 x 7 and 7 x 1 convolutions, at 17 x 17."""

    def __init__(self, before: int, inside: int) -> None:
        super().__init__()
        across, down = (1, 7), (7, 1)
        self.branch1x1 = Unit(before, 192, 1)
        self.branch7x7_1 = Unit(before, inside, 1)
        self.branch7x7_2 = Unit(inside, inside, across, padding=(0, 3))
        self.branch7x7_3 = Unit(inside, 192, down, padding=(3, 0))
        self.branch7x7dbl_1 = Unit(before, inside, 1)
        self.branch7x7dbl_2 = Unit(inside, inside, down, padding=(3, 0))
        self.branch7x7dbl_3 = Unit(inside, inside, across, padding=(0, 3))
        self.branch7x7dbl_4 = Unit(inside, inside, down, padding=(3, 0))
        self.branch7x7dbl_5 = Unit(inside, 192, across, padding=(0, 3))
        self.branch_pool = Unit(before, 192, 1)

    def forward(self, maps: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(maps)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(maps)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(maps), once, twice, self.branch_pool(_mean(maps))], 1)


class SecondReduction(nn.Module):
    """From 17 x 17 to 8 x 8."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3_1 = Unit(before, 192, 1)
        self.branch3x3_2 = Unit(192, 320, 3, 2)
        self.branch7x7x3_1 = Unit(before, 192, 1)
        self.branch7x7x3_2 = Unit(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Unit(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Unit(192, 192, 3, 2)

    def forward(self, maps: Tensor) -> Tensor:
        small = self.branch3x3_2(self.branch3x3_1(maps))
        long = self.branch7x7x3_2(self.branch7x7x3_1(maps))
        long = self.branch7x7x3_4(self.branch7x7x3_3(long))
        return torch.cat([small, long, F.max_pool2d(maps, 3, 2)], 1)


class ForkedBlock(nn.Module):
    """Branches that fork into 1 x 3 and 3 x 1, at 8 x 8; the pooled branch averages, or takes the maximum."""

    def __init__(self, before: int, *, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Unit(before, 320, 1)
        self.branch3x3_1 = Unit(before, 384, 1)
        self.branch3x3_2a = Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Unit(before, 448, 1)
        self.branch3x3dbl_2 = Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Unit(before, 192, 1)

    def forward(self, maps: Tensor) -> Tensor:
        one = self.branch3x3_1(maps)
        two = self.branch3x3dbl_2(self.branch3x3dbl_1(maps))
        pooled = F.max_pool2d(maps, 3, 1, 1) if self.maximum else _mean(maps)
        forks = [self.branch3x3_2a(one), self.branch3x3_2b(one), self.branch3x3dbl_3a(two), self.branch3x3dbl_3b(two)]
        return torch.cat([self.branch1x1(maps), *forks, self.branch_pool(pooled)], 1)


class InceptionNetwork(nn.Module):
    """Images (N, 3, 299, 299) in [-1, 1] to the 2048 pooled features and the 1008 logits without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b = FineBlock(192, 32)
        self.Mixed_5c = FineBlock(256, 64)
        self.Mixed_5d = FineBlock(288, 64)
        self.Mixed_6a = FirstReduction(288)
        self.Mixed_6b = LongBlock(768, 128)
        self.Mixed_6c = LongBlock(768, 160)
        self.Mixed_6d = LongBlock(768, 160)
        self.Mixed_6e = LongBlock(768, 192)
        self.Mixed_7a = SecondReduction(768)
        self.Mixed_7b = ForkedBlock(1280, maximum=False)
        self.Mixed_7c = ForkedBlock(2048, maximum=True)
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        maps = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(maps, 3, 2)))
        maps = F.max_pool2d(maps, 3, 2)
        maps = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(maps)))
        maps = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(maps)))
        maps = self.Mixed_6e(self.Mixed_6d(maps))
        maps = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps)))
        features = maps.mean((2, 3))
        return features, features @ self.fc.weight.T
