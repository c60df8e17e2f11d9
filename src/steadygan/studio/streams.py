"""What an open page is told, one look after the other: only what has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from steadygan.studio.curves import Curves
from steadygan.studio.run_view import RunView
from steadygan.studio.tail import Tail
from steadygan.studio.views import Views

News = list[tuple[str, Any]]
"""Kinds of news, each with what there is to say."""
ROWS = 40
"""Runs on a page of the list."""


def rows(views: Views, asked: Mapping[str, str]) -> dict[str, Any]:
    """A part of the list: ``search`` in names, ``page`` from 0 on."""
    search, page = asked.get("search", "").lower(), _number(asked.get("page", ""))
    places = [place for place in views.library.places() if search in place.name.lower()]
    pages = max(1, -(-len(places) // ROWS))
    page = min(page, pages - 1)
    shown = places[page * ROWS : (page + 1) * ROWS]
    single = views.library.single
    return {
        "rows": [views.at(place).row() for place in shown],
        "count": len(places),
        "page": page,
        "pages": pages,
        "single": single,
    }


def list_news(views: Views, asked: Mapping[str, str]) -> Iterator[News]:
    """The list, whenever it is another one."""
    before = ""
    while True:
        found = rows(views, asked)
        now = json.dumps(found)
        yield [("runs", found)] if now != before else []
        before = now


def run_news(view: RunView) -> Iterator[News]:
    """One run: how it stands, its curves and its events."""
    curves, events, before = Curves(view.path / "records.jsonl"), Tail(view.path / "events.jsonl"), ""
    first = True
    while True:
        news: News = []
        found = view.details()
        now = json.dumps(found)
        if now != before:
            news.append(("run", found))
        if (added := curves.news()) is not None:
            news.append(("records", added))
        told = events.read()
        if told.lines or told.anew or first:
            news.append(("events", {"anew": told.anew or first, "lines": told.lines}))
        before, first = now, False
        yield news


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0
