"""What a classifier learns from labelled fakes: from reals, from wrong labels, and where a class is lost."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from steadygan.data.digits import load_digits
from steadygan.errors import SteadyganError
from steadygan.evaluation.accuracy_score import Classifier, accuracy_score, predictions, train_classifier


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, labels, *_ = load_digits()
    shown = torch.from_numpy(images.astype("float32")).reshape(-1, 1, 8, 8) / 127.5 - 1
    return shown, torch.from_numpy(labels).long()


def split(digits: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], ...]:
    images, labels = digits
    return tuple((images[part], labels[part]) for part in (slice(0, 500), slice(500, 1000), slice(1000, None)))


def test_reals_taken_for_fakes_score_as_reals_do(digits: tuple[Tensor, Tensor]) -> None:
    fake, real, test = split(digits)
    found = accuracy_score(fake, real, test, classes=10, steps=120)
    assert found.real > 0.85
    assert found.ratio == pytest.approx(1.0, abs=0.08)
    assert found.fake == pytest.approx(found.ratio * found.real)
    assert found.per_class.shape == (10,)
    shares = torch.bincount(test[1], minlength=10).double() / len(test[1])
    assert float((found.per_class * shares).sum()) == pytest.approx(found.fake, rel=1e-9)


def test_a_lost_class_is_never_recognised(digits: tuple[Tensor, Tensor]) -> None:
    (images, labels), real, test = split(digits)
    found = accuracy_score((images[labels != 3], labels[labels != 3]), real, test, classes=10, steps=120)
    assert float(found.per_class[3]) == 0.0
    assert found.ratio < 0.97


def test_labels_at_random_teach_nothing(digits: tuple[Tensor, Tensor]) -> None:
    (images, labels), real, test = split(digits)
    found = accuracy_score((images, labels[torch.randperm(500)]), real, test, classes=10, steps=60)
    assert found.fake < 0.35
    assert found.ratio < 0.5


def test_the_same_seed_gives_the_same_classifier_and_leaves_randomness_alone(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits[0][:100], digits[1][:100]
    before = torch.random.get_rng_state()
    first = train_classifier(images, labels, 10, steps=5, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    second, third = (train_classifier(images, labels, 10, steps=5, seed=seed) for seed in (3, 4))
    assert torch.equal(first(images), second(images))
    assert not torch.equal(first(images), third(images))


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 5, 9), (4, 28, 20), (2, 64, 64), (1, 100, 16)])
def test_images_of_any_shape_are_classified(shape: tuple[int, int, int]) -> None:
    network = Classifier(shape[0], shape[1:], 7)
    assert network(torch.randn(3, *shape)).shape == (3, 7)
    found = predictions(network, torch.randn(5, *shape))
    assert found.shape == (5,)
    assert 0 <= int(found.min()) <= int(found.max()) < 7


def test_a_class_without_test_images_has_no_accuracy() -> None:
    images = torch.cat([torch.full((20, 1, 4, 4), -1.0), torch.full((20, 1, 4, 4), 1.0)])
    labels = torch.tensor([0] * 20 + [2] * 20)
    found = accuracy_score((images, labels), (images, labels), (images, labels), classes=3, steps=30)
    assert found.fake == found.real == 1.0
    assert math.isnan(float(found.per_class[1]))
    assert found.per_class[[0, 2]].tolist() == [1.0, 1.0]


def pair(count: int = 4, size: int = 4, label: int = 1) -> tuple[Tensor, Tensor]:
    return torch.zeros(count, 1, size, size), torch.full((count,), label)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: accuracy_score(pair(size=5), pair(), pair(), classes=2), r"fake images of shape \(1, 5, 5\)"),
        (lambda: accuracy_score(pair(), pair(label=2), pair(), classes=2), "real labels from 2 to 2 for 2"),
        (lambda: accuracy_score(pair(), pair(), pair(0), classes=2), "test images of shape"),
        (
            lambda: accuracy_score((torch.zeros(4, 1, 4, 4), torch.zeros(3)), pair(), pair(), classes=2),
            "fake labels of",
        ),
        (lambda: accuracy_score(pair(), pair(), pair(), classes=1), "for 1 classes"),
        (lambda: train_classifier(torch.full((2, 1, 4, 4), math.nan), torch.tensor([0, 1]), 2), "NaN"),
        (lambda: train_classifier(*pair(), 2, steps=0), "0 steps"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(call: object, match: str) -> None:
    assert callable(call)
    with pytest.raises(SteadyganError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
