"""A check-up: what may be looked at, and the material that signals are measured on, made when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from steadygan.evaluation.diversity import mean_pairwise_distance
from steadygan.evaluation.spectrum import Spectrum, compare_power, power_spectrum
from steadygan.health.signal_baseline import Baseline, spectral_count
from steadygan.health.signal_features import reduced

T = TypeVar("T")

CHUNK = 64
"""Images judged at once: what a batch usually is, and memory stays bounded."""
WATCHED = 64
"""Images over which feature maps must stay the same to count as dead."""
GRADIENTS = 64
"""Images on which the discriminator's slope is taken."""
FEATURES = "features"
"""Name in the memory of the features of the last check-up's images."""


@dataclass(frozen=True)
class Patient:
    """What a check-up may look at; health needs no network class."""

    players: Mapping[str, nn.Module]
    """The raw players; only read."""
    make: Callable[[str, int], Tensor]
    """("average" or "raw", count) to images (N, C, H, W) in [-1, 1], float32 on the device, of the run's fixed
    latents, network in eval mode, no gradient; the same images for the same weights."""
    judge: Callable[[Tensor, Tensor | None], Tensor] | None
    """The discriminator in eval mode: images and their labels to logits (N,), differentiable in the images; None where
    there is none."""
    real: Tensor
    """(N, C, H, W) in [-1, 1]: fixed training rows, N about 256."""
    held_out: Tensor
    """(M, C, H, W): fixed held-out rows; M may be 0."""
    reference: Tensor
    """(K, C, H, W): more fixed training rows, none of them in ``real``."""
    real_label: Tensor | None = None
    """(N,): classes of ``real``, where the players take labels; so the next two."""
    held_out_label: Tensor | None = None
    fake_label: Tensor | None = None
    """Classes of the images that ``make`` gives, in their order; at least as many."""


