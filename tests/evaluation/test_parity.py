"""The same features through other libraries: equal to 1e-5 where definitions agree, and told apart where they do not.

The libraries are no part of the tests' set-up (see docs/metrics.md for how to get them): what is missing is skipped.
"""

from __future__ import annotations

import importlib
import math
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygan.evaluation.diversity import inception_score, vendi_score
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics
from steadygan.evaluation.kernel import kernel_distance, kernel_distance_subsets
from steadygan.evaluation.neighbours import neighbour_scores

AGREE = 1e-5
_DECLARED: list[Any] = []


def library(name: str) -> ModuleType:
    """The module, or a skip that says what is missing."""
    if name.split(".")[0] in ("torch_fidelity", "cleanfid"):
        _declare_operators()
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be imported: {error}")


def _declare_operators() -> None:
    """A CPU build of torch lets torchvision in only where two operators of it that nobody calls here are declared."""
    if not _DECLARED and not hasattr(torch.ops.torchvision, "nms"):
        declared = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(declared)


class Flat(nn.Module):
    """A feature network that hands on what it is given."""

    num_features = 24

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def mixed(count: int, shift: float = 0.0, width: int = 24) -> Tensor:
    """Features with unequal, correlated spreads, and a mean that is not 0, as networks give them."""
    source = torch.Generator().manual_seed(7)
    mixing = torch.randn(width, width, generator=source, dtype=torch.float64) * torch.logspace(0, -2, width).double()
    return torch.randn(count, width, dtype=torch.float64) @ mixing + 0.5 + shift


def ours(real: Tensor, fake: Tensor) -> float:
    return frechet_distance(*gaussian_statistics(real), *gaussian_statistics(fake))


@pytest.mark.parametrize("count", [200, 1000])
def test_frechet_is_scipys_matrix_root(count: int) -> None:
    linalg = library("scipy.linalg")
    real, fake = mixed(count), mixed(count, 0.1)
    (mean1, cov1), (mean2, cov2) = gaussian_statistics(real), gaussian_statistics(fake)
    root = linalg.sqrtm((cov1 @ cov2).numpy())
    expected = float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace()) - 2 * float(root.trace().real)
    assert ours(real, fake) == pytest.approx(expected, rel=1e-8)


def test_frechet_is_torch_fidelitys() -> None:
    theirs = library("torch_fidelity.metric_fid")
    real, fake = mixed(500), mixed(600, 0.1)
    statistics = [theirs.fid_features_to_statistics(each) for each in (real, fake)]
    found = theirs.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert ours(real, fake) == pytest.approx(found, rel=AGREE)


def test_frechet_is_torchmetrics() -> None:
    theirs = library("torchmetrics.image.fid").FrechetInceptionDistance(feature=Flat())
    theirs.set_dtype(torch.float64)
    real, fake = mixed(500), mixed(600, 0.1)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert ours(real, fake) == pytest.approx(float(theirs.compute()), rel=AGREE)


def test_frechet_is_clean_fids() -> None:
    """Its call of sqrtm names an argument that newer SciPy has dropped."""
    theirs, real, fake = library("cleanfid.fid"), mixed(500), mixed(600, 0.1)
    try:
        found = theirs.fid_from_feats(real.numpy(), fake.numpy())
    except (TypeError, ValueError) as error:
        pytest.skip(f"clean-fid does not run with this SciPy: {error}")
    assert ours(real, fake) == pytest.approx(float(found), rel=AGREE)


def test_frechet_differs_where_features_are_fewer_than_needed() -> None:
    """N < D: the eigenvalues of a product, as torch-fidelity takes them, keep only half of the digits."""
    theirs = library("torch_fidelity.metric_fid")
    real = torch.randn(12, 40, dtype=torch.float64)
    statistics = theirs.fid_features_to_statistics(real)
    found = theirs.fid_statistics_to_metric(statistics, statistics, False)["frechet_inception_distance"]
    trace = float(gaussian_statistics(real)[1].trace())
    assert ours(real, real) < 1e-12 * trace
    assert abs(found) < 1e-4 * trace


def test_kernel_is_torch_fidelitys() -> None:
    theirs = library("torch_fidelity.metric_kid")
    real, fake = mixed(150), mixed(150, 0.1)
    settings = {"kid_subsets": 2, "kid_subset_size": 150, "verbose": False}
    found = theirs.kid_features_to_metric(real, fake, **settings)["kernel_inception_distance_mean"]
    assert kernel_distance(real, fake).value == pytest.approx(found, rel=AGREE)
    assert kernel_distance_subsets(real, fake, subsets=2, size=150)[0] == pytest.approx(found, rel=AGREE)


