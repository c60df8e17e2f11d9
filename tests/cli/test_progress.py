"""What a run shows while it goes on: a bar in a terminal, lines in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from steadygan.cli.printing import clock, plural


def in_a_terminal(columns: int, folder: Path, *words: str) -> tuple[int, str]:
    """Status and output of ``steadygan`` in a terminal of that many columns."""
    child, handle = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        os.chdir(folder)
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        os.execve(sys.executable, [sys.executable, "-m", "steadygan", *words], {**kept, "TERM": "xterm-256color"})
    parts = []
    while True:
        try:
            part = os.read(handle, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    _, status = os.waitpid(child, 0)
    os.close(handle)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(parts).decode())
    return os.waitstatus_to_exitcode(status), text


@pytest.mark.parametrize("columns", [80, 120])
def test_the_bar_fits_and_shows_all_that_matters(tmp_path: Path, small: tuple[str, ...], columns: int) -> None:
    status, text = in_a_terminal(columns, tmp_path, "train", "digits", *small, "--out", "run")
    assert status == 0, text
    lines = [line for part in text.split("\n") for line in part.split("\r") if line.strip()]
    assert max(map(len, lines)) <= columns
    bars = [line for line in lines if re.search(r"[━╸╺]", line)]
    assert any(re.fullmatch(r" *\d+% [━╸╺]+ [\d,]+/256 · [\d,]+ images/s · .+ left *", line) for line in bars)
    assert len({len(line) for line in bars if "images/s" in line}) == 1
    below = [line for line in lines if "loss: " in line]
    assert any(re.search(r"^ +\S.* · loss: discriminator \S+, generator \S+", line) for line in below)
    assert "done: 256 images seen in " in text
    assert not any("…" in line for line in lines)


def test_long_figures_are_cut_and_not_wrapped(tmp_path: Path) -> None:
    import io

    from rich.console import Console

    from steadygan.cli import progress

    shown = io.StringIO()
    console = Console(file=shown, width=80, force_terminal=True, color_system=None)
    bar = progress.Bar(*progress.columns(), console=console, expand=True)
    task = bar.add_task("", total=123_456_789, shown="98,765,432/123,456,789 · 12,345 images/s · 99 h 59 min left")
    bar.standing = "discriminator far ahead · loss: " + "discriminator 0.123, generator 0.123, " * 4
    bar.update(task, completed=98_765_432)
    console.print(bar.get_renderable())
    lines = shown.getvalue().splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 80
    assert lines[0].endswith("99 h 59 min left")
    assert lines[1].rstrip().endswith("…")


def test_lines_in_a_pipe_are_few_and_whole(call: Any, small: tuple[str, ...]) -> None:
    said = call("train", "digits", *small, "--out", "run").fine()
    told = [line for line in said.splitlines() if "images/s" in line]
    assert 5 <= len(told) <= 11
    for line in told:
        assert re.fullmatch(r" *\d+% \d+/256 · .* left · .+ · loss: discriminator \S+, generator \S+", line)
    plan = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in said.splitlines()[:8])
    assert plan["data"] == "digits: 1,709 images for training, 88 held out"
    assert plan["length"] == "256 images in batches of 16"
    assert plan["run"] == "run"
    for name in ("samples.png", "evolution.webp", "curves.png", "records.jsonl", "config.json", "checkpoints"):
        assert f"run/{name}\n" in said
        assert Path("run", name).exists()


def test_a_plan_for_minutes_says_how_long_it_will_take(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadygan.session.planning.measure", lambda *_, **__: 64.0)
    flags = ("--recipe", "mlp", "--minutes", "0.1", "--threads", "1", "--out", "run")
    said = call("train", "digits", *flags, "--set", "generator.network.hidden=[16]", "--set", "batch=16").fine()
    assert said.startswith("measuring this machine ...\n")
    assert re.search(r"length +352 images in batches of 16, about 6 s at 64 images/s", said)


def test_resume_says_where_it_goes_on(call: Any, run: Path) -> None:
    import shutil

    shutil.rmtree(run / "checkpoints" / "000000000256-000")
    said = call("resume", run).fine()
    assert said.startswith("going on at 192 of 256 images\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (float("inf"), "?")],
)
def test_durations_are_read_by_people(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_plurals() -> None:
    assert [plural(count, "image") for count in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]
