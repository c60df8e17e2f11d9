"""DINOv2's vision transformer, as far as its class token goes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 224
PATCH = 14
HEAD = 64
"""Width of an attention head."""


class Scale(nn.Module):
    """A learnt factor for each feature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma


class Attention(nn.Module):
    """Self-attention in heads of 64."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        count, length, width = tokens.shape
        query, key, value = self.qkv(tokens).reshape(count, length, 3, self.heads, HEAD).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        found: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, length, width))
        return found


class Hidden(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return found


class Block(nn.Module):
    """Attention and hidden layers, each on normalised tokens, scaled, and added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width)
        self.ls1 = Scale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Hidden(width)
        self.ls2 = Scale(width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        found: Tensor = tokens + self.ls2(self.mlp(self.norm2(tokens)))
        return found


class VisionTransformer(nn.Module):
    """Images (N, 3, 224, 224), normalised, to the class token (N, width)."""

    def __init__(self, width: int, depth: int, places: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + places, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH)})
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    @classmethod
    def shaped_like(cls, tensors: Mapping[str, Tensor]) -> VisionTransformer | None:
        """A network of the width and depth of a state dict; None where it is none of this kind."""
        place, patches = tensors.get("pos_embed"), tensors.get("patch_embed.proj.weight")
        blocks = {name.split(".")[1] for name in tensors if name.startswith("blocks.")}
        if place is None or patches is None or place.dim() != 3 or tuple(patches.shape[1:]) != (3, PATCH, PATCH):
            return None
        width, places = place.shape[2], place.shape[1] - 1
        if width % HEAD or math.isqrt(places) ** 2 != places or not blocks or len(blocks) > 48 or width > 1024:
            return None
        return cls(width, len(blocks), places)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.patch_embed["proj"](images)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), maps.flatten(2).transpose(1, 2)], 1)
        tokens = tokens + self._places(maps.shape[-1])
        for block in self.blocks:
            tokens = block(tokens)
        found: Tensor = self.norm(tokens)[:, 0]
        return found

    def _places(self, side: int) -> Tensor:
        """Position embeddings of a side x side grid, by bicubic interpolation with the tenth that DINOv2 adds."""
        known = math.isqrt(self.pos_embed.shape[1] - 1)
        if known == side:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, known, known, -1).permute(0, 3, 1, 2)
        factor = (side + 0.1) / known
        resized = F.interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], 1)
