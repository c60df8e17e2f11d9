"""Directions in the latent space: ways to find them. Every one is a row of unit length; the first is the strongest."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from steadygan.errors import SteadyganError
from steadygan.interpretability.tracing import activations, layers

Generate = Callable[[Tensor, Tensor | None], Tensor]
"""Latents (N, Z) and labels (N,) or None to images (N, C, H, W)."""


def principal(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Principal axes (count, F) and the share of the variance that each holds, (count,).

    Args:
        values: (N, F).
        count: how many; at most min(N - 1, F).
    """
    centred = values.double() - values.double().mean(0)
    count = min(count, len(values) - 1, values.shape[1])
    if values.shape[1] <= len(values):
        strength, axes = torch.linalg.eigh(centred.T @ centred)
        axes, strength = axes.flip(1).T[:count], strength.flip(0)
    else:
        # the small one of the two squares has the same eigenvalues
        strength, sides = torch.linalg.eigh(centred @ centred.T)
        axes, strength = (centred.T @ sides.flip(1)[:, :count]).T, strength.flip(0)
    return unit(axes), (strength / strength.clamp_min(0).sum().clamp_min(1e-30))[:count]


def by_activations(values: Tensor, latents: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Directions (count, Z) along which activations vary most, and the share of their variance, (count,).

    The principal axes of the activations are carried back: latents are regressed on the coordinates along them.
    Paper: Härkönen et al. 2020, GANSpace.

    Args:
        values: activations (N, F) of a layer.
        latents: (N, Z) that they belong to.
        count: how many.
    """
    axes, share = principal(values, count)
    centred, wanted = values.double() - values.double().mean(0), latents.double() - latents.double().mean(0)
    found = torch.linalg.lstsq(centred @ axes.T, wanted).solution
    return unit(found).to(latents), share


def by_factorisation(weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Directions (count, Z) that a linear map stretches most, and by how much, (count,).

    The eigenvectors of ``Wᵀ W`` and the roots of its eigenvalues. Paper: Shen and Zhou 2021, Closed-Form Factorization
    of Latent Semantics in GANs.

    Args:
        weight: W (F, Z), the first layer's map from latents to values.
        count: how many; at most Z.
    """
    _, stretch, axes = torch.linalg.svd(weight.double(), full_matrices=False)
    return unit(axes[:count]).to(weight), stretch[:count]


@torch.no_grad()
def first_map(generator: nn.Module, size: int, like: Tensor, label: int | None = None) -> Tensor | None:
    """What the generator's first layer with weights does to latents, as a matrix (F, Z); None where it is not found.

    It is read off what the layer gives for the unit vectors and for zero, so it does not matter how the layer holds
    its weights.
    """
    probes = torch.cat([torch.eye(size), torch.zeros(1, size)]).to(like)
    labels = None if label is None else torch.full((len(probes),), label, device=like.device)
    first = next(
        (one for one in layers(generator, probes, labels) if one.weighted and "embedding" not in one.name), None
    )
    if first is None:
        return None
    out = activations(generator, first.name, probes, labels).flatten(1)
    return (out[:-1] - out[-1]).T


def by_curvature(
    function: Callable[[Tensor], Tensor], latents: Tensor, count: int, *, steps: int = 0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Directions (count, Z) along which what is made changes fastest, and the eigenvalues, (count,).

    The leading eigenvectors of the mean over the latents of ``Jᵀ J``, J the Jacobian of ``function``: the Hessian at
    zero of half the squared distance between an image and those around it. By Lanczos' iteration with two passes of
    automatic differentiation a step. Paper: Wang and Ponce 2021, The Geometry of Deep Generative Image Models.

    Args:
        function: latents (N, Z) to images or features (N, ...).
        latents: (N, Z), around which is looked.
        count: how many.
        steps: of the iteration; 0: four for each direction, at most Z.
        seed: of the first vector.
    """
    size = latents.shape[1]
    steps = min(size, steps or max(4 * count, 24))
    inputs = latents.detach().requires_grad_(True)
    out = function(inputs)
    weight = torch.zeros_like(out, requires_grad=True)
    (back,) = torch.autograd.grad(out, inputs, weight, create_graph=True)

    def times(vector: Tensor) -> Tensor:
        # back is linear in weight, so its own derivative along the vector is J times the vector
        (forth,) = torch.autograd.grad(back, weight, vector.to(back).expand_as(back), retain_graph=True)
        (again,) = torch.autograd.grad(out, inputs, forth, retain_graph=True)
        return again.detach().sum(0).double().cpu() / len(latents)

    values, basis = lanczos(times, size, steps, seed)
    return unit(basis[:count]).to(latents), values[:count]


def lanczos(times: Callable[[Tensor], Tensor], size: int, steps: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Leading eigenvalues, the largest first, and their vectors as rows, of a symmetric matrix given as a product.

    Every new vector is made orthogonal to all earlier ones, so that rounding does not double eigenvalues.

    Args:
        times: vector (size,) float64 to the matrix times it.
        size: of the matrix.
        steps: products; as many pairs come out, or fewer where the matrix has a smaller rank.
        seed: of the first vector.
    """
    vector = unit(torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    basis, products = [vector], []
    for _ in range(steps):
        products.append(times(basis[-1]))
        rest = products[-1]
        for _ in range(2):
            rest = rest - torch.stack(basis).T @ (torch.stack(basis) @ rest)
        if len(basis) == steps or float(rest.norm()) < 1e-10 * float(products[0].norm() + 1e-300):
            break
        basis.append(unit(rest))
    known = torch.stack(basis[: len(products)])
    square = known @ torch.stack(products).T
    values, small = torch.linalg.eigh((square + square.T) / 2)
    return values.flip(0), (small.flip(1).T @ known)


def by_labels(latents: Tensor, positive: Tensor, others: Tensor | None = None) -> Tensor:
    """The direction (Z,) across the linear boundary between latents with a label and those without.

    The normal of a logistic regression's boundary. With ``others``, what lies along those rows is taken out, so that
    what they stand for changes less. Paper: Shen et al. 2020, InterFaceGAN.

    Args:
        latents: (N, Z).
        positive: (N,) bool.
        others: directions (K, Z), or None.

    Raises:
        SteadyganError: where all latents have the label or none has.
    """
    # its import takes longer than most commands
    from sklearn.linear_model import LogisticRegression

    given = positive.cpu().numpy()
    if given.all() or not given.any():
        raise SteadyganError("a boundary needs latents on both sides", "give more latents, or leave this label out")
    # one that is rare weighs as much as one that is frequent
    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=300)
    model.fit(latents.double().cpu().numpy(), given)
    normal = torch.from_numpy(model.coef_[0]).to(torch.float64)
    if others is not None and len(others):
        span = torch.linalg.qr(others.double().cpu().T).Q
        normal = normal - span @ (span.T @ normal)
    return unit(normal).to(latents)


def by_values(latents: Tensor, values: Tensor, others: Tensor | None = None) -> Tensor:
    """The same for a figure instead of a label: its upper third against its lower third.

    Args:
        latents: (N, Z).
        values: (N,).
        others: directions (K, Z) to keep clear of, or None.
    """
    low, high = torch.quantile(values.double(), torch.tensor([1 / 3, 2 / 3], dtype=torch.float64))
    chosen = (values <= low) | (values >= high)
    return by_labels(latents[chosen.to(latents.device)], values[chosen] >= high, others)


def by_chance(count: int, size: int, seed: int = 0) -> Tensor:
    """Random directions (count, size), evenly over the sphere: what the others are compared with."""
    return unit(torch.randn(count, size, generator=torch.Generator().manual_seed(seed)))


def unit(rows: Tensor) -> Tensor:
    """Rows (or one vector) scaled to length one."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    scaled: Tensor = rows / length.clamp_min(1e-30)
    return scaled
