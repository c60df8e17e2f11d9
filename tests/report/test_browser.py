"""The page in a real browser: the slider, what is told where it is pointed at, no request, no error, accessible."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steadygan.report.comparison import comparison_page
from steadygan.report.page import run_page

from .conftest import CURED, Make, event

pytest.importorskip("playwright.sync_api", reason="the extra browser is not installed")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


class Watched:
    """A page that is open, with everything that went wrong in it and every request it made."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def wrong(self) -> list[str]:
        """What went wrong, and what was asked of anybody else."""
        return [*self.faults, *(url for url in self.requests[1:] if not url.startswith("data:"))]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def report(make: Make, pages: Path) -> Path:
    path = pages / "report.html"
    tried = [event(5000, "diagnosis", case=2, words="again"), event(6000, "receded", case=2)]
    quarantine = {
        "quarantine.csv": "path,reason\n" + "x" * 200 + ".png,cut off\n",
        "command.txt": "steadygan train " * 9,
    }
    path.write_text(run_page(make(events=[*CURED, *tried], files=quarantine)))
    return path


def test_the_slider_changes_the_picture(browser: Any, report: Path) -> None:
    from playwright.sync_api import expect

    one = Watched(browser, report)
    shown = one.page.locator(".film img:visible")
    assert shown.count() == 1 and shown.get_attribute("data-seen") == "10,000"
    slider = one.page.get_by_label("Images seen", exact=True)
    slider.focus()
    one.page.keyboard.press("ArrowLeft")
    assert shown.get_attribute("data-seen") == "5,000"
    assert slider.get_attribute("aria-valuetext") == "5,000 images"
    one.page.keyboard.press("Home")
    assert shown.count() == 1 and shown.get_attribute("data-seen") == "0"
    one.page.get_by_role("button", name="Play").click()
    expect(slider).to_have_value("2")
    assert shown.get_attribute("data-seen") == "10,000"
    assert one.wrong() == []


def test_marks_tell_their_words_to_pointer_and_keyboard(browser: Any, report: Path) -> None:
    one = Watched(browser, report)
    tip = one.page.locator("#tip")
    assert not tip.is_visible()
    one.page.locator(".timeline .mark.diagnosis").first.focus()
    assert "the generator makes a few kinds of samples only" in tip.inner_text()
    one.page.keyboard.press("Escape")
    assert not tip.is_visible()
    one.page.locator(".panel .mark.helped").first.hover()
    assert "it helped" in tip.inner_text()
    one.page.locator(".panel svg").first.hover()
    assert "images" in tip.inner_text() and "samples: " in tip.inner_text()
    assert one.wrong() == []


def test_without_scripts_it_says_the_same(browser: Any, report: Path) -> None:
    one = Watched(browser, report, java_script_enabled=False)
    assert one.page.locator(".film img:visible").get_attribute("data-seen") == "10,000"
    assert one.page.get_by_role("button", name="Play").count() == 0
    one.page.get_by_text("The same as a table").click()
    assert one.page.get_by_text("against collapse: back to the last healthy snapshot").is_visible()


@pytest.mark.parametrize("width", [320, 375, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_and_never_wider_than_the_screen(
    browser: Any, report: Path, pages: Path, make: Make, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    several = pages / "several.html"
    several.write_text(comparison_page([make("first"), make("second-" + "x" * 60, events=CURED)]))
    for path in (report, several):
        one = Watched(browser, path, color_scheme=scheme, viewport={"width": width, "height": 800})
        one.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert one.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        found = Axe().run(one.page)
        assert found.violations_count == 0, found.generate_report()
        assert one.wrong() == []
        one.context.close()


def test_scripts_from_outside_do_not_run(browser: Any, make: Make, pages: Path) -> None:
    """Were text ever to become markup, the policy of the page would still stand in its way."""
    text = run_page(make()).replace("</main>", "<script>document.title = 'taken'</script></main>")
    (pages / "evil.html").write_text(text)
    one = Watched(browser, pages / "evil.html")
    assert one.page.title() != "taken" and any("Content Security Policy" in fault for fault in one.faults)
