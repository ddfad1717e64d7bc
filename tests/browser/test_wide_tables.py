"""A table wider than the page, measured in Chromium: it scrolls in its box and shows so."""

from types import SimpleNamespace

import numpy as np
import pytest

from labdata.database import previews

pytestmark = pytest.mark.browser

LONG = "The recording was started again after the second probe had been moved by hand. " * 3
KEYS = ("subject_name", "session_name")
NUMBERS = tuple(f"a_metric_with_a_name_{n}" for n in range(20))
COLUMNS = (*KEYS, "started", "notes", *NUMBERS)


@pytest.fixture
def html(monkeypatch):
    row = ("JC1", "20240305_100000", "2024-03-05 10:00:00.250000", LONG, *[1.5] * 20)
    kinds = [(name, object) for name in COLUMNS]
    rows = np.array([row, row], dtype=kinds)
    first = previews._First(COLUMNS, frozenset(KEYS), rows, False, 40, {})
    monkeypatch.setattr(previews._First, "of", lambda expression, limit: first)
    attributes = {name: SimpleNamespace(comment="") for name in COLUMNS}
    return previews.preview_html(
        SimpleNamespace(
            heading=SimpleNamespace(attributes=attributes),
            connection=SimpleNamespace(_config={"display.show_tuple_count": False}),
        )
    )


def show(page, html, width, around="{}"):
    page.set_viewport_size({"width": width, "height": 700})
    page.set_content(f"<!doctype html><html><body>{around.format(html)}</body></html>")
    return page.locator(".wide")


@pytest.mark.parametrize("width", [800, 1400])
def test_the_box_scrolls_and_not_the_page(page, html, width):
    box = show(page, html, width)
    inner, whole, bar = box.evaluate(
        "e => [e.clientWidth, e.scrollWidth, e.offsetHeight - e.clientHeight]"
    )
    assert inner > 0.9 * width and whole > width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # a style of its own keeps the bar in sight where the system would hide it
    height = "e => getComputedStyle(e, '::-webkit-scrollbar').height"
    assert box.evaluate(height) == "12px" and bar >= 2


def test_a_shade_tells_of_more_until_the_end_is_reached(page, html):
    box = show(page, html, 800)

    def edge():
        area = box.bounding_box()
        place = {"x": area["x"] + area["width"] - 8, "y": area["y"] + 40, "width": 6, "height": 40}
        return page.screenshot(clip=place)

    before = edge()
    box.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    assert edge() != before


@pytest.mark.parametrize("around", ["{}", "<style>td{{white-space:normal}}</style>{}"])
def test_no_cell_breaks_and_a_long_text_is_whole_in_its_title(page, html, around):
    box = show(page, html, 800, around)
    heights = box.locator("tr").evaluate_all("rows => rows.map(r => r.offsetHeight)")
    assert heights == [28, 28, 27]  # the last has no line below
    cut = box.locator("td").evaluate_all(
        "cells => cells.filter(c => c.scrollWidth > c.clientWidth).map(c => c.title)"
    )
    assert cut == [LONG, LONG]


def test_keys_stay_in_sight_beside_each_other(page, html):
    box = show(page, html, 800)
    where = "cells => cells.slice(0, 2).map(c => c.getBoundingClientRect().x)"
    keys = box.locator("tr:nth-child(2) td")
    before = keys.evaluate_all(where)
    box.evaluate("e => e.scrollTo(900, 0)")
    assert keys.evaluate_all(where) == pytest.approx(before, abs=1)
    on_top = "c => document.elementFromPoint(c.getBoundingClientRect().x + 5, "
    on_top += "c.getBoundingClientRect().y + 5) === c"
    assert keys.nth(0).evaluate(on_top) and keys.nth(1).evaluate(on_top)
    assert keys.nth(0).evaluate("c => getComputedStyle(c).backgroundColor") != "rgba(0, 0, 0, 0)"


def test_in_a_dark_notebook_the_keys_are_as_dark_as_the_page(page, html):
    theme = "<style>:root{{--jp-layout-color0:rgb(17, 17, 17)}}body{{color:white}}</style>{}"
    key = show(page, html, 800, theme).locator("td").nth(0)
    assert key.evaluate("c => getComputedStyle(c).backgroundColor") == "rgb(17, 17, 17)"
    assert key.evaluate("c => getComputedStyle(c).color") == "rgb(255, 255, 255)"
