"""The frame of every page: one file that fetches nothing, with its style and its few lines of script inside."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from steadygan.report.html import Content, Html, tag
from steadygan.report.verdict import Verdict

SIGNS = {
    "good": "M12 1a11 11 0 1 0 0 22a11 11 0 0 0 0-22zM10.4 17.2l-4.6-4.6l1.7-1.7l2.9 2.9l6.6-6.6l1.7 1.7z",
    "mended": "M12 1a11 11 0 1 0 0 22a11 11 0 0 0 0-22zM10.4 17.2l-4.6-4.6l1.7-1.7l2.9 2.9l6.6-6.6l1.7 1.7z",
    "far": "M12 1a11 11 0 1 0 0 22a11 11 0 0 0 0-22zM6 10.6h12v2.8h-12z",
    "wrong": "M12 1L0.5 22h23zM10.8 8.5h2.4v7h-2.4zM10.8 17h2.4v2.4h-2.4z",
    "failed": "M7.5 1h9L23 7.5v9L16.5 23h-9L1 16.5v-9z"
    "M7 8.6L10.4 12L7 15.4L8.6 17L12 13.6L15.4 17L17 15.4L13.6 12L17 8.6L15.4 7L12 10.4L8.6 7z",
    "going": "M12 1a11 11 0 1 0 0 22a11 11 0 0 0 0-22zM10.8 6h2.4v5.6l3.9 3.9l-1.7 1.7l-4.6-4.6z",
}
"""A sign for each state, of another outline where it matters, so that colour alone says nothing."""


def page(title: str, head: Content, *sections: tuple[str, str, Html], closing: Content = None) -> str:
    """A whole page.

    Args:
        title: of the window.
        head: what stands on top: name and verdict.
        sections: each with the name of its place in the page, its name in the list on top, and its content;
            empty ones vanish.
        closing: the last line.
    """
    shown = [(place, name, body) for place, name, body in sections if body]
    ways = tag("ul", *(tag("li", tag("a", name, href=f"#{place}")) for place, name, _ in shown))
    style, script = (
        files("steadygan.report").joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    allowed = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{_fingerprint(script)}'"
    document = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=allowed),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            tag("style", Html(style)),
        ),
        tag(
            "body",
            tag("a", "To the content", href="#content", class_="skip"),
            tag("header", head, tag("nav", ways, aria_label="Parts of this page"), class_="top"),
            tag("main", *(body for _, _, body in shown), id="content"),
            tag("footer", tag("p", closing)) if closing else None,
            tag("div", id="tip", role="status", hidden=True),
            tag("script", Html(script)),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{document}\n"


def _fingerprint(script: str) -> str:
    """What a browser lets run: this script and no other, whatever a file name or a label may smuggle in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def state(found: Verdict) -> Html:
    """The verdict in one line, with its sign."""
    sign = Html(
        f'<svg viewBox="0 0 24 24" aria-hidden="true"><path fill-rule="evenodd" d="{SIGNS[found.state]}"/></svg>'
    )
    return tag("p", sign, tag("span", found.headline), class_=f"state {found.state}")
