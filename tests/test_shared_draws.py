"""Whatever a round draws is drawn for the whole batch: no bare random numbers in what several processes play."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "steadygan"
PLAYED = ("games", "objectives", "networks", "data/augmentation.py", "health/illness_data.py", "health/guarding.py")
DRAWS = {"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "bernoulli", "multinomial", "normal"}
OF_ALL = {"drawn", "drawn_like"}
BEFORE = {"__init__", "start_smooth", "small_data", "duplicates", "_some"}
"""Functions that draw before a run begins, when every process does the same."""
OWN_LAYERS = {"Dropout": "networks/layers.py", "BatchNorm1d": "networks/normalisations.py",
              "BatchNorm2d": "networks/normalisations.py"}  # fmt: skip


def bare_draws(tree: ast.AST, names: tuple[str, ...] = (), shared: bool = False) -> Iterator[ast.Call]:
    """Calls of torch's random numbers that are neither given a generator nor drawn for the whole batch."""
    for node in ast.iter_child_nodes(tree):
        inside, within = names, shared
        if isinstance(node, ast.FunctionDef):
            inside = (*names, node.name)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            within = shared or node.func.attr in OF_ALL
            torch_s = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
            seeded = any(keyword.arg == "generator" for keyword in node.keywords)
            if torch_s and node.func.attr in DRAWS and not (within or seeded or BEFORE & set(inside)):
                yield node
        yield from bare_draws(node, inside, within)


def files() -> list[Path]:
    found = [SOURCE / place for place in PLAYED]
    return sorted(file for place in found for file in (place.rglob("*.py") if place.is_dir() else [place]))


def test_nothing_is_drawn_for_a_share_alone() -> None:
    bare = {
        f"{file.relative_to(SOURCE)}:{call.lineno}"
        for file in files()
        for call in bare_draws(ast.parse(file.read_text()))
    }
    assert bare == set()


def test_layers_that_look_at_a_batch_are_those_that_know_of_others() -> None:
    found = set()
    for file in files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in OWN_LAYERS and isinstance(node.value, ast.Name):
                found.add((node.attr, str(file.relative_to(SOURCE))))
    assert {(name, file) for name, file in found if OWN_LAYERS[name] != file} == {
        (name, "networks/initialisations.py") for name in ("BatchNorm1d", "BatchNorm2d")
    }


def test_the_check_finds_a_bare_draw() -> None:
    text = (
        "def play(images):\n"
        "    a = torch.randn_like(images)\n"
        "    b = processes.drawn(3, lambda count: torch.rand(count))\n"
        "    c = torch.rand(3, generator=source)\n"
    )
    assert [call.lineno for call in bare_draws(ast.parse(text))] == [2]
