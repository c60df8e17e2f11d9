"""Curves: grouping, smoothing, thinning, ranges, and both forms of the figure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from steadygan.errors import SteadyganError
from steadygan.report.canvas import PillowCanvas, SvgCanvas, mixed, text_width
from steadygan.report.curves import count_in_short, curves, curves_png, number_in_short, ticks
from steadygan.report.series import LINES, POINTS, chart

SVG = "{http://www.w3.org/2000/svg}"


def records(count: int, **signals: Any) -> list[dict[str, Any]]:
    """Records whose signals are functions of the record's number, or constants."""
    return [
        {"images_seen": 64 * (i + 1), "round": i + 1, "attempt": 0}
        | {
            name.replace("__", "/").replace("_of_", "."): value(i) if callable(value) else value
            for name, value in signals.items()
        }
        for i in range(count)
    ]


def full(count: int) -> list[dict[str, Any]]:
    return records(
        count,
        discriminator__loss=lambda i: math.sin(i / 5),
        generator__loss=lambda i: 1 + math.cos(i / 5),
        discriminator__real_logits=1.0,
        discriminator__fake_logits=-1.0,
        generator__gradient_norm=lambda i: 10 ** (-3 + 5 * i / count),
        penalty__r1=lambda i: i,
        auxiliary__feature_matching=2.0,
        generator__spread=0.5,
        images_per_second=lambda i: 100 + i,
        control__learning_rate_of_generator=lambda i: 1 / (i + 1),
        control__average=10_000.0,
    )


def test_signals_are_grouped_and_constants_are_set_aside() -> None:
    data = chart(full(50))
    assert [(panel.title, [line.name for line in panel.lines]) for panel in data.panels] == [
        ("Losses", ["discriminator", "generator"]),
        ("Logits", ["real", "fake"]),
        ("Gradient norms", ["generator"]),
        ("Penalties and auxiliary terms", ["r1", "feature matching"]),
        ("Images per second", ["images per second"]),
        ("Spread", ["generator"]),
        ("Control: learning rate", ["generator"]),
    ]
    assert data.constants == {"average": 10_000.0}
    assert [panel.title for panel in data.panels if panel.log] == ["Gradient norms"]
    assert data.end == 3200 and data.retries == []


def test_what_is_no_number_is_left_out() -> None:
    rows = records(3, generator__loss=1.0, note="text", stable=True, nested={"a": 1})
    assert [panel.title for panel in chart([*rows, {"generator/loss": 5.0}, {"images_seen": "x"}]).panels] == ["Losses"]


def test_too_many_lines_go_to_another_panel() -> None:
    signals = {f"penalty__p{i}": float(i) for i in range(LINES + 2)}
    panels = chart(records(3, **signals)).panels
    assert [len(panel.lines) for panel in panels] == [LINES, 2] and panels[1].title.endswith("(2)")


def test_spikes_and_ends_survive_thinning() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    values[7_777], values[12_345] = 50.0, -50.0
    line = chart(records(20_000, generator__loss=lambda i: float(values[i]))).panels[0].lines[0]
    assert len(line.x) == len(line.y) == len(line.smooth) <= POINTS
    assert line.y.max() == 50 and line.y.min() == -50
    assert line.x[np.argmax(line.y)] == 64 * 7_778
    assert (np.diff(line.x) > 0).all() and line.x[-1] - line.x[0] > 64 * 19_800


def test_smoothing_keeps_a_constant_and_is_not_bent_by_one_outlier() -> None:
    line = chart(records(300, generator__loss=3.0)).panels[0].lines[0]
    np.testing.assert_allclose(line.smooth, 3.0)
    noise = np.random.default_rng(1).normal(size=300)
    line = chart(records(300, generator__loss=lambda i: 1e6 if i == 150 else float(noise[i]))).panels[0].lines[0]
    assert np.abs(line.smooth).max() < 2 and line.smooth.std() < 0.5 * noise.std()


def test_values_that_are_not_finite_are_gaps_and_marks() -> None:
    bad = {40: math.nan, 41: math.inf, 42: None}
    line = chart(records(100, generator__loss=lambda i: bad.get(i, 1.0))).panels[0].lines[0]
    assert np.flatnonzero(np.isnan(line.y)).tolist() == [40, 41, 42]
    assert np.flatnonzero(np.isnan(line.smooth)).tolist() == [40, 41, 42]
    assert line.broken.tolist() == [64 * 41, 64 * 42, 64 * 43]


def test_rollback_breaks_the_line_and_abandons_what_it_took_back() -> None:
    first = records(100, generator__loss=1.0)
    again = [row | {"attempt": 1, "generator/loss": 2.0} for row in first[60:]]
    data = chart([*first, *again])
    assert data.retries == [64 * 61]
    line = data.panels[0].lines[0]
    assert np.isnan(line.y[100]) and np.isfinite(line.y[99]) and line.y[101] == 2.0
    assert np.isnan(line.smooth[60:101]).all()
    np.testing.assert_allclose(line.smooth[:60], 1.0)
    np.testing.assert_allclose(line.smooth[101:], 2.0)


