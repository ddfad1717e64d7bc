"""What ends a cell: whole keys, escaped texts, and rows counted as far as that is quick."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from labdata.database import previews
from labdata.database.datajoint_compat import dj
from labdata.schema import (
    Dataset,
    EphysRecording,
    File,
    Session,
    SpikeSorting,
    Subject,
    UnitMetrics,
    default_lab,
)
from labdata.testing import insert_many

pytestmark = pytest.mark.database

QUERIES = {
    "a table": lambda: Session(),
    "an array column": lambda: UnitMetrics(),
    "an empty query": lambda: Session & 'subject_name = "nobody"',
    "a restriction": lambda: Session & {"subject_name": "S0001"},
    "a restriction by a query": lambda: Session & (SpikeSorting & "probe_num = 0"),
    "a projection": lambda: Session.proj("experimenter"),
    "a renamed key": lambda: Session.proj(animal="subject_name"),
    "a join": lambda: Session * EphysRecording,
    "a join with many": lambda: Session * Dataset * UnitMetrics & "shank = 1",
    "a left join": lambda: Dataset.join(EphysRecording.proj("recording_software"), left=True),
    "an aggregation": lambda: Subject.aggr(Session, n="count(session_name)"),
    "a restricted aggregation": lambda: Subject.aggr(Session, n="count(session_name)") & "n > 5",
    "distinct values": lambda: dj.U("experimenter") & Session,
    "the first rows": lambda: File & dj.Top(limit=7, order_by="file_size DESC"),
    "a union": lambda: (
        (Session & 'subject_name = "S0001"').proj() + (Session & EphysRecording).proj()
    ),
    "a difference": lambda: Session - EphysRecording,
}
WHOLE = ("a table", "an array column", "a projection", "a renamed key")


@pytest.fixture(scope="module", autouse=True)
def small_lab(make_embedded_lab, tmp_path_factory):
    sizes = {"n_subjects": 4, "n_sessions": 40, "n_files": 90, "n_sortings": 10}
    with make_embedded_lab(tmp_path_factory.mktemp("small")):
        insert_many(default_lab, **sizes, n_units=40, n_tasks=10)
        yield


class Cells(HTMLParser):
    """The texts of a page's cells, row by row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def expected(query) -> list[list[str]]:
    """Headings and the first twelve rows, as DataJoint's own functions fetch them."""
    names = query.heading.names
    told = query.proj(*query.heading.non_blobs).to_dicts(limit=12)
    blobs = {n: f"<{query.heading[n].codec.name}>" for n in query.heading.blobs}
    rows = [[text_of(row.get(n)) if n in row else blobs[n] for n in names] for row in told]
    return [list(names), *rows]


def text_of(value: object) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("name", QUERIES)
def test_all_cells_of_the_first_rows_are_on_the_page(name) -> None:
    query = QUERIES[name]()
    html = query._repr_html_()
    assert Cells(html).rows == expected(query)
    assert f"Total: {len(query)}<" in html
    assert ("<p>...</p>" in html) == (len(query) > 12)


@pytest.mark.parametrize("name", QUERIES)
def test_a_console_shows_whole_keys_and_names_what_does_not_fit(name, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    query = QUERIES[name]()
    text = repr(query)
    headings, *rows = expected(query)
    keys = [headings.index(k) for k in query.primary_key]
    for row in rows:
        assert any(all(row[k] in line.split() for k in keys) for line in text.splitlines())
    for heading in headings:
        assert heading in text.replace("*", "")
    assert max(map(len, text.splitlines())) <= 120
    assert text.endswith(f" (Total: {len(query)})\n")


def test_a_text_of_the_database_is_no_part_of_the_page() -> None:
    attack = "<script>alert('all your base are ours')</script>"
    default_lab.Note.insert1(
        {"notetaker": "member0", "note_datetime": "2025-06-01 12:00:00.25", "notes": attack}
    )
    html = default_lab.Note()._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html
    text = repr(default_lab.Note())
    assert "2025-06-01 12:00:00.250000" in text
    assert f"{attack[:39]}…" in text  # a long text that is no key says that it was cut


def test_a_long_text_is_whole_on_a_page_and_keys_stay_in_sight() -> None:
    text = "The animal was restless; " * 10
    row = {"notetaker": "member1", "note_datetime": "2025-06-02 12:00:00", "notes": text}
    default_lab.Note.insert1(row)
    html = default_lab.Note()._repr_html_()
    assert f'title="{text}">{text}</td>' in html
    assert '<td class="k f" style="left:0;min-width:9ch">member1</td>' in html
    assert html.count('class="k f"') == 2 * len(Cells(html).rows)
    paths = "x" * 60  # a key that would fill the page scrolls with it
    assert previews._frozen_columns(["path", "n"], frozenset(["path"]), [{"path": paths}]) == {}


def test_numbers_are_aligned_to_the_right_and_null_is_empty() -> None:
    lines = repr(Subject.aggr(Session, n="count(session_name)")).splitlines()
    assert all(line[-1].isdigit() and len(line) == len(lines[2]) for line in lines[3:-1])
    (row,) = repr(default_lab.LabMember & "user_name = 'member1'").splitlines()[3:-1]
    assert "None" not in row


@pytest.mark.parametrize("name", QUERIES)
def test_beyond_what_is_counted_the_number_is_never_called_exact(name, monkeypatch) -> None:
    query = QUERIES[name]()
    n_rows = len(query)
    for most in (max(n_rows - 1, 0), n_rows, n_rows + 1):
        monkeypatch.setattr(previews, "MOST_COUNTED", most)
        said = previews.describe_count(query)
        if n_rows <= most:
            assert said == str(n_rows)
        else:
            assert said == f"more than {most:,}" or said.startswith("about ")
            assert said.startswith("more") or name in WHOLE


def test_the_settings_of_what_is_shown_still_hold() -> None:
    with dj.config.override(display={"limit": 3, "show_tuple_count": False}):
        text = repr(File())
    assert text.count("S0000/") == 3
    assert "Total" not in text


@pytest.mark.parametrize(
    "number,shown", [(10_001, 10_000), (123_456, 120_000), (996_000, 1_000_000), (15, 15)]
)
def test_an_estimate_has_two_digits_that_count(number, shown) -> None:
    assert previews._rounded(number) == shown
