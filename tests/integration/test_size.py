"""Queries of a large lab: one statement each, by indexes, and quick.

A fifth of the size at which ``tests/benchmarks/queries_at_size.py`` prints the times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from labdata.cli.sessions import find_sessions
from labdata.cli.subjects import find_subjects
from labdata.database.connection import LabConnection, connect
from labdata.schema import (
    Dataset,
    EphysRecording,
    File,
    Session,
    SpikeSorting,
    Subject,
    default_lab,
)
from labdata.testing import insert_many

pytestmark = [pytest.mark.database, pytest.mark.slow]

SUBJECT = "S0007"
MOST_S = 0.3

QUERIES: dict[str, Callable[[], Any]] = {
    "sessions -a": lambda: find_sessions(default_lab, [SUBJECT]),
    "sessions -a --include-size": lambda: find_sessions(default_lab, [SUBJECT], with_size=True),
    "subjects -u": lambda: find_subjects(default_lab, user="member3", part=None),
    "subjects": lambda: find_subjects(default_lab, user=None, part=None),
    "by experimenter": lambda: repr(Session() & 'experimenter = "member3"'),
    "by subject": lambda: repr(Session() & f'subject_name = "{SUBJECT}"'),
    "by dataset name": lambda: repr(
        Session() & (Dataset & f'subject_name = "{SUBJECT}"' & 'dataset_name LIKE "%ephys%"')
    ),
    "sorted sessions": lambda: (
        Dataset & (Session & (SpikeSorting() & {"subject_name": SUBJECT}))
    ).proj().fetch(as_dict=True),
    "subjects with ephys": lambda: (
        Subject() & (Dataset & 'dataset_type = "ephys"')
    ).proj().fetch(as_dict=True),
    "durations": lambda: (
        Session * EphysRecording & (EphysRecording() & {"subject_name": SUBJECT}).proj()
    ).fetch("session_datetime", "recording_duration"),
    "files of a session": lambda: (
        File
        & (
            Dataset.DataFiles
            & {"subject_name": SUBJECT, "session_name": "20240101_100000"}
            & 'file_path LIKE "%file%.bin"'
        )
    ).fetch("KEY"),
    "sessions a subject": lambda: Subject.aggr(EphysRecording, n="count(subject_name)").fetch(),
}  # fmt: skip


@pytest.fixture(scope="module")
def large_lab(make_embedded_lab, tmp_path_factory):
    with make_embedded_lab(tmp_path_factory.mktemp("large")):
        insert_many(default_lab, n_subjects=500, n_sessions=20_000, n_files=200_000)
        connect().query("ANALYZE TABLE {}".format(", ".join(
            t.full_table_name for t in (Session, Dataset, File, Dataset.DataFiles)
        ))).fetchall()  # fmt: skip
        yield default_lab


@pytest.fixture
def heard(monkeypatch):
    """The statements that are sent."""
    said: list[tuple[str, Any]] = []
    real = LabConnection._execute_query

    def listen(self, cursor, query, args, quiet):
        said.append((query, args))
        return real(self, cursor, query, args, quiet)

    monkeypatch.setattr(LabConnection, "_execute_query", listen)
    return said


def test_the_lab_is_as_large_as_asked_for(large_lab) -> None:
    assert len(Subject()) == 500
    assert len(Session()) == len(Dataset()) == 20_000
    assert len(File()) == len(Dataset.DataFiles()) == 200_000
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


@pytest.mark.parametrize("name", ["sessions -a", "sessions -a --include-size", "subjects"])
def test_a_listing_is_one_statement(large_lab, heard, name) -> None:
    QUERIES[name]()
    assert len(heard) == 1


@pytest.mark.parametrize("name", ["sessions -a", "sessions -a --include-size"])
def test_one_subjects_sessions_are_found_by_index(large_lab, heard, name) -> None:
    QUERIES[name]()
    ((query, values),) = heard
    plan = connect().query(f"EXPLAIN {query}", values, as_dict=True).fetchall()
    whole = [row for row in plan if row["type"] == "ALL" and (row["rows"] or 0) > 10_000]
    assert whole == []
