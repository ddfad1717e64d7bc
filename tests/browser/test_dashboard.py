"""The unit explorer in a browser, as Voilà shows it."""

import re
import sys
import urllib.request

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: What a figure's data source holds in the page: column -> values.
COLUMN = """([place, column, needs]) => {
  for (const view of Bokeh.index.roots) {
    if (!view.el.closest(place)) continue;
    for (const model of view.model.references()) {
      const data = model.data;
      if (model.type !== "ColumnDataSource" || !data) continue;
      const get = (name) => (data instanceof Map ? data.get(name) : data[name]);
      if (get(column) !== undefined && get(needs) !== undefined) return Array.from(get(column));
    }
  }
  return null;
}"""


@pytest.fixture
def explorer(page, explorer_url):
    page.goto(explorer_url)
    page.locator(".ld-plots canvas").first.wait_for()
    page.locator(".ld-text", has_text="Unit 3").wait_for()
    return page


def column(page, place, name, needs):
    return page.evaluate(COLUMN, [place, name, needs])


def headline(page, text):
    page.locator(".ld-text", has_text=text).wait_for()
    return page.locator(".ld-text").inner_text()


def test_the_page_shows_the_spikes_of_the_first_unit(explorer):
    assert headline(explorer, "Unit 3") == "Unit 3: 40 spikes, 40 trials of nidq/1"
    times = column(explorer, ".ld-plots", "x", "trial")
    assert len(times) == 40
    assert all(abs(t - 0.105) < 1e-6 for t in times)
    rate = column(explorer, ".ld-plots", "mean", "sem")
    assert max(rate) == pytest.approx(100.0), "one spike a trial in a bin of 10 ms"
    assert explorer.locator(".ld-badge").inner_text() == "nidq · 12 µs"


def test_a_click_on_another_row_shows_that_unit(explorer):
    explorer.locator("tr[data-unit='8']").click()
    assert headline(explorer, "Unit 8") == "Unit 8: 300 spikes, 40 trials of nidq/1"
    explorer.wait_for_function(
        f"args => ({COLUMN})(args)?.length === 80", arg=[".ld-plots", "x", "trial"]
    )
    assert set(column(explorer, ".ld-plots", "trial", "trial")) == set(range(1, 41))


def test_keys_walk_through_the_list(explorer):
    explorer.keyboard.press("j")
    assert "0 spikes" in headline(explorer, "Unit 5")
    explorer.keyboard.press("n")
    headline(explorer, "Unit 8")
    explorer.keyboard.press("k")
    headline(explorer, "Unit 5")
    explorer.keyboard.press("?")
    assert explorer.get_by_role("dialog").is_visible()
    explorer.keyboard.press("Escape")
    assert not explorer.get_by_role("dialog").is_visible()


def test_the_list_sorts_and_filters(explorer):
    rows = explorer.locator("tr[data-unit]")
    assert [r.get_attribute("data-unit") for r in rows.all()] == ["3", "5", "8"]
    explorer.get_by_role("button", name=re.compile("^spikes")).click()
    explorer.wait_for_function(
        "() => document.querySelector('tr[data-unit]').dataset.unit === '5'"
    )
    explorer.keyboard.press("s")
    explorer.locator(".ld-count", has_text="2 of 3 units").wait_for()
    assert rows.count() == 2


def test_a_failing_unit_is_marked_by_shape_and_word(explorer):
    mark = explorer.locator("tr[data-unit='8'] .ld-mark")
    assert mark.inner_text() == "×"
    assert mark.get_attribute("aria-label") == "fails the criteria of a single unit"


def test_plots_are_saved_with_a_caption(explorer, tmp_path):
    with explorer.expect_download() as download:
        explorer.get_by_role("button", name="SVG").click()
    path = tmp_path / "a.svg"
    download.value.save_as(path)
    assert "bins 10 ms" in path.read_text(encoding="utf-8")
    with explorer.expect_download() as download:
        explorer.get_by_role("button", name="PNG").click()
    path = tmp_path / "a.png"
    download.value.save_as(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_nothing_scrolls_but_the_list_of_units(explorer):
    sideways = explorer.evaluate(
        "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert not sideways


def test_the_kernel_is_this_interpreter(explorer):
    assert explorer.locator("#interpreter").inner_text() == sys.executable


def test_dark_follows_the_system(explorer):
    explorer.emulate_media(color_scheme="dark")
    explorer.locator(".labdata-explorer[data-theme='dark']").wait_for()


def test_without_the_token_nothing_is_shown(explorer_url):
    with urllib.request.urlopen(explorer_url.partition("?")[0]) as answer:
        assert "/login" in answer.url


@pytest.fixture
def dashboard(page, dashboard_url):
    page.goto(dashboard_url)
    page.locator(".ld-text", has_text="Unit").wait_for()
    return page


def units(page):
    return [row.get_attribute("data-unit") for row in page.locator("tr[data-unit]").all()]


def test_units_are_shown_as_curated_or_as_sorted(dashboard):
    said = "Unit 7 (SUA, merged from 1, 2): 80 spikes, 40 trials of nidq/1"
    assert headline(dashboard, "Unit 7") == said
    assert dashboard.get_by_label("as curated").is_checked()
    assert dashboard.locator("td.ld-col-label").inner_text() == "SUA"
    assert dashboard.locator(".ld-details").inner_text().split()[:3] == ["Curation", "units", "1"]
    dashboard.get_by_label("as sorted").check()
    assert headline(dashboard, "Unit 1") == "Unit 1: 40 spikes, 40 trials of nidq/1"
    assert units(dashboard) == ["1", "2"] and dashboard.get_by_label("as sorted").is_checked()
    assert dashboard.locator("td.ld-col-label").count() == 0
    dashboard.wait_for_function("() => location.search.includes('units=sorted')")
    dashboard.keyboard.press("c")
    headline(dashboard, "Unit 7")
    dashboard.wait_for_function("() => !location.search.includes('units=')")
    assert units(dashboard) == ["7"]


def test_without_a_log_there_is_nothing_to_choose(dashboard):
    dashboard.get_by_label("Subject").select_option("JC2")
    headline(dashboard, "Unit 1")
    assert dashboard.get_by_label("as curated").is_disabled()
    assert dashboard.get_by_label("as sorted").is_checked()
    dashboard.keyboard.press("c")
    dashboard.keyboard.press("?")
    assert dashboard.locator("tr", has_text="as curated, or as sorted").is_visible()


def test_a_bare_explorer_has_no_key_of_the_page(explorer):
    explorer.keyboard.press("?")
    assert not explorer.locator("tr", has_text="as curated, or as sorted").is_visible()