def test_kernel_is_torchmetrics() -> None:
    theirs = library("torchmetrics.image.kid").KernelInceptionDistance(feature=Flat(), subsets=2, subset_size=150)
    theirs.set_dtype(torch.float64)
    real, fake = mixed(150), mixed(150, 0.1)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert kernel_distance(real, fake).value == pytest.approx(float(theirs.compute()[0]), rel=AGREE)


def test_kernel_is_clean_fids() -> None:
    theirs, real, fake = library("cleanfid.fid"), mixed(150), mixed(150, 0.1)
    found = theirs.kernel_distance(real.numpy(), fake.numpy(), num_subsets=2, max_subset_size=150)
    assert kernel_distance(real, fake).value == pytest.approx(found, rel=AGREE)


def test_all_pairs_are_within_the_scatter_of_torch_fidelitys_subsets() -> None:
    theirs = library("torch_fidelity.metric_kid")
    real, fake = mixed(800), mixed(800, 0.05)
    found = theirs.kid_features_to_metric(real, fake, kid_subsets=60, kid_subset_size=200, verbose=False)
    mean, deviation = found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]
    assert kernel_distance(real, fake).value == pytest.approx(mean, abs=4 * deviation / math.sqrt(60))
    own = kernel_distance_subsets(real, fake, subsets=60, size=200)
    assert own[0] == pytest.approx(mean, abs=5 * deviation / math.sqrt(60))
    assert own[1] == pytest.approx(deviation, rel=0.4)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_neighbours_are_prdcs(k: int, shift: float) -> None:
    theirs = library("prdc")
    real, fake = mixed(300).float(), mixed(350, shift).float()
    found = theirs.compute_prdc(real.numpy(), fake.numpy(), k)
    expected = [float(found[name]) for name in ("precision", "recall", "density", "coverage")]
    assert neighbour_scores(real, fake, k=k)[:4] == pytest.approx(expected, rel=AGREE)


def test_neighbours_are_torch_fidelitys() -> None:
    theirs = library("torch_fidelity.metric_prc")
    real, fake = mixed(300), mixed(350, 0.3)
    found = theirs.prc_features_to_metric(fake, real, verbose=False)
    expected = [found["precision"], found["recall"]]
    assert neighbour_scores(real, fake, k=3, inclusive=True)[:2] == pytest.approx(expected, rel=AGREE)


def test_neighbours_of_copies_differ_as_the_definitions_do() -> None:
    """With <, as prdc has it, a lattice's ties are outside; with <=, as torch-fidelity has it, inside."""
    prdc, fidelity = library("prdc"), library("torch_fidelity.metric_prc")
    lattice = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0))
    fake = lattice + torch.tensor([1.0, 0.0])
    strict, weak = neighbour_scores(lattice, fake, k=1), neighbour_scores(lattice, fake, k=1, inclusive=True)
    assert strict.precision == float(prdc.compute_prdc(lattice.numpy(), fake.numpy(), 1)["precision"]) == 0.8
    found = fidelity.prc_features_to_metric(fake, lattice, prc_neighborhood=1, verbose=False)
    assert weak.precision == pytest.approx(found["precision"], rel=AGREE)
    assert weak.precision == 1.0


@pytest.mark.parametrize("splits", [1, 10])
def test_the_inception_score_is_torch_fidelitys(splits: int) -> None:
    theirs = library("torch_fidelity.metric_isc")
    logits = 3 * torch.randn(205, 12, dtype=torch.float64)
    found = theirs.isc_features_to_metric(logits, splits=splits, shuffle=False)
    own = inception_score(logits.softmax(1), splits=splits)
    assert own.mean == pytest.approx(found["inception_score_mean"], rel=AGREE)
    assert own.deviation == pytest.approx(found["inception_score_std"], rel=AGREE, abs=1e-9)


def test_the_inception_score_is_torchmetrics() -> None:
    """One part only: it shuffles with the global state, and its deviation is that of a sample."""
    theirs = library("torchmetrics.image.inception").InceptionScore(feature=Flat(), splits=1)
    logits = 3 * torch.randn(100, 12, dtype=torch.float64)
    theirs.update(logits)
    assert inception_score(logits.softmax(1)).mean == pytest.approx(float(theirs.compute()[0]), rel=AGREE)


@pytest.mark.parametrize(("count", "width"), [(40, 12), (12, 40)])
@pytest.mark.parametrize("order", [1, 2])
def test_vendi_is_vendi_scores(count: int, width: int, order: int) -> None:
    theirs = library("vendi_score.vendi")
    rows = torch.randn(count, width, dtype=torch.float64)
    assert vendi_score(rows, order=order) == pytest.approx(float(theirs.score_dual(rows.numpy(), q=order)), rel=AGREE)
    if order == 1:
        assert vendi_score(rows) == pytest.approx(float(theirs.score_X(rows.numpy())), rel=AGREE)
