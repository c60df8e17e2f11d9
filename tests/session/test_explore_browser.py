"""The page for exploring in a real browser: what is moved is seen, nothing is complained of, nothing leaves."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steadygan.data.dataset import DataSet
from steadygan.session.exploring import painter
from steadygan.studio.gate import Gate
from steadygan.studio.library import Library
from steadygan.studio.server import Studio

from .conftest import Lab

pytest.importorskip("playwright.sync_api", reason="the extra browser is not installed")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def address(digits: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over a run of which classes can be asked."""
    lab, path = Lab(digits), tmp_path_factory.mktemp("explored") / "run"
    lab.start(path, lab.config("cgan"))
    studio = Studio(Library(path), Gate("127.0.0.1", None), ("127.0.0.1", 0), painter(path))
    thread = threading.Thread(target=studio.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{studio.server_address[1]}"
    studio.shutdown()
    studio.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


class Visit:
    """A page that notes complaints and requests, ready to be used."""

    def __init__(self, browser: Any, address: str, **about: Any) -> None:
        self.page = browser.new_context(**about).new_page()
        self.page.set_default_timeout(60_000)
        self.address, self.faults, self.requests = address, list[str](), list[str]()
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"{address}/explore")
        self.page.wait_for_selector(".explore[data-ready]")

    def picture(self) -> str:
        """The pixels that are on the page, once those that were asked for have come."""
        found: str = self.page.evaluate(
            """async () => {
                const image = document.getElementById('picture');
                const wanted = document.getElementById('save-picture').getAttribute('href');
                const there = () => image.getAttribute('src') === wanted && image.complete;
                while (!there()) await new Promise((go) => setTimeout(go, 20));
                const canvas = document.createElement('canvas');
                canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
                canvas.getContext('2d').drawImage(image, 0, 0);
                return canvas.toDataURL();
            }"""
        )
        return found

    def leave(self) -> None:
        self.page.context.close()
        assert self.faults == []
        assert [url for url in self.requests if not url.startswith(self.address + "/")] == []


def test_sliders_classes_and_seeds_change_the_picture_and_pins_stay(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    page, seen = visit.page, [visit.picture()]
    page.get_by_role("slider", name="brightness").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert page.get_by_role("slider", name="brightness").input_value() == "2"
    seen.append(visit.picture())
    page.select_option("#label", "3")
    seen.append(visit.picture())
    page.click("button:text-is('Pin')")
    moved = visit.picture()
    page.fill("#way", "50")
    seen.append(visit.picture())
    page.click("button:text-is('Another sample')")
    seen.append(visit.picture())
    assert len(set(seen)) == len(seen)
    page.click("button:text-is('Back to the start')")
    assert page.get_by_role("slider", name="brightness").input_value() == "0"
    page.reload()
    page.wait_for_selector(".explore[data-ready]")
    page.click(".picked")
    assert (page.get_by_role("slider", name="brightness").input_value(), page.input_value("#label")) == ("2", "3")
    assert visit.picture() == moved
    page.click("button:text-is('Unpin')")
    assert page.locator(".picked").count() == 0
    visit.leave()


def test_the_heat_map_the_nearest_and_the_export(browser: Any, address: str, tmp_path: Path) -> None:
    visit = Visit(browser, address)
    page = visit.page
    assert page.is_hidden("#heat-map")
    page.click("button:text-is('Heat map')")
    page.wait_for_function("() => document.getElementById('heat-map').naturalWidth > 0")
    page.click("button:text-is('Nearest real images')")
    page.wait_for_selector("img[src*='real?row=']")
    assert page.locator("img[src*='real?row=']").count() == 6
    page.fill("#seed", "12")
    visit.picture()
    for link, name in (("#save-picture", "sample-12.png"), ("#save-numbers", "sample-12.json")):
        with page.expect_download() as waiting:
            page.click(link)
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / name)
    assert Image.open(tmp_path / "sample-12.png").size == (8, 8)
    found = json.loads((tmp_path / "sample-12.json").read_text())
    assert (found["seed"], found["label"], len(found["latent"])) == (12, 0, 8)
    visit.leave()


def test_a_wrong_number_is_told_and_the_next_right_one_works(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    before = visit.picture()
    visit.page.fill("#seed", "-3")
    visit.page.wait_for_selector(".said:has-text('give a whole number from 0')")
    visit.page.fill("#seed", "3")
    visit.page.wait_for_function("() => document.querySelector('.stage .said').textContent === ''")
    assert visit.picture() != before
    # the browser itself notes the one refusal
    assert all("400" in fault for fault in visit.faults)
    visit.faults.clear()
    visit.leave()


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1200)])
def test_accessible_and_never_wider_than_the_screen(browser: Any, address: str, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    visit = Visit(browser, address, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = visit.page
    page.click("button:text-is('Pin')")
    page.click("button:text-is('Heat map')")
    page.click("button:text-is('Nearest real images')")
    page.wait_for_selector("img[src*='real?row=']")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    visit.leave()
