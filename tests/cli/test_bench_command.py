"""The command ``bench``: its tables and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steadygan.runtime import roofline
from steadygan.session import benching

TINY = ("--recipe", "dcgan", "--batch", "4", "8", "--threads", "1", "--image-size", "8x8", "--capacity", "4")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "CONVOLUTIONS", ((4, 4, 8, 3, 1),))
    monkeypatch.setattr(roofline, "MATRICES", {"cpu": (32,)})
    monkeypatch.setattr(roofline, "COPIED", 1 << 16)
    monkeypatch.setattr(benching, "BLOCK", 0.01)
    monkeypatch.setattr(benching, "AGAIN", 0.01)


def test_tables_and_figures(call: Any, tmp_path: Path) -> None:
    said = call("bench", *TINY, "--minutes", "0.001", "--out", tmp_path / "bench.json").fine()
    lines = [line.split() for line in said.splitlines()]
    assert [line[:2] for line in lines if line[:2] == ["1", "convolution"]]
    assert len([line for line in lines if line[:2] == ["dcgan", "4"]]) == 4
    assert "GFLOP/s" in said
    assert "not counted:" in said
    found = json.loads((tmp_path / "bench.json").read_text())
    assert [cell["batch"] for cell in found["cells"]] == [4, 8]
    assert found["clock"] == "processor"


def test_nothing_is_overwritten(call: Any, tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text("mine")
    assert "nothing is overwritten" in call("bench", *TINY, "--out", tmp_path / "bench.json").fault()
    assert (tmp_path / "bench.json").read_text() == "mine"