def test_range_leaves_out_a_few_outliers_only() -> None:
    low, high = chart(records(500, generator__loss=lambda i: 1e9 if i == 3 else i / 500)).panels[0].y_range
    assert low <= 0.01 and 0.98 < high < 1.5
    low, high = chart(records(500, generator__loss=lambda i: i / 500 - 1)).panels[0].y_range
    assert low <= -1 and high >= 499 / 500 - 1


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_few_round_and_inside(low: float, length: float, most: int) -> None:
    found = ticks(low, low + length, most)
    assert len(found) <= most + 1
    assert all(low - 1e-6 * length <= tick <= low + length + 1e-6 * length for tick in found)
    if len(found) > 1:
        step = found[1] - found[0]
        assert length / most <= step * (1 + 1e-6) + 1e-9 * abs(low)


def test_numbers_are_short() -> None:
    assert [count_in_short(value) for value in (0, 500, 1500, 20_000, 1_500_000)] == ["0", "500", "1.5k", "20k", "1.5M"]
    assert [number_in_short(value) for value in (0, 0.25, 2.5e-4, -3e7, 400)] == ["0", "0.25", "2.5e-4", "-3e7", "400"]


def test_svg_is_well_formed_stands_alone_and_says_everything(tmp_path: Path) -> None:
    rows = full(700)
    rows[300]["generator/loss"] = math.nan
    curves([*rows, *(row | {"attempt": 1} for row in rows[500:])], tmp_path / "deep" / "curves.svg")
    text = (tmp_path / "deep" / "curves.svg").read_text()
    root = ET.fromstring(text)
    words = [element.text for element in root.iter(f"{SVG}text")]
    for wanted in ("Losses", "Logits", "Control: learning rate", "images seen", "real", "feature matching", "20k"):
        assert wanted in words
    assert any(word and "1 rollback" in word and "not finite" in word for word in words)
    assert any(word and "average 10000" in word for word in words)
    assert "nan" not in text and "inf" not in text.replace("info", "")
    assert text.count("http") == text.count("http://www.w3.org/2000/svg") == 1
    assert "<script" not in text and "href" not in text
    points = [element.get("d", "").count(" ") for element in root.iter(f"{SVG}path")]
    assert max(points) <= POINTS + 5


def test_nothing_is_drawn_outside_its_panel(tmp_path: Path) -> None:
    curves(records(900, generator__loss=lambda i: 1e12 if i % 200 == 7 else math.sin(i)), tmp_path / "c.svg")
    root = ET.parse(tmp_path / "c.svg").getroot()
    _, _, width, height = map(float, root.get("viewBox", "").split())
    for element in root.iter(f"{SVG}path"):
        numbers = [float(part) for part in element.get("d", "").replace("M", " ").replace("L", " ").split()]
        assert all(0 <= x <= width for x in numbers[::2]) and all(0 <= y <= height for y in numbers[1::2])


def test_names_are_escaped(tmp_path: Path) -> None:
    curves([{"images_seen": 1, "a<b&c/loss": 1.0}], tmp_path / "c.svg")
    assert "a<b&c" in [element.text for element in ET.parse(tmp_path / "c.svg").getroot().iter(f"{SVG}text")]


@pytest.mark.parametrize("count", [1, 2, 40])
def test_png_shows_the_same_figure_in_the_same_proportions(tmp_path: Path, count: int) -> None:
    curves(full(count), tmp_path / "c.svg")
    curves_png(full(count), tmp_path / "c.png")
    _, _, width, height = map(float, ET.parse(tmp_path / "c.svg").getroot().get("viewBox", "").split())
    picture = np.asarray(Image.open(tmp_path / "c.png").convert("RGB")).astype(int)
    assert abs(picture.shape[1] / picture.shape[0] - width / height) < 0.01
    for red, green, blue in ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)):
        assert (np.abs(picture - [red, green, blue]).max(axis=2) < 12).any()


@pytest.mark.parametrize(
    "rows", [[], [{"images_seen": 5}], [{"generator/loss": 1.0}], [{"images_seen": 5, "a": math.nan}]]
)
def test_nothing_to_draw(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    for draw in (curves, curves_png):
        with pytest.raises(SteadyganError, match="no records to draw"):
            draw(rows, tmp_path / "c.svg")


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SteadyganError, match="cannot write"):
        curves(full(3), tmp_path / "file" / "c.svg")


@pytest.mark.parametrize("surface", [SvgCanvas, PillowCanvas])
def test_canvas_breaks_lines_and_dots_lone_points(surface: type[SvgCanvas] | type[PillowCanvas]) -> None:
    canvas = surface(60, 20, "a <title>")
    canvas.box(0, 0, 60, 20, "#ffffff")
    canvas.line([(5, 10), (15, 10), (math.nan, 10), (45, 10), (math.inf, 10), (55, math.nan)], "#000000", 2)
    canvas.line([], "#000000")
    body = canvas.finish()
    if surface is SvgCanvas:
        assert ET.fromstring(body.decode())[2].get("d") == "M5.0 10.0L15.0 10.0M44.0 10.0L46.0 10.0"
    else:
        assert body.startswith(b"\x89PNG")


def test_thinned_colours_and_text_width() -> None:
    assert mixed("#000000", 1) == "#000000" and mixed("#000000", 0) == "#ffffff" and mixed("#ff0000", 0.5) == "#ff8080"
    assert 0 < text_width("i", 12) < text_width("www", 12) < text_width("www", 24)
