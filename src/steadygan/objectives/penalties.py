"""Penalties on the discriminator's gradient with respect to its input, one value a sample.

A penalty takes ``(discriminate, real, fake)``: a function from images (N, C, H, W) (vectors are (N, D, 1, 1)) to
logits (N,), and two batches of images of one shape. It returns (N,) values, to be averaged and multiplied
by a weight; their gradient reaches the discriminator's parameters and never the images or the generator.

- **Precision.** Autocast is switched off and images below float32 are raised to it, so the penalty is
  computed in float32 (float64 stays float64) beside a network that otherwise runs in half precision. A
  ``discriminate`` that opens an autocast region of its own takes that back.
- **Samples that look at each other.** What is taken is the gradient of the *sum* of the logits. Where one
  sample's logit depends on the others (BatchNorm, minibatch layers) that sum carries their influence too:
  the value stays finite and its parameter gradient exact, but it is no longer the norm that the papers
  bound. Use a discriminator without BatchNorm beside a gradient penalty.
- **Augmentation.** Augment first and penalise what comes out: the approximate penalties call ``discriminate``
  twice and would mistake a second random draw for a steep slope.
- **Random numbers** come from the global generator of the images' device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from steadygan.errors import SteadyganError
from steadygan.runtime import processes
from steadygan.runtime.convolution import gradient_by, twice_differentiable

Discriminate = Callable[[Tensor], Tensor]
"""From images (N, ...) to logits (N,)."""
Penalty = Callable[[Discriminate, Tensor, Tensor], Tensor]
"""From ``(discriminate, real, fake)`` to (N,) values."""

APPROXIMATION_STD = 0.01
"""σ of the approximate penalties, in units of the images' range [-1, 1]."""


def input_gradient(discriminate: Discriminate, images: Tensor, *, create_graph: bool = True) -> Tensor:
    """The gradient of the summed logits with respect to the images, of the images' shape.

    ``∇_x Σ_n D(x_n)``: for a discriminator that treats samples one by one, row n is ``∇D(x_n)``. The images
    are detached; with ``create_graph`` the result can be differentiated again for the parameters. float32 or
    better whatever the surrounding autocast says, and it works under ``no_grad`` too.
    """
    with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        points = _raised(images).requires_grad_(True)
        if not create_graph:
            plain: Tensor = torch.autograd.grad(discriminate(points).sum(), points)[0]
            return plain
        with twice_differentiable():
            logits = discriminate(points)
        return gradient_by(points, logits.sum())


def gradient_norm(slope: Tensor) -> Tensor:
    """The Euclidean norm of each sample's gradient, (N, ...) to (N,); its own derivative at 0 is 0, not NaN."""
    norm: Tensor = torch.linalg.vector_norm(slope.flatten(1), dim=1)
    return norm


def interpolate(real: Tensor, fake: Tensor) -> Tensor:
    """One random point on the line between each real and its fake: ``α real + (1 - α) fake``, α ~ U(0, 1) a sample.

    Raises:
        SteadyganError: where the two batches differ in shape.
    """
    if real.shape != fake.shape:
        raise SteadyganError(
            f"batches of shapes {tuple(real.shape)} (real) and {tuple(fake.shape)} (fake)",
            "a penalty between reals and fakes needs equally many of the same size",
        )
    real, fake = _raised(real), _raised(fake)
    sides = (1,) * (real.dim() - 1)
    alpha = processes.drawn(len(real), lambda count: torch.rand((count, *sides), device=real.device, dtype=real.dtype))
    return fake + alpha * (real - fake)


def gradient(discriminate: Discriminate, real: Tensor, fake: Tensor) -> Tensor:
    """WGAN-GP's penalty: ``(‖∇D(x̂)‖ - 1)²`` at interpolates x̂; weight 10 in the paper.

    Paper: Gulrajani et al. 2017, Improved Training of Wasserstein GANs.
    """
    return (gradient_norm(input_gradient(discriminate, interpolate(real, fake))) - 1.0).square()


def gradient_one_sided(discriminate: Discriminate, real: Tensor, fake: Tensor) -> Tensor:
    """WGAN-GP's penalty on slopes above 1 only: ``max(0, ‖∇D(x̂)‖ - 1)²`` at interpolates.

    Papers: Gulrajani et al. 2017; Petzka, Fischer and Lukovnikov 2018, On the Regularization of Wasserstein GANs.
    """
    return functional.relu(gradient_norm(input_gradient(discriminate, interpolate(real, fake))) - 1.0).square()


