"""Sessions with what was recorded in each: the one query of the terminal's and pages' listings.

A listing of a large lab is read in pages, each by one statement. The page is cut from the sessions
first, by their own columns, and only its sessions are then joined with their datasets, sortings
and files; so the cost of a page does not grow with the lab's files. The next page begins after the
last row of the one before (a :class:`PageMark`) rather than at a number of rows, as skipped rows
cost as much as shown ones, and a session that is inserted meanwhile would move them.

Files are counted for each dataset on its own, by the index that begins with its key. One
aggregation over all files, joined to the datasets, looks simpler, but a temporary table's index
has no room for a dataset's whole key: how much is then compared with how much depends on what the
server believes of its tables at the moment, and half a minute for a subject of 20,000 sessions has
been seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, get_args

from ..errors import QueryError
from .session_rows import DatasetRow, PageMark, SessionOrder, SessionRow, SessionsPage

__all__ = [
    "DatasetRow",
    "PageMark",
    "SessionOrder",
    "SessionRow",
    "SessionsPage",
    "count_sessions",
    "find_sessions_page",
]

#: Rows with equal values of the order follow each other by these, so that no two are equal.
_TIES = ("subject_name", "session_datetime", "session_name")
#: What MySQL's manual gives for no limit after an offset: the most rows there can be.
_NO_LIMIT = 2**64 - 1


def find_sessions_page(
    lab: Any,
    *,
    subject: str | Sequence[str] | None = None,
    text: str | None = None,
    since: date | None = None,
    until: date | None = None,
    dataset_type: str | None = None,
    experimenter: str | None = None,
    order_by: SessionOrder = "start",
    descending: bool = True,
    limit: int | None = 100,
    after: PageMark | None = None,
    with_size: bool = True,
) -> SessionsPage:
    """Return one page of the lab's sessions with their datasets, by one statement.

    Parameters
    ----------
    lab : Lab
        The tables.
    subject : str or sequence of str, optional
        Names of subjects.
    text : str, optional
        Part of the name of the subject, session, experimenter or a dataset, in either case.
    since, until : date or datetime, optional
        First and last start of a session, local time of the rig; a date includes its whole day.
    dataset_type : str, optional
        Sessions with a dataset of this kind; all their datasets are listed.
    experimenter : str, optional
        Lab member.
    order_by : str, optional
        ``"type"`` orders by the first kind of data, ``"sorted"`` by the number of sorted probes.
        By ``"size"`` the sessions of chosen subjects only: it reads each of their files.
    descending : bool, optional
        Direction of the order, and of what orders equal rows: subject, start, session.
    limit : int or None, optional
        Most sessions; None for all.
    after : PageMark, optional
        ``next`` of the page before, with the same filters and order.
    with_size : bool, optional
        Whether to count files and bytes.

    Returns
    -------
    SessionsPage
        Sessions, and where the next page begins.

    Raises
    ------
    QueryError
        If there is no such order, the limit is no positive number, ``after`` is of another order,
        or all sessions of the lab are to be ordered by size.
    """
    _check(order_by, descending, limit, after, subject)
    where, values = _filters(lab, subject, text, since, until, dataset_type, experimenter)
    chosen = _choose(lab, where, order_by, descending, limit=limit, after=after)
    query = _join_datasets(lab, chosen, descending, with_size=with_size)
    cursor = lab.connection.query(query, (*values, *(after.values if after else ())))
    sessions, marks = _read(cursor.fetchall(), with_size)
    more = limit is not None and len(sessions) > limit
    mark = PageMark(order_by, descending, marks[limit - 1]) if more and limit else None
    return SessionsPage(tuple(sessions[:limit]), mark)


def count_sessions(
    lab: Any,
    *,
    subject: str | Sequence[str] | None = None,
    text: str | None = None,
    since: date | None = None,
    until: date | None = None,
    dataset_type: str | None = None,
    experimenter: str | None = None,
) -> int:
    """Return how many sessions all pages have together, by one statement.

    Parameters
    ----------
    lab : Lab
        The tables.
    subject, text, since, until, dataset_type, experimenter
        As in :func:`find_sessions_page`.

    Returns
    -------
    int
        Number of sessions.
    """
    where, values = _filters(lab, subject, text, since, until, dataset_type, experimenter)
    query = f"SELECT COUNT(*) FROM {lab.Session.full_table_name} n {_where(where)}"
    return int(lab.connection.query(query, tuple(values)).fetchone()[0])


def _check(
    order_by: str,
    descending: bool,
    limit: int | None,
    after: PageMark | None,
    subject: str | Sequence[str] | None,
) -> None:
    known = get_args(SessionOrder)
    if order_by not in known:
        raise QueryError(
            f"Sessions cannot be ordered by {order_by!r}.", hint=f"Use one of {', '.join(known)}."
        )
    if limit is not None and limit < 1:
        raise QueryError(f"A page of {limit} sessions cannot be.", hint="Use 1 or more, or None.")
    if after is not None and (after.order_by, after.descending) != (order_by, descending):
        raise QueryError(
            f"The page before was ordered by {after.order_by!r}, this one is by {order_by!r}, or "
            "in the other direction.",
            hint="Begin with the first page: leave out `after`.",
        )
    if order_by == "size" and not subject:
        raise QueryError(
            "Ordering all sessions by size would read every file of the lab.",
            hint="Choose subjects: subject=[...].",
        )


def _filters(
    lab: Any,
    subject: str | Sequence[str] | None,
    text: str | None,
    since: date | None,
    until: date | None,
    dataset_type: str | None,
    experimenter: str | None,
) -> tuple[list[str], list[Any]]:
    """Return conditions on the sessions ``n``, and the values in them."""
    where: list[str] = []
    values: list[Any] = []
    if subject is not None:
        names = [subject] if isinstance(subject, str) else list(subject)
        where.append(f"n.subject_name IN ({', '.join(['%s'] * len(names)) or 'NULL'})")
        values += names
    if since is not None:
        where.append("n.session_datetime >= %s")
        values.append(since)
    if until is not None:
        whole_day = not isinstance(until, datetime)
        where.append(f"n.session_datetime {'<' if whole_day else '<='} %s")
        values.append(until + timedelta(days=1) if whole_day else until)
    if experimenter is not None:
        where.append("n.experimenter = %s")
        values.append(experimenter)
    if dataset_type is not None:
        where.append(
            f"(n.subject_name, n.session_name) IN (SELECT t.subject_name, t.session_name "
            f"FROM {lab.Dataset.full_table_name} t WHERE t.dataset_type = %s)"
        )
        values.append(dataset_type)
    if text:
        own = ("n.subject_name", "n.session_name", "COALESCE(n.experimenter, '')")
        part = [f"LOCATE(%s, {column}) > 0" for column in own]
        part.append(f"EXISTS ({_of_session(lab.Dataset, '1')} AND LOCATE(%s, o.dataset_name) > 0)")
        where.append(f"({' OR '.join(part)})")
        values += [text] * len(part)
    return where, values


def _orders(lab: Any) -> dict[str, str]:
    """Return what a session ``n`` is ordered by; never null, which is neither more nor less."""
    files = (
        f"SELECT SUM(f.file_size) FROM {lab.Dataset.DataFiles.full_table_name} o "
        f"JOIN {lab.File.full_table_name} f USING (file_path, storage) {_SAME_SESSION}"
    )
    sorted_probes = "COUNT(DISTINCT o.dataset_name, o.probe_num)"
    return {
        "subject": "n.subject_name",
        "session": "n.session_name",
        "start": "n.session_datetime",
        "experimenter": "COALESCE(n.experimenter, '')",
        "datasets": f"({_of_session(lab.Dataset, 'COUNT(*)')})",
        "type": f"COALESCE(({_of_session(lab.Dataset, 'MIN(o.dataset_type)')}), '')",
        "sorted": f"({_of_session(lab.SpikeSorting, sorted_probes)})",
        "synced": f"EXISTS ({_of_session(lab.StreamSync, '1')})",
        "size": f"COALESCE(({files}), 0)",
    }


_SAME_SESSION = "WHERE o.subject_name = n.subject_name AND o.session_name = n.session_name"


def _of_session(table: Any, what: str) -> str:
    return f"SELECT {what} FROM {table.full_table_name} o {_SAME_SESSION}"


def _where(conditions: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _choose(
    lab: Any,
    where: Sequence[str],
    order_by: str,
    descending: bool,
    *,
    limit: int | None,
    after: PageMark | None,
) -> str:
    """Return the statement of a page's sessions, and one more to see whether there is one."""
    order = _orders(lab)[order_by]
    # no more columns than place a session: the server writes this list to a table of its own
    columns = ", ".join(f"n.{name}" for name in _TIES)
    chosen = (
        f"SELECT {order} AS ordering, {columns} FROM {lab.Session.full_table_name} n "
        f"{_where(where)}"
    )
    if after is not None:
        # with a limit the server computes each session's value once, and not once a comparison
        once = f" LIMIT {_NO_LIMIT}" if "SELECT" in order else ""
        marks = ", ".join(["%s"] * len(after.values))
        chosen = (
            f"SELECT * FROM ({chosen}{once}) q WHERE (ordering, {', '.join(_TIES)}) "
            f"{'<' if descending else '>'} ({marks})"
        )
    if limit is not None:
        chosen += f" ORDER BY {_ordering('', descending)} LIMIT {int(limit) + 1}"
    return chosen


