"""The documentation: it holds together, its commands exist, its examples run, and the checks themselves can fail."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
COMMANDS = (
    "train",
    "resume",
    "sample",
    "evaluate",
    "compare",
    "diagnose",
    "report",
    "explain",
    "illnesses",
    "watch",
    "explore",
    "info",
    "bench",
    "recipes",
)


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


check = load_tool("check_docs")
settings_page = load_tool("settings_page")
health_page = load_tool("health_page")
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
RUNNABLE = sorted({block.page for page in PAGES for block in check.blocks(page) if 'title="run"' in block.title})


def test_nav_and_folder_agree() -> None:
    assert check.nav_faults(ROOT / "zensical.toml", DOCS) == []


def test_links_resolve() -> None:
    assert check.link_faults(PAGES) == []


def test_every_figure_names_its_command() -> None:
    assert check.figure_faults(PAGES) == []


def test_the_settings_page_is_the_one_that_config_gives() -> None:
    text = settings_page.page(settings_page.CONFIG.read_text(encoding="utf-8"))
    assert settings_page.PAGE.read_text(encoding="utf-8") == text, "run python tools/settings_page.py"


def test_the_tables_of_the_health_page_are_those_that_the_code_gives() -> None:
    text = health_page.PAGE.read_text(encoding="utf-8")
    assert health_page.filled(text) == text, "run python tools/health_page.py"


def test_every_signal_that_a_diagnosis_needs_stands_on_the_health_page() -> None:
    from steadygan.health.diagnoses import DIAGNOSES

    signals = health_page.PAGE.read_text(encoding="utf-8").split("## Signals", 1)[1].split("\n## ")[0]
    needed = {name.removeprefix("health/") for one in DIAGNOSES.values() for name in one.needs}
    assert {name for name in needed if f"`{name}`" not in signals} == set()


def test_every_picture_of_an_illness_is_of_one_that_exists() -> None:
    from steadygan.health.illnesses import ILLNESSES

    pictures = sorted((DOCS / "images" / "health").glob("*.png"))
    assert [path.name for path in pictures if path.stem not in ILLNESSES] == []
    assert [path.name for path in pictures if path.stat().st_size > 120_000] == []


def test_every_setting_stands_on_the_settings_page() -> None:
    from steadygan import config

    page = settings_page.PAGE.read_text(encoding="utf-8")
    models = [
        value for value in vars(config).values() if isinstance(value, type) and issubclass(value, config.Settings)
    ]
    for model in models:
        section = page.split(f"## {model.__name__}\n", 1)[-1].split("\n## ")[0]
        assert all(f"| `{name}` |" in section for name in model.model_fields), model.__name__


TABLES = [
    ("steadygan.recipes", "RECIPES", "recipes.md"),
    ("steadygan.networks", "GENERATORS", "networks.md"),
    ("steadygan.networks", "DISCRIMINATORS", "networks.md"),
    ("steadygan.networks", "ACTIVATIONS", "networks.md"),
    ("steadygan.networks", "NORMALISATIONS", "networks.md"),
    ("steadygan.networks", "INITIALISATIONS", "networks.md"),
    ("steadygan.data.sources", "SOURCES", "data.md"),
    ("steadygan.data.augmentation", "AUGMENTATIONS", "data.md"),
    ("steadygan.data.augmentation", "POLICIES", "data.md"),
    ("steadygan.game.optimizers", "OPTIMIZERS", "engine.md"),
    ("steadygan.evaluation.metrics_table", "METRICS", "evaluation.md"),
    ("steadygan.evaluation.features", "FEATURES", "evaluation.md"),
    ("steadygan.objectives.adversarial", "ADVERSARIAL_LOSSES", "objectives.md"),
    ("steadygan.objectives.penalties", "PENALTIES", "objectives.md"),
    ("steadygan.objectives.weights", "WEIGHT_PENALTIES", "objectives.md"),
    ("steadygan.health.signals", "SIGNALS", "health.md"),
    ("steadygan.health.diagnoses", "DIAGNOSES", "health.md"),
    ("steadygan.health.interventions", "INTERVENTIONS", "health.md"),
    ("steadygan.health.illnesses", "ILLNESSES", "health.md"),
    ("steadygan.health.foreign", "SYNONYMS", "health.md"),
]


@pytest.mark.parametrize(("module", "table", "page"), TABLES, ids=[table for _, table, _ in TABLES])
def test_every_name_in_a_table_stands_on_its_page(module: str, table: str, page: str) -> None:
    names = getattr(importlib.import_module(module), table)
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []


def has_command_line() -> bool:
    try:
        return importlib.util.find_spec("steadygan.cli.main") is not None
    except ModuleNotFoundError:
        return False


needs_command_line = pytest.mark.skipif(not has_command_line(), reason="the command line is not there yet")


@cache
def help_of(command: str) -> str:
    """What ``steadygan COMMAND --help`` prints; empty where there is no such command."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    arguments = [sys.executable, "-m", "steadygan", *([command] if command else []), "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=120, check=False)
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout) if done.returncode == 0 else ""


