"""Checks the documentation: nav and folder agree, links resolve, figures name their command, nothing is fetched.

Run as ``python tools/check_docs.py``; prints one line a fault, exits 1 where there is one. The checks of the built
pages are left out where ``site/`` is not there.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)[^)]*\)")
HEADING = re.compile(r"^#{1,6} (.+?)(?: *\{.*\})?$", re.MULTILINE)
FIGURE = re.compile(
    r"!\[|\d ?± ?\d|\d\.\d+ ?×"
    r"|\d[\d,.]* ?(?:images/s|images a second|ms\b|[KMG]B\b|%)"
    r"|(?:Fréchet|KID|FID|KL)\D{0,40}\d+\.\d"
)
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)[^>]+\bsrc=[\"']?(?:https?:)?//[^\"' >]+"
    r"|<link(?![^>]+rel=[\"']?(?:canonical|license|author))[^>]+\bhref=[\"']?(?:https?:)?//[^\"' >]+"
    r"|class=[\"']?mermaid"
    r"|url\([\"']?(?:https?:)?//[^)]+\)|@import [\"'](?:https?:)?//[^\"']+",
    re.IGNORECASE,
)


class Block(NamedTuple):
    """A fenced block of a page: language, the rest of its first line, its text, and the line where it begins."""

    page: Path
    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        language, _, title = found["info"].strip().partition(" ")
        indent = len(found["indent"])
        body = "\n".join(line[indent:] for line in found["body"].splitlines())
        yield Block(page, language, title, body, text.count("\n", 0, found.start()) + 1)


def prose(text: str) -> str:
    """A page without its fenced blocks and inline code."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", text))


def nav_pages(nav: Iterable[Any]) -> Iterator[str]:
    """Every page that a nav names, depth first."""
    for entry in nav:
        for value in [entry] if isinstance(entry, str) else entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from nav_pages(value)


def nav_faults(config: Path, docs: Path) -> list[str]:
    """Pages in the nav that are not there, pages that the nav leaves out, and pages named twice."""
    named = list(nav_pages(tomllib.loads(config.read_text(encoding="utf-8"))["project"]["nav"]))
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    found = [f"{config.name}: {page} is in the nav, but not in {docs.name}/" for page in sorted({*named} - there)]
    found += [f"{config.name}: {page} is in {docs.name}/, but not in the nav" for page in sorted(there - {*named})]
    return found + [
        f"{config.name}: {page} is named twice" for page in sorted({p for p in named if named.count(p) > 1})
    ]


def anchor(heading: str) -> str:
    """The anchor that a heading gets in the built page."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text.encode("ascii", "ignore").decode()).strip().lower())


def link_faults(pages: Iterable[Path]) -> list[str]:
    """Links to files and anchors of the repository that are not there."""
    found = []
    for page in pages:
        for link in LINK.findall(prose(page.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, place = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists():
                found.append(f"{page}: the link {link} leads nowhere")
            elif place and target.suffix == ".md":
                anchors = {
                    anchor(heading) for heading in HEADING.findall(FENCE.sub("", target.read_text(encoding="utf-8")))
                }
                if place not in anchors:
                    found.append(f"{page}: {target.name} has no heading for #{place}")
    return found


def figure_faults(pages: Iterable[Path]) -> list[str]:
    """Sections with measured figures or pictures that do not say ``Made by `command```."""
    found = []
    for page in pages:
        for section in re.split(r"^(?=#{1,6} )", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE):
            figure = FIGURE.search(re.sub(r"`[^`\n]+`", "", section))
            if figure and not re.search(r"[Mm]ade by\s+`[^`]+`", section):
                title = section.splitlines()[0].lstrip("# ")
                found.append(f"{page}: the section {title!r} has {figure.group()!r}, but no line Made by `command`")
    return found


def fetch_faults(site: Path) -> list[str]:
    """Whatever a built page would fetch from somebody else when it is read."""
    return [
        f"{path}: fetches {found.group()}"
        for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")])
        for found in FETCHED.finditer(path.read_text(encoding="utf-8"))
    ]


def faults(root: Path) -> list[str]:
    """Everything that is wrong with the documentation of the repository at ``root``, one line each."""
    docs = root / "docs"
    inside = sorted(docs.rglob("*.md"))
    outside = [path for path in (root / "README.md", root / "CONTRIBUTING.md", root / "CHANGELOG.md") if path.exists()]
    return [
        *nav_faults(root / "zensical.toml", docs),
        *link_faults([*inside, *outside]),
        *figure_faults([*inside, *outside]),
        *fetch_faults(root / "site"),
    ]


def main() -> int:
    """Check this repository; the exit status."""
    found = faults(ROOT)
    for line in found:
        print(line)
    print(f"docs: {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
