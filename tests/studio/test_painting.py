"""Requests of the page for exploring, checked before anything is painted; and the server that passes them on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.studio.gate import Gate
from steadygan.studio.library import Library
from steadygan.studio.painting import FARTHEST, Painter, Wanted, answer, wanted
from steadygan.studio.server import Studio

from .conftest import Client, make_run


def refuse(wish: Wanted) -> bytes:
    raise SteadyganError("no player of this run judges images", "explore another")


PAINTER = Painter(
    describe=lambda: {"state": ""},
    picture=lambda wish: repr(wish).encode(),
    heat=refuse,
    nearest=lambda wish: [{"row": wish.seed}],
    real=lambda row: bytes([row]),
    numbers=lambda wish: {"seed": wish.seed},
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    studio = Studio(Library(make_run(tmp_path / "mine")), Gate("127.0.0.1", None), ("127.0.0.1", 0), PAINTER)
    thread = threading.Thread(target=studio.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Client(studio.server_address[1], None)
    studio.shutdown()
    studio.server_close()
    thread.join()


def test_a_query_becomes_a_wish() -> None:
    asked = {"seed": "3", "to": "5", "way": "0.25", "label": "7", "code.value1": "-0.5", "move.class 3": "1.5"}
    assert wanted(asked) == Wanted(3, 5, 0.25, 7, {"value1": -0.5}, {"class 3": 1.5})
    assert wanted({}) == Wanted()


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"seed": "-1"}, "parameter 'seed' is '-1': give a whole number from 0 to 2147483647"),
        ({"seed": "1" * 5000}, f"parameter 'seed' is '{'1' * 40}': give a whole number from 0 to 2147483647"),
        ({"seed": "٣"}, "parameter 'seed' is '٣': give a whole number from 0 to 2147483647"),
        ({"label": "a"}, "parameter 'label' is 'a': give a whole number from 0 to 2147483647"),
        ({"way": "1.5"}, "parameter 'way' is '1.5': give a number from 0 to 1"),
        ({"way": "nan"}, "parameter 'way' is 'nan': give a number from 0 to 1"),
        ({"move.size": "inf"}, "parameter 'move.size' is 'inf': give a number from -6 to 6"),
        ({"code.v": "x"}, "parameter 'code.v' is 'x': give a number from -1e+06 to 1e+06"),
        ({"move.": "1"}, "nobody knows the parameter 'move.': use the page's own sliders"),
        ({"path": "/etc"}, "nobody knows the parameter 'path': use the page's own sliders"),
        ({f"move.{n}": "0" for n in range(201)}, "201 parameters: give at most 200"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(asked: dict[str, str], fault: str) -> None:
    with pytest.raises(SteadyganError) as refused:
        wanted(asked)
    assert str(refused.value) == fault


@given(st.text(max_size=30), st.text(max_size=12))
def test_whatever_is_asked_is_a_bounded_wish_or_refused(name: str, text: str) -> None:
    faults = []
    for asked in ({f"move.{name}": text}, {"seed": text}, {name: text}):
        try:
            found = wanted(asked)
        except SteadyganError as refused:
            faults.append(str(refused))
        else:
            assert all(abs(value) <= FARTHEST for value in found.moves.values())
            assert 0 <= found.seed < 2**31
    assert not any("\n" in fault for fault in faults)


def test_the_server_passes_on_what_is_asked_and_what_is_refused(client: Client) -> None:
    assert client.get("/api/about").json["explore"] is True
    assert client.get("/explore").headers["Content-Type"].startswith("text/html")
    picture = client.get("/api/explore/picture?" + urlencode({"seed": 4, "move.size": "-2"}))
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/png")
    assert picture.body == repr(Wanted(4, moves={"size": -2.0})).encode()
    assert "default-src 'none'" in picture.headers["Content-Security-Policy"]
    assert client.get("/api/explore/nearest?seed=9").json == [{"row": 9}]
    assert client.get("/api/explore/numbers?seed=9").json == {"seed": 9}
    assert client.get("/api/explore/real?row=7").body == b"\x07"
    for path, status, what in (
        ("heat", 400, "no player of this run judges images"),
        ("picture?seed=x", 400, "parameter 'seed' is 'x'"),
        ("real?row=../../secret", 400, "parameter 'row' is '../../secret'"),
        ("real", 400, "parameter 'row' is ''"),
        ("../../etc/passwd", 404, "nothing is explored here"),
        ("", 404, "nothing is explored here"),
    ):
        found = client.get(f"/api/explore/{path}")
        assert (found.status, found.json["what"]) == (status, what)
    assert client.get("/api/explore/describe", Host="elsewhere.example").status == 403


def test_without_a_painter_there_is_nothing_to_explore(serve: Any, runs: Path) -> None:
    client = serve(runs)
    assert client.get("/api/about").json["explore"] is False
    assert client.get("/api/explore/describe").status == 404


def test_answers_are_of_their_kind() -> None:
    body, kind = answer(PAINTER, "describe", {}) or (b"", "")
    assert (json.loads(body), kind) == ({"state": ""}, "application/json")
    assert answer(replace(PAINTER, describe=lambda: {"state": "x"}), "nothing", {}) is None
