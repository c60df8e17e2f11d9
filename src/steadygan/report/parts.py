"""Parts of the page about one run; each is empty where the folder has nothing for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from steadygan.evaluation.metrics_table import column
from steadygan.report import figures
from steadygan.report.html import Content, Html, folded, markup, pairs, section, table, tag
from steadygan.report.reading import EXAMPLES, NEIGHBOURS, OVERVIEW, PAIRS, RunFiles
from steadygan.report.series import DISTANCE, VARIETY, WINS, Chart, chart
from steadygan.report.stills import Still, frames, still
from steadygan.report.stories import KINDS, said

LEADING = (DISTANCE, VARIETY, WINS, "Losses")
"""Panels that are shown at once; the others are folded away."""
EXPLAINED = {
    DISTANCE: "How far samples are from the real images, looked at from outside. It should fall.",
    VARIETY: "How different samples are from each other. Far below 1 the generator repeats itself.",
    WINS: "How often the discriminator tells real from fake. At ½ it can only guess, at 1 the generator fools nobody.",
    "Losses": "What the two players minimise. They work against each other, so neither need fall in a healthy run.",
}
SHOWN = 30
"""Rows of a long list that are shown; the rest is counted."""
KEY = (
    ("diagnosis", "something was seen"),
    ("intervention", "something was done (the bar shows how far the game went back)"),
    ("helped", "it helped"),
    ("not-helped", "it did not help"),
    ("receded", "no longer seen"),
    ("other", "something else"),
)


def picture(one: Still, words: str, class_: str = "", **further: str | bool | int | None) -> Html:
    """A picture with the words that stand for it."""
    width, height = one.size
    return tag("img", src=one.address, alt=words, width=width, height=height, class_=class_ or None, **further)


def samples(run: RunFiles) -> Html:
    """The newest grid, and the same latents over time."""
    last = next((found for path in reversed(run.grids) if (found := still(path))), None)
    film = frames(run.grids)
    if last is None:
        return Html("")
    now = tag(
        "figure",
        picture(last, f"Grid of samples after {last.images_seen:,} images"),
        tag("figcaption", f"Samples of the averaged generator after {last.images_seen:,} images, not chosen."),
    )
    return section("What it makes", tag("div", now, _film(film), class_="pictures"), id="samples")


def _film(film: Sequence[Still]) -> Html:
    if len(film) < 2:
        return Html("")
    pictures = [
        picture(
            one,
            f"The same latents after {one.images_seen:,} images",
            hidden=number < len(film) - 1,
            data_seen=f"{one.images_seen:,}",
        )
        for number, one in enumerate(film)
    ]
    slider = tag("input", type="range", min=0, max=len(film) - 1, value=len(film) - 1, aria_label="Images seen")
    controls = tag("div", slider, tag("button", "Play", type="button"), tag("output"), class_="controls", hidden=True)
    caption = "The same latents over time: move the slider, or use the arrow keys."
    return tag("figure", *pictures, controls, tag("figcaption", caption), class_="film")


def quality(run: RunFiles) -> Html:
    """Measured values, each with its floor and protocol."""
    newest = {str(line["metric"]): line for line in run.metrics if "metric" in line}
    if not newest:
        words = ("Nothing has been measured yet. Do it with ", tag("code", f"steadygan evaluate {run.path}"), ".")
        return section("How good it is", tag("p", *words), id="quality")
    rows = [_metric(line) for line in newest.values()]
    protocols = {str(line.get("protocol_hash", "")): line.get("protocol") for line in newest.values()}
    told = [
        folded(f"Protocol {name}", tag("p", _protocol(one), class_="quiet")) for name, one in protocols.items() if one
    ]
    head = ("metric", "value", "real against real", "better", "what it says", "measured at", "protocol")
    lead = "A value means little alone: beside it stands what real images score against other real images."
    data = chart(measured_records(run))
    over_time = [figures.panel(one, data) for one in data.panels]
    return section(
        "How good it is",
        table(head, rows, "Newest value of each metric"),
        tag("div", *over_time, class_="panels") if over_time else None,
        *told,
        id="quality",
        lead=lead,
    )


def _metric(line: Mapping[str, Any]) -> tuple[Content, ...]:
    known = column(str(line["metric"]))
    return (
        str(line["metric"]),
        figure(line.get("value"), line.get("spread") if line.get("spread") is not None else line.get("error")),
        figure(line.get("floor")),
        known.better if known else "",
        known.about if known else "",
        whole(line.get("images_seen")),
        str(line.get("protocol_hash", "")),
    )


def figure(value: Any, off: Any = None) -> str:
    """A number in four digits, with what it may be off by; a dash where there is none."""
    if not isinstance(value, (int, float)):
        return "–"
    return f"{value:.4g} ± {off:.2g}" if isinstance(off, (int, float)) else f"{value:.4g}"


def _protocol(one: Any) -> str:
    return "; ".join(f"{key}: {value}" for key, value in one.items()) if isinstance(one, dict) else str(one)


def measured_records(run: RunFiles) -> list[dict[str, Any]]:
    """Metrics that were measured more than once, as records that can be drawn."""
    times: dict[str, int] = {}
    for line in run.metrics:
        times[str(line.get("metric"))] = times.get(str(line.get("metric")), 0) + 1
    return [
        {"images_seen": line["images_seen"], f"samples/{line['metric']}": line.get("value")}
        | ({f"other real images/{line['metric']}": line["floor"]} if line.get("floor") is not None else {})
        for line in run.metrics
        if times[str(line.get("metric"))] > 1 and isinstance(line.get("images_seen"), int)
    ]


def course(run: RunFiles) -> Html:
    """Curves with what happened marked on them, and the same as a table."""
    data = chart(run.records)
    # where records were lost, events may lie behind the last one
    data.end = max([data.end, *(float(event["images_seen"]) for event in run.events)])
    first = sorted((one for one in data.panels if one.title in LEADING), key=lambda one: LEADING.index(one.title))
    rest = [one for one in data.panels if one.title not in LEADING]
    shown = [figures.panel(one, data, run.events, run.knowledge, EXPLAINED[one.title]) for one in first]
    others = [figures.panel(one, data, run.events, run.knowledge) for one in rest]
    return section(
        "How it went",
        happened(run, data),
        tag("div", *shown, class_="panels") if shown else None,
        tag("p", "Thin lines are values as recorded, thick ones smoothed; dashed lines are rollbacks.", class_="quiet")
        if shown
        else None,
        folded(f"All other signals ({len(rest)})", tag("div", *others, class_="panels")) if others else None,
        id="course",
    )


def happened(run: RunFiles, data: Chart) -> Html:
    """The timeline with its key, and a table that says the same."""
    if not run.events:
        return Html("")
    used = {figures.shape_of(event) for event in run.events}
    key = [tag("li", _sign(shape), words) for shape, words in KEY if shape in used]
    rows = [
        (
            f"{event['images_seen']:,}",
            tag("span", KINDS.get(str(event["kind"]), str(event["kind"])), class_="kind"),
            said(event, run.knowledge),
        )
        for event in run.events
    ]
    return markup(
        figures.timeline(run.events, data.end, run.knowledge),
        tag("ul", *key, class_="key"),
        folded(
            f"The same as a table ({len(rows)})",
            table(("images seen", "what", "in words"), rows, "What health saw and did, in order", "events"),
        ),
    )


def _sign(shape: str) -> Html:
    path = f'<path d="{figures.SHAPES[shape]}"/>'
    return Html(f'<svg viewBox="-8 -8 16 16" class="mark {shape}" aria-hidden="true">{path}</svg>')


def whole(value: Any) -> str:
    """A count as people write it; a dash for what is none."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else "–"


