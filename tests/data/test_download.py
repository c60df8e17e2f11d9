"""Downloads against a server on this machine that is truthful, lies, breaks off, stumbles or hangs."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from steadygan.data.download import fetch, matches
from steadygan.errors import SteadyganError

BODY = bytes(range(256)) * 1200
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        name = self.path.strip("/")
        given = self.headers.get("Range")
        self.server.asked.append((name, given))
        count = sum(1 for asked, _ in self.server.asked if asked == name)
        if name in ("404", "500"):
            self.send_error(int(name))
        elif name == "flaky" and count <= 2:
            self.send_error(503)
        elif name == "hang":
            self.server.released.wait(5)
        elif name == "drip":
            self.head(len(BODY))
            while not self.server.released.wait(0.05):
                self.wfile.write(b"x")
        elif name == "tampered":
            self.whole(b"!" + BODY[1:])
        elif name == "longer":
            self.whole(BODY + b"more")
        elif name == "truncated" or (name in ("once", "stubborn", "wrong-range") and count == 1):
            self.head(len(BODY))
            self.wfile.write(BODY[:100_000])
            self.close_connection = True
        elif given and name != "stubborn":
            begin = int(given.removeprefix("bytes=").rstrip("-"))
            self.partial(begin + (7 if name == "wrong-range" else 0))
        else:
            self.whole(BODY)

    def head(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def whole(self, body: bytes) -> None:
        self.head(len(body))
        self.wfile.write(body)

    def partial(self, begin: int) -> None:
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(BODY) - begin))
        self.end_headers()
        self.wfile.write(BODY[begin:])


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.released = threading.Event()
        self.base = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        return  # a client that gave up waiting closes the connection under the handler's hands


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


def get(url: str | list[str], path: Path, **options: object) -> Path:
    settings: dict[str, object] = {"checksum": MD5, "size": len(BODY), "timeout": 5, "pause": 0.01} | options
    return fetch(url, path, **settings)  # type: ignore[arg-type]


def refused(url: str | list[str], path: Path, **options: object) -> str:
    """The error line of a download that fails, after the checks that hold for every one of them."""
    with pytest.raises(SteadyganError) as caught:
        get(url, path, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert f"put {path.name} into {path.parent} yourself" in line and "data.folder" in line
    for address in [url] if isinstance(url, str) else url:
        assert address in line
    assert not path.exists()
    assert list(path.parent.iterdir()) == []
    return line


@pytest.mark.parametrize("checksum", [MD5, SHA, SHA.upper().replace("SHA256", "sha256")])
def test_good_file_arrives_whole_with_progress(server: Server, tmp_path: Path, checksum: str) -> None:
    told: list[tuple[str, int, int]] = []
    path = get(server.base + "good", tmp_path / "deep" / "a.bin", checksum=checksum, progress=lambda *x: told.append(x))
    assert path.read_bytes() == BODY
    assert told[-1] == ("a.bin", len(BODY), len(BODY))
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert [file.name for file in path.parent.iterdir()] == ["a.bin"]


def test_file_with_the_right_checksum_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(BODY)
    get(server.base + "good", tmp_path / "a.bin")
    assert server.asked == []


def test_file_with_a_wrong_checksum_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    assert get(server.base + "good", tmp_path / "a.bin").read_bytes() == BODY


def test_broken_off_body_is_resumed_by_range(server: Server, tmp_path: Path) -> None:
    assert get(server.base + "once", tmp_path / "a.bin").read_bytes() == BODY
    assert server.asked == [("once", None), ("once", "bytes=100000-")]


@pytest.mark.parametrize("name", ["stubborn", "wrong-range"])
def test_server_that_ignores_or_confuses_ranges_is_asked_from_the_start(
    server: Server, tmp_path: Path, name: str
) -> None:
    assert get(server.base + name, tmp_path / "a.bin").read_bytes() == BODY


def test_flaky_server_is_asked_three_times(server: Server, tmp_path: Path) -> None:
    assert get(server.base + "flaky", tmp_path / "a.bin").read_bytes() == BODY
    assert len(server.asked) == 3


def test_flaky_server_is_given_up_after_the_retries(server: Server, tmp_path: Path) -> None:
    assert "HTTP 503" in refused(server.base + "flaky", tmp_path / "a.bin", retries=2)
    assert len(server.asked) == 2


def test_truncated_body(server: Server, tmp_path: Path) -> None:
    # Each try is told where the last one stopped, and this server always sends the same beginning.
    assert "broke off after 100000 of" in refused(server.base + "truncated", tmp_path / "a.bin")
    assert len(server.asked) == 3


def test_tampered_file_is_deleted_and_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    assert "md5 is wrong: damaged or tampered with" in refused(server.base + "tampered", tmp_path / "a.bin")
    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [len(BODY), None])
def test_file_that_is_too_long(server: Server, tmp_path: Path, size: int | None) -> None:
    line = refused(server.base + "longer", tmp_path / "a.bin", size=size)
    assert ("offers 307204 bytes" if size else "md5 is wrong") in line


@pytest.mark.parametrize(("name", "times"), [("404", 1), ("500", 3)])
def test_http_errors(server: Server, tmp_path: Path, name: str, times: int) -> None:
    assert f"HTTP {name}" in refused(server.base + name, tmp_path / "a.bin")
    assert len(server.asked) == times


def test_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert "connection refused" in refused(f"http://127.0.0.1:{port}/a", tmp_path / "a.bin")


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*args: object, **rest: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert "no network?" in refused("http://data.example/a", tmp_path / "a.bin")


@pytest.mark.parametrize("name", ["hang", "drip"])
def test_hanging_and_dripping_servers_end_by_the_timeout(server: Server, tmp_path: Path, name: str) -> None:
    begin = time.monotonic()
    assert "no answer within 0.3 s" in refused(server.base + name, tmp_path / "a.bin", timeout=0.3, retries=2)
    assert time.monotonic() - begin < 4


@pytest.mark.parametrize("bad", ["404", "tampered", "truncated"])
def test_next_mirror_helps(server: Server, tmp_path: Path, bad: str) -> None:
    assert get([server.base + bad, server.base + "good"], tmp_path / "a.bin").read_bytes() == BODY


def test_all_mirrors_are_named_when_none_helps(server: Server, tmp_path: Path) -> None:
    refused([server.base + "404", server.base + "tampered"], tmp_path / "a.bin")


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://a/b", "a.bin", "http://[bad/"])
def test_unusable_addresses(tmp_path: Path, url: str) -> None:
    assert "address" in refused(url, tmp_path / "a.bin")


def test_no_address(tmp_path: Path) -> None:
    assert "no address is known" in refused([], tmp_path / "a.bin")


@pytest.mark.parametrize("checksum", ["", "abc", "crc:1", "md5:"])
def test_unknown_checksum(tmp_path: Path, checksum: str) -> None:
    with pytest.raises(SteadyganError, match="unknown form"):
        get("http://127.0.0.1:9/a", tmp_path / "a.bin", checksum=checksum)


def test_unwritable_place(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SteadyganError, match="cannot write"):
        get(server.base + "good", tmp_path / "file" / "a.bin")


def test_matches(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY)
    assert matches(tmp_path / "a", MD5) and matches(tmp_path / "a", SHA)
    assert not matches(tmp_path / "a", "md5:" + "0" * 32)
