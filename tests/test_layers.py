"""The layer check: passes on the package, and fails on each kind of violation."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "steadygan"


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_layers", ROOT / "tools" / "check_layers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_layers"] = module
    spec.loader.exec_module(module)
    return module


check = load_tool()


def package(folder: Path, **files: str) -> Path:
    """A made-up package; ``data__cache`` stands for ``data/cache.py``."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in [path.parent, *path.parent.parents]:
            if parent == folder.parent:
                break
            (parent / "__init__.py").touch()
        path.write_text(text)
    return folder


def test_the_package_keeps_its_layers_and_lengths() -> None:
    assert check.violations(PACKAGE) == []


def test_the_package_was_really_read() -> None:
    assert {"steadygan.errors", "steadygan.config", "steadygan.cli"} <= set(check.modules(PACKAGE))
    assert any(each.target == "steadygan.errors" for each in check.imports(PACKAGE))


def test_a_clean_package_passes(tmp_path: Path) -> None:
    folder = package(
        tmp_path / "steadygan",
        errors="",
        config="from .errors import SteadyganError",
        data__order="import steadygan.runtime.seeding\nfrom ..errors import SteadyganError",
        data__cache="from .order import rows\nfrom steadygan.data import order",
        runtime__seeding="",
        game__loop="from steadygan import __version__\nfrom steadygan.objectives.losses import hinge",
        objectives__losses="",
    )
    assert check.violations(folder) == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"data__cache": "import steadygan.game.loop", "game__loop": ""}, "points up from layer 1 to layer 2"),
        ({"errors": "from .config import RunConfig", "config": ""}, "points up from layer -1 to layer 0"),
        ({"config": "from steadygan import api", "api": ""}, "points up from layer 0 to layer 5"),
        ({"session": "from .recipes import dcgan", "recipes__dcgan": ""}, "same layer 4"),
        ({"recipes__dcgan": "from ..session import run", "session": ""}, "same layer 4"),
        ({"networks__mlp": "from ..objectives import losses", "objectives__losses": ""}, "same layer 1"),
        ({"game__loop": "def play():\n    from ..health import signals", "health__signals": ""}, "points up"),
        (
            {
                "data__cache": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..api import train",
                "api": "",
            },
            "points up from layer 1 to layer 5",
        ),
        ({"data__cache": "import steadygan"}, "the top of the package"),
        ({"data__cache": "from .. import train"}, "the top of the package"),
        ({"data__cache": "from steadygan import __version__, train"}, "the top of the package"),
        ({"runtime__seeding": "from ..config import RunConfig", "config": ""}, "same layer 0"),
        ({"data__cache": "from ..extras import one"}, "which is not there"),
        ({"extras__one": ""}, "has no layer"),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, files: dict[str, str], words: str) -> None:
    found = check.violations(package(tmp_path / "steadygan", **files))
    assert len(found) == 1
    assert words in found[0]


def test_the_lazy_top_is_exempt(tmp_path: Path) -> None:
    folder = package(tmp_path / "steadygan", api="")
    (folder / "__init__.py").write_text(
        "def __getattr__(name):\n    from . import api\n    return getattr(api, name)\n"
    )
    assert check.violations(folder) == []


def test_a_circle_inside_a_folder_is_found_once(tmp_path: Path) -> None:
    folder = package(
        tmp_path / "steadygan",
        game__loop="from .round import play",
        game__round="from .state import State",
        game__state="from . import loop",
        game__move="from .loop import records",
    )
    found = check.violations(folder)
    assert len(found) == 1
    assert found[0].startswith("circle: ")
    assert found[0].count(" -> ") == 3


def test_a_circle_through_the_folders_own_init_is_found(tmp_path: Path) -> None:
    folder = package(tmp_path / "steadygan", data__cache="from steadygan.data import Source")
    (folder / "data" / "__init__.py").write_text("from .cache import Source\n")
    assert [line.startswith("circle: ") for line in check.violations(folder)] == [True]


def test_a_long_function_and_a_long_file_are_found(tmp_path: Path) -> None:
    body = "".join(f"    x = {index}\n" for index in range(check.FUNCTION_LINES))
    long_function = package(tmp_path / "one" / "steadygan", config=f"def long():\n{body}")
    assert "long has 61 lines" in check.violations(long_function)[0]
    just_fits = package(tmp_path / "two" / "steadygan", config=f"def fits():\n{body}".rsplit("    x", 1)[0])
    assert check.violations(just_fits) == []
    long_file = package(tmp_path / "three" / "steadygan", config="x = 1\n" * (check.FILE_LINES + 1))
    assert "451 lines" in check.violations(long_file)[0]


def test_the_exit_status_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = package(tmp_path / "good" / "steadygan", errors="", config="import steadygan.errors")
    assert check.main([str(good)]) == 0
    bad = package(tmp_path / "bad" / "steadygan", errors="import steadygan.config", config="")
    capsys.readouterr()
    assert check.main([str(bad)]) == 1
    assert "steadygan.errors imports steadygan.config" in capsys.readouterr().out