class CheckUp:
    """The material of one check-up. Each part is made when a signal asks for it, once.

    Args:
        patient: what is looked at.
        baseline: what it is compared with.
        memory: what the last check-up left.
        count: fakes of each kind.
    """

    def __init__(self, patient: Patient, baseline: Baseline, memory: Mapping[str, Tensor], count: int) -> None:
        self.patient, self.baseline, self.memory, self.count = patient, baseline, memory, count

        self._kept: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[CheckUp], T]) -> T:
        """What ``make`` gives, made once: for material that two signals share."""
        if name not in self._kept:
            self._kept[name] = make(self)
        kept: T = self._kept[name]
        return kept

    @cached_property
    def fakes(self) -> Tensor:
        """Images (N, C, H, W) of the averaged generator."""
        return self.patient.make("average", self.count).detach()

    @cached_property
    def _raw(self) -> tuple[Tensor, dict[nn.Module, tuple[Tensor, Tensor]]]:
        generator = self.patient.players.get("generator")
        with _ranges(generator) as ranges:
            return self.patient.make("raw", self.count).detach(), ranges

    @property
    def raw(self) -> Tensor:
        """Images (N, C, H, W) of the generator as it plays."""
        return self._raw[0]

    @property
    def ranges(self) -> dict[nn.Module, tuple[Tensor, Tensor]]:
        """Least and largest value (C,) of every feature map that the generator made for its first images."""
        return self._raw[1]

    @cached_property
    def small(self) -> Tensor:
        """The averaged generator's images reduced to sides of at most 32 pixels."""
        return reduced(self.fakes.float())

    @cached_property
    def features(self) -> Tensor | None:
        """Features (N, F) of the averaged generator's images; None where an image is not finite."""
        return self._features(self.small)

    @cached_property
    def raw_features(self) -> Tensor | None:
        """Features (N, F) of the raw generator's images; None where an image is not finite."""
        return self._features(self.raw)

    @cached_property
    def spread(self) -> float | None:
        """Mean pairwise feature distance of the averaged generator's images."""
        return mean_pairwise_distance(self.features) if self.features is not None else None

    @cached_property
    def raw_spread(self) -> float | None:
        """The same of the raw generator's images."""
        return mean_pairwise_distance(self.raw_features) if self.raw_features is not None else None

    def _features(self, images: Tensor) -> Tensor | None:
        features = self.baseline.space(images)
        return features if len(features) > 1 and bool(features.isfinite().all()) else None

    @cached_property
    def spectrum(self) -> Spectrum | None:
        """How the spectrum of the averaged generator's images differs; None where it cannot be had."""
        if self.baseline.power is None or self.features is None:
            return None
        return compare_power(self.baseline.power, power_spectrum(self.fakes[: spectral_count(self.fakes)]))

    @cached_property
    def real_logits(self) -> Tensor | None:
        """Logits (N,) of training images, float64 on the CPU; None without a discriminator, or not finite."""
        return self._logits(self.patient.real, self.patient.real_label)

    @cached_property
    def held_out_logits(self) -> Tensor | None:
        """Logits (M,) of held-out images; None where there are fewer than 2."""
        return self._logits(self.patient.held_out, self.patient.held_out_label)

    @cached_property
    def fake_logits(self) -> Tensor | None:
        """Logits (N,) of the raw generator's images, those that the discriminator plays against."""
        return self._logits(self.raw, self.patient.fake_label)

    @torch.no_grad()
    def _logits(self, images: Tensor, label: Tensor | None) -> Tensor | None:
        if self.patient.judge is None or len(images) < 2 or not bool(images.isfinite().all()):
            return None
        parts = []
        for start in range(0, len(images), CHUNK):
            rows = slice(start, min(start + CHUNK, len(images)))
            parts.append(self.patient.judge(images[rows], None if label is None else label[rows]))
        logits = torch.cat(parts).double().cpu()
        return logits if bool(logits.isfinite().all()) else None

    def slope(self, images: Tensor, label: Tensor | None) -> float | None:
        """Mean over images of ``|| d logit / d image ||``, taken on 64 of them; parameters get no gradient."""
        if self.patient.judge is None or len(images) == 0 or not bool(images.isfinite().all()):
            return None
        with torch.enable_grad():
            step = max(1, len(images) // GRADIENTS)
            inputs = images[::step][:GRADIENTS].detach().clone().requires_grad_(True)
            logits = self.patient.judge(inputs, None if label is None else label[: len(images) : step][:GRADIENTS])
            if not logits.requires_grad:
                return 0.0
            (gradient,) = torch.autograd.grad(logits.sum(), inputs, allow_unused=True)
        return float(gradient.flatten(1).norm(dim=1).mean()) if gradient is not None else 0.0

    def remember(self) -> dict[str, Tensor]:
        """What the next check-up needs to know of this one: small tensors."""
        return {FEATURES: self.features.clone()} if self.features is not None else dict(self.memory)


@contextmanager
def _ranges(network: nn.Module | None) -> Iterator[dict[nn.Module, tuple[Tensor, Tensor]]]:
    """Gathers the least and the largest value of each feature map of the network's parts, over its first images."""
    found: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    seen: dict[nn.Module, int] = {}

    def look(part: nn.Module, _: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.dim() < 2 or seen.get(part, 0) >= WATCHED:
            return
        seen[part] = seen.get(part, 0) + len(output)
        maps = output.detach()[:WATCHED].transpose(0, 1).flatten(1)
        low, high = maps.amin(1), maps.amax(1)
        before = found.get(part)
        # a part that is used at several places has maps of its own at each
        if before is not None and before[0].shape == low.shape:
            low, high = torch.minimum(low, before[0]), torch.maximum(high, before[1])
        found[part] = (low, high)

    leaves = [part for part in network.modules() if not any(True for _ in part.children())] if network else []
    hooks = [part.register_forward_hook(look) for part in leaves]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
