"""Attribution, against functions whose attribution is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from steadygan.errors import SteadyganError
from steadygan.interpretability import attribution


class Eye(nn.Module):
    """A little discriminator with maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, 2, 1)
        self.bend = nn.ReLU(inplace=True)
        self.head = nn.Linear(4 * 16, 1)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.bend(self.first(images)).flatten(1)).squeeze(1)
        return out


@given(st.integers(0, 20), st.integers(1, 5))
def test_integrated_gradients_of_a_linear_function_are_weights_times_difference(seed: int, steps: int) -> None:
    source = torch.Generator().manual_seed(seed)
    weight, images, baseline = (torch.randn(2, 3, 3, generator=source, dtype=torch.float64) for _ in range(3))
    found = attribution.integrated_gradients(lambda x: (x * weight).flatten(1).sum(1), images[None], baseline, steps)
    torch.testing.assert_close(found.maps[0], weight * (images - baseline))
    assert float(found.error) < 1e-9


@given(st.integers(0, 20), st.integers(1, 4))
def test_integrated_gradients_of_a_quadratic_are_exact_with_any_number_of_steps(seed: int, steps: int) -> None:
    source = torch.Generator().manual_seed(seed)
    weight, image, baseline = (torch.randn(1, 2, 2, generator=source, dtype=torch.float64) for _ in range(3))
    found = attribution.integrated_gradients(lambda x: (weight * x**2).flatten(1).sum(1), image[None], baseline, steps)
    # the derivative 2wx, averaged over the straight way, is w (x + b)
    torch.testing.assert_close(found.maps[0], weight * (image + baseline) * (image - baseline))


def test_completeness_error_says_what_is_missing() -> None:
    found = attribution.integrated_gradients(
        lambda x: (x**4).flatten(1).sum(1), torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1), 1
    )
    # one gradient in the middle: 4 (1/2)³ = ½ instead of 1
    assert float(found.error) == pytest.approx(0.5)


def test_a_baseline_of_another_shape_is_refused() -> None:
    with pytest.raises(SteadyganError, match="baseline"):
        attribution.integrated_gradients(lambda x: x.flatten(1).sum(1), torch.ones(1, 1, 4, 4), torch.zeros(1, 5, 5))


def corner(images: Tensor) -> Tensor:
    """A verdict that rests on the upper left corner alone."""
    return images[:, 0, :3, :3].sum((1, 2))


def test_occlusion_falls_where_the_verdict_rests() -> None:
    found = attribution.occlusion(corner, torch.ones(2, 1, 9, 9), torch.zeros(1, 9, 9), 3, 3)
    assert found[:, :3, :3].eq(9.0).all() and found[:, 3:].eq(0.0).all()


def test_occlusion_covers_every_pixel_of_odd_sizes() -> None:
    found = attribution.occlusion(lambda x: x.flatten(1).sum(1), torch.ones(1, 1, 7, 10), torch.zeros(1, 7, 10), 3, 2)
    assert found.shape == (1, 7, 10) and float(found.min()) > 0


def test_class_activation_is_the_weighted_sum_of_the_last_maps() -> None:
    network = Eye()
    images = torch.randn(2, 1, 8, 8)
    found = attribution.grad_cam(network, network, images)
    assert found is not None and found[1] == "bend"
    maps = network.bend(network.first(images)).detach()
    weight = (network.head.weight.view(1, 4, 4, 4) * 1.0).mean((2, 3), keepdim=True)
    coarse = (weight * maps).sum(1, keepdim=True).clamp_min(0)
    wanted = nn.functional.interpolate(coarse, (8, 8), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(found[0], wanted.detach())


def test_networks_without_maps_have_no_class_activation() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0))
    assert attribution.grad_cam(network, network, torch.randn(2, 1, 4, 4)) is None


def test_a_true_map_deletes_faster_and_inserts_faster_than_chance() -> None:
    images, baseline = torch.ones(4, 1, 8, 8), torch.zeros(1, 8, 8)
    true = attribution.integrated_gradients(corner, images, baseline).maps.sum(1)
    chance = torch.rand(4, 8, 8)
    gone, there = (job(corner, images, true, baseline) for job in (attribution.deletion, attribution.insertion))
    assert gone.values[0] == there.values[-1] == 9.0 and gone.values[-1] == there.values[0] == 0.0
    assert gone.area < attribution.deletion(corner, images, chance, baseline).area
    assert there.area > attribution.insertion(corner, images, chance, baseline).area
    # nine of 64 pixels are gone after the third of sixteen steps
    assert gone.values[3] == 0.0 and there.values[3] == 9.0


def test_area_of_a_straight_course() -> None:
    assert attribution.Course((0.0, 0.5, 1.0), (2.0, 1.0, 0.0)).area == pytest.approx(1.0)


def test_shuffled_weights_keep_their_values_and_change_the_maps() -> None:
    network = Eye()
    other = attribution.randomised(network, 3)
    for before, after in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)
    images = torch.randn(3, 1, 8, 8)
    maps = [attribution.gradient(one, images)[:, 0] for one in (network, other)]
    assert attribution.likeness(maps[0], maps[0]) == pytest.approx(1.0)
    assert abs(attribution.likeness(*maps)) < 0.5
    assert torch.equal(attribution.randomised(network, 3)(images), other(images))


def test_likeness_without_signs_does_not_see_a_sign() -> None:
    maps = torch.randn(2, 5, 5)
    assert attribution.likeness(maps, -maps) == pytest.approx(-1.0)
    assert attribution.likeness(maps, -maps, signed=False) == pytest.approx(1.0)
