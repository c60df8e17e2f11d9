"""The protocol of a value: a hash that is stable and tells, and values that only stand beside their like."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.evaluation.comparison import compare_values
from steadygan.evaluation.protocol import HARMLESS, Protocol, Value, require_same

BASE: dict[str, Any] = {
    "features": "judge", "features_hash": "ab12", "resize": "none", "rounding": "none", "size": "8x8x1",
    "data": "f00d", "split": "train", "real": 500, "fake": 400, "seeds": (0, 1, 2), "averaged": True,
    "floor_count": 400, "steadygan": "0.1.0", "torch": "2.13.0",
}  # fmt: skip
OTHER: dict[str, Any] = {
    "features": "pixels", "features_hash": "cd34", "resize": "clean", "rounding": "uint8", "size": "9x8x1",
    "data": "beef", "split": "all", "real": 501, "fake": 401, "seeds": (0,), "averaged": None,
    "floor_count": 300, "steadygan": "0.2.0", "torch": "2.14.0",
}  # fmt: skip


def protocol(**changed: Any) -> Protocol:
    return Protocol(**{**BASE, **changed})


def value(metric: str = "fid", number: float = 1.0, **changed: Any) -> Value:
    return Value(metric=metric, value=number, error=0.1, spread=None, floor=0.5, protocol=protocol(**changed))


def test_the_hash_is_stable() -> None:
    # written down once: a change would part new values from all that were stored before
    assert protocol().hash == "7d59abd75438"


@pytest.mark.parametrize("field", BASE)
def test_every_field_changes_the_hash_and_all_but_the_harmless_ones_the_scale(field: str) -> None:
    one, other = protocol(), protocol(**{field: OTHER[field]})
    assert one.hash != other.hash
    assert (one.scale == other.scale) == (field in HARMLESS)
    assert len(one.differences(other, harmless=True)) == 1
    if field in HARMLESS:
        require_same(one, other)
        assert one.differences(other) == []
    else:
        with pytest.raises(SteadyganError, match=field):
            require_same(one, other)


def test_the_test_above_covers_every_field() -> None:
    assert set(BASE) == set(OTHER) == set(Protocol.model_fields)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="resolution"):
        protocol(resolution=3)


@given(st.floats(allow_nan=False, allow_infinity=False), st.none() | st.integers(0, 10**9))
def test_a_line_gives_the_value_back(number: float, images_seen: int | None) -> None:
    line = json.loads(json.dumps(value(number=number).line(images_seen)))
    assert line.get("images_seen") == images_seen
    assert line["protocol_hash"] == protocol().hash
    assert Value.parse(line) == value(number=number)


def test_a_value_that_is_not_finite_comes_back_as_such() -> None:
    line = json.loads(json.dumps(value().line()))
    assert math.isnan(Value.parse({**line, "value": None}).value)


@pytest.mark.parametrize("line", [{}, {"metric": "fid"}, {"metric": "fid", "value": 1.0, "protocol": {"real": 3}}])
def test_a_foreign_line_is_answered_in_one_line(line: dict[str, Any]) -> None:
    with pytest.raises(SteadyganError, match=r"metrics\.jsonl") as caught:
        Value.parse(line)
    assert "\n" not in str(caught.value)


def test_values_of_one_scale_stand_in_one_row() -> None:
    (row,) = compare_values([[value(number=1.0).line()], [value(number=2.0, torch="2.14.0").line()]])
    assert row.comparable
    assert [cell.value for cell in row.cells if cell] == [1.0, 2.0]
    assert row.remarks == ("torch is '2.13.0' and '2.14.0'",)


def test_values_of_other_scales_do_not_and_it_is_said_why() -> None:
    (row,) = compare_values([[value().line()], [value(fake=4000, split="all").line()]])
    assert not row.comparable
    assert row.differences == ("split is 'train' and 'all'", "fake is 400 and 4000")


def test_the_scale_that_all_share_wins_over_the_newest() -> None:
    first = [value(number=1.0).line(), value(number=9.0, fake=4000).line()]
    second = [value(number=2.0).line(), value(number=3.0).line()]
    (row,) = compare_values([first, second])
    assert row.comparable
    assert [cell.value for cell in row.cells if cell] == [1.0, 3.0]
    (row,) = compare_values([first, [*second, value(number=4.0, fake=4000).line()]])
    assert row.comparable


def test_of_one_run_the_newest_is_taken() -> None:
    (row,) = compare_values([[value(number=1.0).line(), value(number=9.0, fake=4000).line()]])
    assert row.cells[0] is not None and row.cells[0].value == 9.0


def test_a_metric_that_one_run_lacks_leaves_a_gap() -> None:
    rows = compare_values([[value("fid").line(), value("kid").line()], [value("kid").line()], []])
    assert {row.metric: [cell is not None for cell in row.cells] for row in rows} == {
        "fid": [True, False, False],
        "kid": [True, True, False],
    }
    assert all(row.comparable for row in rows)