def neighbours(run: RunFiles) -> Html:
    """Samples beside the training images that are nearest to them."""
    shown = still(run.path / PAIRS) if (run.path / PAIRS).is_file() else None
    found = run.neighbours
    if not found or shown is None:
        why = run.knowledge.missing.get(NEIGHBOURS, "the run has not written them")
        return section("Nearest real images", tag("p", f"Not shown: {why}."), id="neighbours")
    words = (
        "Above are samples, below each the training image that is nearest to it. Alike is what they should be; "
        "the same, over and over, would mean that the generator has learned images by heart."
    )
    among = f"{whole(found.get('searched'))} of {whole(found.get('training'))} training images"
    caption = (
        f"Compared by {found.get('space', 'pixels')} with {among}, after {whole(found.get('images_seen'))} images."
    )
    pictures = tag(
        "figure", picture(shown, "Samples above their nearest training images", "still"), tag("figcaption", caption)
    )
    return section("Nearest real images", pictures, id="neighbours", lead=words)


def data(run: RunFiles) -> Html:
    """The data set: what is in it, some of it, and what could not be read."""
    found = run.overview
    parts: list[Content] = []
    if found:
        parts.append(pairs(_data_facts(found), "facts"))
        if shown := (still(run.path / EXAMPLES) if (run.path / EXAMPLES).is_file() else None):
            caption = tag(
                "figcaption",
                "Some of the training images" + (", the classes in turns." if found.get("classes") else "."),
            )
            parts.append(tag("figure", picture(shown, "Some of the training images", "still"), caption, class_="few"))
        if isinstance(found.get("counts"), dict) and found["counts"]:
            rows = [(str(name), whole(count)) for name, count in list(found["counts"].items())[:SHOWN]]
            parts.append(
                folded(f"Classes ({len(found['counts'])})", table(("class", "images"), rows, "Images of each class"))
            )
        facts = found.get("facts")
        if isinstance(facts, dict) and facts:
            parts.append(folded("What was found and done to it", settings_list(facts)))
    else:
        why = run.knowledge.missing.get(OVERVIEW, "the run has not written them")
        parts.append(tag("p", f"Its figures are not shown: {why}."))
    return section("What it learned from", *parts, quarantine(run), id="data")


