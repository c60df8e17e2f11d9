"""What is typed wrongly is answered in one line; help is quick and complete."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steadygan.cli.main import COMMANDS
from steadygan.errors import SteadyganError


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            "",
            "no command: choose one of train, resume, sample, evaluate, compare, diagnose, report, explain, "
            "illnesses, watch, explore, info, recipes, bench, or see steadygan --help",
        ),
        ("tran", "unknown command 'tran': did you mean 'train'?"),
        (
            "xyzzy",
            "unknown command 'xyzzy': choose one of bench, compare, diagnose, evaluate, explain, explore, illnesses, "
            "info, recipes, report, resume, sample, train, watch",
        ),
        ("--bogus", "unknown option --bogus: a command comes first, see steadygan --help"),
        ("train", "train needs data: see steadygan train --help"),
        ("watch", "watch needs a folder of runs: see steadygan watch --help"),
        ("explore", "explore needs a run's folder: see steadygan explore --help"),
        ("watch runs --port high", "--port 'high' is not a whole number: see steadygan watch --help"),
        ("resume", "resume needs a run's folder: see steadygan resume --help"),
        ("sample --count 3", "sample needs a run's folder: see steadygan sample --help"),
        ("info", "info needs a run or data: see steadygan info --help"),
        ("evaluate", "evaluate needs a run, or images: see steadygan evaluate --help"),
        ("compare", "nothing to compare: name two or more runs"),
        ("evaluate run --count many", "--count 'many' is not a whole number: see steadygan evaluate --help"),
        ("evaluate my samples", "evaluate takes one name, not 2: quote a path that has spaces"),
        ("train my images", "train takes one name, not 2: quote a path that has spaces"),
        ("train digits --recip mlp", "unknown option --recip: did you mean --recipe?"),
        ("train digits --recip=mlp", "unknown option --recip: did you mean --recipe?"),
        ("train digits --zzzzz", "unknown option --zzzzz: see steadygan train --help"),
        ("train digits -x", "unknown option -x: see steadygan train --help"),
        ("train digits --images", "--images needs a value: see steadygan train --help"),
        ("train digits --images --seed 1", "--images needs a value: see steadygan train --help"),
        ("train digits --images many", "--images 'many' is not a whole number: write it as 40000, 40k or 1.2M"),
        ("train digits --images 1.5", "--images '1.5' is not a whole number: write it as 40000, 40k or 1.2M"),
        ("train digits --minutes five", "--minutes 'five' is not a number: see steadygan train --help"),
        ("train digits --seed=x", "--seed 'x' is not a whole number: see steadygan train --help"),
        ("sample run --grid=yes", "--grid takes no value: write --grid alone"),
        ("sample run --no-grid", "unknown option --no-grid: did you mean --grid?"),
        ("sample run --grid --folder", "--grid and --folder were both given: give one of them"),
        ("sample run --npz --folder", "--folder and --npz were both given: give one of them"),
        ("train digits --minutes 1 --images 100", "--minutes and --images were both given: give one of them"),
    ],
)
def test_a_line_that_is_not_understood_is_answered_in_one(call: Any, words: str, answer: str) -> None:
    said = call(*words.split())
    assert (said.status, said.fault(), said.out) == (2, answer, "")


def test_underscores_and_hyphens_are_the_same_and_numbers_may_be_grouped(call: Any, small: tuple[str, ...]) -> None:
    assert (
        "10 x 9 pixels" in call("train", "digits", "--image_size=10x9", *small, "--images=1_6", "--out", "run").fine()
    )


@pytest.mark.parametrize(("text", "count"), [("40000", 40_000), ("40k", 40_000), ("1.2M", 1_200_000), ("0.5k", 500)])
def test_counts_are_read_as_they_are_written_everywhere_else(text: str, count: int) -> None:
    from steadygan.cli.commands import parse_count

    assert parse_count("--images", text) == count


@pytest.mark.parametrize("text", ["", "k", "1.2", "nan", "inf", "infinityk", "1.00001k", "4kk"])
def test_what_is_no_count_is_refused(text: str) -> None:
    from steadygan.cli.commands import parse_count

    with pytest.raises(SteadyganError, match="40000, 40k or 1.2M"):
        parse_count("--images", text)


def test_a_fault_that_nobody_thought_of_is_told_in_the_parsers_words() -> None:
    from steadygan.cli.refusal import refusal

    said = "╭─ Odd ─────╮\n│ Cannot be   │\n│ parsed     │\n╰────────╯"
    assert str(refusal(["info", "x"], COMMANDS, said)) == "Odd Cannot be parsed: see steadygan info --help"
    assert str(refusal(["info", "x"], COMMANDS)) == "the command line was not understood: see steadygan info --help"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_names_every_flag_and_has_no_traces_of_python(call: Any, command: str) -> None:
    import inspect

    text = call(*([command] if command else []), "--help").fine()
    assert not any(trace in text for trace in ("None", "STR", "PATH}", "False", "INT ", "usage: pytest"))
    for name, one in inspect.signature(COMMANDS[command]).parameters.items() if command else ():
        if one.kind is one.KEYWORD_ONLY:
            assert f"--{name.rstrip('_').replace('_', '-')}" in text


def test_version(call: Any) -> None:
    from steadygan import __version__

    assert call("--version").fine() == f"steadygan {__version__}\n"


QUICK = """
import sys
sys.argv = ["steadygan", *sys.argv[1:]]
from steadygan.cli.main import main
try:
    main()
except SystemExit:
    pass
heavy = [name for name in ("torch", "numpy", "sklearn", "PIL", "pydantic", "safetensors") if name in sys.modules]
print("heavy:", heavy)
"""


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "digits", "--recip"], ["tran"]])
def test_help_and_refusals_import_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", QUICK, *words], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout


def test_a_reader_that_leaves_is_no_fault() -> None:
    """As ``steadygan recipes r3 | head -1``."""
    command = [sys.executable, "-m", "steadygan", "recipes", "r3"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode != 0


def test_as_a_true_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "steadygan", "train", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"steadygan: data source '{tmp_path / 'nowhere'}' does not exist: check the path\n"
    assert not any(tmp_path.iterdir())
