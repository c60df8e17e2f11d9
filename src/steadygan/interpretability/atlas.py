"""Reals and fakes on one map, and walks between samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steadygan.interpretability.directions import principal

WIDTH = 30
"""Principal values that are kept before the map is made."""


@dataclass(frozen=True)
class Atlas:
    """A map in two dimensions.

    Attributes:
        points: (N, 2), both sides within [0, 1].
        mixing: share of the nearest neighbours in the features that are of the other kind, over what it would be if
            kinds were dealt out by chance; 1 is fully mixed, 0 is apart.
    """

    points: Tensor
    mixing: float


def atlas(features: Tensor, fake: Tensor, *, neighbours: int = 10, seed: int = 0) -> Atlas:
    """Lay out reals and fakes so that what is alike lies together (t-SNE of the leading principal values).

    Distances on the map are only good nearby. Paper: Van der Maaten and Hinton 2008, Visualizing Data using t-SNE.

    Args:
        features: (N, F) of images.
        fake: (N,) bool.
        neighbours: how many are asked for ``mixing``.
        seed: of the layout.
    """
    # its import takes longer than most commands
    from sklearn.manifold import TSNE

    axes, _ = principal(features, WIDTH)
    values = ((features.double() - features.double().mean(0)) @ axes.T).numpy()
    # starts from the two first principal values, so the same features give the same map
    perplexity = min(30.0, (len(values) - 1) / 3)
    made = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, max_iter=500).fit_transform(values)
    low, high = made.min(0), made.max(0)
    points = torch.from_numpy(((made - low) / np.maximum(high - low, 1e-9)).astype(np.float32))
    return Atlas(points, mixing(features, fake, neighbours))


def mixing(features: Tensor, fake: Tensor, neighbours: int = 10) -> float:
    """Share of the nearest neighbours of the other kind over its share by chance, mean of both kinds."""
    apart = torch.cdist(features.double(), features.double())
    apart.fill_diagonal_(float("inf"))
    near = apart.topk(min(neighbours, len(features) - 1), largest=False).indices
    other = (fake[near] != fake[:, None]).double().mean(1)
    count = len(features)
    chance = torch.where(fake, float((~fake).sum()), float(fake.sum())).double() / (count - 1)
    ratio = other / chance
    return float((ratio[fake].mean() + ratio[~fake].mean()) / 2)


def truncated(latents: Tensor, factor: float, centre: Tensor | None = None) -> Tensor:
    """Latents (N, Z) drawn towards their centre: ``c + factor (z - c)``. Paper: Brock et al. 2019, BigGAN."""
    middle = torch.zeros_like(latents[:1]) if centre is None else centre
    return middle + factor * (latents - middle)


def spread(features: Tensor) -> float:
    """Mean distance of all pairs of features (N, F): how different samples are."""
    return float(torch.pdist(features.double()).mean())
