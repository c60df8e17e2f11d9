"""``steadygan explain`` on the command line: the page, and runs that cannot be explained."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pytest

from steadygan.session import explaining_reals, subject


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "own_judge", functools.partial(subject.own_judge, images=1500))
    monkeypatch.setattr(subject.Subject, "count", lambda self, most, least=64: 64)
    monkeypatch.setattr(explaining_reals, "CHANGES", (0.0, 0.1))


def test_the_page_is_written_into_the_run_again_and_again(call: Any, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    said = call("explain", run).fine()
    assert said.startswith(f"explanation: {run / 'explain.html'} (")
    first = (run / "explain.html").read_text()
    assert "What run has learned" in first and "steadygan explain" in first
    call("explain", run, "--seed", "1").fine()
    assert (run / "explain.html").read_text() != first


def test_nothing_is_overwritten_and_nothing_is_computed_for_it(call: Any, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("mine")
    fault = call("explain", trained, "--out", tmp_path / "mine.html").fault()
    assert fault == f"{tmp_path / 'mine.html'} exists; nothing is overwritten: choose another --out"
    assert (tmp_path / "mine.html").read_text() == "mine"


def test_what_is_no_run_or_has_no_checkpoint(call: Any, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in call("explain", "empty").fault()
    shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert "has no usable checkpoint" in call("explain", "run").fault()


def test_a_place_that_cannot_be_written(call: Any, trained: Path) -> None:
    assert "cannot create /proc/x" in call("explain", trained, "--out", "/proc/x/page.html").fault()
