"""What directions do to pictures whose traits are known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.interpretability import effects, ranks, traits
from steadygan.interpretability.effects import Direction


def bar(width: int = 4, height: int = 20, lean: float = 0.0, light: float = 1.0) -> Tensor:
    """A bright stroke on black, (1, 1, 32, 32), whose top is shifted to the right by ``lean`` pixels a row."""
    image = torch.full((1, 1, 32, 32), -1.0)
    for row in range(height):
        left = 14 + round(lean * (height / 2 - row))
        image[..., 6 + row, left : left + width] = 2 * light - 1
    return image


@pytest.mark.parametrize("width", [2, 3, 5])
def test_thickness_is_the_width_of_a_stroke(width: int) -> None:
    # twice the area over the outline, whose corners are cut at each end
    wanted = 2 * width * 20 / (2 * 20 + 2 * width - 4 + 2 * math.sqrt(2))
    assert float(traits.thickness(bar(width))) == pytest.approx(wanted, rel=0.03)


def test_slant_follows_the_lean_and_its_side() -> None:
    upright, right, left = (float(traits.slant(bar(lean=lean))) for lean in (0.0, 0.5, -0.5))
    assert upright == pytest.approx(0.0, abs=1e-9)
    assert right == pytest.approx(math.degrees(math.atan(0.5)), abs=2.0)
    assert left == pytest.approx(-right, abs=2.0)


def test_brightness_and_size() -> None:
    assert float(traits.brightness(torch.zeros(1, 3, 8, 8))) == pytest.approx(0.5)
    # a bar of n rows has the variance (n² - 1) / 12 down, and the same across
    wanted = math.sqrt((20**2 - 1) / 12 + (4**2 - 1) / 12)
    assert float(traits.size(bar())) == pytest.approx(wanted, rel=1e-6)


def test_traits_do_not_care_which_side_is_dark() -> None:
    for name in ("thickness", "slant", "size"):
        measure = traits.TRAITS[name][0]
        torch.testing.assert_close(measure(bar(lean=0.3)), measure(-bar(lean=0.3)))


def test_a_blank_picture_has_finite_traits() -> None:
    for values in traits.traits_of(torch.zeros(2, 3, 9, 7)).values():
        assert values.isfinite().all() and values.shape == (2,)


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=12, unique=True))
def test_rank_correlation_knows_only_the_order(values: list[float]) -> None:
    given_values = torch.tensor(values, dtype=torch.float64)
    assert float(ranks.rank_correlation(given_values, given_values.argsort().argsort().double())) == pytest.approx(1.0)
    assert float(ranks.rank_correlation(given_values, -given_values)) == pytest.approx(-1.0)
    assert float(ranks.rank_correlation(given_values, torch.ones(len(values)))) == 0.0


def test_equal_values_share_their_rank() -> None:
    assert ranks.ranks(torch.tensor([5.0, 1.0, 5.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def drawn(latents: Tensor, label: Tensor | None) -> Tensor:
    """Bars whose lightness is the first latent and whose row is the second: the rest does nothing."""
    images = torch.full((len(latents), 1, 16, 16), -1.0)
    for image, latent in zip(images, latents, strict=True):
        top = 6 + int(latent[1].clamp(-2, 2).round())
        image[0, top : top + 3, 4:12] = float(torch.sigmoid(latent[0]))
    return images


def upper_or_lower(images: Tensor) -> Tensor:
    """The class of a bar: in the upper or in the lower half."""
    lower = (images[:, 0, 8:].sum((1, 2)) > images[:, 0, :8].sum((1, 2))).double()
    return torch.stack([1 - lower, lower], 1)


def measured(axis: int) -> effects.Effect:
    latents = torch.randn(24, 4, generator=torch.Generator().manual_seed(1))
    spread = {name: float(value.std()) for name, value in traits.traits_of(drawn(latents, None)).items()}
    direction = Direction("one", "test", torch.eye(4)[axis])
    return effects.measure(drawn, direction, latents, None, spread, upper_or_lower)


def test_a_direction_that_lightens_is_told_so_and_keeps_the_class() -> None:
    found = measured(0)
    assert found.correlation["brightness"] == pytest.approx(1.0) and found.relative["brightness"] > 2
    assert found.kept == 1.0 and found.reach == max(effects.STEPS) and found.main == "brightness"
    assert found.path["brightness"] == sorted(found.path["brightness"]) and len(found.steps) == len(effects.STEPS)


def test_a_direction_that_changes_the_class_has_a_short_reach() -> None:
    found = measured(1)
    assert found.reach < max(effects.STEPS) and found.relative["brightness"] == pytest.approx(0.0, abs=0.2)


def test_a_direction_that_does_nothing_moves_nothing() -> None:
    found = measured(3)
    assert set(found.relative.values()) == {0.0} and found.kept == 1.0


def test_the_best_direction_for_a_trait_is_chosen_among_those_that_keep_classes() -> None:
    assert effects.best([measured(1), measured(0), measured(3)], "brightness").direction.vector.argmax() == 0


def test_a_walk_goes_through_its_start() -> None:
    latents = torch.randn(3, 4)
    images = effects.walk(drawn, Direction("one", "test", torch.eye(4)[0]), latents, None, (-1.0, 0.0, 1.0))
    assert images.shape == (3, 3, 1, 16, 16)
    torch.testing.assert_close(images[:, 1], drawn(latents, None))
