"""The project's own files: pins, metadata, Makefile, and rules that every source file keeps."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")


def pinned() -> dict[str, list[str]]:
    """Every name in the constraints with its versions."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", CONSTRAINTS, flags=re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def direct() -> list[str]:
    """Every requirement that pyproject.toml names, extras included."""
    extras = PROJECT["optional-dependencies"].values()
    return [each for group in (PROJECT["dependencies"], *extras) for each in group if not each.startswith("steadygan[")]


def test_constraints_pin_every_direct_dependency_and_nothing_but_versions() -> None:
    names = {re.split(r"[<>=!~\[; ]", each, maxsplit=1)[0].lower() for each in direct()}
    assert names <= set(pinned())
    for line in CONSTRAINTS.splitlines():
        assert re.fullmatch(r"\s*#.*|[a-z0-9._-]+==[0-9][\w.]*( ; .+)?", line), line
    assert "://" not in CONSTRAINTS
    assert "+" not in "".join(version for versions in pinned().values() for version in versions)


def test_torch_is_pinned_for_tests_and_uncapped_for_users() -> None:
    assert pinned()["torch"] == ["2.13.0"]
    assert "torch>=2.6" in PROJECT["dependencies"]
    assert not [each for each in direct() if "<" in each or "==" in each]


def test_nothing_needs_torchvision() -> None:
    assert "torchvision" not in CONSTRAINTS
    assert not [path for path in SOURCES if re.search(r"^\s*(import|from) torchvision", path.read_text("utf-8"), re.M)]


def test_one_version_everywhere() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    citation = dict(re.findall(r"^([a-z-]+): *(.*)$", text, flags=re.MULTILINE))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    top = ROOT / "src" / "steadygan" / "__init__.py"
    written = re.search(r'__version__ = "([^"]+)"', top.read_text(encoding="utf-8")) if top.exists() else None
    assert written is None or written[1] == PROJECT["version"]


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("Apache License")
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text.splitlines()) == 202


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[0] == "Unreleased"


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", script], check=True)
    subprocess.run(["sh", "-n", ROOT / "tools" / "setup_venv.sh"], check=True)


@pytest.mark.parametrize("target", ["demo", "test", "slow", "docs", "format", "clean"])
def test_the_makefile_knows_its_targets(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pytest_comes_last_so_that_its_closing_line_does() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "-j4", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pytest" in done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("named", "words"), [("no-such-python", "no-such-python is not a Python 3.11"), ("false", "name another one")]
)
def test_a_python_that_will_not_do_is_refused_in_one_line(tmp_path: Path, named: str, words: str) -> None:
    command = ["sh", ROOT / "tools" / "setup_venv.sh", tmp_path / "venv", named]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "venv").exists()


def test_test_folders_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_sources_keep_the_house_rules(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "from __future__ import annotations" in text or not re.search(r"^\s*(def|class) ", text, re.M)
    # the one place that must know what others call things
    words = [] if path.name == "foreign.py" else re.findall(r"\b(?:critic|netD|netG|kimg|cur_nimg)\b", text)
    assert not words, f"{words}: DESIGN.md has other words for these"
    loads = re.findall(r"(?<!safetensors\.)\btorch\.load\([^)]*\)", text)
    assert all("weights_only=True" in each for each in loads), loads
    assert not re.search(r"^\s*(?:import|from) (?:pickle|dill|cloudpickle)\b", text, re.M), "no pickle is ever loaded"
