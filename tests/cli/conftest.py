"""The command line as a function, a small finished run, and folders of odd images."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SMALL = (
    *("--recipe", "mlp", "--images", "256", "--threads", "1"),
    *("--set", "batch=16", "--set", "sample_count=4", "--set", "sample_every=128", "--set", "checkpoint_every=64"),
    *("--set", "generator.network.hidden=[16]", "--set", "discriminator.network.hidden=[16]"),
)
"""Flags of a run that takes a second."""


@dataclass(frozen=True)
class Said:
    """What a command printed, and the status that it ended with."""

    status: int
    out: str
    err: str

    def fault(self) -> str:
        """The one line on stderr, which is all that a person may see of a fault."""
        assert self.status != 0, self.out
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("steadygan: ")
        assert "Traceback" not in self.out
        return lines[0].removeprefix("steadygan: ")

    def fine(self) -> str:
        """What was printed by a command that went well and had nothing to complain of."""
        assert (self.status, self.err) == (0, "")
        return self.out

    def rows(self) -> dict[str, str]:
        """The rows of name and value that were printed."""
        parts = (re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in self.fine().splitlines())
        return {part[0]: part[1] for part in parts if len(part) == 2}


Call = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """``call("train", "digits")``: the command line, in this process and in a folder of its own."""
    from steadygan.cli.main import main

    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["steadygan", *map(str, words)])
        capsys.readouterr()
        status: int | str | None = 0
        try:
            main()
        except SystemExit as leave:
            status = leave.code
        assert isinstance(status, int)
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return call


@pytest.fixture
def small() -> tuple[str, ...]:
    return SMALL


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the digits; not to be changed."""
    import steadygan

    path = tmp_path_factory.mktemp("trained") / "run"
    given = [*SMALL[SMALL.index("--set") + 1 :: 2], "threads=1"]
    steadygan.train("digits", recipe="mlp", images=256, out=path, set=given)
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed at will."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of 30 good colour images of 16x16."""
    folder = tmp_path / "images"
    folder.mkdir()
    source = np.random.default_rng(0)
    for number in range(30):
        pixels = source.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder
