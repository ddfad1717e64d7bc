"""Queries of a large lab: one statement each, by indexes, and quick.

A fifth of the size at which ``tests/benchmarks/queries_at_size.py`` prints the times.
"""

from __future__ import annotations

import time

import fresh_connection
import numpy as np
import pytest
from size_queries import COMMANDS, PAGES, QUERIES, SHOWN, SUBJECT, heard, plan_of

from labdata.cli.sessions import find_sessions, list_sessions
from labdata.database.connection import connect
from labdata.database.previews import MOST_COUNTED, describe_count
from labdata.schema import (
    Dataset,
    DatasetEvents,
    DecisionTask,
    EphysRecording,
    File,
    Session,
    SpikeSorting,
    StreamSync,
    Subject,
    UnitCount,
    UnitMetrics,
    default_lab,
)
from labdata.testing import insert_many

pytestmark = [pytest.mark.database, pytest.mark.slow]

MOST_S = 0.3
N_SESSIONS, N_FILES, N_SORTINGS, N_UNITS, N_TASKS = 20_000, 200_000, 4_000, 40_000, 4_000


@pytest.fixture(scope="module")
def large_lab(make_embedded_lab, tmp_path_factory):
    with make_embedded_lab(tmp_path_factory.mktemp("large")):
        insert_many(
            default_lab,
            n_sessions=N_SESSIONS,
            n_files=N_FILES,
            n_sortings=N_SORTINGS,
            n_units=N_UNITS,
            n_tasks=N_TASKS,
        )
        connect().query("ANALYZE TABLE {}".format(", ".join(
            t.full_table_name for t in (Session, Dataset, File, Dataset.DataFiles)
        ))).fetchall()  # fmt: skip
        yield default_lab


def test_the_lab_is_as_large_as_asked_for(large_lab) -> None:
    assert len(Subject()) == 500
    assert len(Session()) == len(Dataset()) == 20_000
    assert len(File()) == len(Dataset.DataFiles()) == 200_000
    assert len(SpikeSorting()) == len(UnitCount()) == len(StreamSync()) == N_SORTINGS
    assert len(SpikeSorting.Unit()) == len(UnitMetrics()) == len(UnitCount.Unit()) == N_UNITS
    assert len(EphysRecording()) == len(EphysRecording.ProbeSetting()) == N_SESSIONS / 2
    assert len(DatasetEvents.Digital()) == 2 * N_SORTINGS
    assert len(DecisionTask()) == len(DecisionTask.TrialSet()) == N_TASKS
    rows = find_sessions(large_lab, [SUBJECT], with_size=True)
    assert len(rows) == 40
    assert {row["files"] for row in rows} == {10}
    sizes = (File & (Dataset.DataFiles & {"subject_name": SUBJECT})).fetch("file_size")
    assert sum(row["size"] for row in rows) == sum(sizes)


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_quick(large_lab, name) -> None:
    took_s = []
    for _ in range(3):
        began = time.perf_counter()
        QUERIES[name]()
        took_s.append(time.perf_counter() - began)
    assert min(took_s) < MOST_S


@pytest.mark.parametrize("name", [*COMMANDS, *PAGES])
def test_a_listing_is_one_statement(large_lab, name) -> None:
    QUERIES[name]()  # a page before is found
    with heard() as said:
        QUERIES[name]()
    assert len(said) == 1


@pytest.mark.parametrize("name", SHOWN)
def test_what_ends_a_cell_is_few_statements(large_lab, name) -> None:
    with heard() as said:
        QUERIES[name]()
    assert len(said) <= 6


#: Sessions may be read whole, to order them by what has no index; nothing of more rows may.
LARGE = N_SESSIONS * 1.2


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_reads_a_table_of_files_or_units_whole(large_lab, name) -> None:
    with heard() as said:
        QUERIES[name]()
    plan = plan_of(connect(), said)
    whole = [row["table"] for row in plan if row["type"] == "ALL" and row["rows"] > LARGE]
    assert whole == []


@pytest.mark.parametrize("name", ["sessions -a", "sessions -a --include-size"])
def test_one_subjects_sessions_are_found_by_index(large_lab, name) -> None:
    with heard() as said:
        QUERIES[name]()
    plan = plan_of(connect(), said)
    assert plan
    whole = [row for row in plan if row["type"] == "ALL" and row["rows"] > 1_000]
    assert whole == []


def test_opening_a_lab_that_is_there_makes_and_changes_no_table(large_lab) -> None:
    fresh_connection.forget_connection()
    with heard() as said:
        default_lab.activate()
        assert len(Subject()) == 500
    words = {query.split(None, 1)[0].upper() for query, _ in said}
    assert words <= {"SELECT", "SHOW", "SET", "USE"}
    assert len(said) < 1.2 * len(default_lab.tables_and_parts()) + 10


def test_a_large_table_is_counted_about_and_a_small_one_exactly(large_lab) -> None:
    assert describe_count(Subject()) == "500"
    said = describe_count(File())
    assert said.startswith("about ")
    number = int(said.removeprefix("about ").replace(",", ""))
    assert 0.5 * N_FILES < number < 2 * N_FILES
    assert len(str(number).rstrip("0")) <= 2
    part = File & 'file_path LIKE "S00%"'
    assert describe_count(part) == f"more than {MOST_COUNTED:,}"
    assert describe_count(part & "file_size < 1100") == str(len(part & "file_size < 1100"))
    assert f"(Total: {said})" in repr(File())
    assert f"<p>Total: {said}</p>" in File()._repr_html_()


def test_the_dashboard_lists_every_probe_with_its_sorting(large_lab) -> None:
    found = QUERIES["sortings of the dashboard"]()
    probes = EphysRecording.ProbeSetting.proj().fetch(as_dict=True)
    sortings = (SpikeSorting & {"subject_name": SUBJECT}).fetch("session_name", "n_sorted_units")
    assert {(s.subject, s.session, s.dataset, s.probe) for s in found} == {
        tuple(row.values()) for row in probes
    }
    assert len(found) == len(probes)
    own = [s for s in found if s.subject == SUBJECT and s.parameters is not None]
    assert {(s.session, s.n_units, s.parameters) for s in own} == {
        (session, n, 5) for session, n in zip(*sortings, strict=True)
    }
    assert sum(s.parameters is None for s in found) == N_SESSIONS / 2 - N_SORTINGS
    sessions = [s.session for s in found]
    assert sessions == sorted(sessions, reverse=True)


def test_a_screen_gets_the_latest_sessions_and_is_told_of_the_rest(
    large_lab, monkeypatch, capsys
) -> None:
    from labdata.cli import main

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    main(["sessions"])
    shown = capsys.readouterr().out
    assert "the latest 200 of 20000 sessions" in shown
    latest, _ = list_sessions(large_lab, None, False, latest=200)
    starts = np.sort(Session.fetch("session_datetime"))[-200:]
    assert sorted(row["session_datetime"] for row in latest) == list(starts)
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    main(["sessions", "--json"])
    assert capsys.readouterr().out.count('"session_name"') == N_SESSIONS
