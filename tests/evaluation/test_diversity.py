"""Inception score, Vendi score and pairwise distances against closed forms and plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.diversity import (
    class_diversity_ratio,
    diversity_ratio,
    inception_score,
    mean_pairwise_distance,
    vendi_score,
)


def rotation(size: int) -> Tensor:
    basis: Tensor = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
    return basis


@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_the_inception_score_of_balanced_sure_classes_is_their_number(classes: int) -> None:
    sure = torch.eye(classes).repeat(3, 1)
    assert inception_score(sure).mean == pytest.approx(classes, rel=1e-9)
    assert inception_score(sure, splits=3) == pytest.approx((classes, 0.0, 3), rel=1e-9, abs=1e-9)


def test_the_inception_score_is_one_where_all_rows_are_alike() -> None:
    assert inception_score(torch.randn(1, 7).softmax(1).repeat(9, 1)).mean == pytest.approx(1.0, abs=1e-9)


def test_the_inception_score_is_its_definition_part_by_part() -> None:
    rows = torch.randn(23, 5, dtype=torch.float64).softmax(1)
    found = inception_score(rows, splits=4)
    scores = []
    for start, stop in ((0, 5), (5, 11), (11, 17), (17, 23)):
        part = rows[start:stop]
        scores.append(float((part * (part / part.mean(0)).log()).sum(1).mean().exp()))
    assert found.mean == pytest.approx(sum(scores) / 4, rel=1e-12)
    assert found.deviation == pytest.approx(
        float(torch.tensor(scores, dtype=torch.float64).std(correction=0)), rel=1e-6
    )


@given(seed=st.integers(0, 1000))
def test_the_inception_score_lies_between_one_and_the_classes_in_any_order(seed: int) -> None:
    torch.manual_seed(seed)
    rows = (3 * torch.randn(30, 6)).softmax(1)
    found = inception_score(rows).mean
    assert 1.0 <= found <= 6.0
    assert inception_score(rows[torch.randperm(30)]).mean == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0, math.inf])
@pytest.mark.parametrize("count", [1, 3, 12])
def test_vendi_counts_different_directions(order: float, count: int) -> None:
    assert vendi_score(torch.randn(1, 12).repeat(5, 1), order=order) == pytest.approx(1.0, rel=1e-6)
    rows = rotation(12)[:count] * torch.rand(count, 1) * 5
    assert vendi_score(rows, order=order) == pytest.approx(count, rel=1e-9)


@pytest.mark.parametrize(("count", "width"), [(8, 30), (30, 8), (10, 10)])
def test_vendi_is_its_definition_through_either_matrix(count: int, width: int) -> None:
    rows = torch.randn(count, width, dtype=torch.float64)
    unit = rows / rows.norm(dim=1, keepdim=True)
    values = torch.linalg.eigvalsh(unit @ unit.T / count).clamp(min=1e-300)
    entropy = -float((values * values.log()).sum())
    assert vendi_score(rows) == pytest.approx(math.exp(entropy), rel=1e-9)
    assert vendi_score(rows, order=2.0) == pytest.approx(1.0 / float(values.square().sum()), rel=1e-9)


@given(seed=st.integers(0, 1000), n=st.integers(1, 20), width=st.integers(1, 20))
def test_vendi_is_bounded_and_blind_to_order_length_and_rotation(seed: int, n: int, width: int) -> None:
    torch.manual_seed(seed)
    rows = torch.randn(n, width, dtype=torch.float64)
    found = vendi_score(rows)
    assert 1.0 - 1e-9 <= found <= min(n, width) + 1e-9
    turned = (rows * torch.rand(n, 1).add(0.1).double())[torch.randperm(n)] @ rotation(width)
    assert vendi_score(turned) == pytest.approx(found, rel=1e-8)
    assert vendi_score(rows.repeat(3, 1)) == pytest.approx(found, rel=1e-8)


@given(
    seed=st.integers(0, 1000),
    n=st.integers(2, 40),
    chunk=st.integers(1, 50),
    offset=st.sampled_from([0.0, 1000.0]),
)
def test_the_mean_distance_is_that_of_all_pairs(seed: int, n: int, chunk: int, offset: float) -> None:
    torch.manual_seed(seed)
    rows = torch.randn(n, 5, dtype=torch.float64) + offset
    expected = sum(float((rows[i] - rows[j]).norm()) for i in range(n) for j in range(i)) / (n * (n - 1) / 2)
    assert mean_pairwise_distance(rows[torch.randperm(n)], chunk=chunk) == pytest.approx(expected, rel=1e-7)


def test_threads_do_not_matter() -> None:
    rows = torch.randn(300, 50)
    first = mean_pairwise_distance(rows, chunk=64), vendi_score(rows)
    torch.set_num_threads(3)
    second = mean_pairwise_distance(rows, chunk=64), vendi_score(rows)
    torch.set_num_threads(1)
    assert second == pytest.approx(first, rel=1e-10)


def test_the_ratio_is_one_for_equal_spread_and_zero_for_one_sample() -> None:
    real = torch.randn(200, 10)
    assert diversity_ratio(real, real) == 1.0
    assert diversity_ratio(real, 0.5 * real + 3.0) == pytest.approx(0.5, rel=1e-5)
    assert diversity_ratio(real, torch.full((50, 10), 0.1)) == 0.0


def test_the_ratio_inside_classes_sees_a_class_that_collapsed() -> None:
    labels = torch.arange(4).repeat_interleave(50)
    centres = 10.0 * torch.randn(4, 6)
    real = centres[labels] + torch.randn(200, 6)
    fake = centres[labels] + torch.randn(200, 6) * torch.tensor([1.0, 0.0, 1.0, 1.0])[labels, None]
    found = class_diversity_ratio(real, labels, fake[:-49], labels[:-49])
    assert found.left_out == (3,)
    assert found.by_class.keys() == {0, 1, 2}
    assert found.by_class[1] == pytest.approx(0.0, abs=1e-6)
    assert found.by_class[0] == pytest.approx(1.0, abs=0.15)
    assert found.mean == pytest.approx(sum(found.by_class.values()) / 3)
    assert diversity_ratio(real, fake) > 0.9


SURE = torch.eye(4)


@pytest.mark.parametrize(
    ("rows", "splits", "match"),
    [
        (SURE, 5, "4 row\\(s\\) of class probabilities: give at least 5"),
        (SURE, 0, "0 splits"),
        (SURE[0], 1, "shape"),
        (SURE.long(), 1, "type torch.int64"),
        (torch.randn(4, 4), 1, "give softmax outputs"),
        (SURE * 2.0, 1, "give softmax outputs"),
        (torch.full((4, 4), math.nan), 1, "NaN"),
    ],
)
def test_bad_probabilities_are_refused(rows: Tensor, splits: int, match: str) -> None:
    with pytest.raises(SteadyganError, match=match) as caught:
        inception_score(rows, splits=splits)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "order", "match"),
    [
        (torch.zeros(0, 3), 1.0, "0 row"),
        (torch.ones(3), 1.0, "shape"),
        (torch.full((2, 2), math.nan), 1.0, "NaN"),
        (torch.tensor([[1.0, 1.0], [0.0, 0.0]]), 1.0, "row of zeros"),
        (torch.ones(3, 3), 0.0, "order 0"),
        (torch.ones(3, 3), math.nan, "order nan"),
    ],
)
def test_bad_vendi_input_is_refused(rows: Tensor, order: float, match: str) -> None:
    with pytest.raises(SteadyganError, match=match):
        vendi_score(rows, order=order)


def test_bad_distances_are_refused() -> None:
    good = torch.randn(4, 3)
    for rows, match in (
        (good[:1], "1 row"),
        (torch.full((4, 3), math.inf), "NaN or infinity"),
        (1e300 * good.double(), "too large"),
    ):
        with pytest.raises(SteadyganError, match=match):
            mean_pairwise_distance(rows)
    with pytest.raises(SteadyganError, match="all the same"):
        diversity_ratio(torch.ones(4, 3), good)
    with pytest.raises(SteadyganError, match="width 3 and 2"):
        diversity_ratio(good, good[:, :2])


@pytest.mark.parametrize("labels", [torch.zeros(3).long(), torch.zeros(4), torch.zeros(4, 1).long()])
def test_labels_that_do_not_fit_are_refused(labels: Tensor) -> None:
    good = torch.randn(4, 3)
    with pytest.raises(SteadyganError, match="one whole number a sample"):
        class_diversity_ratio(good, torch.zeros(4).long(), good, labels)


def test_classes_of_one_are_refused() -> None:
    good = torch.randn(4, 3)
    with pytest.raises(SteadyganError, match="no class with two"):
        class_diversity_ratio(good, torch.arange(4), good, torch.arange(4))
