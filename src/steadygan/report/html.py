"""Markup that cannot be broken by what is put into it: text is escaped unless it is known to be markup."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
"""Elements that have no content and no end."""


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Content = str | None | Iterable["Content"]
"""What an element may hold: text, markup, nothing, or several of them."""


def markup(*content: Content) -> Html:
    """All of it as markup; plain text is escaped, None and empty parts vanish."""
    parts = []
    for part in content:
        if isinstance(part, Html):
            parts.append(str(part))
        elif isinstance(part, str):
            parts.append(escape(part, quote=False))
        elif part is not None:
            parts.append(markup(*part))
    return Html("".join(parts))


def tag(name: str, /, *content: Content, **attributes: str | int | bool | None) -> Html:
    """An element; ``class_="a"`` is the attribute ``class``, ``data_tip="b"`` is ``data-tip``, True stands alone."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    start = f"<{name}{written}>"
    return Html(start) if name in VOID else Html(f"{start}{markup(*content)}</{name}>")


def data_uri(body: bytes, kind: str) -> str:
    """A file as an address that holds it, e.g. of ``kind`` ``image/png``."""
    return f"data:{kind};base64,{base64.b64encode(body).decode()}"


def table(head: Sequence[Content], rows: Iterable[Sequence[Content]], caption: str = "", class_: str = "") -> Html:
    """A table whose first column names its rows; wide ones scroll by themselves, also by keyboard."""
    body = [
        tag("tr", *(tag("th", cell, scope="row") if i == 0 else tag("td", cell) for i, cell in enumerate(row)))
        for row in rows
    ]
    inner = tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head))) if any(head) else None,
        tag("tbody", *body),
        class_=class_ or None,
    )
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption or "table")


def pairs(values: Iterable[tuple[Content, Content]], class_: str = "") -> Html:
    """Names and values as a list of terms."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in values), class_=class_ or None)


def section(title: str, *content: Content, id: str, lead: Content = None) -> Html:  # noqa: A002 - the attribute's name
    """A part of a page with its heading; nothing at all where it has no content."""
    inside = markup(*content)
    if not inside:
        return Html("")
    heading = tag("h2", title, id=f"{id}-title")
    return tag(
        "section",
        heading,
        tag("p", lead, class_="lead") if lead else None,
        inside,
        id=id,
        aria_labelledby=f"{id}-title",
    )


def folded(title: Content, *content: Content, open_: bool = False) -> Html:
    """Content that is shown when its title is opened."""
    return tag("details", tag("summary", title), *content, open=open_)
