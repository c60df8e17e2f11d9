"""What a start does not import: seconds are not asserted, what they are made of is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "numpy", "PIL", "pydantic", "safetensors")
LOADED = "print('loaded:', *[name for name in sys.modules if '.' not in name])"

HELP = f"""
import runpy, sys
sys.argv = ["steadygan", "--help"]
try:
    runpy.run_module("steadygan", run_name="__main__")
except SystemExit:
    pass
{LOADED}
"""

TRAIN = """
import sys
import steadygan
steadygan.train("digits", recipe="digits", images=32, out=sys.argv[1], set=["batch=16", "threads=1", "health.mode=off"])
print("loaded:", *sys.modules)
"""


def loaded(code: str, *words: str) -> set[str]:
    """Names of the modules that a new process has after ``code``."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("code", [f"import sys, steadygan; {LOADED}", HELP], ids=["import", "help"])
def test_nothing_heavy_is_imported_before_it_is_needed(code: str) -> None:
    assert "steadygan" in (found := loaded(code))
    assert not found & set(HEAVY)


def test_a_run_does_not_import_the_compiler_of_torch(tmp_path: Path) -> None:
    """It takes most of a second, and torch's own optimizers and its switch for determinism bring it along."""
    found = loaded(TRAIN, str(tmp_path / "run"))
    assert "torch.nn" in found
    assert not {"torch._dynamo", "torch._inductor", "sympy"} & found
