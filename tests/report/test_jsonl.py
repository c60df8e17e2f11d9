"""Reading records that may still be written to."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from steadygan.errors import SteadyganError
from steadygan.report.jsonl import read_jsonl

LINES = [
    json.dumps({"images_seen": 64 * i, "generator/loss": i / 7, "note": "Fréchet"}, ensure_ascii=False)
    for i in range(4)
]


def test_any_cut_gives_the_whole_lines_before_it(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    body = ("\n".join(LINES) + "\n").encode()
    whole = [json.loads(line) for line in LINES]
    for cut in range(len(body) + 1):
        path.write_bytes(body[:cut])
        records = read_jsonl(path)
        assert records == whole[: len(records)]
        assert len(records) >= body[:cut].count(b"\n")
    assert records == whole


def test_not_a_number_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": NaN}\n\n{"a": -Infinity}\n')
    first, second = read_jsonl(path)
    assert math.isnan(first["a"]) and second["a"] == -math.inf


@pytest.mark.parametrize("bad", ["{", "[1]", "7", "nonsense", "[" * 100_000])
def test_damage_before_the_last_line_is_named(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(f"{LINES[0]}\n{bad}\n{LINES[1]}\n")
    with pytest.raises(SteadyganError, match=r"line 2 of .*records\.jsonl is not a record"):
        read_jsonl(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SteadyganError, match="cannot read .* is this a run folder"):
        read_jsonl(tmp_path / "records.jsonl")
