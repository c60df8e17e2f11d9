"""The server as whoever asks meets it: what it hands out, what it pushes, and what it refuses."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steadygan.errors import SteadyganError
from steadygan.runtime.folder import RunFolder
from steadygan.studio.gate import TOKEN, Gate
from steadygan.studio.library import Library
from steadygan.studio.server import STATIC, Studio
from steadygan.studio.streams import ROWS

from .conftest import Client, add, make_run, record

Serve = Callable[..., Client]


def test_the_page_and_its_files_are_there_and_nothing_foreign_is_in_them(serve: Serve, runs: Path) -> None:
    client = serve(runs)
    for path in ("/", "/run/first", "/run/older/second", "/run/%C3%A9"):
        page = client.get(path)
        assert page.status == 200
        assert b'<html lang="en">' in page.body
    named = set(re.findall(rb'(?:src|href)="(/static/[^"]+)"', client.get("/").body))
    assert {name.removeprefix(b"/static/").decode() for name in named} == set(STATIC)
    for name, kind in STATIC.items():
        found = client.get(f"/static/{name}")
        assert (found.status, found.headers["Content-Type"]) == (200, kind)
        addresses = re.findall(rb"https?://[^\s\"')]+", found.body)
        assert set(addresses) <= {b"http://www.w3.org/2000/svg"}
    shipped = {one.name for one in files("steadygan.studio").joinpath("static").iterdir()}
    assert shipped == {"index.html", *STATIC}


def test_every_answer_forbids_what_is_foreign(serve: Serve, runs: Path) -> None:
    client = serve(runs)
    for path in ("/", "/static/style.css", "/api/runs", "/api/grid?run=first&at=0", "/nothing"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Python" not in headers["Server"]


def test_the_list_has_every_run_and_can_be_searched_and_turned(serve: Serve, tmp_path: Path) -> None:
    for number in range(ROWS + 5):
        make_run(tmp_path / "runs" / f"run-{number:02}")
    client = serve(tmp_path / "runs")
    first, second = client.get("/api/runs").json, client.get("/api/runs?page=1").json
    assert (first["count"], first["pages"], len(first["rows"]), len(second["rows"])) == (ROWS + 5, 2, ROWS, 5)
    names = [row["name"] for row in first["rows"] + second["rows"]]
    assert sorted(names) == [f"run-{number:02}" for number in range(ROWS + 5)]
    assert {row["name"] for row in client.get("/api/runs?search=RUN-1").json["rows"]} == {
        f"run-1{n}" for n in range(10)
    }
    assert client.get("/api/runs?page=99").json["page"] == 1
    assert client.get("/api/runs?page=-1&search=none").json["rows"] == []


def test_a_new_run_and_a_step_forward_are_pushed(serve: Serve, runs: Path) -> None:
    news = serve(runs).stream("/api/runs/live")
    kind, found = next(news)
    assert (kind, found["count"]) == ("runs", 2)
    add(runs / "first" / "records.jsonl", record(408))
    _, found = next(news)
    assert [row["images_seen"] for row in found["rows"] if row["name"] == "first"] == [408]
    make_run(runs / "third")
    _, found = next(news)
    assert found["count"] == 3
    news.close()


def test_what_happens_to_a_run_is_pushed(serve: Serve, runs: Path) -> None:
    path = runs / "first"
    news = serve(runs).stream("/api/run/live?name=first")
    first = dict(next(news) for _ in range(3))
    assert first["run"]["images_seen"] == 400
    assert len(first["records"]["rows"]) == 50
    assert first["events"] == {"anew": True, "lines": []}
    event = {
        "images_seen": 400,
        "attempt": 0,
        "kind": "diagnosis",
        "case": 1,
        "diagnosis": "drift",
        "words": "it drifts",
    }
    add(path / "events.jsonl", event)
    more = dict(next(news) for _ in range(2))
    assert more["run"]["headline"] == "Stopped, with drift"
    assert more["events"] == {"anew": False, "lines": [event]}
    Image.new("L", (32, 32)).save(path / "samples" / "000000000400.png")
    _, found = next(news)
    assert [seen for seen, _ in found["grids"]] == [0, 200, 400]
    news.close()


def test_grids_are_handed_out_and_nothing_else_of_a_run_is(serve: Serve, runs: Path) -> None:
    client = serve(runs)
    found = client.get("/api/grid?run=older/second&at=200")
    assert (found.status, found.headers["Content-Type"]) == (200, "image/png")
    assert found.body == (runs / "older" / "second" / "samples" / "000000000200.png").read_bytes()
    (runs / "first" / "samples" / "000000000300.png").symlink_to(runs.parent / "secret.txt")
    for asked in ("at=300", "at=8", "at=../config.json", "at=-1", "at=" + "9" * 40, ""):
        refused = client.get(f"/api/grid?run=first&{asked}")
        assert refused.status == 404, asked
        assert b"secret" not in refused.body


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "//etc/passwd",
     "/api/run/live?name=../outside", "/api/run/live?name=%2e%2e%2foutside", "/api/grid?run=../outside&at=0",
     "/api/run/live?name=", "/api/grid?run=holiday&at=0", "/runs/first/config.json", "/etc/passwd", "/static/",
     "/static/index.html/..", "/api"],
)  # fmt: skip
def test_no_path_leads_out(path: str, serve: Serve, runs: Path) -> None:
    found = serve(runs).get(path)
    assert found.status == 404
    assert set(found.json) == {"what", "remedy"}


def test_a_strange_request_is_refused_in_the_same_form(serve: Serve, runs: Path) -> None:
    client = serve(runs)
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"):
        assert client.ask(method, "/api/runs").status == 501
    assert client.get("/" + "a" * 70_000).status == 414
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as line:
        line.sendall(b"\x16\x03\x01 rubbish\r\n\r\n")
        assert b'"what"' in line.recv(4096)
    assert client.get("/api/runs").status == 200, "and it goes on"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "192.168.0.9"]
)
def test_a_name_that_is_not_this_machines_is_refused(host: str, serve: Serve, runs: Path) -> None:
    client = serve(runs)
    found = client.get("/api/runs", Host=host)
    assert (found.status, found.json["what"]) == (403, "this server is not known by that name")
    for known in ("localhost", "127.0.0.1:1234", "[::1]:80", "LOCALHOST:9"):
        assert client.get("/api/runs", Host=known).status == 200


def test_who_is_let_in_from_elsewhere() -> None:
    gate = Gate("0.0.0.0", None)
    assert gate.knows("192.168.0.9:8765")
    assert gate.knows(f"{socket.gethostname()}:8765")
    assert gate.knows("[fe80::1]:8765")
    assert not gate.knows("evil.example:8765")
    assert not gate.knows(None)
    assert Gate("gpu.lan", None).knows("GPU.lan:80")


def asked(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "wishes.jsonl").read_text().splitlines()]


def test_a_wish_is_written_down_for_a_run_in_training(serve: Serve, runs: Path) -> None:
    client, run = serve(runs), runs / "first"
    with RunFolder(run):
        turn = {"control": "learning_rate.generator", "factor": 0.5, "shift": 0.0}
        answer = client.wish(run="first", wish="turn", by="anna", **turn, to="ignored", id="mine")
        assert answer.status == 202
        assert client.wish(run="first", wish="pause", by="<b>ben</b>").status == 202
    first, second = asked(run)
    assert first == {"id": answer.json["id"], "wish": "turn", "by": "anna", "made": first["made"]} | turn
    assert (second["wish"], second["by"]) == ("pause", "<b>ben</b>")


@pytest.mark.parametrize(
    ("token", "wish", "status", "what"),
    [
        ("wrong", {"run": "first", "wish": "pause"}, 403, "wrong token"),
        (None, {"run": "first", "wish": "pause"}, 403, "wrong token"),
        ("", {"run": "first", "wish": "fly"}, 400, "nobody knows the wish 'fly'"),
        ("", {"run": "first", "wish": ["pause"]}, 400, "nobody knows the wish ['pause']"),
        ("", {"run": "first"}, 400, "nobody knows the wish None"),
        ("", {"run": "../outside", "wish": "pause"}, 404, "no run '../outside' here"),
        ("", {"run": "older/second", "wish": "pause"}, 409, "older/second is not in training"),
    ],
)
def test_a_wish_that_may_not_be_is_refused(
    token: str | None, wish: dict[str, Any], status: int, what: str, serve: Serve, runs: Path
) -> None:
    client = serve(runs)
    with RunFolder(runs / "first"):
        answer = client.wish(token, **wish)
        assert (answer.status, answer.json["what"]) == (status, what)
        assert answer.json["remedy"]
        assert asked(runs / "first") == []


def test_nobody_takes_part_in_a_page_for_looking(serve: Serve, runs: Path) -> None:
    client = serve(runs, token=None)
    assert client.get("/api/about").json["control"] is False
    with RunFolder(runs / "first"):
        for token in (None, "None", "x"):
            answer = client.wish(token, run="first", wish="pause")
            assert (answer.status, answer.json["what"]) == (403, "this page is for looking only")
    assert asked(runs / "first") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_a_wish_of_another_page_is_refused_even_with_the_token(
    headers: dict[str, str], serve: Serve, runs: Path
) -> None:
    client = serve(runs)
    body = json.dumps({"run": "first", "wish": "pause"}).encode()
    token = {TOKEN: "the-token", "Content-Type": "application/json"}
    with RunFolder(runs / "first"):
        refused = client.ask("POST", "/api/wish", body, **token, **headers)
        assert (refused.status, refused.json["what"]) == (403, "this does not come from the page itself")
        own = {"Origin": f"http://127.0.0.1:{client.port}", "Sec_Fetch_Site": "same-origin"}
        assert client.ask("POST", "/api/wish", body, **token, **own).status == 202


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"[1]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 4000, "application/json", 400),
        (b" " * 5000, "application/json", 413),
    ],
)
def test_a_body_that_is_no_wish_is_refused(body: bytes, kind: str, status: int, serve: Serve, runs: Path) -> None:
    found = serve(runs).ask("POST", "/api/wish", body, **{TOKEN: "the-token", "Content-Type": kind})
    assert found.status == status
    assert found.json["what"]


def test_a_link_in_the_place_of_the_wishes_is_not_written_through(serve: Serve, runs: Path) -> None:
    run, secret = runs / "first", runs.parent / "secret.txt"
    (run / "wishes.jsonl").unlink()
    (run / "wishes.jsonl").symlink_to(secret)
    with RunFolder(run):
        assert serve(runs).wish(run="first", wish="pause").status == 409
    assert secret.read_text() == "secret"


def test_the_token_is_never_handed_out(serve: Serve, runs: Path) -> None:
    client = serve(runs)
    for path in ("/", "/api/about", "/api/runs", "/static/controls.js"):
        assert b"the-token" not in client.get(path).body


def test_a_port_that_is_taken_and_other_bad_addresses_are_one_line(serve: Serve, runs: Path) -> None:
    client = serve(runs)
    library, gate = Library(runs), Gate("127.0.0.1", None)
    with pytest.raises(SteadyganError, match=rf"port {client.port} is taken: choose another with --port"):
        Studio(library, gate, ("127.0.0.1", client.port))
    with pytest.raises(SteadyganError, match="70000 is no port: choose a number from 0 to 65535"):
        Studio(library, gate, ("127.0.0.1", 70_000))
    for host in ("203.0.113.1", "no such host"):
        with pytest.raises(SteadyganError, match="cannot listen on .*: give an address of this machine with --host"):
            Studio(library, gate, (host, 0))


def test_a_page_that_hangs_up_takes_nothing_with_it(serve: Serve, runs: Path) -> None:
    client = serve(runs)
    for _ in range(5):
        news = client.stream("/api/run/live?name=first")
        next(news)
        news.close()
    assert client.get("/api/runs").status == 200


def test_many_runs_and_foreign_files_are_no_burden(serve: Serve, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for number in range(300):
        folder = root / f"run-{number:04}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"images": 8}' if number % 2 else "damaged")
        (root / f"photo-{number:04}.jpg").write_bytes(b"\xff\xd8")
    found = serve(root).get("/api/runs").json
    assert (found["count"], found["pages"]) == (300, 8)
    assert {row["state"] for row in found["rows"]} == {"stopped", "damaged"}
