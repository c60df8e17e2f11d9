"""Ways to find directions, against matrices and functions whose answer is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from steadygan.errors import SteadyganError
from steadygan.interpretability import directions


def rotation(size: int, seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=source, dtype=torch.float64)).Q


def same_axes(found: Tensor, wanted: Tensor, tolerance: float = 1e-4) -> None:
    """Row by row the same but for the sign."""
    likeness = (found.double() * wanted.double()).sum(1).abs()
    torch.testing.assert_close(likeness, torch.ones(len(found), dtype=torch.float64), atol=tolerance, rtol=0)


@given(st.integers(0, 50))
def test_factorisation_gives_the_axes_that_a_known_map_stretches(seed: int) -> None:
    axes = rotation(6, seed)
    stretch = torch.tensor([9.0, 5.0, 3.0, 2.0, 1.0, 0.5], dtype=torch.float64)
    weight = rotation(10, seed + 1)[:, :6] @ torch.diag(stretch) @ axes
    found, strength = directions.by_factorisation(weight, 3)
    same_axes(found, axes[:3], 1e-9)
    torch.testing.assert_close(strength, stretch[:3])


@pytest.mark.parametrize("width", [5, 400])
def test_principal_axes_and_shares_of_a_known_spread(width: int) -> None:
    axes = rotation(width, 3)[:5]
    deviation = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5], dtype=torch.float64)
    # columns that are exactly uncorrelated
    parts = torch.linalg.qr(torch.randn(100, 6, dtype=torch.float64) - 0.3).Q
    parts = torch.linalg.qr(parts - parts.mean(0)).Q[:, :5]
    found, share = directions.principal(3.0 + parts @ torch.diag(deviation) @ axes, 3)
    same_axes(found, axes[:3], 1e-8)
    torch.testing.assert_close(share, deviation[:3] ** 2 / (deviation**2).sum())


def test_activations_lead_back_to_the_latents_that_drive_them() -> None:
    latents = torch.randn(500, 8)
    values = torch.randn(3, 40).mul(torch.tensor([[6.0], [3.0], [1.0]]))
    values = latents[:, :3] @ values + 0.001 * torch.randn(500, 40)
    found, _ = directions.by_activations(values, latents, 3)
    assert (found[:, :3].norm(dim=1) > 0.98).all()


def test_curvature_of_a_linear_map_is_its_singular_values_squared() -> None:
    axes, stretch = rotation(7, 1), torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64)
    weight = rotation(12, 2)[:, :7] @ torch.diag(stretch) @ axes
    found, values = directions.by_curvature(lambda z: z @ weight.T, torch.randn(5, 7, dtype=torch.float64), 3)
    same_axes(found, axes[:3], 1e-8)
    torch.testing.assert_close(values[:3], stretch[:3] ** 2)


def test_curvature_of_a_bent_function_is_that_of_its_jacobians() -> None:
    weight = torch.randn(9, 4, dtype=torch.float64)
    latents = torch.randn(6, 4, dtype=torch.float64)

    def bent(z: Tensor) -> Tensor:
        return torch.tanh(z @ weight.T)

    jacobians = [torch.autograd.functional.jacobian(lambda z: bent(z[None])[0], one) for one in latents]
    mean = torch.stack([one.T @ one for one in jacobians]).mean(0)
    wanted, axes = torch.linalg.eigh(mean)
    found, values = directions.by_curvature(bent, latents, 2)
    torch.testing.assert_close(values[:2], wanted.flip(0)[:2])
    same_axes(found, axes.flip(1).T[:2], 1e-7)


@given(st.integers(0, 30), st.integers(1, 20))
def test_lanczos_finds_the_spectrum_of_a_quadratic(seed: int, size: int) -> None:
    axes = rotation(size, seed)
    values = torch.arange(1, size + 1, dtype=torch.float64)
    square = axes.T @ torch.diag(values) @ axes
    found, vectors = directions.lanczos(lambda v: square @ v, size, size, seed)
    torch.testing.assert_close(found, values.flip(0)[: len(found)], rtol=1e-6, atol=1e-8)
    same_axes(vectors[:1], axes.flip(0)[:1], 1e-6)


def test_lanczos_stops_at_the_rank() -> None:
    vector = directions.unit(torch.ones(5, dtype=torch.float64))
    found, vectors = directions.lanczos(lambda v: 4 * vector * (vector @ v), 5, 5)
    assert found[0] == pytest.approx(4.0)
    same_axes(vectors[:1], vector[None], 1e-8)


def test_first_map_is_read_off_any_layer_that_holds_its_weights_in_its_own_way() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.raw = nn.Parameter(torch.randn(3, 4))

        def forward(self, values: Tensor) -> Tensor:
            return 2.0 * values @ self.raw.T + 1.0

    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(Scaled(), nn.ReLU(), nn.Linear(3, 9))

        def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
            out: Tensor = self.body(latent).view(-1, 1, 3, 3)
            return out

    network = Made()
    found = directions.first_map(network, 4, torch.zeros(()))
    assert found is not None
    torch.testing.assert_close(found, 2.0 * network.body[0].raw.detach())  # type: ignore[arg-type, operator, union-attr]


def test_a_boundary_is_found_and_kept_clear_of_others() -> None:
    latents = torch.randn(2000, 10)
    positive = latents[:, 2] + 0.5 * latents[:, 3] > 0.8
    found = directions.by_labels(latents, positive)
    wanted = directions.unit(torch.eye(10)[2] + 0.5 * torch.eye(10)[3])
    assert float(found @ wanted) > 0.98
    clear = directions.by_labels(latents, positive, torch.eye(10)[3:4])
    assert float(clear[3].abs()) < 1e-6 < 0.99 < float(clear[2])


def test_a_figure_has_a_direction_that_makes_it_larger() -> None:
    latents = torch.randn(1500, 6)
    found = directions.by_values(latents, (3 - 2 * latents[:, 4]).double().exp())
    assert float(found[4]) < -0.98


def test_a_boundary_without_two_sides_is_refused() -> None:
    with pytest.raises(SteadyganError, match="both sides"):
        directions.by_labels(torch.randn(5, 3), torch.ones(5, dtype=torch.bool))


def test_random_directions_have_length_one_and_follow_their_seed() -> None:
    first, again, other = (directions.by_chance(50, 20, seed) for seed in (1, 1, 2))
    torch.testing.assert_close(first.norm(dim=1), torch.ones(50))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert float((first @ first.T - torch.eye(50)).abs().mean()) < 0.3
