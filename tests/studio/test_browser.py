"""The live page in a real browser: it follows a run, a person takes part, and nothing leaves the machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .conftest import Client, add, make_run, record

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")

PATIENCE = 60_000
"""Milliseconds to wait for what a busy machine may take long over."""
SHORT = ("--recipe", "mlp", "--images", "400000", "--seed", "1", "--threads", "1", "--sicken", "collapse:severe")
OFTEN = ("--set", "health.every=200", "--set", "record_every=200")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


class Guest:
    """A page that notes every complaint and every request."""

    def __init__(self, browser: Any, base: str, **about: Any) -> None:
        self.base = base
        self.page = browser.new_context(**about).new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else 0
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: str) -> Any:
        self.page.goto(self.base + path)
        return self.page

    def leave(self) -> None:
        """Close, and see that there was nothing to complain of."""
        self.page.context.close()
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith(self.base + "/")] == []

    def serious(self) -> list[str]:
        """What axe finds that would keep somebody out."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
        found = axe.run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]


@contextlib.contextmanager
def process(*words: str, **about: Any) -> Iterator[subprocess.Popen[str]]:
    """A steadygan of its own, ended whatever happens."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "steadygan", *words]
    with subprocess.Popen(command, text=True, env=environment, stdout=subprocess.PIPE, **about) as started:
        try:
            yield started
        finally:
            started.kill()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_in_training_is_followed_and_steered(browser: Any, tmp_path: Path) -> None:
    runs, run = tmp_path / "runs", tmp_path / "runs" / "mine"
    runs.mkdir()
    with (
        process("watch", str(runs), "--port", "0") as server,
        process("train", "digits", *SHORT, *OFTEN, "--out", str(run)) as training,
    ):
        assert server.stdout is not None
        said = [server.stdout.readline() for _ in range(3)]
        (address,) = re.findall(r"to take part: +(http://127\.0\.0\.1:\d+)/(#token=\S+)", said[2])
        guest = Guest(browser, address[0])
        page = guest.open("/" + address[1])
        page.click(".run a:has-text('mine')")
        assert "token" not in page.url
        page.wait_for_selector(".panel .frame svg")
        before = page.text_content(".verdict .figures")
        page.wait_for_selector(".story .event:has-text('treated')")
        assert page.text_content(".verdict .figures") != before, "it moves without being loaded again"

        page.fill("#who", "anna")
        page.select_option("#control", "learning_rate.discriminator")
        page.fill("#value", "0.0001")
        page.click("button:text-is('Set')")
        page.wait_for_selector(".said:has-text('Done: learning_rate.discriminator')")
        (event,) = [one for one in lines(run / "events.jsonl") if one["kind"] == "wish"]
        assert (event["by"], event["wish"], event["done"]) == ("person:anna", "turn", True)
        page.wait_for_selector("h3:has-text('Control: learning_rate.discriminator')")
        page.wait_for_selector(".story .event:has-text('anna: learning_rate.discriminator')")

        page.click("button:text-is('Pause')")
        page.wait_for_selector(".verdict:has-text('Paused by anna')")
        assert guest.serious() == []
        page.click("button:text-is('Go on')")
        page.click("button:text-is('Save and stop')")
        page.keyboard.press("Enter")  # the question's first button has the focus
        page.wait_for_selector(".verdict:has-text('Stopped')")
        page.wait_for_selector(".controls:has-text('not in training')")
        assert training.wait(60) == 143
        newest = max((run / "checkpoints").iterdir())
        turns = json.loads((newest / "state.json").read_text())["state"]["controls"]["learning_rate.discriminator"]
        assert turns["person:anna"] == [event["factor"], 0]
        guest.leave()


@pytest.fixture
def shown(runs: Path) -> Path:
    """A run whose record has all that a page can show, names and words as bad as they get."""
    path = make_run(runs / "näme <img src=x onerror=alert(1)>", seen=16)
    for number in range(1, 60):
        more = {"health/distance": 1 / number, "health/distance_floor": 0.01, "health/diversity": 0.5}
        players = {
            f"{name}/{kind}": number / 9
            for name in ("generator", "discriminator")
            for kind in ("gradient_norm", "update")
        }
        gone = {"generator/loss": None if number == 30 else 1.0, "discriminator/win_rate": 0.7}
        add(
            path / "records.jsonl",
            record(number * 8 if number < 40 else number * 8 - 160, int(number >= 40), **more, **players, **gone),
        )
    words = "<script>alert(1)</script> \u202e & more"
    told = {
        "images_seen": 200,
        "attempt": 0,
        "case": 1,
        "diagnosis": "drift",
        "words": words,
        "evidence": {"a": 1, "b": None},
    }
    kinds = ("diagnosis", "intervention", "proof", "undone", "given-up", "receded", "something-new")
    add(path / "events.jsonl", *(told | {"kind": kind} for kind in kinds))
    add(path / "events.jsonl", told | {"kind": "wish", "wish": "turn", "by": "person:<i>ben</i>", "done": False})
    Image.new("RGB", (64, 64)).save(path / "samples" / "000000000400.png")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_every_page_can_be_read_by_anybody(
    width: int, scheme: str, browser: Any, serve: Callable[..., Client], runs: Path, shown: Path
) -> None:
    (runs / "first" / "config.json").write_text("damaged")
    client = serve(runs)
    guest = Guest(
        browser, f"http://127.0.0.1:{client.port}", viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    page = guest.open("/")
    page.wait_for_selector(".run:has-text('Cannot be read')")
    assert guest.serious() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click(".run a:has-text('onerror')")
    page.wait_for_selector(".panel .frame svg")
    page.wait_for_selector(".story .event:has-text('<script>alert(1)</script>')")
    assert page.locator("h1").text_content() == shown.name
    assert page.locator(".event").count() == 8
    for summary in page.query_selector_all("summary"):
        summary.click()
    assert guest.serious() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    guest.leave()


def test_the_keyboard_is_enough(browser: Any, serve: Callable[..., Client], runs: Path, shown: Path) -> None:
    guest = Guest(browser, f"http://127.0.0.1:{serve(runs).port}")
    page = guest.open("/")
    page.wait_for_selector(".run")
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("name is none")
    page.wait_for_selector(".empty:has-text('No run has this in its name')")
    page.fill("#search", "näme")
    page.wait_for_selector(".head:has-text('1 run in')")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".panel .frame svg")
    curve = page.locator(".panel", has_text="How far samples are")
    last = curve.locator(".reading").text_content()
    curve.locator(".frame").focus()
    page.keyboard.press("Home")
    first = curve.locator(".reading").text_content()
    page.keyboard.press("ArrowRight")
    assert len({last, first, curve.locator(".reading").text_content()}) == 3
    assert first.startswith("At 8 images: samples 1, real against real 0.01")
    page.locator("#when").focus()
    page.keyboard.press("Home")
    page.wait_for_selector("#when-words:has-text('After 0 images')")
    guest.leave()


def test_a_wrong_token_is_said_and_asked_for_again(browser: Any, serve: Callable[..., Client], runs: Path) -> None:
    from steadygan.runtime.folder import RunFolder

    guest = Guest(browser, f"http://127.0.0.1:{serve(runs).port}")
    with RunFolder(runs / "first"):
        page = guest.open("/run/first")
        page.fill("#token", "guessed")
        page.keyboard.press("Enter")
        page.click("button:text-is('Pause')")
        page.wait_for_selector(".said:has-text('wrong token')")
        page.fill("#token", "the-token")
        page.click("button:text-is('Take part')")
        page.click("button:text-is('Pause')")
        page.wait_for_selector(".said:has-text('Asked')")
        (wish,) = lines(runs / "first" / "wishes.jsonl")
        assert (wish["wish"], wish["by"]) == ("pause", "somebody")
        told = {"id": wish["id"], "by": "person:somebody", "done": True, "words": "paused"}
        answer = {"images_seen": 400, "attempt": 0, "kind": "wish", "wish": "pause"} | told
        add(runs / "first" / "events.jsonl", answer)
        page.wait_for_selector(".said:has-text('Done: paused, at 400 images')")
    assert [one for one in guest.complaints if "403" not in one] == [], "the refusal itself stands in the console"
    guest.complaints.clear()
    guest.leave()


def test_a_page_for_one_run_opens_it_at_once(browser: Any, serve: Callable[..., Client], runs: Path) -> None:
    guest = Guest(browser, f"http://127.0.0.1:{serve(runs / 'first', token=None).port}")
    page = guest.open("/")
    page.wait_for_selector("h1:text-is('first')")
    assert page.url.endswith("/run/first")
    assert page.locator("text=All runs").count() == 0
    guest.leave()


def test_a_run_that_is_not_there_is_said(browser: Any, serve: Callable[..., Client], runs: Path) -> None:
    guest = Guest(browser, f"http://127.0.0.1:{serve(runs).port}")
    page = guest.open("/run/gone")
    page.wait_for_selector("#line:has-text(\"no run 'gone' here: choose one of the list\")")
    assert all("404" in one for one in guest.complaints)
    guest.complaints.clear()
    guest.leave()
