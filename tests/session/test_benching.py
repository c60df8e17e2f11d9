"""The bench on tiny networks: what it counts must be what was played, and what it says must hang together."""

from __future__ import annotations

import json
from typing import Any

import pytest

import steadygan
from steadygan.errors import SteadyganError
from steadygan.runtime import roofline
from steadygan.session import benching
from steadygan.session.benching import Bench


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "CONVOLUTIONS", ((4, 4, 8, 3, 1),))
    monkeypatch.setattr(roofline, "MATRICES", {"cpu": (32,)})
    monkeypatch.setattr(roofline, "COPIED", 1 << 16)
    monkeypatch.setattr(benching, "BLOCK", 0.01)
    monkeypatch.setattr(benching, "AGAIN", 0.01)


def measured(*names: str, **settings: object) -> Bench:
    given: dict[str, Any] = {"batches": (8, 16), "threads": (1,), "capacity": 4, "minutes": 0.001} | settings
    return steadygan.bench(names, shape=(1, 8, 8), **given)


def test_every_network_is_measured_at_every_batch() -> None:
    told: list[str] = []
    found = measured("dcgan", "r3", progress=told.append)
    assert [(cell.recipe, cell.batch) for cell in found.cells] == [(n, b) for n in ("dcgan", "r3") for b in (8, 16)]
    assert len(told) == 4
    small, large = found.cells[:2]
    assert large.operations == 2 * small.operations
    for cell in found.cells:
        assert cell.capacity == 4
        assert cell.rate == pytest.approx(cell.operations / cell.seconds)
        assert cell.images_a_second == pytest.approx(cell.batch / cell.seconds)
        assert 0 < cell.least <= cell.fraction <= cell.most
        assert sum(cell.shares.values()) == pytest.approx(1.0)
        assert min(cell.shares[part] for part in ("convolution", "optimizer", "average", "data", "Python")) > 0
    assert found.ceilings[1].keys() == {"convolution", "matrix", "copy"}
    assert json.loads(json.dumps(found.tree()))["cells"][0]["recipe"] == "dcgan"


def test_penalties_show_in_the_operations() -> None:
    """R1 and R2 are a second pass forward and back, and its derivative."""
    plain, penalised = measured("dcgan", batches=(8,)), measured("wgan-gp", batches=(8,))
    assert penalised.cells[0].operations > plain.cells[0].operations


@pytest.mark.parametrize("settings", [{"batches": ()}, {"batches": (0,)}, {"threads": (0,)}])
def test_sizes_that_cannot_be_used(settings: dict[str, object]) -> None:
    with pytest.raises(SteadyganError, match="nothing to measure"):
        measured("dcgan", **settings)
    with pytest.raises(SteadyganError, match="did you mean 'dcgan'"):
        measured("dcgann")
    with pytest.raises(SteadyganError, match="0 minutes are no time"):
        measured("dcgan", minutes=0.0)
    with pytest.raises(SteadyganError, match="nothing to measure"):
        benching.bench({}, (1, 8, 8))
