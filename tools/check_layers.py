"""Checks the house: imports point down only, nothing imports in a circle, functions and files stay short.

Run as ``python tools/check_layers.py [PACKAGE_FOLDER]``; prints one line a violation, exits 1 where there is one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = "steadygan"

LAYERS = {
    "errors": -1,
    "config": 0,
    "runtime": 0,
    "data": 1,
    "networks": 1,
    "objectives": 1,
    "game": 2,
    "evaluation": 2,
    "interpretability": 2,
    "studio": 3,
    "serving": 3,
    "report": 3,
    "health": 3,
    "games": 3,
    "applications": 3,
    "recipes": 4,
    "session": 4,
    "api": 5,
    "cli": 6,
    "__main__": 6,
}
"""Layer of every folder and file at the top of the package: an import goes to a lower one."""

ALLOWED = {("__main__", "cli")}
"""Imports inside one layer that are meant: who imports, and what."""

FUNCTION_LINES = 60
FILE_LINES = 450


class Import:
    """One import inside the package: from which module, of which, and where it stands."""

    def __init__(self, source: str, target: str, path: Path, line: int) -> None:
        self.source = source
        self.target = target
        self.path = path
        self.line = line


def member(module: str) -> str:
    """The folder or file at the top of the package that a module belongs to; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def modules(folder: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join((PACKAGE, *parts))] = path
    return found


def imports(folder: Path) -> Iterator[Import]:
    """Every import of one module of the package by another, those inside functions and for types included."""
    known = modules(folder)
    for source, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            for target in _targets(node, source, path.name == "__init__.py", known):
                if target != source:
                    yield Import(source, target, path, getattr(node, "lineno", 0))


def _targets(node: ast.AST, source: str, is_package: bool, known: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == PACKAGE:
                yield alias.name
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = source.split(".") if is_package else source.split(".")[:-1]
            parts = parts[: len(parts) - (node.level - 1)]
            base = ".".join([*parts, *([node.module] if node.module else [])])
        if base.split(".")[0] == PACKAGE:
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner != f"{PACKAGE}.__version__":  # the one thing that the top itself holds
                    yield inner if inner in known else base


def layer_violations(folder: Path) -> list[str]:
    """Imports that point up or sideways, and members of the package without a layer."""
    names = {member(module) for module in modules(folder)} - {""}
    found = [f"{name}: has no layer, add it to LAYERS in tools/check_layers.py" for name in sorted(names - set(LAYERS))]
    for each in imports(folder):
        source, target = member(each.source), member(each.target)
        # The package's own __init__ is lazy: it may name anything, and nothing may import it back.
        if not source or source == target or source not in LAYERS or (source, target) in ALLOWED:
            continue
        place = f"{each.path}:{each.line}: {each.source} imports {each.target}"
        if not target:
            found.append(f"{place}, the top of the package: import the module itself")
        elif target not in LAYERS:
            found.append(f"{place}, which is not there")
        elif LAYERS[target] > LAYERS[source]:
            found.append(f"{place}, which points up from layer {LAYERS[source]} to layer {LAYERS[target]}")
        elif LAYERS[target] == LAYERS[source]:
            found.append(f"{place}, which is of the same layer {LAYERS[source]}")
    return found


def circles(folder: Path) -> list[str]:
    """Modules that import one another in a circle, each circle once."""
    arrows: dict[str, set[str]] = {}
    for each in imports(folder):
        if each.source != PACKAGE:
            arrows.setdefault(each.source, set()).add(each.target)
    done: set[str] = set()
    found: dict[frozenset[str], str] = {}

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            ring = trail[trail.index(module) :]
            found.setdefault(frozenset(ring), "circle: " + " -> ".join([*ring, module]))
            return
        if module in done:
            return
        for target in sorted(arrows.get(module, ())):
            visit(target, [*trail, module])
        done.add(module)

    for module in sorted(arrows):
        visit(module, [])
    return sorted(found.values())


def length_violations(paths: Iterable[Path]) -> list[str]:
    """Functions longer than FUNCTION_LINES and files longer than FILE_LINES, docstrings counted in."""
    found = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > FILE_LINES:
            found.append(f"{path}: {lines} lines, more than {FILE_LINES}")
        for node in ast.walk(ast.parse(text, str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                long = (node.end_lineno or node.lineno) - node.lineno + 1
                if long > FUNCTION_LINES:
                    found.append(f"{path}:{node.lineno}: {node.name} has {long} lines, more than {FUNCTION_LINES}")
    return found


def violations(folder: Path) -> list[str]:
    """Everything that is wrong with the package in ``folder``, one line each."""
    return [*layer_violations(folder), *circles(folder), *length_violations(modules(folder).values())]


def main(arguments: list[str]) -> int:
    """Check one package folder; the exit status."""
    folder = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1] / "src" / PACKAGE
    found = violations(folder)
    for line in found:
        print(line)
    print(f"layers: {len(modules(folder))} modules, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
