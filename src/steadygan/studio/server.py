"""The server of the live page: a few fixed paths, nothing else; whatever changes is pushed as it happens."""

from __future__ import annotations

import errno
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from steadygan import __version__
from steadygan.errors import SteadyganError
from steadygan.runtime.folder import WISHES
from steadygan.studio.gate import HEADERS, TOKEN, Gate
from steadygan.studio.library import Library
from steadygan.studio.painting import Painter, answer
from steadygan.studio.streams import list_news, rows, run_news
from steadygan.studio.views import Views

STATIC = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "list.js": "text/javascript; charset=utf-8",
    "run.js": "text/javascript; charset=utf-8",
    "explore.js": "text/javascript; charset=utf-8",
    "controls.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "common.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""Every file that is handed out beside the page itself."""
WISHES_TAKEN = {
    "turn": ("control", "factor", "shift"),
    "back": ("to",),
    "pause": (),
    "go-on": (),
    "stop": (),
    "end": (),
}
"""What may be asked of a run, and with which fields."""
LOOK = 0.5
"""Seconds between looks at the folders for a page that is open."""
SIGN = 15.0
"""Seconds after which a page is told that the server is still there."""
STREAMS = 100
"""Pages that are kept up to date at a time."""
LARGEST = 4096
"""Bytes of a wish at most."""


class Studio(ThreadingHTTPServer):
    """The server over the runs of a library.

    Args:
        library: the runs.
        gate: who may see and who may take part.
        address: host and port; port 0 takes a free one.
        painter: makes pictures of the one run that is explored; None: only looked at.

    Raises:
        SteadyganError: where the port is taken or the host is not this machine's.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, library: Library, gate: Gate, address: tuple[str, int], painter: Painter | None = None) -> None:
        self.library, self.gate, self.views, self.painter = library, gate, Views(library), painter
        self.closing = threading.Event()
        self.streams = threading.BoundedSemaphore(STREAMS)
        host, port = address
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__(address, Handler)
        except (OSError, OverflowError) as error:
            raise _refused(host, port, error) from None

    def server_bind(self) -> None:
        """Bind without asking the network for this machine's full name, which may take long and is not needed."""
        TCPServer.server_bind(self)

    def server_close(self) -> None:
        """Let every open page go, and free the port."""
        self.closing.set()
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed in the middle of an answer is no fault."""


def _refused(host: str, port: int, error: Exception) -> SteadyganError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return SteadyganError(f"port {port} is taken", "choose another with --port, or 0 for any that is free")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM):
        return SteadyganError(f"port {port} is not allowed", "choose one above 1023 with --port")
    if isinstance(error, OverflowError):
        return SteadyganError(f"{port} is no port", "choose a number from 0 to 65535")
    return SteadyganError(f"cannot listen on {host} ({error})", "give an address of this machine with --host")


class Refused(Exception):
    """An answer other than the one that was hoped for."""

    def __init__(self, status: HTTPStatus, what: str, remedy: str = "") -> None:
        self.status, self.what, self.remedy = status, what, remedy
        super().__init__(what)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Studio
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "steadygan", ""
    timeout = 60

    def do_GET(self) -> None:
        """The page, its files, what is known of runs, and grids."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A wish."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Nothing is logged: the terminal belongs to whoever started the server."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses, in the same form as everything else."""
        self.close_connection = True
        self._say({"what": message or HTTPStatus(code).phrase, "remedy": ""}, HTTPStatus(code))

    def _answer(self, job: Callable[[], None]) -> None:
        try:
            if not self.server.gate.knows(self.headers.get("Host")):
                raise Refused(
                    HTTPStatus.FORBIDDEN, "this server is not known by that name", "open the address that was printed"
                )
            job()
        except Refused as no:
            self.close_connection = True
            self._say({"what": no.what, "remedy": no.remedy}, no.status)
        except SteadyganError as error:
            self.close_connection = True
            self._say({"what": error.what, "remedy": error.remedy}, HTTPStatus.NOT_FOUND)
        except OSError:
            # whoever asked has gone
            self.close_connection = True

    def _get(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        if path in ("/", "/explore") or path.startswith("/run/"):
            self._file("index.html", "text/html; charset=utf-8")
        elif path.startswith("/static/") and (name := path.removeprefix("/static/")) in STATIC:
            self._file(name, STATIC[name])
        elif path == "/api/about":
            library = self.server.library
            about = {"folder": library.root.name or str(library.root), "single": library.single}
            self._say(
                about
                | {"control": self.server.gate.open, "explore": self.server.painter is not None, "version": __version__}
            )
        elif path == "/api/runs":
            self._say(rows(self.server.views, asked))
        elif path == "/api/runs/live":
            self._stream(list_news(self.server.views, asked))
        elif path == "/api/run/live":
            self._stream(run_news(self.server.views.of(asked.get("name", ""))))
        elif path == "/api/grid":
            self._grid(asked)
        elif path.startswith("/api/explore/"):
            self._explore(path.removeprefix("/api/explore/"), asked)
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here", "go back to the list of runs")

    def _post(self) -> None:
        gate = self.server.gate
        if urlsplit(self.path).path != "/api/wish":
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        if not gate.is_own(dict(self.headers.items())):
            raise Refused(
                HTTPStatus.FORBIDDEN, "this does not come from the page itself", "use the page that was printed"
            )
        if not gate.open:
            raise Refused(HTTPStatus.FORBIDDEN, "this page is for looking only", "start it without --read-only")
        if not gate.admits(self.headers.get(TOKEN)):
            raise Refused(HTTPStatus.FORBIDDEN, "wrong token", "take the one that steadygan watch printed")
        self._say(wish(self.server.views, self._body()), HTTPStatus.ACCEPTED)

    def _body(self) -> dict[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a wish is sent as application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a wish has at most {LARGEST} bytes")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "the wish is not a JSON object")
        return body

    def _grid(self, asked: dict[str, str]) -> None:
        view, at = self.server.views.of(asked.get("run", "")), asked.get("at", "")
        path = view.grid(int(at)) if at.isdecimal() and len(at) <= 12 else None
        if path is None or path.is_symlink() or not path.is_file():
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such grid", "look at the run again")
        self._send(path.read_bytes(), "image/png", {"Cache-Control": "private, max-age=3600"})

    def _explore(self, what: str, asked: dict[str, str]) -> None:
        try:
            found = None if self.server.painter is None else answer(self.server.painter, what, asked)
        except SteadyganError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, error.what, error.remedy) from None
        if found is None:
            raise Refused(HTTPStatus.NOT_FOUND, "nothing is explored here", "start steadygan explore with a run")
        self._send(*found, {"Cache-Control": "no-store"})

    def _file(self, name: str, kind: str) -> None:
        self._send(files("steadygan.studio").joinpath("static", name).read_bytes(), kind, {"Cache-Control": "no-cache"})

    def _say(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = json.dumps(value, separators=(",", ":")).encode()
        self._send(body, "application/json", {"Cache-Control": "no-store"}, status)

    def _send(self, body: bytes, kind: str, more: dict[str, str], status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **more, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, news: Iterator[list[tuple[str, Any]]]) -> None:
        """Push what changed, as server-sent events, until the page or the server closes."""
        if not self.server.streams.acquire(blocking=False):
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open", "close some, and load this one again"
            )
        try:
            first = next(news)
            self.close_connection = True
            self.send_response(HTTPStatus.OK)
            kinds = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
            for name, value in {**HEADERS, **kinds, "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self._push(first)
            told = time.monotonic()
            while not self.server.closing.wait(LOOK):
                found = next(news)
                if found or time.monotonic() - told > SIGN:
                    self._push(found)
                    told = time.monotonic()
        finally:
            self.server.streams.release()

    def _push(self, found: list[tuple[str, Any]]) -> None:
        parts = [f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n" for kind, data in found]
        self.wfile.write("".join(parts or [": still here\n\n"]).encode())
        self.wfile.flush()


def wish(views: Views, body: dict[str, Any]) -> dict[str, str]:
    """Write down what a person asks of a run that goes on; the run answers when it next looks.

    Raises:
        Refused: for a wish that nobody knows, or a run that is not in training.
        SteadyganError: for a run that is not there.
    """
    kind = body.get("wish")
    if not isinstance(kind, str) or kind not in WISHES_TAKEN:
        raise Refused(
            HTTPStatus.BAD_REQUEST, f"nobody knows the wish {kind!r}", f"choose one of {', '.join(WISHES_TAKEN)}"
        )
    view = views.of(str(body.get("run", "")))
    if not view.folder.held():
        raise Refused(HTTPStatus.CONFLICT, f"{view.name} is not in training", "start it again with steadygan resume")
    name = secrets.token_hex(6)
    line = {"id": name, "wish": kind, "by": str(body.get("by", "")), "made": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    path: Path = view.path / WISHES
    if path.is_symlink():
        raise Refused(HTTPStatus.CONFLICT, f"{WISHES} of {view.name} is a link", "put a file in its place")
    try:
        view.folder.append(WISHES, line | {key: body[key] for key in WISHES_TAKEN[kind] if key in body})
    except OSError as error:
        raise Refused(
            HTTPStatus.CONFLICT, f"cannot write in {view.name} ({error.strerror})", "allow the server to write there"
        ) from None
    return {"id": name}