def gradient_zero(discriminate: Discriminate, real: Tensor, fake: Tensor) -> Tensor:
    """The zero-centred penalty between reals and fakes: ``‖∇D(x̂)‖²`` at interpolates.

    Paper: Thanh-Tung, Tran and Venkatesh 2019, Improving Generalization and Stability of GANs.
    """
    return _squared_norm(input_gradient(discriminate, interpolate(real, fake)))


def r1(discriminate: Discriminate, real: Tensor, fake: Tensor) -> Tensor:
    """R1: ``½‖∇D(x)‖²`` on reals, so that the weight is the paper's γ in ``γ/2 E‖∇D(x)‖²``.

    Paper: Mescheder, Geiger and Nowozin 2018, Which Training Methods for GANs do actually Converge?
    """
    return 0.5 * _squared_norm(input_gradient(discriminate, real))


def r2(discriminate: Discriminate, real: Tensor, fake: Tensor) -> Tensor:
    """R2: ``½‖∇D(x)‖²`` on fakes, with the same convention for the weight as R1. Paper: Mescheder et al. 2018."""
    return 0.5 * _squared_norm(input_gradient(discriminate, fake))


def r1_and_r2(discriminate: Discriminate, both: Tensor) -> tuple[Tensor, Tensor]:
    """R1 and R2 of reals and then fakes (2N, ...), by one derivative: (N,) each.

    For a ``discriminate`` that looks at samples one by one; any other would mix the two sides.
    """
    real, fake = (0.5 * _squared_norm(input_gradient(discriminate, both))).chunk(2)
    return real, fake


def r1_approximate(discriminate: Discriminate, real: Tensor, fake: Tensor) -> Tensor:
    """R1 without a second derivative: ``½ ((D(x) - D(x + σε)) / σ)²``, ε ~ N(0, I), σ = 0.01.

    Since ``E_ε(∇D·ε)² = ‖∇D‖²`` its expectation is R1's value up to O(σ²), so the weight γ means the same; a single
    draw varies by a factor of ``χ²`` with one degree of freedom. Paper: Lin et al. 2025, Diffusion Adversarial
    Post-Training (APT), whose λ is ``γ / (2σ²)``.
    """
    return _slope_along_noise(discriminate, real)


def r2_approximate(discriminate: Discriminate, real: Tensor, fake: Tensor) -> Tensor:
    """R2 without a second derivative: as ``r1_approximate``, on fakes."""
    return _slope_along_noise(discriminate, fake)


def dragan(discriminate: Discriminate, real: Tensor, fake: Tensor) -> Tensor:
    """DRAGAN: ``(‖∇D(x + δ)‖ - 1)²`` around reals, ``δ ~ N(0, c² I)``.

    c is half the standard deviation of all values in the batch of reals, so it follows the data's scale.
    Paper: Kodali et al. 2017, On Convergence and Stability of GANs.
    """
    points = _raised(real)
    away = points - processes.mean(points.mean())
    deviation = processes.mean(away.square().mean()).sqrt()
    points = points + 0.5 * deviation * processes.noise(points)
    return (gradient_norm(input_gradient(discriminate, points)) - 1.0).square()


PENALTIES: dict[str, Penalty] = {
    "gradient": gradient,
    "gradient-zero": gradient_zero,
    "gradient-one-sided": gradient_one_sided,
    "r1": r1,
    "r2": r2,
    "r1-approximate": r1_approximate,
    "r2-approximate": r2_approximate,
    "dragan": dragan,
}
"""Every penalty by name."""


def _raised(images: Tensor) -> Tensor:
    """The images apart from their history, in float32 or better."""
    return images.detach().to(torch.promote_types(images.dtype, torch.float32))


def _squared_norm(slope: Tensor) -> Tensor:
    return slope.flatten(1).square().sum(1)


def _slope_along_noise(discriminate: Discriminate, images: Tensor) -> Tensor:
    with torch.autocast(images.device.type, enabled=False):
        points = _raised(images)
        moved = points + APPROXIMATION_STD * processes.noise(points)
        return 0.5 * ((discriminate(moved) - discriminate(points)) / APPROXIMATION_STD).square()
