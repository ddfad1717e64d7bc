"""What ends a cell: as DataJoint shows it, with the rows counted as far as that is quick."""

from __future__ import annotations

import pytest

from labdata.database import previews
from labdata.database.datajoint_compat import (
    _original_html,
    _original_preview,
    dj,
)
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


@pytest.mark.parametrize("name", QUERIES)
def test_a_small_query_is_shown_as_datajoint_does(name) -> None:
    query = QUERIES[name]()
    assert repr(query) == _original_preview(query, None, None)
    assert "".join(query._repr_html_().split()) == "".join(_original_html(query).split())


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
