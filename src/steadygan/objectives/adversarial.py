"""Adversarial losses: what the discriminator and the generator want, as functions of both sides' logits.

Logits are (N,), one for each sample, and equally many on both sides; values are (N,) and never reduced. A
loss does not step, log or draw random numbers. Give it float32 or float64 logits: half precision cannot
hold the values that a far-off logit has.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from steadygan.errors import SteadyganError
from steadygan.objectives.divergences import DIVERGENCES, Divergence
from steadygan.runtime import processes

LogitTerm = Callable[[Tensor], Tensor]
"""A function of one side's logits, elementwise: (N,) to (N,)."""
LogitFunction = Callable[[Tensor, Tensor], Tensor]
"""A function of ``(real_logits, fake_logits)``: (N,), (N,) to (N,)."""


@dataclass(frozen=True)
class AdversarialLoss:
    """An adversarial loss: one value a sample for each of the two players, both to be minimised.

    Attributes:
        discriminator: the discriminator's loss of ``(real_logits, fake_logits)``.
        generator: the generator's loss of ``(real_logits, fake_logits)``.
        paired: True where the generator's loss needs the real logits too; where it is False ``generator``
            does not look at ``real_logits``, so the caller need not compute them.
        signs: True where a logit of 0 is the border between real and fake, so that accuracies and ADA's
            r_t mean something.
        ideal: the discriminator's mean loss when real and fake are alike and it plays its best answer; None
            where there is none.
        paper: where the loss comes from.
        real_term: the part of the discriminator's loss that depends on the real logits; None where paired.
        fake_term: the same for the fake logits; the discriminator's loss is the sum of the two.
    """

    discriminator: LogitFunction
    generator: LogitFunction
    paired: bool
    signs: bool
    ideal: float | None
    paper: str
    real_term: LogitTerm | None = None
    fake_term: LogitTerm | None = None


def check_logits(real_logits: Tensor, fake_logits: Tensor) -> None:
    """Refuse logits that would broadcast against each other: both must be (N,) with the same N.

    Raises:
        SteadyganError: for any other shapes.
    """
    if real_logits.dim() != 1 or real_logits.shape != fake_logits.shape:
        raise SteadyganError(
            f"logits of shapes {tuple(real_logits.shape)} (real) and {tuple(fake_logits.shape)} (fake)",
            "give one logit for each sample and equally many on both sides, both of shape (N,)",
        )


def pointwise(
    real_term: LogitTerm,
    fake_term: LogitTerm,
    generator_term: LogitTerm,
    *,
    signs: bool,
    ideal: float | None,
    paper: str,
) -> AdversarialLoss:
    """An adversarial loss whose terms look at one logit each.

    ``L_D = real_term(real_logits) + fake_term(fake_logits)``, ``L_G = generator_term(fake_logits)``.
    """

    def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        check_logits(real_logits, fake_logits)
        return real_term(real_logits) + fake_term(fake_logits)

    def generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return generator_term(fake_logits)

    return AdversarialLoss(discriminator, generator, False, signs, ideal, paper, real_term, fake_term)


def _from_divergence(divergence: Divergence) -> AdversarialLoss:
    """The f-GAN game: the discriminator raises the bound on the divergence, the generator lowers it."""
    return pointwise(
        real_term=lambda logits: -divergence.activation(logits),
        fake_term=divergence.conjugate_of_activation,
        generator_term=lambda logits: -divergence.conjugate_of_activation(logits),
        signs=divergence.signs,
        ideal=0.0,
        paper="Nowozin, Cseke and Tomioka 2016, f-GAN",
    )


