"""Pages of sessions against pandas, over random small labs with ties, gaps and odd names."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from size_queries import heard

from labdata.access.sessions import SessionOrder, count_sessions, find_sessions_page
from labdata.cli.sessions import find_sessions, list_sessions
from labdata.errors import QueryError
from labdata.progress import ignore_progress
from labdata.schema import default_lab
from labdata.testing import bulk_results
from labdata.testing.bulk_rows import insert_rows

pytestmark = pytest.mark.database

SUBJECTS = ("jc1", "JC2", "b_3", "Z%4")
MEMBERS = ("couto", "amin", None)
STARTS = tuple(datetime(2026, 3, day, 23, 59, 59, day) for day in (1, 2, 3))
KINDS = ("ephys", "imaging-2p", "task-training", None)
NAMES = ("ephys_g0", "Behaviour", "two%photon")
KEY = ["subject", "session", "name"]
ORDERS = get_args(SessionOrder)


def random_datasets(rng: np.random.Generator) -> pd.DataFrame:
    """Draw a lab: a row a dataset, and one with None as its name for a session without any."""
    rows = []
    for n, subject in enumerate(np.repeat(SUBJECTS, 7)):
        start, member = STARTS[rng.integers(3)], MEMBERS[rng.integers(3)]
        own = {"subject": subject, "session": f"s{n % 7}", "start": start, "member": member}
        names = rng.permutation(NAMES)[: rng.integers(4)]
        for name in [str(name) for name in names] or [None]:
            is_sorted = bool(name and rng.random() < 0.6)
            rows.append(
                own
                | {
                    "name": name,
                    "kind": KINDS[rng.integers(4)] if name else None,
                    "sizes": [int(s) for s in rng.integers(0, 5, rng.integers(4))] if name else [],
                    "sorted": is_sorted,
                    "synced": is_sorted and bool(rng.random() < 0.5),
                }
            )
    return pd.DataFrame(rows, dtype=object)


def insert(lab: Any, datasets: pd.DataFrame) -> None:
    def put(table: Any, rows: Any) -> None:
        insert_rows(table, rows, ignore_progress)

    lab.LabMember.insert([{"user_name": name} for name in MEMBERS if name])
    put(lab.Subject, [(name, date(2026, 1, 1), "F", "C57BL/6J", "couto") for name in SUBJECTS])
    sessions = datasets.drop_duplicates(["subject", "session"])
    put(lab.Session, sessions[["subject", "session", "start", "member"]].to_numpy().tolist())
    full = datasets[datasets["name"].notna()]
    for row in full.itertuples():
        key = (row.subject, row.session, row.name)
        put(lab.Dataset, [(*key, row.kind, None, None, None)])
        files = [("/".join(key) + f"/{n}", "data", size) for n, size in enumerate(row.sizes)]
        put(lab.File, [(path, store, STARTS[0], size, None, None) for path, store, size in files])
        put(lab.Dataset.DataFiles, [(*key, path, store) for path, store, _ in files])
    sorted_, synced = (
        [tuple(key) for key in full[full[c].astype(bool)][KEY].to_numpy()]
        for c in ("sorted", "synced")
    )
    bulk_results.insert_recordings(lab, sorted_, ignore_progress)
    bulk_results.insert_sortings(lab, sorted_, 2 * len(sorted_), ignore_progress)
    bulk_results.insert_events(lab, synced, ignore_progress)


def sessions_of(datasets: pd.DataFrame) -> pd.DataFrame:
    """Return a row a session, with what it can be ordered by."""
    rows = []
    for (subject, session), part in datasets.groupby(["subject", "session"], sort=False):
        rows.append(
            {
                "subject": subject,
                "session": session,
                "start": part.start.iloc[0],
                "experimenter": part.member.iloc[0] or "",
                "datasets": int(part["name"].notna().sum()),
                "type": min([kind for kind in part.kind if kind], default=""),
                "sorted": int(part.sorted.sum()),
                "synced": bool(part.synced.any()),
                "size": sum(sum(sizes) for sizes in part.sizes),
                "kinds": {kind for kind in part.kind if kind},
                "texts": [subject, session, part.member.iloc[0] or "", *part["name"].dropna()],
            }
        )
    return pd.DataFrame(rows)


def expected(sessions: pd.DataFrame, order: str, descending: bool) -> list[tuple[str, str]]:
    by = list(dict.fromkeys([order, "subject", "start", "session"]))
    found = sessions.sort_values(
        by,
        ascending=not descending,
        key=lambda c: c.str.upper() if isinstance(c.iloc[0], str) else c,
    )
    return list(zip(found.subject, found.session, strict=True))


def keys_of(page: Any) -> list[tuple[str, str]]:
    return [(s.subject, s.session) for s in page.sessions]


@pytest.fixture(scope="module", params=[1, 2, 3])
def drawn(request, make_embedded_lab, tmp_path_factory):
    datasets = random_datasets(np.random.default_rng(request.param))
    with make_embedded_lab(tmp_path_factory.mktemp("drawn")):
        insert(default_lab, datasets)
        yield datasets


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("order", ORDERS)
def test_pages_one_after_the_other_are_the_whole_order(drawn, order, descending) -> None:
    chosen = {"subject": SUBJECTS} if order == "size" else {}
    found, after = [], None
    for number in range(6):
        with heard() as said:
            page = find_sessions_page(
                default_lab, **chosen, order_by=order, descending=descending, limit=5, after=after
            )
        assert len(said) == 1
        assert (page.next is None) == (number == 5)
        found += keys_of(page)
        after = page.next
    assert found == expected(sessions_of(drawn), order, descending)


def test_a_page_of_just_all_sessions_has_no_next(drawn) -> None:
    n = len(SUBJECTS) * 7
    assert find_sessions_page(default_lab, limit=n).next is None
    assert find_sessions_page(default_lab, limit=n - 1).next is not None
    assert find_sessions_page(default_lab, limit=None).next is None


def test_the_datasets_of_a_session_are_as_inserted(drawn) -> None:
    page = find_sessions_page(default_lab, limit=None)
    found = {
        (s.subject, s.session, d.name): (
            *(d.dataset_type, d.n_files, d.size_bytes),
            *(d.n_probes, d.n_sorted, d.is_synced),
        )
        for s in page.sessions
        for d in s.datasets
    }
    full = drawn[drawn["name"].notna()]
    assert found == {
        (r.subject, r.session, r.name): (
            *(r.kind, len(r.sizes), sum(r.sizes)),
            *(1 if r.sorted else None, int(r.sorted), r.synced),
        )
        for r in full.itertuples()
    }
    whole = sessions_of(drawn).set_index(["subject", "session"])
    for session in page.sessions:
        row = whole.loc[session.subject, session.session]
        assert session.size_bytes == row["size"]
        assert session.n_sorted == row["sorted"]
        assert session.is_synced == row["synced"]
        assert set(session.types) == row["kinds"]
        assert (session.experimenter or "") == row["experimenter"]


def _meets(row: Any, chosen: dict[str, Any]) -> bool:
    start, subject = row.start, chosen.get("subject", row.subject)
    day = isinstance(chosen.get("since"), date) and not isinstance(chosen.get("since"), datetime)
    since, until = chosen.get("since"), chosen.get("until")
    return (
        row.subject in ([subject] if isinstance(subject, str) else subject)
        and (since is None or (start.date() if day else start) >= since)
        and (until is None or (start if isinstance(until, datetime) else start.date()) <= until)
        and chosen.get("experimenter", row.experimenter) == row.experimenter
        and ("dataset_type" not in chosen or chosen["dataset_type"] in row.kinds)
        and any(chosen.get("text", "").upper() in text.upper() for text in row.texts)
    )


FILTERS: dict[str, list[Any]] = {
    "subject": ["jc1", ["JC2", "Z%4"], []],
    "since": [date(2026, 3, 2), STARTS[1], STARTS[1] + timedelta(microseconds=1)],
    "until": [date(2026, 3, 2), STARTS[1], STARTS[1] - timedelta(microseconds=1)],
    "experimenter": ["couto", "nobody"],
    "dataset_type": ["ephys", "task-training", "opto-activation"],
    "text": ["JC", "%", "_", "couto", "BEHAV", "s3", "nowhere"],
}


def test_filters_alone_and_together_choose_what_pandas_does(drawn) -> None:
    sessions = sessions_of(drawn)
    alone = [{name: value} for name, values in FILTERS.items() for value in values]
    rng = np.random.default_rng(0)
    together = [
        {
            name: values[rng.integers(len(values))]
            for name, values in FILTERS.items()
            if rng.random() < 0.4
        }
        for _ in range(60)
    ]
    n_found = 0
    for n, chosen in enumerate(alone + together):
        order = ORDERS[n % (len(ORDERS) - 1)]
        rows = [row for row in sessions.itertuples() if _meets(row, chosen)]
        part = sessions.loc[[row.Index for row in rows]]
        wanted = expected(part, order, False) if len(part) else []
        page = find_sessions_page(
            default_lab, **chosen, order_by=order, descending=False, limit=None, with_size=False
        )
        assert keys_of(page) == wanted, chosen
        assert count_sessions(default_lab, **chosen) == len(wanted), chosen
        n_found += bool(wanted)
    assert n_found > 20


def test_a_session_inserted_between_two_pages_moves_none(drawn) -> None:
    first = find_sessions_page(default_lab, order_by="start", limit=5)
    new = {"subject_name": "jc1", "session_name": "new", "session_datetime": datetime(2027, 1, 1)}
    default_lab.Session.insert1(new)
    try:
        second = find_sessions_page(default_lab, order_by="start", limit=5, after=first.next)
    finally:
        (default_lab.Session & {"session_name": "new"}).delete_quick()
    both = expected(sessions_of(drawn), "start", True)[:10]
    assert keys_of(first) + keys_of(second) == both


def test_the_commands_rows_are_the_datasets_by_subject_and_start(drawn) -> None:
    rows = find_sessions(default_lab, None, with_size=True)
    wanted = drawn.assign(
        upper=drawn.subject.str.upper(), text=drawn["name"].fillna("").str.upper()
    )
    wanted = wanted.sort_values(["upper", "start", "session", "text"])
    names = ["subject_name", "session_name", "dataset_name", "files", "size", "sorted"]
    assert [tuple(row[n] for n in names) for row in rows] == [
        (r["subject"], r["session"], r["name"], len(r["sizes"]), sum(r["sizes"]), int(r["sorted"]))
        for _, r in wanted.iterrows()
    ]
    latest, n_sessions = list_sessions(default_lab, None, False, latest=4)
    keys = {(row["subject_name"], row["session_name"]) for row in latest}
    assert n_sessions == 4
    assert keys == set(expected(sessions_of(drawn), "start", True)[:4])


@pytest.mark.parametrize(
    "chosen,says",
    [
        ({"order_by": "weight"}, "weight"),
        ({"limit": 0}, "page of 0"),
        ({"order_by": "size"}, "every file"),
    ],
)
def test_what_cannot_be_is_refused(drawn, chosen, says) -> None:
    with pytest.raises(QueryError, match=says):
        find_sessions_page(default_lab, **chosen)


def test_a_mark_of_another_order_is_refused(drawn) -> None:
    mark = find_sessions_page(default_lab, order_by="start", limit=2).next
    with pytest.raises(QueryError, match="ordered by 'start'"):
        find_sessions_page(default_lab, order_by="subject", after=mark)
    with pytest.raises(QueryError, match="other direction"):
        find_sessions_page(default_lab, order_by="start", descending=False, after=mark)
