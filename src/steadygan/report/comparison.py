"""The report on several runs: a page that puts them side by side."""

from __future__ import annotations

from collections.abc import Sequence

from steadygan.errors import SteadyganError
from steadygan.evaluation.comparison import Row, compare_values
from steadygan.evaluation.metrics_table import column
from steadygan.evaluation.protocol import Value
from steadygan.report import figures, parts
from steadygan.report.frame import page, state
from steadygan.report.html import Content, Html, folded, markup, pairs, section, table, tag
from steadygan.report.page import notes
from steadygan.report.reading import RunFiles
from steadygan.report.series import DISTANCE, UNITS, VARIETY, WINS, Chart, overlaid, points
from steadygan.report.stills import still
from steadygan.report.verdict import Verdict, verdict

SIGNALS = {
    "health/distance": (DISTANCE, UNITS[DISTANCE]),
    "health/diversity": (VARIETY, UNITS[VARIETY]),
    "discriminator/win_rate": (WINS, UNITS[WINS]),
    "generator/loss": ("Loss of the generator", "mean of a batch"),
    "discriminator/loss": ("Loss of the discriminator", "mean of a batch"),
}
"""What is drawn of all runs in one panel, with its title and unit."""
SIDE = 560
"""Longest side in pixels of a run's samples."""


def comparison_page(runs: Sequence[RunFiles]) -> str:
    """The whole page on several runs, as the text of an HTML file. Runs of one name are told apart by their folders."""
    names = _names(runs)
    verdicts = [verdict(run) for run in runs]
    cards = [_card(*one) for one in zip(runs, names, verdicts, strict=True)]
    head = (
        tag("p", "steadygan report", class_="eyebrow"),
        tag("h1", f"{len(runs)} runs side by side"),
        tag("div", *cards, class_="runs"),
    )
    return page(
        f"{len(runs)} runs: steadygan report",
        head,
        ("verdicts", "How they went", _verdicts(names, verdicts)),
        ("quality", "How good they are", _quality(runs, names)),
        ("course", "Curves", _curves(runs, names)),
        ("settings", "What differs", _settings(runs, names)),
        ("again", "Again", _again(runs, names)),
        closing="This file holds all that it shows and fetches nothing.",
    )


def _names(runs: Sequence[RunFiles]) -> list[str]:
    """Names of folders, with as much of their paths as it takes to tell them apart."""
    ways = [run.path.resolve().parts for run in runs]
    depth = 1
    while len({way[-depth:] for way in ways}) < len(ways) and depth < max(map(len, ways)):
        depth += 1
    names = ["/".join(way[-depth:]) for way in ways]
    return [f"{name} ({i + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _card(run: RunFiles, name: str, found: Verdict) -> Html:
    shown = still(run.grids[-1], SIDE) if run.grids else None
    what = f"{run.config.get('recipe') or 'a run'} · {run.images_seen:,} of {run.total:,} images"
    body = (
        parts.picture(shown, f"Samples of {name} after {shown.images_seen:,} images")
        if shown
        else tag("p", "No samples yet.", class_="quiet")
    )
    return tag(
        "article", tag("h2", name), state(found), body, tag("p", what, class_="quiet"), notes(run), class_="card"
    )


def _verdicts(names: Sequence[str], verdicts: Sequence[Verdict]) -> Html:
    """Each question with the answers of all runs."""
    asked = dict.fromkeys(question for one in verdicts for question, _ in one.points)
    rows = [(question, *(dict(one.points).get(question, "–") for one in verdicts)) for question in asked]
    return section("How they went", table(("question", *names), rows, "Verdicts side by side", "side"), id="verdicts")


def _quality(runs: Sequence[RunFiles], names: Sequence[str]) -> Html:
    """A row for every metric whose values are on one scale; for others it is said why not."""
    try:
        rows = compare_values([run.metrics for run in runs])
    except SteadyganError as error:
        return section("How good they are", tag("p", f"Not compared: {error}."), id="quality")
    if not rows:
        words = ("Nothing has been measured yet. Measure each with ", tag("code", "steadygan evaluate RUN"), ".")
        return section("How good they are", tag("p", *words), id="quality")
    body = [(row.metric, *map(_cell, row.cells), _better(row)) for row in rows if row.comparable]
    lead = "Values with the same protocol only; floors are what other real images score."
    return section(
        "How good they are",
        table(("metric", *names, "better"), body, "Measured values side by side") if body else None,
        _warnings(rows),
        id="quality",
        lead=lead,
    )


def _better(row: Row) -> str:
    known = column(row.metric)
    return known.better if known else ""


def _cell(value: Value | None) -> Content:
    if value is None:
        return "–"
    said = parts.figure(value.value, value.spread if value.spread is not None else value.error)
    return said if value.floor is None else (said, tag("span", f" floor {parts.figure(value.floor)}", class_="quiet"))


def _warnings(rows: Sequence[Row]) -> Html:
    apart = [
        f"{row.metric} is not compared, the protocols differ: {'; '.join(row.differences)}."
        for row in rows
        if not row.comparable
    ]
    remarks = dict.fromkeys(remark for row in rows for remark in row.remarks)
    lines = [*apart, *(f"Note: {remark}." for remark in remarks)]
    return tag("div", *(tag("p", line) for line in lines), class_="notes", role="note") if lines else Html("")


def _curves(runs: Sequence[RunFiles], names: Sequence[str]) -> Html:
    end = max((float(run.images_seen) for run in runs), default=0.0)
    data = Chart([], [], {}, end)
    shown = [
        figures.panel(one, data, caption=parts.EXPLAINED.get(title, ""))
        for signal, (title, unit) in SIGNALS.items()
        for one in overlaid(title, unit, {n: points(run.records, signal) for n, run in zip(names, runs, strict=True)})
    ]
    return section("Curves", tag("div", *shown, class_="panels") if shown else None, id="course")


def _settings(runs: Sequence[RunFiles], names: Sequence[str]) -> Html:
    """The settings that are not the same in all runs."""
    found = [dict(parts.flattened(run.config)) for run in runs]
    keys = dict.fromkeys(key for one in found for key in one)
    rows = [(key, *(one.get(key, "–") for one in found)) for key in keys if len({one.get(key) for one in found}) > 1]
    if not rows:
        return section("What differs", tag("p", "Nothing: all settings are the same."), id="settings")
    return section("What differs", table(("setting", *names), rows, "Settings that differ", "side"), id="settings")


def _again(runs: Sequence[RunFiles], names: Sequence[str]) -> Html:
    known = [(name, run.command) for name, run in zip(names, runs, strict=True) if run.command]
    lines = [markup(tag("h3", name), tag("pre", tag("code", command), tabindex=0)) for name, command in known]
    where = pairs((name, str(run.path)) for name, run in zip(names, runs, strict=True))
    return section("Make them again", *lines, folded("Where they are", where), id="again")