def _ordering(prefix: str, descending: bool) -> str:
    way = "DESC" if descending else "ASC"
    return ", ".join(f"{prefix}{name} {way}" for name in ("ordering", *_TIES))


def _join_datasets(lab: Any, chosen: str, descending: bool, *, with_size: bool) -> str:
    """Return the statement of chosen sessions with their datasets."""
    same = " AND ".join(
        f"o.{name} = d.{name}" for name in ("subject_name", "session_name", "dataset_name")
    )
    # both numbers as one text, as a subquery gives one value and reads the files once for it
    sizes = (
        ", (SELECT CONCAT(COUNT(*), ' ', COALESCE(SUM(f.file_size), 0)) "
        f"FROM {lab.Dataset.DataFiles.full_table_name} o "
        f"JOIN {lab.File.full_table_name} f USING (file_path, storage) WHERE {same})"
    )
    return (
        "SELECT p.ordering, p.subject_name, p.session_datetime, p.session_name, n.experimenter, "
        "d.dataset_name, d.dataset_type, e.n_probes, "
        f"(SELECT COUNT(DISTINCT o.probe_num) FROM {lab.SpikeSorting.full_table_name} o "
        f"WHERE {same}), EXISTS (SELECT 1 FROM {lab.StreamSync.full_table_name} o WHERE {same})"
        f"{sizes if with_size else ''} FROM ({chosen}) p "
        f"JOIN {lab.Session.full_table_name} n USING (subject_name, session_name) "
        f"LEFT JOIN {lab.Dataset.full_table_name} d USING (subject_name, session_name) "
        f"LEFT JOIN {lab.EphysRecording.full_table_name} e "
        "USING (subject_name, session_name, dataset_name) "
        f"ORDER BY {_ordering('p.', descending)}, d.dataset_name"
    )


def _read(
    rows: Sequence[tuple[Any, ...]], with_size: bool
) -> tuple[list[SessionRow], list[tuple[Any, ...]]]:
    """Return sessions, and the values that place each in the order."""
    sessions: list[SessionRow] = []
    marks: list[tuple[Any, ...]] = []
    for own, joined in groupby(rows, key=lambda row: row[:5]):
        datasets = tuple(_dataset(row[5:], with_size) for row in joined if row[5] is not None)
        sessions.append(SessionRow(own[1], own[3], own[2], own[4], datasets))
        marks.append(own[:4])
    return sessions, marks


def _dataset(row: tuple[Any, ...], with_size: bool) -> DatasetRow:
    n_files, size_bytes = map(int, row[5].split()) if with_size else (None, None)
    return DatasetRow(row[0], row[1], row[2], int(row[3]), bool(row[4]), n_files, size_bytes)
