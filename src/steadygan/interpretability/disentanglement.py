"""Disentanglement scores: does each known factor stand in one value of a code, and each value for one factor?

All take codes (N, D), real numbers, and factors (N, K), whole numbers, of the same samples, and lie between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import LinearSVC

from steadygan.errors import SteadyganError

Codes = npt.NDArray[np.float64]
Factors = npt.NDArray[np.int64]
BINS = 20
DEAD = 1e-6
"""A value whose standard deviation is below this share of its own size does not vary; other values' do not count."""


@dataclass(frozen=True)
class Dci:
    """Disentanglement, completeness and informativeness.

    Attributes:
        disentanglement: each value speaks of one factor.
        completeness: each factor is told by one value.
        informativeness: share of held-out samples whose factors are told right, mean over the factors.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def mutual_information_gap(codes: Codes, factors: Factors, bins: int = BINS) -> float:
    """MIG: by how much the best value tells more of a factor than the second best, over the factor's entropy; mean.

    Values are cut into ``bins`` of equal width. Paper: Chen et al. 2018, Isolating Sources of Disentanglement.
    """
    codes, factors = _checked(codes, factors)
    table = np.array([[_information(_binned(code, bins), factor) for code in codes.T] for factor in factors.T])
    entropy = np.array([_entropy(factor) for factor in factors.T])
    ordered = np.sort(table, axis=1)[:, ::-1]
    second = ordered[:, 1] if ordered.shape[1] > 1 else np.zeros(len(ordered))
    return float(((ordered[:, 0] - second) / np.maximum(entropy, 1e-12)).mean())


def separated_attribute_predictability(codes: Codes, factors: Factors, seed: int = 0) -> float:
    """SAP: by how much the best value tells a factor better than the second best, by a linear classifier of it alone.

    Paper: Kumar et al. 2018, Variational Inference of Disentangled Latent Concepts.
    """
    codes, factors = _checked(codes, factors)
    half, gaps = len(codes) // 2, []
    for factor in factors.T:
        scores = [_alone(code, factor, half, seed) for code in codes.T]
        ordered = sorted([*scores, 0.0], reverse=True)
        gaps.append(ordered[0] - ordered[1])
    return float(np.mean(gaps))


def dci(codes: Codes, factors: Factors, seed: int = 0) -> Dci:
    """DCI, from the importance of each value when random forests tell each factor.

    One minus the entropy of the importances, over factors (disentanglement) and over values (completeness), both
    weighted by importance. Paper: Eastwood and Williams 2018, A Framework for the Quantitative Evaluation of
    Disentangled Representations.
    """
    codes, factors = _checked(codes, factors)
    half, told, columns = len(codes) // 2, [], []
    for factor in factors.T:
        forest = RandomForestClassifier(30, max_depth=8, max_features=None, random_state=seed).fit(
            codes[:half], factor[:half]
        )
        columns.append(forest.feature_importances_)
        told.append(float((forest.predict(codes[half:]) == factor[half:]).mean()))
    weight = np.array(columns).T
    return Dci(_purity(weight), _purity(weight.T), float(np.mean(told)))


def factor_score(
    encode: Callable[[Factors], Codes], sizes: tuple[int, ...], *, votes: int = 400, batch: int = 64, seed: int = 0
) -> float:
    """FactorVAE's score: with one factor fixed, is the value that varies least always the same one?

    Accuracy on held-out votes of the rule that names the factor by the value that varied least (relative to its spread
    over all factors). Paper: Kim and Mnih 2018, Disentangling by Factorising.

    Args:
        encode: factors (N, K) to codes (N, D) of samples that have them.
        sizes: values that each factor may have, K of them.
        votes: for the rule, and as many for its accuracy.
        batch: samples a vote.
        seed: of the draws.
    """
    source = np.random.default_rng(seed)
    first = encode(_drawn(source, sizes, 2000)).astype(np.float64)
    spread = first.std(0)
    alive = np.flatnonzero(spread > DEAD * np.abs(first).max(0))
    if not len(alive):
        return 0.0
    counts = np.zeros((2, len(alive), len(sizes)))
    for vote in range(2 * votes):
        which = int(source.integers(len(sizes)))
        factors = _drawn(source, sizes, batch)
        factors[:, which] = factors[0, which]
        varied = encode(factors).astype(np.float64)[:, alive].var(0) / spread[alive] ** 2
        counts[vote % 2, int(varied.argmin()), which] += 1
    rule = counts[0].argmax(1)
    return float(counts[1][np.arange(len(alive)), rule].sum() / counts[1].sum())


def _drawn(source: np.random.Generator, sizes: tuple[int, ...], count: int) -> Factors:
    return np.stack([source.integers(size, size=count) for size in sizes], axis=1)


def _alone(code: Codes, factor: Factors, half: int, seed: int) -> float:
    """Share of held-out samples whose factor a linear classifier of one value tells, above the most frequent one's."""
    base = float((factor[half:] == np.bincount(factor[:half]).argmax()).mean())
    if code.std() < 1e-12:
        return 0.0
    scaled = ((code - code.mean()) / code.std())[:, None]
    found = LinearSVC(C=0.01, class_weight="balanced", random_state=seed).fit(scaled[:half], factor[:half])
    told = float((found.predict(scaled[half:]) == factor[half:]).mean())
    return max(0.0, told - base) / max(1 - base, 1e-12)


def _purity(weight: npt.NDArray[np.float64]) -> float:
    """One minus the entropy of each row's shares (in units of log of their number), rows weighted by their sums."""
    total = weight.sum(1)
    shares = weight / np.maximum(total[:, None], 1e-12)
    width = max(2, weight.shape[1])
    entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(1) / np.log(width)
    return float(((1 - entropy) * total).sum() / max(float(total.sum()), 1e-12))


def _information(one: Factors, two: Factors) -> float:
    """Mutual information of two columns of whole numbers, in nats."""
    joint = np.zeros((int(one.max()) + 1, int(two.max()) + 1))
    np.add.at(joint, (one, two), 1.0)
    joint /= joint.sum()
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / apart[there])).sum())


def _entropy(one: Factors) -> float:
    return _information(one, one)


def _binned(code: Codes, bins: int) -> Factors:
    edges = np.linspace(code.min(), code.max(), bins + 1)[1:-1]
    return np.digitize(code, edges).astype(np.int64)


def _checked(codes: Codes, factors: Factors) -> tuple[Codes, Factors]:
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors)
    fits = codes.ndim == factors.ndim == 2 and len(codes) == len(factors) >= 20
    if not fits or not np.isfinite(codes).all() or factors.min() < 0:
        raise SteadyganError(
            f"codes of shape {codes.shape} and factors of shape {factors.shape} cannot be scored",
            "give (N, D) finite numbers and (N, K) whole ones from 0 on, N at least 20",
        )
    return codes, factors.astype(np.int64)
