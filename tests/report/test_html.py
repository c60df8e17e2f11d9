"""Markup: text can never become markup, and elements come out as they are meant."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from steadygan.report.html import Html, data_uri, folded, markup, pairs, section, table, tag

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


def test_elements_and_attributes() -> None:
    assert tag("p", "a", class_="b", data_tip="c d") == '<p class="b" data-tip="c d">a</p>'
    assert tag("input", type="range", hidden=True, disabled=False, value=0, title=None) == (
        '<input type="range" hidden value="0">'
    )
    assert tag("p", None, ["a", tag("b", "c")], Html("<i>")) == "<p>a<b>c</b><i></p>"


def test_nothing_stays_nothing() -> None:
    assert markup(None, "", []) == "" and section("Title", None, "", id="x") == ""


@given(TEXT)
def test_text_stays_text(text: str) -> None:
    class_, title, words = text, text, text
    from html.parser import HTMLParser

    found: list[Any] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

        def handle_data(self, data: str) -> None:
            found.append(data)

    reader = Reader()
    reader.feed(tag("p", words, class_=class_, data_tip=title))
    reader.close()
    assert found[0] == ("p", {"class": text, "data-tip": text})
    assert "".join(found[1:]) == text


def test_tables_scroll_and_name_their_rows() -> None:
    made = table(("a", "b"), [("x", "<y>")], "About")
    assert 'role="region" aria-label="About"' in made and 'tabindex="0"' in made
    assert '<caption>About</caption><thead><tr><th scope="col">a</th>' in made
    assert '<th scope="row">x</th><td>&lt;y&gt;</td>' in made


def test_lists_and_folds() -> None:
    assert pairs([("a", "b")], "c") == '<dl class="c"><div><dt>a</dt><dd>b</dd></div></dl>'
    assert folded("More", "x") == "<details><summary>More</summary>x</details>"
    assert section("T", "x", id="i", lead="l") == (
        '<section id="i" aria-labelledby="i-title"><h2 id="i-title">T</h2><p class="lead">l</p>x</section>'
    )


def test_addresses_hold_the_file() -> None:
    assert data_uri(b"\x00\xff", "image/png") == "data:image/png;base64,AP8="
