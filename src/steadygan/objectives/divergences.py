"""f-divergences in their variational form: what a discriminator measures when it is trained as an f-GAN.

For a convex ``f`` with ``f(1) = 0`` the divergence of the real distribution P from the fake one Q is
``D_f(P, Q) = E_Q[f(p/q)]``. Every function ``T`` bounds it from below,
``D_f(P, Q) >= E_P[T] - E_Q[f*(T)]``, where ``f*`` is the convex conjugate of ``f``, with equality at
``T = f'(p/q)``. The discriminator gives a free logit ``v``, the output activation ``g_f`` brings it into the
domain of ``f*``: ``T = g_f(v)``.

Paper: Nowozin, Cseke and Tomioka 2016, "f-GAN: Training Generative Neural Samplers using Variational
Divergence Minimization". Two things are ours: the exponentials of ``kl``, ``reverse-kl`` and
``squared-hellinger`` go on as straight lines beyond ``EXPONENT_LIMIT``, which keeps values and gradients
finite; and the conjugate of ``pearson`` is the exact one of an ``f`` on ``u >= 0``, flat below ``t = -2``,
where the paper's parabola would rise again and reward a generator for worse fakes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

EXPONENT_LIMIT = 20.0
"""Exponents above it are continued linearly. It stands for a density ratio of e^20, about 5e8, which no
finite batch can tell from a larger one."""

LOG_2 = math.log(2.0)


def bounded_exp(exponent: Tensor) -> Tensor:
    """The exponential, continued by its tangent above ``EXPONENT_LIMIT``.

    ``e^x`` for ``x <= c``, ``e^c (1 + x - c)`` above, any shape: convex, with a continuous first derivative of at
    most ``e^c``, so a float32 logit of 1e4 has a finite value (5e12) and a finite gradient (5e8).
    """
    return exponent.clamp(max=EXPONENT_LIMIT).exp() * (1.0 + functional.relu(exponent - EXPONENT_LIMIT))


@dataclass(frozen=True)
class Divergence:
    """One f-divergence; every tensor function works elementwise on any shape.

    Attributes:
        function: ``f(u)`` for a density ratio ``u > 0``.
        activation: ``g_f(v)``, from a free logit to the domain of the conjugate.
        conjugate: ``f*(t)`` on that domain, the plain formula.
        conjugate_of_activation: ``f*(g_f(v))`` in one stable expression; what training uses.
        signs: whether a logit of 0 stands for a density ratio of 1.
        gaussian: the divergence of N(0, I) from N(m, I) as a function of the distance ``|m|``; None where it
            has no closed form.
    """

    function: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    conjugate_of_activation: Callable[[Tensor], Tensor]
    signs: bool
    gaussian: Callable[[float], float] | None

    def bound(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The lower bound on the divergence that the logits witness.

        ``mean g_f(real_logits) - mean f*(g_f(fake_logits))``; logits (N,) and (M,), result 0-d. It holds in
        expectation; on the samples that the discriminator was trained on it is optimistic.
        """
        return self.activation(real_logits).mean() - self.conjugate_of_activation(fake_logits).mean()


def _half_absolute(ratio: Tensor) -> Tensor:
    return 0.5 * (ratio - 1.0).abs()


def _jensen_shannon(ratio: Tensor) -> Tensor:
    return ratio * ratio.log() - (ratio + 1.0) * ((ratio + 1.0) / 2.0).log()


def _pearson_conjugate(value: Tensor) -> Tensor:
    return (value.clamp(min=-2.0) + 2.0).square() / 4.0 - 1.0


DIVERGENCES: dict[str, Divergence] = {
    "kl": Divergence(
        function=lambda ratio: ratio * ratio.log(),
        activation=lambda logits: logits,
        conjugate=lambda value: (value - 1.0).exp(),
        conjugate_of_activation=lambda logits: bounded_exp(logits - 1.0),
        signs=False,
        gaussian=lambda distance: distance**2 / 2.0,
    ),
    "reverse-kl": Divergence(
        function=lambda ratio: -ratio.log(),
        activation=lambda logits: -bounded_exp(-logits),
        conjugate=lambda value: -1.0 - (-value).log(),
        conjugate_of_activation=lambda logits: logits - 1.0,
        signs=True,
        gaussian=lambda distance: distance**2 / 2.0,
    ),
    "pearson": Divergence(
        function=lambda ratio: (ratio - 1.0).square(),
        activation=lambda logits: logits,
        conjugate=_pearson_conjugate,
        conjugate_of_activation=_pearson_conjugate,
        signs=True,
        gaussian=lambda distance: math.expm1(distance**2),
    ),
    "squared-hellinger": Divergence(
        function=lambda ratio: (ratio.sqrt() - 1.0).square(),
        activation=lambda logits: 1.0 - bounded_exp(-logits),
        conjugate=lambda value: value / (1.0 - value),
        conjugate_of_activation=lambda logits: bounded_exp(logits) - 1.0,
        signs=True,
        gaussian=lambda distance: -2.0 * math.expm1(-(distance**2) / 8.0),
    ),
    "jensen-shannon": Divergence(
        function=_jensen_shannon,
        activation=lambda logits: LOG_2 - functional.softplus(-logits),
        conjugate=lambda value: -(2.0 - value.exp()).log(),
        conjugate_of_activation=lambda logits: functional.softplus(logits) - LOG_2,
        signs=True,
        gaussian=None,
    ),
    "total-variation": Divergence(
        function=_half_absolute,
        activation=lambda logits: 0.5 * torch.tanh(logits),
        conjugate=lambda value: value,
        conjugate_of_activation=lambda logits: 0.5 * torch.tanh(logits),
        signs=True,
        gaussian=lambda distance: math.erf(distance / math.sqrt(8.0)),
    ),
}
"""The six divergences of the paper, by name. ``jensen-shannon`` is the paper's scale: twice the usual
divergence, so that it ranges from 0 to log 4; ``total-variation`` is ``½ ∫|p - q|``, from 0 to 1."""
