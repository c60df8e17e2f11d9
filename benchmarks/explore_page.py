"""How fast the page for exploring answers, and the picture of it in the docs.

    python benchmarks/explore_page.py RUN

Starts ``steadygan explore`` on a run, waits until all directions are found, times every kind of request, moves a
slider in a headless Chromium and takes pictures. Needs ``pip install steadygan[browser]`` and a Chromium.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "explore_page.json"
PICTURES = ROOT / "docs" / "images" / "explore"
REPEATS = 40


def milliseconds(address: str, what: str) -> dict[str, float]:
    """Median and longest time of requests for different samples, moved along a direction."""
    times = []
    for seed in range(REPEATS):
        start = time.perf_counter()
        with urlopen(f"{address}api/explore/{what}?{urlencode({'seed': seed, 'move.GANSpace 1': 1})}") as answer:
            answer.read()
        times.append(1000 * (time.perf_counter() - start))
    return {"median": round(statistics.median(times), 1), "longest": round(max(times), 1)}


def pictures(address: str) -> float:
    """Take the pictures; the milliseconds from a slider's move until the new picture is there."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(args=["--no-sandbox"], executable_path=os.environ.get("CHROMIUM"))
        for scheme, width in (("light", 1200), ("dark", 390)):
            size: Any = {"width": width, "height": 900 if width > 1000 else 844}
            scheme_: Any = scheme
            page = browser.new_context(color_scheme=scheme_, viewport=size).new_page()
            page.goto(f"{address}explore")
            page.wait_for_selector(".explore[data-ready]")
            page.click("button:text-is('Heat map')")
            for seed in ("12", "4"):
                page.fill("#seed", seed)
                page.click("button:text-is('Pin')")
            page.wait_for_load_state("networkidle")
            took: float = page.evaluate(
                "new Promise((done) => { const start = performance.now(), slider = document.getElementById("
                "document.querySelector('[data-method=boundary] label').htmlFor);"
                "document.getElementById('picture').onload = () => done(performance.now() - start);"
                "slider.value = 1.5; slider.dispatchEvent(new Event('input')); })"
            )
            page.wait_for_load_state("networkidle")
            page.screenshot(path=PICTURES / f"page-{scheme}.png")
        browser.close()
    return took


def main() -> None:
    """Time, take pictures, print, and keep the figures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-u", "-m", "steadygan", "explore", sys.argv[1], "--port", "0"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1].removesuffix("explore")
            results: dict[str, Any] = {"load": os.getloadavg()[0], "seconds until it listens": _since(start)}
            while json.load(urlopen(f"{address}api/explore/describe"))["state"]:
                time.sleep(0.2)
            results["seconds until all directions are found"] = _since(start)
            results |= {what: milliseconds(address, what) for what in ("picture", "heat", "nearest", "numbers")}
            results["slider to picture, milliseconds"] = round(pictures(address), 1)
        finally:
            server.terminate()
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 1)


if __name__ == "__main__":
    main()
