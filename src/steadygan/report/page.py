"""The report on one run: a page in one file."""

from __future__ import annotations

from steadygan.report import parts
from steadygan.report.frame import page, state
from steadygan.report.html import Html, pairs, tag
from steadygan.report.reading import RunFiles
from steadygan.report.verdict import verdict


def run_page(run: RunFiles) -> str:
    """The whole report on a run, as the text of an HTML file."""
    found = verdict(run)
    what = f"{run.config.get('recipe') or 'a run'} on {_data_name(run)}"
    head = (
        tag("p", f"steadygan report · {what}", class_="eyebrow"),
        tag("h1", run.name),
        tag("div", state(found), pairs(found.points), class_="verdict"),
        notes(run),
    )
    return page(
        f"{run.name}: steadygan report",
        head,
        ("samples", "What it makes", parts.samples(run)),
        ("quality", "How good it is", parts.quality(run)),
        ("course", "How it went", parts.course(run)),
        ("neighbours", "Nearest real images", parts.neighbours(run)),
        ("data", "Data", parts.data(run)),
        ("made-with", "Settings", parts.made_with(run)),
        ("again", "Again", parts.again(run)),
        closing=f"Made by steadygan report {run.path}. This file holds all that it shows and fetches nothing.",
    )


def notes(run: RunFiles) -> Html:
    """What is missing or damaged, said on top."""
    if not run.notes:
        return Html("")
    return tag("div", *(tag("p", note) for note in run.notes), class_="notes", role="note")


def _data_name(run: RunFiles) -> str:
    data = run.config.get("data")
    source = str(data.get("source", "")) if isinstance(data, dict) else ""
    return source.rstrip("/").rpartition("/")[2] or "unknown data"