def _relativistic(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    check_logits(real_logits, fake_logits)
    return functional.softplus(fake_logits - real_logits)


def _relativistic_average(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    check_logits(real_logits, fake_logits)
    above_fakes = real_logits - processes.mean(fake_logits.mean())
    above_reals = fake_logits - processes.mean(real_logits.mean())
    return functional.softplus(-above_fakes) + functional.softplus(above_reals)


ADVERSARIAL_LOSSES: dict[str, AdversarialLoss] = {
    "minimax": pointwise(
        real_term=lambda logits: functional.softplus(-logits),
        fake_term=functional.softplus,
        generator_term=lambda logits: -functional.softplus(logits),
        signs=True,
        ideal=math.log(4.0),
        paper="Goodfellow et al. 2014, Generative Adversarial Nets (equation 1)",
    ),
    "non-saturating": pointwise(
        real_term=lambda logits: functional.softplus(-logits),
        fake_term=functional.softplus,
        generator_term=lambda logits: functional.softplus(-logits),
        signs=True,
        ideal=math.log(4.0),
        paper="Goodfellow et al. 2014, Generative Adversarial Nets (section 3)",
    ),
    "least-squares": pointwise(
        real_term=lambda logits: (logits - 1.0).square(),
        fake_term=torch.square,
        generator_term=lambda logits: (logits - 1.0).square(),
        signs=False,
        ideal=0.5,
        paper="Mao et al. 2017, Least Squares GAN (targets 0 and 1, without the factor of a half)",
    ),
    "hinge": pointwise(
        real_term=lambda logits: functional.relu(1.0 - logits),
        fake_term=lambda logits: functional.relu(1.0 + logits),
        generator_term=torch.neg,
        signs=True,
        ideal=2.0,
        paper="Lim and Ye 2017, Geometric GAN; Miyato et al. 2018, SNGAN",
    ),
    "wasserstein": pointwise(
        real_term=torch.neg,
        fake_term=lambda logits: logits,
        generator_term=torch.neg,
        signs=False,
        ideal=0.0,
        paper="Arjovsky, Chintala and Bottou 2017, Wasserstein GAN",
    ),
    "relativistic": AdversarialLoss(
        discriminator=_relativistic,
        generator=lambda real_logits, fake_logits: _relativistic(fake_logits, real_logits),
        paired=True,
        signs=False,
        ideal=math.log(2.0),
        paper="Jolicoeur-Martineau 2018, The Relativistic Discriminator; Huang et al. 2024, R3GAN",
    ),
    "relativistic-average": AdversarialLoss(
        discriminator=_relativistic_average,
        generator=lambda real_logits, fake_logits: _relativistic_average(fake_logits, real_logits),
        paired=True,
        signs=False,
        ideal=math.log(4.0),
        paper="Jolicoeur-Martineau 2018, The Relativistic Discriminator (RaSGAN)",
    ),
    **{f"f-{name}": _from_divergence(divergence) for name, divergence in DIVERGENCES.items()},
}
"""Every adversarial loss by name."""


def non_saturating(loss: AdversarialLoss) -> AdversarialLoss:
    """The same game with a generator that wants its fakes taken for real: ``L_G = real_term(fake_logits)``.

    Goodfellow's way out of a vanishing gradient, for any pointwise loss; with an f-divergence the generator
    then no longer descends that divergence, though the equilibrium is the same (f-GAN, section 3.2).

    Raises:
        SteadyganError: for a paired loss.
    """
    real_term, _ = _terms(loss, "the non-saturating form")
    return replace(loss, generator=lambda real_logits, fake_logits: real_term(fake_logits))


def smooth(loss: AdversarialLoss, real_smoothing: float, fake_smoothing: float) -> AdversarialLoss:
    """The same loss with soft targets for the discriminator; the generator's loss stays as it was.

    A real counts as real with weight ``1 - s`` and as fake with weight ``s = real_smoothing``, a fake as fake
    with ``1 - t`` and as real with ``t = fake_smoothing``:
    ``(1 - s) real_term + s fake_term`` and ``(1 - t) fake_term + t real_term``. For the logistic losses that is
    the cross entropy with targets ``1 - s`` and ``t``; one-sided smoothing is ``t = 0``. Both in [0, 0.5); two
    zeros return the very loss given. ``ideal`` follows, and is None where soft targets leave no best answer.

    Paper: Salimans et al. 2016, Improved Techniques for Training GANs (section 3.4).

    Raises:
        SteadyganError: for a paired loss, which has no targets, or a smoothing out of range.
    """
    for name, value in (("real_smoothing", real_smoothing), ("fake_smoothing", fake_smoothing)):
        if not 0.0 <= value < 0.5:
            raise SteadyganError(f"{name} of {value}", "choose a value from 0 up to, not including, 0.5")
    if real_smoothing == 0.0 and fake_smoothing == 0.0:
        return loss
    real_term, fake_term = _terms(loss, "label smoothing")

    def smooth_real(logits: Tensor) -> Tensor:
        return (1.0 - real_smoothing) * real_term(logits) + real_smoothing * fake_term(logits)

    def smooth_fake(logits: Tensor) -> Tensor:
        return (1.0 - fake_smoothing) * fake_term(logits) + fake_smoothing * real_term(logits)

    def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        check_logits(real_logits, fake_logits)
        return smooth_real(real_logits) + smooth_fake(fake_logits)

    return replace(
        loss,
        discriminator=discriminator,
        real_term=smooth_real,
        fake_term=smooth_fake,
        ideal=None if loss.ideal is None else best_constant(smooth_real, smooth_fake),
    )


def best_constant(real_term: LogitTerm, fake_term: LogitTerm) -> float | None:
    """The least loss of a discriminator that gives the same logit to everything, None where it has no least.

    ``min_c real_term(c) + fake_term(c)`` over c in [-20, 20] on a grid of 1/1000; that is the discriminator's
    loss at equilibrium. None where the loss still falls at an end of the range.
    """
    logits = torch.arange(-20_000, 20_001, dtype=torch.float64) / 1000.0
    values = real_term(logits) + fake_term(logits)
    place = int(values.argmin())
    return None if place in (0, len(logits) - 1) else float(values[place])


def flip_labels(real_logits: Tensor, fake_logits: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Let some reals and fakes swap places: ``(real_logits, fake_logits)`` with each pair swapped by chance.

    Each of the N pairs is swapped with the given probability, drawn from the global random numbers of the
    logits' device. For the discriminator's move only. Probability 0 returns the very tensors given and draws
    nothing.

    Raises:
        SteadyganError: for a probability outside [0, 1] or logits that are not (N,) and (N,).
    """
    if not 0.0 <= probability <= 1.0:
        raise SteadyganError(f"label flipping with probability {probability}", "choose a value from 0 to 1")
    check_logits(real_logits, fake_logits)
    if probability == 0.0:
        return real_logits, fake_logits
    device = real_logits.device
    swapped = processes.drawn(len(real_logits), lambda count: torch.rand(count, device=device)) < probability
    return torch.where(swapped, fake_logits, real_logits), torch.where(swapped, real_logits, fake_logits)


def _terms(loss: AdversarialLoss, purpose: str) -> tuple[LogitTerm, LogitTerm]:
    if loss.real_term is None or loss.fake_term is None:
        raise SteadyganError(
            f"{purpose} with a loss on pairs ({loss.paper})",
            "such a loss has no targets for reals and fakes: set the smoothing to 0 or choose another loss, "
            "for example non-saturating",
        )
    return loss.real_term, loss.fake_term
