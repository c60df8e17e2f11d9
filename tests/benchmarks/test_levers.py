"""Levers on the engine's speed: both sides of one that claims to be of rounding only must play the same game."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "levers.py"


@pytest.fixture(scope="module")
def levers() -> Iterator[ModuleType]:
    found = importlib.util.spec_from_file_location("levers", FILE)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["levers"] = module
    found.loader.exec_module(module)
    yield module
    del sys.modules["levers"]


EXACT = [
    *("channels-last", "frozen", "logits", "second", "one-channel", "adam", "fused", "average", "allocator"),
    *("joined", "loose"),
]


def test_the_list_of_exact_levers_is_whole(levers: ModuleType) -> None:
    assert [name for name, lever in levers.LEVERS.items() if lever.exact] == EXACT


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_lever_changes_rounding_only(levers: ModuleType, name: str) -> None:
    from steadygan.session.planning import with_capacity

    lever, data = levers.LEVERS[name], levers.random_data((1, 8, 8))
    config = with_capacity(levers.planned("digits", data), 4)
    config = config.model_copy(update={"batch": 8, "precision": "float64"})
    ends = []
    for side in (lever.on, lever.off):
        player = levers.Player(side, config, data)
        player.play(3)
        ends.append([p for one in player.wired.state.players.values() for p in one.parameters()])
        start = levers.Player(side, config, data).wired.state.players["generator"].parameters()
        assert any(not torch.equal(now, then) for now, then in zip(ends[-1], start, strict=False))
    for with_it, without in zip(*ends, strict=True):
        torch.testing.assert_close(with_it, without, rtol=1e-7, atol=1e-9)


def test_the_results_make_a_table_and_are_taken_up(
    levers: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levers, "SHAPES", dict.fromkeys(levers.SHAPES, (1, 8, 8)))
    monkeypatch.setattr(levers, "SECONDS", 0.001)
    out = tmp_path / "levers.json"
    asked = ["--pairs", "2", "--out", str(out), "--only", "average"]
    levers.main(asked)
    first = json.loads(out.read_text())
    assert set(first["cells"]) == {"average/dcgan", "average/digits"}
    levers.main(asked)
    assert json.loads(out.read_text()) == first
    capsys.readouterr()
    levers.main(["--out", str(out), "--table"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| the average in one operation | `dcgan` |")


def test_the_figures_of_a_bench_make_a_table(
    levers: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ("convolution", "normalisation", "elementwise", "optimizer", "average", "data", "Python")
    cell = {"recipe": "dcgan", "capacity": 32, "batch": 64, "threads": 2, "images_a_second": 1234.4, "fraction": 0.5}
    cell |= {"within": 0.62, "shares": dict.fromkeys(parts, 0.25)}
    (tmp_path / "bench.json").write_text(json.dumps({"cells": [cell]}))
    levers.main(["--bench", str(tmp_path / "bench.json")])
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("| `dcgan` 32 | 64 | 2 | 1,234 | 50% | 62% | 25% |")
