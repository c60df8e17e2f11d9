"""The page on several runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steadygan.evaluation.protocol import Protocol, Value
from steadygan.report.comparison import comparison_page

from .conftest import CURED, Make, Page, record

Parse = Callable[[str], Page]


def measured(metric: str, value: float, **further: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "features": "judge",
        "features_hash": "1",
        "resize": "none",
        "rounding": "none",
        "size": "8x8x1",
        "data": "d",
        "split": "train",
        "real": 100,
        "fake": 100,
        "seeds": (0,),
        "averaged": True,
    }
    return Value(metric=metric, value=value, floor=1.5, protocol=Protocol(**(fields | further))).line(10_000)


def test_runs_stand_side_by_side(make: Make, parse: Parse) -> None:
    runs = [
        make("first", metrics=[measured("fid", 20.0)]),
        make("second", events=CURED, metrics=[measured("fid", 30.0)], config={"loss": "hinge"}),
    ]
    page = parse(comparison_page(runs))
    for words in ("2 runs side by side", "went well", "got over it", "first", "second", "floor 1.5", "30", "hinge"):
        assert words in page.words, words
    assert len(page.all("article")) == 2 and len(page.all("figure", "panel")) == 4
    assert "recipe" not in page.words.partition("What differs")[2]


def test_values_of_other_protocols_are_not_compared(make: Make, parse: Parse) -> None:
    runs = [make("a", metrics=[measured("fid", 20.0)]), make("b", metrics=[measured("fid", 30.0, fake=200)])]
    page = parse(comparison_page(runs))
    assert "fid is not compared, the protocols differ: fake is 100 and 200." in page.words
    assert (
        "floor"
        not in page.words.partition("fid is not")[0].partition("How good they are")[2].partition("Values")[2][40:]
    )


def test_harmless_differences_are_told(make: Make, parse: Parse) -> None:
    runs = [make("a", metrics=[measured("fid", 20.0)]), make("b", metrics=[measured("fid", 30.0, seeds=(1,))])]
    words = parse(comparison_page(runs)).words
    assert "Note: seeds is (0,) and (1,)." in words and "floor 1.5" in words


def test_damaged_values_are_told(make: Make, parse: Parse) -> None:
    assert "Not compared:" in parse(comparison_page([make("a", metrics=[{"metric": "fid"}]), make("b")])).words


def test_runs_of_one_name_are_told_apart(make: Make, parse: Parse) -> None:
    make("x")
    make("y")
    runs = [make("x/run"), make("y/run")]
    words = parse(comparison_page(runs)).words
    assert "x/run" in words and "y/run" in words
    twice = parse(comparison_page([runs[0], runs[0]])).words
    assert "run (1)" in twice and "run (2)" in twice


def test_runs_with_little_in_them(make: Make, parse: Parse) -> None:
    page = parse(comparison_page([make("a", records=[], grids=()), make("b", records=[record(100)])]))
    assert "No samples yet." in page.words and "The run has no records yet" in page.words
    assert "Nothing: all settings are the same." in page.words


def test_many_runs(make: Make, parse: Parse) -> None:
    page = parse(comparison_page([make(f"run{i}", records=[record(100), record(200)]) for i in range(9)]))
    assert len(page.all("article")) == 9 and "Distance to the real images (2)" in page.words