def _data_facts(found: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    shape = found.get("shape")
    if isinstance(shape, list) and len(shape) == 3:
        yield "size", f"{shape[2]} × {shape[1]}"
        yield "channels", f"{shape[0]}"
    for key, name in (
        ("train", "for training"),
        ("held_out", "kept back"),
        ("classes", "classes"),
        ("quarantined", "unreadable"),
    ):
        if isinstance(found.get(key), int):
            yield name, whole(found[key])


def quarantine(run: RunFiles) -> Html:
    """Files that could not be read, with the reason."""
    if not run.quarantine:
        return Html("")
    rows = list(run.quarantine[:SHOWN])
    more = len(run.quarantine) - len(rows)
    return folded(
        f"Files that could not be read ({len(run.quarantine):,})",
        table(("file", "why"), rows, "Left out of the data"),
        tag("p", f"And {more:,} more, in quarantine.csv.", class_="quiet") if more else None,
    )


def settings_list(tree: Mapping[str, Any]) -> Html:
    """Nested settings as a list of dotted names and values."""
    return pairs(((name, value) for name, value in flattened(tree)), "settings")


def flattened(tree: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """Dotted names and values of a nested table."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from flattened(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)


def made_with(run: RunFiles) -> Html:
    """Settings and environment, folded away."""
    sittings = [
        folded(
            f"Environment of sitting {number}, from {whole(one.get('images_seen'))} images on",
            settings_list(
                {key: " ".join(map(str, value)) if isinstance(value, list) else value for key, value in one.items()}
            ),
        )
        for number, one in enumerate(run.sittings, 1)
    ]
    return section("Made with", folded("Settings", settings_list(run.config)), *sittings, id="made-with")


def again(run: RunFiles) -> Html:
    """The exact command, and how to cite."""
    version = str(run.sittings[0].get("steadygan", "")) if run.sittings else ""
    parts: list[Content] = []
    if run.command:
        parts.append(tag("p", "This makes the same run, on the same data and machine in the same bits:"))
        parts.append(tag("pre", tag("code", run.command, id="command"), class_="command"))
        parts.append(tag("button", "Copy", type="button", data_copy="command", hidden=True))
    elif run.sittings and isinstance(run.sittings[0].get("command"), list):
        command = " ".join(map(str, run.sittings[0]["command"]))
        parts.append(tag("p", "It was started as follows; all settings stand in config.json:"))
        parts.append(tag("pre", tag("code", command, id="command"), class_="command"))
    cite = (
        "@software{steadygan,\n  title   = {steadygan: training generative adversarial networks without babysitting},\n"
        f"  author  = {{{{The steadygan authors}}}},\n  version = {{{version}}}\n}}"
    )
    parts += [
        tag("h3", "How to cite"),
        tag("p", "Name the version, and with every measured value its protocol."),
        tag("pre", tag("code", cite), tabindex=0),
    ]
    return section("Make it again, and cite it", *parts, id="again")
