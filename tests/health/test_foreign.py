"""Records of other programs: what their columns are called, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.health.foreign import SYNONYMS, known_as, read_foreign


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str, name: str = "log.csv") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("d_loss", "discriminator/loss"),
        ("D_loss", "discriminator/loss"),
        ("loss/D", "discriminator/loss"),
        ("Loss_D", "discriminator/loss"),
        ("errG", "generator/loss"),
        ("loss-G", "generator/loss"),
        ("D(x)", "discriminator/real_logits"),
        ("D(G(z))", "discriminator/fake_logits"),
        ("Loss/scores/fake", "discriminator/fake_logits"),
        ("Loss/signs/real", "discriminator/real_signs"),
        ("Progress/kimg", "kimg"),
        ("FID", "health/distance"),
        ("d_grad_norm", "discriminator/gradient_norm"),
        ("generator/loss", "generator/loss"),
        ("Iteration", "images_seen"),
        ("time", None),
        ("", None),
        ("***", None),
    ],
)
def test_names(name: str, signal: str | None) -> None:
    assert known_as(name) == signal


def test_no_name_means_two_things() -> None:
    names = [name for group in SYNONYMS.values() for name in group]
    assert len(names) == len(set(names))
    assert all(known_as(name) == signal for signal, group in SYNONYMS.items() for name in group)


def test_a_table(written: Any) -> None:
    path = written("step,D_loss,G_loss,lr\n64,1.5,0.7,0.1\n128,nan,,0.1\n192,inf,0.9,0.1\n")
    one, two, three = read_foreign(path)
    assert one == {"images_seen": 64, "discriminator/loss": 1.5, "generator/loss": 0.7}
    assert two.keys() == {"images_seen", "discriminator/loss"}
    assert math.isnan(two["discriminator/loss"]), "what is said to be no number is told as such"
    assert three["discriminator/loss"] == math.inf


def test_lines_are_numbered_where_no_clock_is_known(written: Any) -> None:
    assert [line["images_seen"] for line in read_foreign(written("d_loss\n1\n2\n3\n"))] == [1, 2, 3]
    assert [line["images_seen"] for line in read_foreign(written("step,d_loss\nx,1\nnan,2\n7,3\n"))] == [1, 2, 7]


def test_lines_of_json(written: Any) -> None:
    rows = [
        {"Progress/kimg": {"num": 1, "mean": 4.0, "std": 0.0}, "Loss/scores/fake": {"num": 9, "mean": -0.5, "std": 1}},
        {"Progress/kimg": {"num": 1, "mean": 8.0, "std": 0.0}, "Loss/scores/fake": {"num": 9, "mean": None}},
        {"Progress/kimg": {"num": 1, "mean": 12.5}, "Loss/scores/fake": -0.25, "note": "text"},
    ]
    path = written("\n".join(json.dumps(row) for row in rows) + "\n\n", "stats.jsonl")
    assert read_foreign(path) == [
        {"images_seen": 4000, "discriminator/fake_logits": -0.5},
        {"images_seen": 8000},
        {"images_seen": 12500, "discriminator/fake_logits": -0.25},
    ]


def test_a_mark_at_the_start_of_the_file_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes("\ufeffd_loss\n1\n".encode())
    assert read_foreign(path) == [{"images_seen": 1, "discriminator/loss": 1.0}]


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("log.csv", "", "no figure in .* is known .found nothing.*name a column d_loss"),
        ("log.csv", "time,lr\n1,2\n", "no figure in .* is known .found lr, time.*"),
        ("log.csv", "step,kimg\n1,2\n", "no figure in .*"),
        ("log.jsonl", "", "no figure in .* is known"),
        ("log.jsonl", "[1, 2]\n3\n", "no figure in .* is known"),
        ("log.jsonl", "d_loss,g_loss\n1,2\n", "is not one JSON object a line"),
        ("log.txt", '{"d_loss": 1}\n{"d_lo', "is not one JSON object a line"),
    ],
)
def test_what_says_nothing_is_refused_in_one_line(written: Any, name: str, text: str, answer: str) -> None:
    with pytest.raises(SteadyganError, match=answer) as caught:
        read_foreign(written(text, name))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"d_loss\n\xff\xfe\x00")
    for path in (tmp_path / "log.csv", tmp_path / "none.csv"):
        with pytest.raises(SteadyganError, match="cannot read") as caught:
            read_foreign(path)
        assert "\n" not in str(caught.value)


CELL = st.one_of(st.floats(), st.none(), st.text(max_size=5), st.booleans(), st.lists(st.integers(), max_size=2))


@given(rows=st.lists(st.dictionaries(st.sampled_from(["d_loss", "fid", "step", "x"]), CELL), max_size=8))
def test_nonsense_is_left_out(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "nonsense.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    try:
        lines = read_foreign(path)
    except SteadyganError:
        assert not any({"d_loss", "fid"} & row.keys() for row in rows)
        return
    assert len(lines) == len(rows)
    for line in lines:
        assert isinstance(line["images_seen"], int)
        assert all(isinstance(value, float | int) for value in line.values())
