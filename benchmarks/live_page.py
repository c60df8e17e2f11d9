"""How soon the live page shows something, and how soon it follows; and the pictures of it in the docs.

    python benchmarks/live_page.py speed [--runs 200 10000] [--repeats 5]
    python benchmarks/live_page.py pictures

``speed`` trains one small run, lays out that many copies of its folder, and times in a headless Chromium, from the
start of ``steadygan watch`` on: until it listens, until the first paint, until the list is there; then a search, the
opening of a run until its curves are drawn, and how long a new record takes to be seen. ``pictures`` trains a healthy
run and one that is made ill, and takes pictures of the page while the second goes on. Both need
``pip install steadygan[browser]`` and a Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "live_page.json"
PICTURES = ROOT / "docs" / "images" / "watch"
LINKED = ("environment.json", "events.jsonl", "metrics.jsonl")
UPDATES = 10


def train(path: Path, *words: str) -> subprocess.Popen[bytes]:
    """A run in a process of its own."""
    command = [sys.executable, "-m", "steadygan", "train", "digits", "--threads", "1", "--out", str(path), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def copies(run: Path, folder: Path, count: int) -> None:
    """Many runs that share their files with one; each has records and settings of its own."""
    for number in range(count):
        copy = folder / f"run-{number:05}"
        (copy / "samples").mkdir(parents=True)
        for name in ("config.json", "records.jsonl"):
            shutil.copyfile(run / name, copy / name)
        for path in [*(run / name for name in LINKED), *(run / "samples").iterdir()]:
            os.link(path, copy / path.relative_to(run))


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[tuple[str, str]]:
    """The page's address, alone and with the token."""
    command = [sys.executable, "-u", "-m", "steadygan", "watch", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = [server.stdout.readline() for _ in range(3)]
        try:
            yield said[1].split()[-1], said[2].split()[-1]
        finally:
            server.terminate()


def opened(browser: Browser, folder: Path) -> dict[str, float]:
    """Seconds of everything that is timed, once."""
    page = browser.new_page()
    start = time.perf_counter()
    with watched(folder) as (address, _):
        listening = time.perf_counter()
        page.goto(address)
        paint = page.evaluate(
            "new Promise((done) => { const look = () => { const [one] = performance.getEntriesByName("
            "'first-contentful-paint'); one ? done(one.startTime) : setTimeout(look, 5); }; look(); })"
        )
        page.wait_for_selector(".run")
        listed = time.perf_counter()
        page.fill("#search", "run-00199")
        page.wait_for_selector(".head:has-text('1 run in')")
        found = time.perf_counter()
        page.goto(f"{address}run/run-00199")
        page.wait_for_selector(".frame svg")
        drawn = time.perf_counter()
        updates = [update(page, folder / "run-00199" / "records.jsonl") for _ in range(UPDATES)]
    page.close()
    return {
        "listening": listening - start,
        "first paint": listening - start + paint / 1000,
        "list": listed - start,
        "search": found - listed,
        "a run with its curves": drawn - found,
        "update, mean": statistics.mean(updates),
        "update, longest": max(updates),
    }


def update(page: Page, records: Path) -> float:
    """Seconds from a record being written until it is seen."""
    line = json.loads(records.read_text().splitlines()[-1])
    line["images_seen"] += 1
    # not in step with the server's looks
    time.sleep(0.5 + (line["images_seen"] * 0.137) % 0.5)
    start = time.perf_counter()
    with records.open("a") as file:
        file.write(json.dumps(line) + "\n")
    page.wait_for_selector(f".verdict .figures:has-text('{line['images_seen']:,}')")
    return time.perf_counter() - start


def speed(browser: Browser, counts: list[int], repeats: int) -> None:
    """Time everything, print it, and keep it in ``results/``."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "one"
        train(run, "--recipe", "mlp", "--images", "20000").wait()
        for count in counts:
            folder = Path(place) / f"runs-{count}"
            copies(run, folder, count)
            load, times = os.getloadavg()[0], [opened(browser, folder) for _ in range(repeats)]
            middle = {key: round(statistics.median(one[key] for one in times), 2) for key in times[0]}
            results[str(count)] = {"load": round(load, 1), "repeats": repeats, **middle}
            print(count, results[str(count)], flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def pictures(browser: Browser) -> None:
    """The list, a run in light and dark, and the phone, while a run is under treatment."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        runs = Path(place) / "runs"
        train(runs / "digits", "--images", "10000").wait()
        ill = train(runs / "digits-ill", "--recipe", "dcgan", "--images", "160000", "--sicken", "collapse:severe")
        with watched(runs) as (_, address):
            page = look(browser, address, "light", 1280, 860)
            page.wait_for_selector(".run:has-text('digits-ill') .state:has-text('Going well again')", timeout=600_000)
            page.screenshot(path=PICTURES / "list.png", clip={"x": 0, "y": 0, "width": 1280, "height": 520})
            page.click(".run a:text-is('digits-ill')")
            page.fill("#who", "anna")
            page.click("button:text-is('Halve')")
            page.wait_for_selector(".said:has-text('Done')", timeout=120_000)
            page.wait_for_selector("h3:has-text('Control: learning_rate.generator')", timeout=120_000)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=PICTURES / "run.png", clip={"x": 0, "y": 0, "width": 1280, "height": 860})
            dark = look(browser, address.replace("/#", "/run/digits-ill#"), "dark", 1280, 860)
            dark.wait_for_selector(".frame svg")
            dark.locator(".panels").scroll_into_view_if_needed()
            dark.evaluate("scrollTo(0, document.querySelector('.key').getBoundingClientRect().top + scrollY - 60)")
            dark.wait_for_timeout(500)
            dark.screenshot(path=PICTURES / "curves-dark.png")
            phone = look(browser, address.replace("/#", "/run/digits-ill#"), "light", 390, 844)
            phone.wait_for_selector(".grid")
            phone.wait_for_timeout(500)
            phone.screenshot(path=PICTURES / "phone.png")
        ill.terminate()
        ill.wait()


def look(browser: Browser, address: str, scheme: Any, width: int, height: int) -> Page:
    """A page at this address."""
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
    page.goto(address)
    return page


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("speed", "pictures"))
    parser.add_argument("--runs", type=int, nargs="+", default=[200, 10_000])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        if given.what == "speed":
            speed(browser, given.runs, given.repeats)
        else:
            pictures(browser)
        browser.close()


if __name__ == "__main__":
    main()
