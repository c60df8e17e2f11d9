"""What a feature network is, and one pass of images through it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from steadygan.errors import SteadyganError

BATCH = 64
"""Images that go through a feature network at once: fixed, so that the last digits never depend on the caller."""


class Reading(NamedTuple):
    """What a feature network makes of N images.

    Attributes:
        features: (N, D) float32 on the CPU.
        probabilities: (N, K) float32 on the CPU, rows that sum to 1; None where the network is no classifier.
    """

    features: Tensor
    probabilities: Tensor | None = None

    def rows(self, first: int, last: int) -> Reading:
        """The part of the images ``first`` to ``last``."""
        part = None if self.probabilities is None else self.probabilities[first:last]
        return Reading(self.features[first:last], part)


class FeatureNetwork(Protocol):
    """Turns images into features; two networks with one hash give the same features.

    Attributes:
        name: as in the table of feature networks.
        hash: of the definition and the weights.
        resize: how images come to the network's size, in words.
        rounding: how pixel values are rounded on the way, in words.
    """

    name: str
    hash: str
    resize: str
    rounding: str

    def read(self, images: Tensor) -> Reading:
        """Features, and probabilities where it is a classifier, of images (N, C, H, W) uint8."""
        ...


def read(network: FeatureNetwork, batches: Iterable[Tensor]) -> Reading:
    """One pass of all images, in batches of a fixed size whatever the sizes in which they come.

    Args:
        network: whose features.
        batches: images (n, C, H, W) uint8, n may vary.

    Raises:
        SteadyganError: for no images, or features that are not finite.
    """
    parts = [network.read(batch) for batch in rebatched(batches, BATCH)]
    if not parts:
        raise SteadyganError("there are no images to read features of", "give at least one")
    features = torch.cat([part.features for part in parts])
    if not bool(features.isfinite().all()):
        raise SteadyganError(
            f"the features of {network.name} hold NaN or infinity", "check the weights file and the images"
        )
    found = [part.probabilities for part in parts if part.probabilities is not None]
    return Reading(features, torch.cat(found) if found else None)


def rebatched(batches: Iterable[Tensor], size: int) -> Iterable[Tensor]:
    """The same images in batches of ``size``, the last one smaller."""
    waiting: list[Tensor] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch)
        if count >= size:
            joined = torch.cat(waiting)
            whole = count // size * size
            yield from torch.split(joined[:whole], size)
            waiting, count = [joined[whole:]], count - whole
    if count:
        yield torch.cat(waiting)


def hash_of(definition: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> str:
    """Sixteen hex digits that stand for a definition and its weights; the order of the names does not matter."""
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode())
    for name, tensor in sorted((tensors or {}).items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(values.shape)}{values.dtype}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def checked(images: Tensor, channels: int | None = None) -> Tensor:
    """``images`` where they are (N, C, H, W) uint8, and of ``channels`` channels where that is given.

    Raises:
        SteadyganError: for anything else.
    """
    if images.dtype != torch.uint8 or images.dim() != 4 or 0 in images.shape[1:]:
        raise SteadyganError(
            f"images of shape {tuple(images.shape)} and type {images.dtype}", "give (N, C, H, W) bytes, 0 to 255"
        )
    if channels is not None and images.shape[1] != channels:
        raise SteadyganError(
            f"images of {images.shape[1]} channel(s) for features of {channels}",
            "use features that were made for these images",
        )
    return images
