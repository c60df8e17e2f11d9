"""From records to panels: which signals are drawn together, smoothed and thinned to what an eye can see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

CLOCK = frozenset({"images_seen", "round", "attempt", "format"})
"""Keys of a record that say where it stands and are not drawn."""
POINTS = 600
"""Largest number of points a line is drawn with."""
LINES = 6
"""Largest number of lines a panel holds; more go to the next one."""
UNITS = {
    "Losses": "mean of a batch",
    "Logits": "mean of a batch",
    "Gradient norms": "over all weights",
    "Penalties and auxiliary terms": "before weighting",
    "Seconds": "s",
    "Images per second": "images/s",
}
DISTANCE, VARIETY, WINS = "Distance to the real images", "Variety of the samples", "Win rate"
UNITS |= {
    DISTANCE: "0 real, 1 blank",
    VARIETY: "1 as real images",
    WINS: "share of pairs, ½ by chance",
    "Movement of fixed samples": "the reals' spread",
    "Kinds that are missed": "share of kinds",
    "Slope of the discriminator": "logits",
    "Largest gain of a layer": "singular value",
    "Copies of training images": "share beyond chance",
    "Learned by heart": "share of the lead",
    "Fine squares": "dB above reals",
    "Fine scales": "dB off",
    "Lead on unseen images": "standard deviations",
    "Separation": "standard deviations",
}
ORDER = (DISTANCE, VARIETY, WINS, "Losses", "Logits", "Gradient norms", "Penalties and auxiliary terms")
CHECK_UP = {
    "distance": (DISTANCE, "samples"),
    "distance_floor": (DISTANCE, "other real images"),
    "diversity": (VARIETY, "averaged generator"),
    "raw_diversity": (VARIETY, "generator"),
    "displacement": ("Movement of fixed samples", "samples"),
    "empty_clusters": ("Kinds that are missed", "never made"),
    "uneven_clusters": ("Kinds that are missed", "too often or too rarely"),
    "gradient_real": ("Slope of the discriminator", "real"),
    "gradient_fake": ("Slope of the discriminator", "fake"),
    "spectral.generator": ("Largest gain of a layer", "generator"),
    "spectral.discriminator": ("Largest gain of a layer", "discriminator"),
    "copies": ("Copies of training images", "samples"),
    "overfitting": ("Learned by heart", "discriminator"),
    "held_out_margin": ("Lead on unseen images", "discriminator"),
    "checkerboard": ("Fine squares", "samples"),
    "bands": ("Fine scales", "samples"),
}
"""Panel and line of signals of a check-up."""
ASIDE = ("_floor", "_floor_spread", "_error", "_z")
"""Endings of what belongs to another signal of a check-up and is not drawn by itself."""


@dataclass
class Line:
    """One signal: its clock, its values as recorded, and smoothed; NaN is a gap."""

    name: str
    x: Values
    y: Values
    smooth: Values
    broken: Values
    """Clock at values that were not finite."""
    abandoned: NDArray[np.bool_]
    """Points that a rollback took back: their smooth value is a gap."""


@dataclass
class Panel:
    """Signals of one kind, drawn in one frame."""

    title: str
    unit: str = ""
    log: bool = False
    y_range: tuple[float, float] = (0.0, 1.0)
    lines: list[Line] = field(default_factory=list)


@dataclass
class Chart:
    """Everything that is drawn: panels, the clock at which each retry began, and the controls that never moved."""

    panels: list[Panel]
    retries: list[float]
    constants: dict[str, float]
    end: float


def chart(records: Iterable[Mapping[str, Any]]) -> Chart:
    """Sort the signals of all records into panels.

    Losses, logits, gradient norms, and penalties with auxiliary terms come first, then other signals by the last
    part of their name, then the controls that moved. A line is broken where a rollback began another attempt.
    """
    rows = [row for row in records if _is_number(row.get("images_seen"))]
    columns: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        for key, value in row.items():
            if key not in CLOCK and (value is None or _is_number(value)):
                number = math.nan if value is None else float(value)
                columns.setdefault(key, []).append((float(row["images_seen"]), number, float(row.get("attempt") or 0)))
    columns = dict(sorted(columns.items(), key=lambda item: _place_in_panel(item[0])))
    still = {key for key, data in columns.items() if _is_constant(key, data)}
    constants = {
        key.removeprefix("control/"): columns[key][0][1] for key in columns if key in still and not _aside(key)
    }
    groups: dict[str, list[Line]] = {}
    for key, data in columns.items():
        if key not in still and not _aside(key) and not all(math.isnan(value) for _, value, _ in data):
            title, name = _place(key)
            groups.setdefault(title, []).append(_line(name, np.array(data, np.float64)))
    panels = [panel for title in sorted(groups, key=_rank) for panel in _panels(title, groups[title])]
    clock = [float(row["images_seen"]) for row in rows] or [0.0]
    attempts = [float(row.get("attempt") or 0) for row in rows]
    retries = [clock[i] for i in range(1, len(rows)) if attempts[i] > attempts[i - 1]]
    return Chart(panels, retries, constants, max(clock))


def overlaid(title: str, unit: str, columns: Mapping[str, Sequence[tuple[float, float, float]]]) -> list[Panel]:
    """One signal of several runs in one panel, or in more where there are many.

    Args:
        title: of the panel.
        unit: of the values.
        columns: by run, its points: clock, value and attempt.
    """
    known = {name: data for name, data in columns.items() if any(math.isfinite(value) for _, value, _ in data)}
    panels = _panels(title, [_line(name, np.array(data, np.float64)) for name, data in known.items()]) if known else []
    return [Panel(panel.title, unit, panel.log, panel.y_range, panel.lines) for panel in panels]


def points(records: Iterable[Mapping[str, Any]], key: str) -> list[tuple[float, float, float]]:
    """Clock, value and attempt wherever the records have this signal."""
    return [
        (float(row["images_seen"]), math.nan if row[key] is None else float(row[key]), float(row.get("attempt") or 0))
        for row in records
        if _is_number(row.get("images_seen")) and key in row and (row[key] is None or _is_number(row[key]))
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_constant(key: str, data: list[tuple[float, float, float]]) -> bool:
    """Controls that never moved, and what check-ups found to be the same all the time, beside what is drawn with it."""
    kind, _, name = key.partition("/")
    may_stand_still = kind == "control" or (kind == "health" and name not in CHECK_UP)
    return may_stand_still and len({value for _, value, _ in data}) == 1


def _place_in_panel(key: str) -> int:
    """Lines of check-ups stand in the order of their table; all others as the records have them."""
    kind, _, name = key.partition("/")
    return list(CHECK_UP).index(name) if kind == "health" and name in CHECK_UP else -1


def _aside(key: str) -> bool:
    kind, _, name = key.partition("/")
    return kind == "health" and name not in CHECK_UP and name.endswith(ASIDE)


def _place(key: str) -> tuple[str, str]:
    """Title of the panel and name of the line for one signal."""
    head, slash, tail = key.partition("/")
    if not slash:
        return _said(head), _said(head).lower()
    if head == "control":
        family, _, rest = tail.partition(".")
        return f"Control: {family.replace('_', ' ')}", (rest or family).replace("_", " ")
    if head == "health":
        return CHECK_UP.get(tail, (_said(tail), "samples"))
    if head in ("penalty", "auxiliary"):
        return "Penalties and auxiliary terms", tail.replace("_", " ")
    if tail == "loss":
        return "Losses", head
    if tail.endswith("logits"):
        return "Logits", tail.removesuffix("logits").strip("_").replace("_", " ") or head
    if tail == "gradient_norm":
        return "Gradient norms", head
    return _said(tail), head


def _said(name: str) -> str:
    words = name.replace("_", " ").replace("/", " ")
    return words[:1].upper() + words[1:]


def _rank(title: str) -> tuple[int, str]:
    if title in ORDER:
        return ORDER.index(title), ""
    return len(ORDER) + title.startswith("Control: "), title


def _panels(title: str, lines: list[Line]) -> list[Panel]:
    values = np.concatenate([line.y for line in lines])
    values = values[np.isfinite(values)]
    log = bool(values.size) and bool(values.min() > 0) and _decades(values) > 2
    y_range = _y_range(values, log)
    for line in lines:
        # Outliers are cut to the visible range first, or one of them would bend the line for a thirtieth of its length.
        seen = np.clip(line.y, *y_range)
        line.smooth = np.exp(_smooth(np.log(seen))) if log else _smooth(seen)
        if line.abandoned.any():
            line.smooth = np.where(line.abandoned, np.nan, line.smooth)
        _thin(line)
    parts = [lines[i : i + LINES] for i in range(0, len(lines), LINES)]
    return [
        Panel(title if not i else f"{title} ({i + 1})", UNITS.get(title, ""), log, y_range, part)
        for i, part in enumerate(parts)
    ]


def _decades(values: Values) -> float:
    low, high = np.percentile(values, [2, 98])
    return math.log10(high / low)


def _y_range(values: Values, log: bool) -> tuple[float, float]:
    """All values, unless the outermost hundredth at either end would squeeze the rest."""
    values = np.log10(values) if log else values
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(value) for value in np.percentile(values, [1, 99]))
    if high - low > 1.6 * (inner_high - inner_low) > 0:
        low, high = inner_low, inner_high
    air = (high - low) * 0.06 or max(abs(high) * 0.1, 1e-3)
    if log:
        return 10 ** (low - air), 10 ** (high + air)
    return (0.0 if 0 <= low < 0.3 * high else low - air), high + air


def _line(name: str, data: Values) -> Line:
    """Columns of ``data``: clock, value, attempt. A gap is put in where the attempt changes."""
    x, y, attempt = data.T
    broken = x[~np.isfinite(y)]
    breaks = np.flatnonzero(np.diff(attempt) > 0) + 1
    abandoned = np.zeros(len(x), dtype=np.bool_)
    for begin in breaks:
        abandoned[:begin] |= x[:begin] >= x[begin]
    y = np.insert(np.where(np.isfinite(y), y, np.nan), breaks, np.nan)
    return Line(name, np.insert(x, breaks, x[breaks]), y, y, broken, np.insert(abandoned, breaks, True))


def _smooth(y: Values) -> Values:
    """Centred mean under a bell of about a thirtieth of the line, within each stretch between gaps."""
    half = len(y) // 30
    if half < 1:
        return y
    bell = np.hanning(2 * half + 3)[1:-1]
    known = np.isfinite(y)
    result = np.full_like(y, np.nan)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        part = y[begin:end]
        # "full" and cut by hand: "same" answers with the bell's length where the stretch is the shorter one.
        total = np.convolve(part, bell)[half : half + len(part)]
        result[begin:end] = total / np.convolve(np.ones_like(part), bell)[half : half + len(part)]
    return result


def _thin(line: Line) -> None:
    """Keep the lowest and the highest value of each of POINTS / 2 stretches: no spike is lost."""
    count = len(line.x)
    if count <= POINTS:
        return
    keep: set[int] = set()
    for part in np.array_split(np.arange(count), POINTS // 2):
        known = part[np.isfinite(line.y[part])]
        keep |= (
            {int(known[line.y[known].argmin()]), int(known[line.y[known].argmax()])} if len(known) else {int(part[0])}
        )
    index = np.array(sorted(keep))
    line.x, line.y, line.smooth = line.x[index], line.y[index], line.smooth[index]
