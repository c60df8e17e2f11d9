"""The stacked digits are drawn as the protocol says, and the evaluator counts what is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def stacked(monkeypatch: pytest.MonkeyPatch, real_data: Path) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("STEADYGAN_DATA", str(real_data))
    import stacked_mnist

    yield stacked_mnist
    for name in ("stacked_mnist", "judge"):
        sys.modules.pop(name, None)


def test_triples_are_three_digits_and_the_same_every_time(stacked: ModuleType) -> None:
    first, again = (np.concatenate(list(stacked.triples(700, 3))) for _ in range(2))
    assert first.shape == (700, 3, 28, 28)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, np.concatenate(list(stacked.triples(700, 4))))
    images, _ = stacked.digits("train")
    known = {row.tobytes() for row in np.asarray(images)[:, 0]}
    assert all(channel.tobytes() in known for triple in first[:20] for channel in triple)


def test_real_triples_reach_as_many_modes_as_chance_allows(stacked: ModuleType) -> None:
    count = 2000
    chunks = (torch.from_numpy(part).float() / 127.5 - 1 for part in stacked.triples(count, 1, balanced=True))
    found = stacked.evaluate(chunks)
    expected = 1000 * (1 - (1 - 1 / 1000) ** count)
    assert abs(found["modes"] - expected) < 40
    one = torch.from_numpy(next(iter(stacked.triples(1, 2)))).float().expand(64, -1, -1, -1) / 127.5 - 1
    assert stacked.evaluate([one])["modes"] == 1


def test_the_table_has_ours_beside_the_published(stacked: ModuleType) -> None:
    cells = {
        f"dcgan/{seed}": {"minutes": 1.0, "modes": modes, "kl": kl}
        for seed, (modes, kl) in enumerate([(900, 0.5), (1000, 0.1)])
    }
    assert stacked.summary(cells)["dcgan"] == {
        "seeds": 2,
        "minutes": 1.0,
        "modes": 950.0,
        "modes_least": 900,
        "kl": 0.3,
        "kl_most": 0.5,
    }
    lines = stacked.table({"cells": cells}).splitlines()
    assert any(line.startswith("| `dcgan` | 950 | 0.300 |") and "worst 900 and 0.500" in line for line in lines)
    assert any(line.startswith("| WGAN-GP | 959 | 0.73 |") for line in lines)
