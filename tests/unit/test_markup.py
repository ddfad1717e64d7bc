"""HTML that is well formed and shows any text as it is, read back by a parser."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from labdata.markup import badge, card, facts_table, rows_table

EVIL = "<script>alert(\"x\")</script> & 'y'"


class Reader(HTMLParser):
    """Tags in order, texts, and attributes; fails on a tag that is closed in the wrong place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize(
    "html",
    [
        badge(EVIL, "why"),
        facts_table(EVIL, {EVIL: EVIL}),
        rows_table(EVIL, [EVIL], [[EVIL]]),
    ],
)
def test_any_text_is_shown_as_it_is(html: str) -> None:
    found = Reader(html)
    assert "script" not in found.tags
    assert EVIL in found.texts


def test_a_badge_explains_itself() -> None:
    found = Reader(badge("lost", EVIL))
    assert ("title", EVIL) in found.attributes
    assert ("role", "note") in found.attributes


def test_rows_keep_their_order_and_numbers_are_aligned_right() -> None:
    found = Reader(rows_table("Units", ["unit", "rate (Hz)"], [["a", 1.5], [None, True]]))
    assert found.texts == ["Units", "unit", "rate (Hz)", "a", "1.5", "True"]
    assert found.tags.count("td") == 4
    assert found.attributes.count(("class", "n")) == 1
    sized = Reader(rows_table("Files", ["file", "size"], [["a", "1.5 MiB"]], quantities={"size"}))
    assert sized.attributes.count(("class", "n")) == 2, "its heading and its value"


def test_a_card_is_one_block_without_scripts() -> None:
    found = Reader(card(badge("a", "b"), "<p>c</p>"))
    assert found.tags == ["style", "div", "span", "p"]