def flags(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def shown_commands() -> list[tuple[str, str, set[str]]]:
    """Every ``steadygan COMMAND ...`` in the pages' shell blocks: where, which command, which flags."""
    found = []
    for page in PAGES:
        for block in check.blocks(page):
            if block.language not in ("sh", "bash", "console", "shell"):
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                match = re.match(r"(?:\$ )?(?:\S*/)?steadygan (\w+)(.*)", line.strip())
                if match:
                    found.append((f"{page.name}:{block.line}: {line.strip()}", match[1], flags(match[2])))
    return found


def test_the_pages_show_every_command() -> None:
    assert set(COMMANDS) <= {command for _, command, _ in shown_commands()}


@needs_command_line
def test_every_command_and_flag_in_the_pages_exists() -> None:
    for place, command, used in shown_commands():
        text = help_of(command)
        assert text, f"{place}: there is no command {command!r}"
        assert used <= flags(text), f"{place}: no flag {sorted(used - flags(text))}"


@needs_command_line
def test_every_command_and_flag_is_documented() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    overview = help_of("")
    assert all(re.search(rf"\b{command}\b", overview) for command in COMMANDS)
    listed = set(re.findall(r"^## `steadygan (\w+)`", page, flags=re.MULTILINE))
    # Every command that has a help page of its own and stands in the overview must have its section.
    offered = set(re.findall(r"(?:\{|,)([a-z-]+)(?=[,}])", overview.replace(" ", ""))) or set(COMMANDS)
    assert offered <= listed
    for command in sorted(listed):
        section = page.split(f"## `steadygan {command}`", 1)[1].split("\n## ")[0]
        offers = {flag for flag in flags(help_of(command)) if flag != "--help" and not flag.startswith("--no-")}
        assert offers <= flags(section), command


def test_some_examples_are_marked_to_run() -> None:
    assert RUNNABLE


@pytest.mark.parametrize("page", RUNNABLE, ids=[page.name for page in RUNNABLE])
def test_marked_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in check.blocks(page):
        if 'title="run"' in block.title:
            exec(compile(block.text, f"{page.name}:{block.line}", "exec"), names)


def test_python_examples_are_python() -> None:
    for page in PAGES:
        for block in check.blocks(page):
            if block.language == "python":
                compile(block.text, f"{page}:{block.line}", "exec")


def test_shell_examples_are_shell() -> None:
    for page in PAGES:
        for block in check.blocks(page):
            if block.language == "sh":
                for line in block.text.splitlines():
                    shlex.split(line, comments=True)


def test_a_page_outside_the_nav_and_a_missing_one_are_found(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "there.md").touch()
    config = tmp_path / "zensical.toml"
    config.write_text('[project]\nnav = [{ "A" = "gone.md" }, { "B" = [{ "C" = "gone.md" }] }]\n')
    found = check.nav_faults(config, docs)
    assert [("gone.md is in the nav" in found[0]), ("there.md is in docs/" in found[1]), ("twice" in found[2])] == [
        True
    ] * 3


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# The `run` folder, and: more\n\n## Two words\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#two-words) [b](other.md#the-run-folder-and-more) [c](https://example.com) `[no](no.md)`\n"
    )
    assert check.link_faults([page]) == []
    page.write_text("[a](other.md#three) and [b](gone.md) and [c](#here)\n\n```\n[d](code.md)\n```\n")
    assert [re.sub(r".*page\.md: ", "", line) for line in check.link_faults([page])] == [
        "other.md has no heading for #three",
        "the link gone.md leads nowhere",
        "page.md has no heading for #here",
    ]


@pytest.mark.parametrize(
    "figure", ["232 images/s", "1.04 ± 0.02", "![grid](grid.png)", "95.2 %", "1.05× the bare loop"]
)
def test_a_figure_without_its_command_is_found(tmp_path: Path, figure: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Speed\n\nIt gives {figure}.\n\n## Other\n\nMade by `make demo`.\n")
    assert len(check.figure_faults([page])) == 1
    page.write_text(f"# Speed\n\nIt gives {figure}.\n\nMade by `python benchmarks/overhead.py`.\n")
    assert check.figure_faults([page]) == []


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://example.com/a.js"></script>',
        '<link rel="stylesheet" href="//example.com/a.css">',
        '<img alt="x" src=https://example.com/a.png>',
        "<style>body{background:url(https://example.com/a.png)}</style>",
        '<pre class="mermaid">graph</pre>',
    ],
)
def test_a_page_that_fetches_from_elsewhere_is_found(tmp_path: Path, html: str) -> None:
    page = tmp_path / "index.html"
    page.write_text('<a href="https://example.com">fine</a><link rel="canonical" href="https://example.com/">')
    assert check.fetch_faults(tmp_path) == []
    page.write_text(html)
    assert len(check.fetch_faults(tmp_path)) == 1


def test_blocks_are_taken_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('text\n\n```python title="run"\nx = 1\n```\n\n- item\n\n  ```sh\n  make demo\n  ```\n')
    assert [(b.language, b.title, b.text, b.line) for b in check.blocks(page)] == [
        ("python", 'title="run"', "x = 1", 3),
        ("sh", "", "make demo", 9),
    ]
