"""How varied a set of samples is: inception score, Vendi score and mean pairwise distance beside that of real data."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.frechet import checked_features, checked_pair
from steadygan.evaluation.threads import solver_threads

CHUNK = 2048
"""Rows of a block of pairwise distances."""


class InceptionScore(NamedTuple):
    """Mean and standard deviation (divided by the number of splits) of the score over the splits."""

    mean: float
    deviation: float
    splits: int


def inception_score(probabilities: Tensor, *, splits: int = 1) -> InceptionScore:
    """``exp(mean KL(p(y|x) ‖ p(y)))`` from class probabilities (N, K); from 1 to K.

    With ``splits`` above 1 the rows are cut in their order into that many parts of sizes that differ by one at most,
    each scored against its own mean: the customary figure is the mean over 10 parts, which is lower than the score
    of all rows and depends on their order. Shuffle beforehand if the rows are sorted in any way.

    Paper: Salimans et al. 2016, Improved Techniques for Training GANs.

    Raises:
        SteadyganError: for another shape, rows that are no probabilities (sum off 1 by more than 1e-3), NaN, or fewer
            rows than splits.
    """
    if splits < 1:
        raise SteadyganError(f"{splits} splits", "give 1 or more")
    rows = checked_features(probabilities, "class probabilities", least=splits).double()
    total = rows.sum(1, keepdim=True)
    if bool((rows < 0.0).any()) or float((total - 1.0).abs().max()) > 1e-3:
        raise SteadyganError(
            "class probabilities that are negative or do not sum to 1", "give softmax outputs, not logits"
        )
    rows = rows / total
    scores = torch.tensor([_score(part) for part in _parts(rows, splits)], dtype=torch.float64)
    return InceptionScore(float(scores.mean()), float(scores.std(correction=0)), splits)


def _parts(rows: Tensor, splits: int) -> list[Tensor]:
    edges = [place * len(rows) // splits for place in range(splits + 1)]
    return [rows[start:stop] for start, stop in itertools.pairwise(edges)]


def _score(rows: Tensor) -> float:
    # Entropy of the mean less the mean entropy is the mean divergence, and takes zeros as they are.
    mean = rows.mean(0)
    return math.exp(max(0.0, float(torch.special.entr(mean).sum() - torch.special.entr(rows).sum(1).mean())))


def vendi_score(features: Tensor, *, order: float = 1.0) -> float:
    """The effective number of different samples among features (N, D), by cosine similarity; from 1 to min(N, D).

    ``exp H(λ)``, λ the eigenvalues of ``K/N`` with ``K_ij`` the cosine of rows i and j, and H the entropy (Rényi's for
    an ``order`` other than 1; infinity gives 1 over the largest eigenvalue). K/N and the D x D matrix of the rows'
    second moments have the same eigenvalues but for zeros, so the smaller one is solved. Identical rows give 1,
    n orthonormal rows n. Features that are never negative share a large common part, and so score low: subtract the
    mean of the reals first to see more.

    Papers: Friedman and Dieng 2023, The Vendi Score; Pasarkar and Dieng 2024, Cousins of the Vendi Score.

    Raises:
        SteadyganError: for another shape, no rows, NaN or infinity, a row of zeros, or an order not above 0.
    """
    if not order > 0.0:
        raise SteadyganError(f"a Vendi score of order {order}", "give a number above 0, or infinity")
    rows = checked_features(features, least=1).to(device="cpu", dtype=torch.float64)
    largest = rows.abs().amax(1, keepdim=True)
    if bool((largest == 0.0).any()):
        raise SteadyganError(
            "features with a row of zeros, which has no direction", "leave out such rows, or shift them"
        )
    rows = torch.nn.functional.normalize(rows / largest, dim=1, eps=0.0)
    with solver_threads():
        matrix = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
        values = torch.linalg.eigvalsh(matrix / len(rows)).clamp(min=0.0)
    values = values / values.sum()
    if order == 1.0:
        return math.exp(float(torch.special.entr(values).sum()))
    if math.isinf(order):
        return 1.0 / float(values.max())
    return math.exp(math.log(float(values.pow(order).sum())) / (1.0 - order))


def mean_pairwise_distance(features: Tensor, *, chunk: int = CHUNK) -> float:
    """Mean Euclidean distance over all pairs of two different rows of features (N, D); 0 for identical rows.

    Distances come from float64 products of centred rows, so a distance below about 1e-7 of the features' spread is
    rounding. Memory is one block of ``chunk`` x ``chunk``.

    Raises:
        SteadyganError: for another shape, fewer than 2 rows, NaN or infinity.
    """
    rows = checked_features(features).double()
    # From a row first, so that identical rows are exact zeros, which a rounded mean would not make them.
    rows = rows - rows[0]
    rows = rows - rows.mean(0)
    norms = rows.square().sum(1)
    total = 0.0
    for i in range(0, len(rows), chunk):
        for j in range(i, len(rows), chunk):
            squares = torch.addmm(norms[j : j + chunk], rows[i : i + chunk], rows[j : j + chunk].T, alpha=-2.0)
            squares += norms[i : i + chunk, None]
            if i == j:
                squares.fill_diagonal_(0.0)
            total += float(squares.clamp_(min=0.0).sqrt_().sum()) * (1.0 if i == j else 2.0)
    if not math.isfinite(total):
        raise SteadyganError("features too large for distances", "scale them to a sensible range")
    return total / (len(rows) * (len(rows) - 1))


def diversity_ratio(real: Tensor, fake: Tensor) -> float:
    """Mean pairwise distance of the fakes over that of the reals: 1 is as varied as real data, 0 a single sample.

    Raises:
        SteadyganError: as ``mean_pairwise_distance``, for widths that differ, and where all reals are the same.
    """
    real, fake = checked_pair(real, fake)
    spread = mean_pairwise_distance(real)
    if spread == 0.0:
        raise SteadyganError("real features that are all the same", "use features that tell real samples apart")
    return mean_pairwise_distance(fake) / spread


class ClassDiversity(NamedTuple):
    """Diversity ratios inside classes."""

    mean: float
    """Over the classes that could be judged."""
    by_class: dict[int, float]
    left_out: tuple[int, ...]
    """Classes of the reals with fewer than 2 samples on a side."""


def class_diversity_ratio(real: Tensor, real_labels: Tensor, fake: Tensor, fake_labels: Tensor) -> ClassDiversity:
    """The diversity ratio within each class: low where a class has collapsed although the classes are all there.

    Labels are whole numbers (N,); a class that either side shows fewer than twice is left out and named.

    Raises:
        SteadyganError: as ``diversity_ratio``, for labels that do not fit the features, and where no class is left.
    """
    real, fake = checked_pair(real, fake)
    sides = []
    for name, features, labels in (("real", real, real_labels), ("fake", fake, fake_labels)):
        if labels.shape != (len(features),) or labels.is_floating_point():
            raise SteadyganError(
                f"{name} labels of shape {tuple(labels.shape)} and type {labels.dtype} for {len(features)} samples",
                "give one whole number a sample",
            )
        sides.append(labels.to(features.device))
    found: dict[int, float] = {}
    left_out: list[int] = []
    for label in torch.unique(sides[0]).tolist():
        chosen = real[sides[0] == label], fake[sides[1] == label]
        if min(map(len, chosen)) < 2:
            left_out.append(label)
        else:
            found[label] = diversity_ratio(*chosen)
    if not found:
        raise SteadyganError("no class with two real and two fake samples", "give more samples, or fewer classes")
    return ClassDiversity(sum(found.values()) / len(found), found, tuple(left_out))
