"""Auxiliary terms and tricks beside the adversarial loss: plain functions of features, logits and images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.runtime import processes


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """The squared distance between the mean features of reals and fakes: ``‖mean f(x) - mean f(G(z))‖²``; 0-d.

    Features are (N, F) and (M, F); those of the reals are the target and take no gradient.

    Paper: Salimans et al. 2016, Improved Techniques for Training GANs (section 3.1).

    Raises:
        SteadyganError: where the features are not two tables of the same width.
    """
    if real_features.dim() != 2 or fake_features.dim() != 2 or real_features.shape[1] != fake_features.shape[1]:
        raise SteadyganError(
            f"features of shapes {tuple(real_features.shape)} (real) and {tuple(fake_features.shape)} (fake)",
            "feature matching needs (N, F) and (M, F) from the same layer",
        )
    real, fake = processes.mean(real_features.detach().mean(0)), processes.mean(fake_features.mean(0))
    return (real - fake).square().sum()


POWER = 0.02
"""How fast what holds a frequency's power down grows, beside what keeps its spread up."""


def spectrum(images: Tensor) -> tuple[Tensor, Tensor]:
    """Spread and power of every frequency of images (N, C, H, W) over the batch: (C, HW) each.

    Frequencies are those of the Fourier transform over the number of pixels, so that a pattern has its amplitude in
    units of pixels, and the squares of all spreads add up to the mean variance of a pixel.
    """
    full = images if images.dtype == torch.float64 else images.float()
    found = torch.fft.fft2(full, norm="forward").flatten(2)
    # smooth at 0, where all images are alike
    spread = ((found - found.mean(0)).abs().square().mean(0) + 1e-8).sqrt()
    return spread, found.abs().square().mean(0) + 1e-8


