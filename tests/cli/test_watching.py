"""``steadygan watch``: what it prints, and one line for whatever cannot be served."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_what_cannot_be_served_is_one_line(call: Any, taken: int) -> None:
    Path("file").touch()
    Path("runs").mkdir()
    answers = {
        ("nowhere",): "nowhere does not exist: give a folder that holds runs, or a run's own",
        ("file",): "file is a file: give a folder that holds runs, or a run's own",
        ("runs", "--port", taken): f"port {taken} is taken: choose another with --port, or 0 for any that is free",
        ("runs", "--port", 70_000): "70000 is no port: choose a number from 0 to 65535",
        ("runs", "--port", -1): "-1 is no port: choose a number from 0 to 65535",
        ("runs", "--host", ""): "--host is empty: give an address of this machine, as 127.0.0.1",
    }
    assert {words: call("watch", *words).fault() for words in answers} == answers
    assert (
        call("watch", "runs", "--host", "203.0.113.1").fault().endswith("give an address of this machine with --host")
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [((), ["to take part"]), (("--read-only",), []), (("--host", "0.0.0.0"), ["to take part", "nothing is encrypted"])],
)
def test_it_says_where_the_page_is_and_ends_well_on_ctrl_c(
    flags: tuple[str, ...], told: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-u", "-m", "steadygan", "watch", str(tmp_path), "--port", "0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        said = [started.stdout.readline() for _ in range(3 + len(told))]
        started.send_signal(signal.SIGINT)
        rest, fault = started.communicate(timeout=60)
    assert (started.returncode, rest, fault) == (0, "", "")
    assert said[1].startswith("  to look:       http://")
    assert [words for words in ("to take part", "nothing is encrypted") if words in "".join(said)] == told
    assert said[-1] == "Ctrl-C ends it; the runs go on\n"


def test_nothing_heavy_is_imported_for_it() -> None:
    code = "import sys, steadygan.cli.main, steadygan.cli.watching; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "steadygan.studio.server" in loaded
    assert {"torch", "numpy", "sklearn", "PIL"} & set(loaded) == set()


def test_what_people_asked_is_a_part_of_the_story(call: Any, run: Path) -> None:
    event = {"images_seen": 64, "attempt": 0, "kind": "wish", "wish": "pause", "by": "person:anna", "words": "paused"}
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
    assert "[64 images] anna: paused" in call("diagnose", run).fine()
