"""The queries that are timed in a large lab: the user guide's, the commands' and the listings'.

Each is written as the guide writes it. ``test_size.py`` runs them on a fifth of the rows of
``tests/benchmarks/queries_at_size.py``, which prints their times.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from datetime import date
from typing import Any, get_args

from labdata_widgets.dashboard.records import list_sortings

from labdata.access.sessions import SessionOrder, count_sessions, find_sessions_page
from labdata.cli.sessions import find_sessions, list_sessions
from labdata.cli.subjects import find_subjects
from labdata.database.connection import LabConnection
from labdata.schema import (
    Dataset,
    DatasetEvents,
    DecisionTask,
    EphysRecording,
    File,
    LabMember,
    ProbeConfiguration,
    Session,
    SpikeSorting,
    Subject,
    UnitCount,
    UnitCountCriteria,
    UnitMetrics,
    default_lab,
)

SUBJECT = "S0007"
MOUSE = {"subject_name": "S0008"}
SELECTED = {"subject_name": SUBJECT, "session_name": "20240101_100000"}
UNITS = "parameter_set_num = 5"
Queries = dict[str, Callable[[], Any]]

COMMANDS: Queries = {
    "sessions -a": lambda: find_sessions(default_lab, [SUBJECT]),
    "sessions -a --include-size": lambda: find_sessions(default_lab, [SUBJECT], with_size=True),
    "sessions --include-size": lambda: list_sessions(default_lab, None, True, latest=200)[0],
    "count of sessions": lambda: [count_sessions(default_lab)],
    "subjects -u": lambda: find_subjects(default_lab, user="member3", part=None),
    "subjects": lambda: find_subjects(default_lab, user=None, part=None),
    "sortings of the dashboard": lambda: list_sortings(default_lab),
}

#: What ends a cell: the first rows, and how many there are.
SHOWN: Queries = {
    "LabMember()": lambda: repr(LabMember()),
    "File()": lambda: repr(File()),
    "Dataset.DataFiles()": lambda: repr(Dataset.DataFiles()),
    "UnitMetrics()": lambda: repr(UnitMetrics()),
    "SpikeSorting.Unit()": lambda: repr(SpikeSorting.Unit()),
    "Session()": lambda: Session()._repr_html_(),
    "Dataset()": lambda: Dataset()._repr_html_(),
    "Dataset & session": lambda: (Dataset & SELECTED)._repr_html_(),
    "by experimenter": lambda: repr(Session() & 'experimenter = "member3"'),
    "by subject": lambda: repr(Session() & f'subject_name = "{SUBJECT}"'),
    "by dataset name": lambda: repr(
        Session() & (Dataset & f'subject_name = "{SUBJECT}"' & 'dataset_name LIKE "%ephys%"')
    ),
    "Session*EphysRecording": lambda: repr(Session * EphysRecording),
    "probe of a session": lambda: repr(
        EphysRecording.ProbeSetting * ProbeConfiguration & SELECTED
    ),
}


def _unit_counts() -> Any:
    query = (EphysRecording() & {"subject_name": SUBJECT}).proj()
    return (Session * EphysRecording * UnitCount & query).fetch()


def _durations() -> Any:
    query = (EphysRecording() & {"subject_name": SUBJECT}).proj()
    return (Session * EphysRecording & query).fetch("session_datetime", "recording_duration")


def _sorted_sessions() -> Any:
    sessions = Session & (SpikeSorting() & {"subject_name": SUBJECT})
    return (Dataset & sessions & {"dataset_name": "ephys_g0"}).proj().fetch(as_dict=True)


def _first_session() -> Any:
    tasks = DecisionTask * Session
    return [
        (Subject & MOUSE)
        .aggr(tasks, first_session="min(session_datetime)")
        .fetch1("first_session")
    ]


GUIDE: Queries = {
    "sorted sessions": _sorted_sessions,
    "one session": lambda: [(Session & SELECTED).fetch1()],
    "its probe": lambda: [(EphysRecording.ProbeSetting * ProbeConfiguration & SELECTED).fetch1()],
    "subjects with ephys": lambda: (
        Subject() & (Dataset & 'dataset_type = "ephys"')
    ).proj().fetch(as_dict=True),
    "durations": _durations,
    "metrics of units": lambda: (
        UnitMetrics & SELECTED & 'position != "NULL"' & UNITS
    ).fetch(),
    "units of a session": lambda: (SpikeSorting.Unit & SELECTED & UNITS).fetch(as_dict=True),
    "units of a shank": lambda: (
        SpikeSorting.Unit & (UnitMetrics & "shank = 2" & SELECTED & UNITS)
    ).fetch(as_dict=True),
    "dataset of a recording": lambda: [
        (Dataset & (EphysRecording & SELECTED)).proj().fetch1()
    ],
    "synced spike times": lambda: (
        SpikeSorting.Unit & (UnitMetrics & SELECTED & UNITS)
    ).get_spike_times(warn=False),
    "synced events": lambda: (DatasetEvents.Digital & SELECTED).fetch_synced(),
    "files of a session": lambda: (
        File & (Dataset.DataFiles & SELECTED & 'file_path LIKE "%file%.bin"')
    ).fetch("KEY"),
    "populate one session": lambda: UnitCount.populate(SELECTED),
    "single units": lambda: (
        SpikeSorting.Unit & (UnitMetrics * UnitCount.Unit & "passes = 1" & SELECTED & UNITS)
    ).get_spike_times(include_metrics=True, warn=False),
    "unit counts": _unit_counts,
    "criteria": lambda: [(UnitCountCriteria & {"unit_criteria_id": 1}).fetch1("sua_criteria")],
    "mice with tasks": lambda: (Subject & DecisionTask()).fetch("KEY"),
    "tasks a mouse": lambda: Subject.aggr(
        DecisionTask, number_of_sessions="count(subject_name)"
    ).fetch(),
    "performance of a mouse": lambda: (
        DecisionTask * DecisionTask.TrialSet * Session & MOUSE
        & 'trialset_description = "visual"'
        & "n_total_performed > 100"
    ).fetch("session_datetime", "performance_easy"),
    "first task of a mouse": _first_session,
    "recordings a subject": lambda: Subject.aggr(EphysRecording, n="count(subject_name)").fetch(),
}  # fmt: skip


def _page(**chosen: Any) -> Callable[[], Any]:
    return lambda: find_sessions_page(default_lab, **chosen).sessions


def _next_page(**chosen: Any) -> Callable[[], Any]:
    def read() -> Any:
        if not known:  # the first page is not what is timed
            known.append(find_sessions_page(default_lab, **chosen).next)
        return find_sessions_page(default_lab, **chosen, after=known[0]).sessions

    known: list[Any] = []
    return read


def _pages() -> Queries:
    found = {}
    for order in get_args(SessionOrder):
        subject = {"subject": SUBJECT} if order == "size" else {}
        found[f"page by {order}"] = _page(order_by=order, **subject)
        found[f"next page by {order}"] = _next_page(order_by=order, limit=20, **subject)
    filters: dict[str, dict[str, Any]] = {
        "of a subject": {"subject": SUBJECT},
        "with a text": {"text": "S0007"},
        "with a text of none": {"text": "nowhere"},
        "since": {"since": date(2024, 1, 5)},
        "until": {"until": date(2024, 1, 2)},
        "of a type": {"dataset_type": "ephys"},
        "of an experimenter": {"experimenter": "member3"},
    }
    for name, chosen in filters.items():
        found[f"page {name}"] = _page(**chosen)
        found[f"page {name}, by sorted"] = _page(**chosen, order_by="sorted")
    return found


PAGES = _pages()
QUERIES: Queries = {**COMMANDS, **SHOWN, **GUIDE, **PAGES}


@contextmanager
def heard() -> Any:
    """Collect the statements that are sent, with their values."""
    said: list[tuple[str, Any]] = []
    real = LabConnection._execute_query

    def listen(self: Any, cursor: Any, query: str, args: Any, quiet: bool) -> None:
        said.append((query, args))
        real(self, cursor, query, args, quiet)

    LabConnection._execute_query = listen  # type: ignore[method-assign]
    try:
        yield said
    finally:
        LabConnection._execute_query = real  # type: ignore[method-assign]


def plan_of(connection: Any, said: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Return the server's plan of the statements that read rows."""
    plan = []
    for query, values in said:
        if query.lstrip().upper().startswith("SELECT"):
            plan += connection.query(f"EXPLAIN {query}", values, as_dict=True).fetchall()
    return [{**step, "rows": int(step["rows"] or 0)} for step in plan]
