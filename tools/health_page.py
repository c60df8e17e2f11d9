"""Fills the tables of docs/health.md from the tables of the code: ``tools/health_page.py [--check]``.

A table stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->``; everything else on the page is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from steadygan.health.diagnoses import DIAGNOSES, Diagnosis
from steadygan.health.foreign import SYNONYMS
from steadygan.health.illnesses import ILLNESSES, Illness
from steadygan.health.interventions import INTERVENTIONS
from steadygan.health.signals import SIGNALS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "health.md"
PICTURES = ROOT / "docs" / "images" / "health"


def code(names: Iterable[str]) -> str:
    """Names as code, joined by commas."""
    return ", ".join(f"`{name}`" for name in names)


def sentence(text: str) -> str:
    """The first paragraph of a text as one that begins with a capital and ends with a full stop."""
    line = " ".join(text.strip().split("\n\n")[0].split()).replace("``", "`")
    return f"{line[:1].upper()}{line[1:].rstrip('.')}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def signals() -> str:
    """Every signal of a check-up."""
    return table(
        ("signal", "unit", "meaning"), ((code([name]), one.unit, one.meaning) for name, one in SIGNALS.items())
    )


def _diagnosis(name: str, one: Diagnosis) -> str:
    when = "every measured record" if one.at == "record" else "every check-up"
    seen = "once" if one.confirm == 1 else f"{one.confirm} times in a row"
    tried = ", then ".join(f"`{remedy}`" for remedy in one.remedies) or "nothing: it is only told of"
    end = " Where nothing helps, the run ends with the best that there is." if one.fatal else ""
    end += " Its cause lies outside the game: only a remedy that reaches it goes back." if one.outside else ""
    return "\n".join(
        [
            f"### `{name}`",
            "",
            sentence(one.meaning),
            "",
            f"- **Sign**: {sentence(one.look.__doc__ or '')} Looked for at {when}; told when it was seen {seen}.",
            f"- **Needs**: {code(need.removeprefix('health/') for need in one.needs)}",
            f"- **Tried**: {tried}.{end}",
            f"- **Advice**: {sentence(one.advice)}",
        ]
    )


def diagnoses() -> str:
    """A section for every diagnosis, the most urgent first."""
    ranked = sorted(DIAGNOSES.items(), key=lambda item: -item[1].urgency)
    return "\n\n".join(_diagnosis(name, one) for name, one in ranked)


def interventions() -> str:
    """Every intervention, with the diagnoses that try it."""
    rows = []
    for name, one in INTERVENTIONS.items():
        used = [diagnosis for diagnosis, each in DIAGNOSES.items() if name in each.remedies]
        rows.append((code([name]), one.meaning, code(used) or "none by itself"))
    return table(("intervention", "what it does", "tried against"), rows)


def illnesses() -> str:
    """Every illness."""
    rows = (
        (code([name]), one.meaning, " / ".join(f"{value:g}" for value in one.parameters), code(one.expected))
        for name, one in ILLNESSES.items()
    )
    return table(("illness", "what is done to the run", "mild / medium / severe", "rightly named"), rows)


def foreign() -> str:
    """Every figure of other programs that is known."""
    return table(
        ("signal", "read from columns named"), ((code([name]), code(known)) for name, known in SYNONYMS.items())
    )


def _seen(name: str, one: Illness) -> str:
    words = (
        f"{sentence(one.meaning)[:-1]}: left untreated, right treated, below the course of both and of a healthy run"
    )
    return "\n".join(
        [
            f"### Ill with `{name}`",
            "",
            f"{sentence(one.meaning)} Rightly named {code(one.expected)}.",
            "",
            f"![{words}](images/health/{name}.png)",
            "",
            f"Made by `python benchmarks/gallery.py --only {name}`.",
        ]
    )


def gallery() -> str:
    """A picture of every illness that there is a picture of."""
    shown = [_seen(name, one) for name, one in ILLNESSES.items() if (PICTURES / f"{name}.png").exists()]
    return "\n\n".join(shown) or "The pictures are made by `python benchmarks/gallery.py`."


PARTS: dict[str, Callable[[], str]] = {
    "signals": signals,
    "diagnoses": diagnoses,
    "interventions": interventions,
    "illnesses": illnesses,
    "foreign": foreign,
    "gallery": gallery,
}
"""What fills which place of the page."""


def filled(text: str) -> str:
    """The page with every part as the code has it now; a place that is missing is an error."""
    for name, part in PARTS.items():
        first, last = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        if text.count(first) != 1 or text.count(last) != 1:
            sys.exit(f"{PAGE} has no one place for {name}: write {first.strip()} and {last.strip()}")
        before, _, rest = text.partition(first)
        text = f"{before}{first}\n{part()}\n{rest[rest.index(last) :]}"
    return text


def main(arguments: list[str]) -> int:
    """Fill the page, or with ``--check`` say whether it is filled as the code gives it; the exit status."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = filled(text)
    if "--check" in arguments:
        if text == wanted:
            return 0
        print("docs/health.md does not match the tables of health: run python tools/health_page.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
