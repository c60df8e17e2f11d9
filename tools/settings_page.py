"""Writes docs/settings.md from config.py, so that no key is undocumented: ``tools/settings_page.py [--check]``."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "src" / "steadygan" / "config.py"
PAGE = ROOT / "docs" / "settings.md"

HEAD = """# Settings

Everything that determines a run stands in its `config.json`, under these keys. `--set key=value` changes any of them,
with dots between the levels, for instance `--set players.generator.network.capacity=48`. A key that does not exist is
an error that names the nearest valid one; nothing is silently ignored.

A setting of type schedule is a value over `images_seen`; a plain number stands for a constant one. See
[the engine](engine.md#controls).

*This page is made by `python tools/settings_page.py` from `config.py`.*
"""


def cell(text: str) -> str:
    """One line of Markdown that can stand in a table."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def shown_default(value: ast.expr | None, constants: dict[str, str]) -> str:
    """The default as a cell: the value as it is written, without the bounds that go with it."""
    if value is None:
        return "must be given"
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func)
        if not (name in ("Field", "constant") and value.args):
            return f"as [{name}](#{name.lower()}) has it"
        value = value.args[0]
    text = ast.unparse(value)
    return f"`{constants.get(text, text)}`"


def bounds(value: ast.expr | None) -> str:
    """The allowed range in words, where there is one."""
    if not (isinstance(value, ast.Call) and ast.unparse(value.func) == "Field"):
        return ""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return ", ".join(f"{words[k.arg]} {ast.unparse(k.value)}" for k in value.keywords if k.arg in words)


def rows(body: list[ast.stmt], constants: dict[str, str]) -> list[str]:
    """A table row for every field of a settings class, with the string that follows it."""
    found = []
    for index, node in enumerate(body):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        after = body[index + 1] if index + 1 < len(body) else None
        said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        kind = ast.unparse(node.annotation).replace("Scheduled", "schedule").replace(" | ", " or ")
        default = shown_default(node.value, constants)
        meaning = "; ".join(part for part in (cell(str(said)).rstrip("."), bounds(node.value)) if part)
        found.append(f"| `{node.target.id}` | `{cell(kind)}` | {cell(default)} | {meaning} |")
    return found


def page(source: str) -> str:
    """The Markdown page for the text of config.py; the whole run first, then its parts."""
    tree = ast.parse(source).body
    classes = [node for node in tree if isinstance(node, ast.ClassDef) and node.name != "Settings"]
    values = [node for node in tree if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    constants = {ast.unparse(node.targets[0]): ast.unparse(node.value) for node in values}
    parts = [HEAD]
    for node in sorted(classes, key=lambda each: each.name != "RunConfig"):
        said = "\n\n".join(" ".join(part.split()) for part in (ast.get_docstring(node) or "").split("\n\n"))
        table = ["| key | type | default | meaning |", "|---|---|---|---|", *rows(node.body, constants)]
        parts.append(f"## {node.name}\n\n{said.replace('``', '`')}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` say whether it is the one that config.py gives; the exit status."""
    text = page(CONFIG.read_text(encoding="utf-8"))
    if "--check" in arguments:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/settings.md does not match config.py: run python tools/settings_page.py")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
