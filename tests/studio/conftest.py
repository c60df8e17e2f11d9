"""Run folders written by hand, and a server over them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steadygan.studio.gate import TOKEN, Gate
from steadygan.studio.library import Library
from steadygan.studio.server import Studio


def record(seen: int, attempt: int = 0, **more: float | None) -> dict[str, Any]:
    signals = {"generator/loss": 1.0, "discriminator/loss": 0.5, "control/learning_rate.generator": 0.0002}
    return {"images_seen": seen, "round": seen // 8, "attempt": attempt} | signals | more


def add(path: Path, *lines: Mapping[str, Any]) -> None:
    with open(path, "a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def make_run(path: Path, *, images: int = 800, seen: int = 400, **config: Any) -> Path:
    """A run folder with what the page reads of one."""
    (path / "samples").mkdir(parents=True)
    (path / "checkpoints").mkdir()
    settings = {"images": images, "recipe": "mlp", "data": {"source": "/data/digits"}, "shape": [1, 8, 8], "batch": 8}
    (path / "config.json").write_text(json.dumps(settings | {"health": {"mode": "mend"}} | config))
    for name in ("records.jsonl", "events.jsonl", "wishes.jsonl"):
        (path / name).touch()
    add(path / "records.jsonl", *(record(clock) for clock in range(8, seen + 1, 8)))
    for clock in (0, 200):
        Image.new("L", (32, 32), clock).save(path / "samples" / f"{clock:012d}.png")
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with two runs, one of them two levels down, and things that are none."""
    root = tmp_path / "runs"
    make_run(root / "first")
    make_run(root / "older" / "second", seen=800)
    (root / "notes.txt").write_text("mine")
    (root / "holiday").mkdir()
    (root / "holiday" / "beach.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "secret.txt").write_text("secret")
    make_run(tmp_path / "outside")
    return root


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Asks a server without tidying up what is asked."""

    port: int
    token: str | None

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            found = connection.getresponse()
            return Answer(found.status, dict(found.getheaders()), found.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def wish(self, token: str | None = "", **wish: Any) -> Answer:
        sent = self.token if token == "" else token
        headers = {"Content-Type": "application/json"} | ({TOKEN: sent} if sent else {})
        return self.ask("POST", "/api/wish", json.dumps(wish).encode(), **headers)

    def stream(self, path: str) -> Iterator[tuple[str, Any]]:
        """What the server pushes, piece by piece; close the iterator to hang up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path)
        found = connection.getresponse()
        assert found.status == 200, found.read()
        assert found.headers["Content-Type"].startswith("text/event-stream")
        kind = ""
        try:
            while line := found.readline().decode().rstrip("\n"):
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield kind, json.loads(line.removeprefix("data: "))
                    found.readline()
        finally:
            found.close()
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """``serve(folder)`` starts a server over it, on a free port."""
    started: list[tuple[Studio, threading.Thread]] = []

    def serve(root: Path, *, token: str | None = "the-token", host: str = "127.0.0.1") -> Client:
        studio = Studio(Library(root), Gate(host, token), (host, 0))
        thread = threading.Thread(target=studio.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        started.append((studio, thread))
        return Client(studio.server_address[1], token)

    yield serve
    for studio, thread in started:
        studio.shutdown()
        studio.server_close()
        thread.join()
