"""The page of an explanation in a real browser: no request, no error, accessible, and images behind the dots."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steadygan.session import explaining_reals, subject
from steadygan.session.explain_page import explain_page
from steadygan.session.explaining import explain

pytest.importorskip("playwright.sync_api", reason="the extra browser is not installed")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def page(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "own_judge", functools.partial(subject.own_judge, images=1500))
        patch.setattr(subject.Subject, "count", lambda self, most, least=64: 64)
        patch.setattr(explaining_reals, "CHANGES", (0.0, 0.1))
        path = tmp_path_factory.mktemp("explained") / "explain.html"
        path.write_text(explain_page(explain(finished)))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1200)])
def test_accessible_quiet_and_never_wider_than_the_screen(browser: Any, page: Path, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    one, faults, requests = context.new_page(), list[str](), list[str]()
    one.on("console", lambda message: faults.append(message.text))
    one.on("pageerror", lambda error: faults.append(str(error)))
    one.on("request", lambda request: requests.append(request.url))
    one.goto(page.as_uri())
    one.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert one.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    found = Axe().run(one)
    assert found.violations_count == 0, found.generate_report()
    assert faults == []
    assert [url for url in requests[1:] if not url.startswith("data:")] == []
    context.close()


def test_pointing_at_a_dot_shows_its_image(browser: Any, page: Path) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    one = context.new_page()
    one.goto(page.as_uri())
    seen = "document.querySelectorAll('.spot:hover svg').length"
    assert one.evaluate(seen) == 0
    # the last one lies above all others
    one.locator(".spot .dot").last.hover()
    assert one.evaluate(seen) == 1
    assert one.evaluate("getComputedStyle(document.querySelector('.spot:hover svg')).visibility") == "visible"
    assert one.evaluate("getComputedStyle(document.querySelector('.spot:hover svg')).overflow") == "hidden"
    # what is drawn there ends where the picture ends
    shot = Image.open(io.BytesIO(one.locator("#map figure > svg").screenshot()))
    wide = shot.width * 150 / 710
    margin = range(int(shot.width - wide / 20), shot.width)
    assert len({shot.getpixel((x, 60)) for x in margin}) == 1
    context.close()
