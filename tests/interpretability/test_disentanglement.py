"""Scores of codes that are built to be perfectly disentangled, rotated, or noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.interpretability import disentanglement as scores
from steadygan.interpretability import traits

SIZES = (4, 5, 3)
SOURCE = np.random.default_rng(0)
FACTORS = np.stack([SOURCE.integers(size, size=1500) for size in SIZES], 1)
ANGLE = math.pi / 4
TURN = np.array([[math.cos(ANGLE), math.sin(ANGLE)], [-math.sin(ANGLE), math.cos(ANGLE)]])


def perfect(factors: scores.Factors) -> scores.Codes:
    """Every factor in a value of its own, in another order and scale."""
    return np.stack([factors[:, 2] * 3.0, -factors[:, 0] / 2, factors[:, 1] + 7.0], 1)


def rotated(factors: scores.Factors) -> scores.Codes:
    """The two first factors shared out evenly among two values."""
    centred = (factors - np.array(SIZES) / 2) / np.array(SIZES)
    return np.concatenate([centred[:, :2] @ TURN, centred[:, 2:]], 1)


def noise(factors: scores.Factors) -> scores.Codes:
    return np.random.default_rng(1).standard_normal((len(factors), 3))


def test_perfect_codes_score_one() -> None:
    assert scores.mutual_information_gap(perfect(FACTORS), FACTORS) == pytest.approx(1.0, abs=0.02)
    found = scores.dci(perfect(FACTORS), FACTORS)
    assert found.disentanglement == pytest.approx(1.0, abs=0.02)
    assert found.completeness == pytest.approx(1.0, abs=0.02)
    assert found.informativeness == pytest.approx(1.0, abs=0.001)
    assert scores.factor_score(perfect, SIZES, votes=120) == 1.0
    # one line per class cannot always tell values that lie on one line
    assert scores.separated_attribute_predictability(perfect(FACTORS), FACTORS) > 0.3


def test_two_valued_factors_in_values_of_their_own_are_predicted_perfectly() -> None:
    factors = np.random.default_rng(3).integers(2, size=(800, 3))
    assert scores.separated_attribute_predictability(factors * 1.0, factors) == pytest.approx(1.0, abs=0.1)
    mixed = np.concatenate([(factors[:, :2] - 0.5) @ TURN, factors[:, 2:] * 1.0], 1)
    assert scores.separated_attribute_predictability(mixed, factors) < 0.5


def test_rotated_codes_score_low_though_they_hold_everything() -> None:
    assert scores.mutual_information_gap(rotated(FACTORS), FACTORS) < 0.55
    found, whole = scores.dci(rotated(FACTORS), FACTORS), scores.dci(perfect(FACTORS), FACTORS)
    assert found.informativeness > 0.9 and found.disentanglement < 0.7 * whole.disentanglement
    assert scores.factor_score(rotated, SIZES, votes=120) < 0.95


def test_noise_scores_nothing() -> None:
    codes = noise(FACTORS)
    assert scores.mutual_information_gap(codes, FACTORS) < 0.05
    assert scores.separated_attribute_predictability(codes, FACTORS) < 0.05
    assert scores.dci(codes, FACTORS).disentanglement < 0.15
    assert scores.factor_score(noise, SIZES, votes=60) < 0.75


def test_values_that_carry_nothing_are_left_out() -> None:
    def padded(factors: scores.Factors) -> scores.Codes:
        return np.concatenate([np.zeros((len(factors), 1)), perfect(factors)], 1)

    assert scores.factor_score(padded, SIZES, votes=60) == 1.0
    assert scores.factor_score(lambda factors: np.zeros((len(factors), 2)), SIZES) == 0.0
    assert scores.mutual_information_gap(padded(FACTORS), FACTORS) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("codes", "factors"),
    [
        (np.zeros((30, 2)), np.zeros((29, 1), int)),
        (np.zeros((5, 2)), np.zeros((5, 1), int)),
        (np.full((30, 2), np.nan), np.zeros((30, 1), int)),
        (np.zeros(30), np.zeros((30, 1), int)),
        (np.zeros((30, 2)), -np.ones((30, 1), int)),
    ],
)
def test_what_cannot_be_scored_is_refused(codes: scores.Codes, factors: scores.Factors) -> None:
    with pytest.raises(SteadyganError, match="cannot be scored"):
        scores.mutual_information_gap(codes, factors)


def strokes(factors: scores.Factors) -> Tensor:
    """A little set with known factors: a stroke (N, 1, 24, 24) of some thickness, slant and lightness."""
    images = torch.full((len(factors), 1, 24, 24), -1.0)
    for image, (thick, lean, light) in zip(images, factors.tolist(), strict=True):
        for row in range(4, 20):
            left = 10 + round((lean - 1.5) * (12 - row) / 4)
            image[0, row, left : left + 2 + thick] = light / 2
    return images


STROKES = (3, 4, 3)


def by_traits(factors: scores.Factors) -> scores.Codes:
    """Strokes read by what is made for it: one value for each factor."""
    images = strokes(factors)
    read = [traits.thickness(images), traits.slant(images), images.amax((1, 2, 3)).double()]
    return torch.stack(read, 1).numpy()


def by_chance(factors: scores.Factors) -> scores.Codes:
    """Strokes read through random weights: as many values, each with a little of everything."""
    weight = torch.randn(24 * 24, 3, generator=torch.Generator().manual_seed(0))
    return (strokes(factors).flatten(1) @ weight).double().numpy()


def test_images_with_known_factors_are_scored_by_how_they_are_read() -> None:
    source = np.random.default_rng(5)
    factors = np.stack([source.integers(size, size=600) for size in STROKES], 1)
    good, poor = by_traits(factors), by_chance(factors)
    assert scores.mutual_information_gap(good, factors) > 0.6 > 0.2 > scores.mutual_information_gap(poor, factors)
    assert scores.dci(good, factors).disentanglement > 0.9 > 0.4 > scores.dci(poor, factors).disentanglement
    predicted = [scores.separated_attribute_predictability(codes, factors) for codes in (good, poor)]
    assert predicted[0] > 0.4 > 0.2 > predicted[1]
    told = [scores.factor_score(encode, STROKES, votes=40, batch=24) for encode in (by_traits, by_chance)]
    assert told[0] > 0.95 and told[1] < told[0]
