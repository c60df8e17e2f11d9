"""``steadygan report``: says where the page is, and answers what cannot be used in one line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest


def test_one_run(call: Any, run: Path) -> None:
    said = call("report", run).fine()
    assert re.fullmatch(rf"report: {re.escape(str(run))}/report\.html \([\d.]+ kB\)\n", said)


def test_several_runs_and_a_place(call: Any, run: Path, trained: Path) -> None:
    assert call("report", run, trained, "--out", "both.html").fine().startswith("report: both.html (")
    assert "2 runs side by side" in Path("both.html").read_text()


def test_a_run_names_its_report_at_the_end(call: Any, small: tuple[str, ...]) -> None:
    rows = call("train", "digits", *small, "--out", "new").rows()
    assert rows["report"] == "new/report.html" and Path(rows["report"]).is_file()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("report",), "nothing to report on: name a run"),
        (("report", "nowhere"), "no run at nowhere: give the folder that `steadygan train` printed"),
        (("report", "file"), "file is a file: give the folder that `steadygan train` printed"),
        (("report", "empty"), "empty is not a run folder (it has no config.json): give a run's folder"),
        (("report", "RUN", "--out", "file"), "file exists; nothing is overwritten: choose another --out"),
        (("report", "RUN", "nowhere"), "no run at nowhere: give the folder that `steadygan train` printed"),
        (("report", "RUN", "--put", "x"), "unknown option --put: did you mean --out?"),
        (("report", "RUN", "--out", "file/page.html"), "cannot create file ("),
    ],
)
def test_what_cannot_be_used(call: Any, run: Path, words: tuple[str, ...], answer: str) -> None:
    Path("file").touch()
    Path("empty").mkdir()
    fault = call(*(run if word == "RUN" else word for word in words)).fault()
    assert fault.startswith(answer)
    assert Path("file").read_text() == ""


def test_a_damaged_config(call: Any, run: Path) -> None:
    (run / "config.json").write_text("{")
    assert "is damaged" in call("report", run).fault()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_run_that_cannot_be_written_in(call: Any, run: Path) -> None:
    (run / "neighbours.json").unlink()
    run.chmod(0o500)
    try:
        assert call("report", run, "--out", "page.html").fine()
        assert "cannot write" in Path("page.html").read_text()
    finally:
        run.chmod(0o700)