def spectrum_matching(
    real: Tensor, fake: Tensor, forces: tuple[Tensor, Tensor] | None, rate: float
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What ties the spectrum of fakes to that of reals, 0-d, and its forces, grown by ``rate`` times the errors.

    Of every frequency the fakes shall have at least the reals' spread over a batch, and at most their power: ``force ·
    spread + rate · lack² / 2`` with a force that falls below 0 by what the spread lacks, and ``force · power`` over the
    reals' power with one that rises above 0 as long as there is too much of it; summed over frequencies and meaned over
    channels. A force grows until its error is gone in the mean, however strong the pull against it; a fixed weight
    would have to be so large for that that the noise of a batch drowned the game. ``forces`` are those of the round
    before, None at first. Papers: after Durall et al. 2020, Watch your Up-Convolution (spectra tied to the
    data's); Platt and Barr 1987, Constrained Differential Optimization (forces).
    """
    spread, power = spectrum(fake)
    wanted, allowed = spectrum(real.detach())
    wider, less = forces if forces is not None else (torch.zeros_like(spread), torch.zeros_like(power))
    with torch.no_grad():
        wider = (wider + rate * (spread - wanted)).clamp(max=0.0)
        less = (less + POWER * rate * (power - allowed) / (power + allowed)).clamp(min=0.0)
    lack = (wanted - spread).clamp(min=0.0)
    term = wider * spread + rate / 2 * lack.square() + less * power / allowed
    return term.sum() / fake.shape[1], (wider, less)


def historical_averaging(parameters: Iterable[Tensor], averages: Iterable[Tensor]) -> Tensor:
    """The squared distance of the parameters from their averages over the past: ``‖θ - mean_i θ_i‖²``; 0-d.

    The averages, in the order of the parameters, take no gradient.

    Paper: Salimans et al. 2016 (section 3.3).

    Raises:
        SteadyganError: where the two differ in number or shape.
    """
    pairs = _paired(parameters, averages)
    distances = ((parameter - average.detach()).square().sum() for parameter, average in pairs)
    return sum(distances, start=torch.zeros(()))


@torch.no_grad()
def update_historical_averages_(averages: Iterable[Tensor], parameters: Iterable[Tensor], count: int) -> None:
    """Take the parameters into their running mean, in place: ``mean += (θ - mean) / count``.

    ``count`` is the number of values in the mean after this one, at least 1; with 1 the mean becomes θ.

    Raises:
        SteadyganError: for a smaller count, or averages that do not fit the parameters.
    """
    if count < 1:
        raise SteadyganError(f"a historical average of {count} values", "count from 1")
    for parameter, average in _paired(parameters, averages):
        average.lerp_(parameter.detach(), 1.0 / count)


def lecam(
    real_logits: Tensor, fake_logits: Tensor, real_average: Tensor | float, fake_average: Tensor | float
) -> Tensor:
    """LeCam regularisation: each side's logits are held near the *other* side's moving average; (N,).

    ``(D(x) - a_fake)² + (D(G(z)) - a_real)²`` for the discriminator's move; the averages are 0-d (see
    ``update_average``). The paper uses weight 0.3 on CIFAR-10.

    Paper: Tseng et al. 2021, Regularizing Generative Adversarial Networks under Limited Data.

    Raises:
        SteadyganError: for logits that are not (N,) and (N,).
    """
    if real_logits.dim() != 1 or real_logits.shape != fake_logits.shape:
        raise SteadyganError(
            f"logits of shapes {tuple(real_logits.shape)} (real) and {tuple(fake_logits.shape)} (fake)",
            "LeCam regularisation needs (N,) on both sides",
        )
    return (real_logits - fake_average).square() + (fake_logits - real_average).square()


def update_average(average: Tensor, logits: Tensor, decay: float = 0.99) -> Tensor:
    """The moving average after one more batch: ``decay · average + (1 - decay) · mean(logits)``; 0-d, no gradient.

    A new tensor; the one given is left as it is. ``decay`` in [0, 1).

    Raises:
        SteadyganError: for a decay out of range.
    """
    if not 0.0 <= decay < 1.0:
        raise SteadyganError(f"an average with decay {decay}", "choose a decay from 0 up to, not including, 1")
    return torch.lerp(processes.mean(logits.detach().mean()).to(average), average.detach(), decay)


def instance_noise(images: Tensor, std: float) -> Tensor:
    """Gaussian noise on images, for reals and fakes alike: ``x + std · ε``, ε ~ N(0, I) from the global random numbers.

    ``std`` in units of the images' range; 0 returns the very tensor given and draws nothing.

    Paper: Sønderby et al. 2017, Amortised MAP Inference for Image Super-resolution.

    Raises:
        SteadyganError: for a negative or infinite std.
    """
    if not (std >= 0.0 and math.isfinite(std)):
        raise SteadyganError(f"instance noise with standard deviation {std}", "choose 0 or more")
    return images if std == 0.0 else images + std * processes.noise(images)


def top_k(values: Tensor, fake_logits: Tensor, share: float) -> Tensor:
    """The generator's loss values of its most convincing fakes: those with the k highest logits; (k,).

    ``k = max(1, round(share · N))``, most convincing first; share 1 returns the very values given.

    Paper: Sinha et al. 2020, Top-k Training of GANs.

    Raises:
        SteadyganError: for a share outside (0, 1], or values and logits that are not (N,) and (N,).
    """
    if not 0.0 < share <= 1.0:
        raise SteadyganError(f"top-k with a share of {share}", "choose a share above 0 and at most 1")
    if values.dim() != 1 or values.shape != fake_logits.shape:
        raise SteadyganError(
            f"top-k over values of shape {tuple(values.shape)} by logits of shape {tuple(fake_logits.shape)}",
            "give one value and one logit for each fake, both of shape (N,)",
        )
    if share == 1.0:
        return values
    values, fake_logits = processes.whole(values), processes.whole(fake_logits.detach())
    return values[fake_logits.topk(max(1, round(share * len(values)))).indices]


def pack(images: Tensor, m: int) -> Tensor:
    """Join each m neighbouring images along their channels: (N, C, H, W) to (N/m, C·m, H, W).

    The discriminator then judges m samples of one kind together, and sees repetition. 1 returns the very
    tensor given.

    Paper: Lin et al. 2018, PacGAN.

    Raises:
        SteadyganError: where m is below 1 or N is not a multiple of it.
    """
    if m < 1 or len(images) % m:
        raise SteadyganError(f"packing {len(images)} images by {m}", "choose a batch that is a multiple of the packing")
    if m == 1:
        return images
    return images.reshape(len(images) // m, images.shape[1] * m, *images.shape[2:])


def _paired(parameters: Iterable[Tensor], averages: Iterable[Tensor]) -> Sequence[tuple[Tensor, Tensor]]:
    first, second = list(parameters), list(averages)
    if [tensor.shape for tensor in first] != [tensor.shape for tensor in second]:
        raise SteadyganError(
            f"{len(second)} historical averages for {len(first)} parameters",
            "give one of the same shape for each parameter, in the same order",
        )
    return list(zip(first, second, strict=True))
