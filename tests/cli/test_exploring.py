"""``steadygan explore``: what it prints, and one line for whatever cannot be explored."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen


def test_what_cannot_be_explored_is_one_line(call: Any, run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bare = shutil.copytree(run, tmp_path / "bare")
    shutil.rmtree(bare / "checkpoints")
    assert call("explore", tmp_path / "nowhere").fault().startswith(f"no run at {tmp_path / 'nowhere'}: ")
    assert call("explore", tmp_path / "empty").fault().startswith(f"{tmp_path / 'empty'} is not a run folder")
    assert call("explore", bare).fault().startswith(f"{bare} has no usable checkpoint")
    assert (
        call("explore", run, "--host", "").fault() == "--host is empty: give an address of this machine, as 127.0.0.1"
    )
    assert call("explore", run, "--port", 70_000).fault() == "70000 is no port: choose a number from 0 to 65535"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        wanted = f"port {port} is taken: choose another with --port, or 0 for any that is free"
        assert call("explore", run, "--port", port).fault() == wanted


def test_it_says_where_the_page_is_and_ends_well_on_ctrl_c(run: Path) -> None:
    command = [sys.executable, "-u", "-m", "steadygan", "explore", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        said = [started.stdout.readline() for _ in range(2)]
        address = said[0].split()[-1]
        with urlopen(f"{address.removesuffix('explore')}api/explore/describe") as answer:
            assert json.load(answer)["name"] == run.name
        started.send_signal(signal.SIGINT)
        rest, fault = started.communicate(timeout=60)
    assert said == [f"exploring {run}: {address}\n", "Ctrl-C ends it\n"]
    assert (started.returncode, rest, fault) == (0, "", "")
