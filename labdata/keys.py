"""What a user's key selects: a dict or a query, of the tables of one project, and one row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import QueryError

_DATASET = ("subject_name", "session_name", "dataset_name")


def lab_of(key: Any, lab: Any) -> Any:
    """Return the tables that a key is about; a query of one project never selects in another.

    Parameters
    ----------
    key : dict or query
        As the user gave it.
    lab : Lab or None
        The tables, if the user said which.

    Raises
    ------
    QueryError
        If the key is a query of other tables than these.
    """
    from .schema import default_lab

    lab = lab or getattr(key, "lab", None) or default_lab
    if hasattr(key, "support"):
        foreign = _schemas(key) - {table.database for table in _activated(lab).tables.values()}
        if foreign:
            raise QueryError(
                f"The query is of tables in {', '.join(sorted(foreign))}, which are not those of "
                f"{lab.project or 'the project in use'}.",
                hint="Say whose tables with lab=, as load_project_schema returns them.",
            )
    return lab


def _activated(lab: Any) -> Any:
    lab.activate()
    return lab


def _schemas(query: Any) -> set[str]:
    """Return the names of the schemas that a query reads."""
    found: set[str] = set()
    for part in query.support:
        found |= {part.split(".")[0].strip("`")} if isinstance(part, str) else _schemas(part)
    return found


def one_row(table: Any, key: Any, noun: str, choices: tuple[str, ...]) -> dict[str, Any]:
    """Return the one row of a table that a key selects.

    Parameters
    ----------
    table : Table
        The table or a query of it.
    key : dict, list of dict or query
        As the user gave it.
    noun : str
        What a row is, for the error.
    choices : tuple of str
        Attributes that tell rows apart, for the error.

    Raises
    ------
    QueryError
        If the key selects no row or several, or has a name that no table has.
    """
    rows = (table & _restriction(table, key)).fetch(as_dict=True)
    if len(rows) == 1:
        return dict(rows[0])
    if not rows:
        raise QueryError(
            f"There is no {noun} for {_shown(key)}.",
            hint="`labdata sessions -a SUBJECT` shows what there is.",
        )
    listed = "; ".join(
        "/".join(str(row[k]) for k in (*_DATASET, *choices) if k in row) for row in rows[:8]
    )
    raise QueryError(
        f"{_shown(key)} selects {len(rows)} {noun}s: {listed}.",
        hint=f"Say which, by {', '.join(('session_name', *choices))}.",
    )


def _restriction(table: Any, key: Any) -> Any:
    """Return what a key means for a table, attributes of related tables included.

    DataJoint passes over names that a table does not have, without a word. Here a name of a
    related table restricts by the rows of that one, so that the key of a unit selects its sorting
    and ``dataset_type`` the datasets of that type; a name that no table has is refused.
    """
    if isinstance(key, list):
        return [_restriction(table, one) for one in key]
    if isinstance(key, Mapping):
        return _by_names(table, key)
    if hasattr(key, "proj"):
        return key.proj()
    raise QueryError(
        f"A key of type {type(key).__name__} selects nothing: {key!r}.",
        hint='Pass a dict, {"subject_name": "JC1"}, or a query, Session & \'...\'.',
    )


def _by_names(table: Any, key: Mapping[str, Any]) -> Any:
    import difflib

    from .database.datajoint_compat import dj

    lab = table.lab
    related = (
        lab.SpikeSorting,
        lab.SpikeSorting.Unit,
        lab.SpikeSortingParams,
        lab.EphysRecording.ProbeSetting,
        lab.DatasetEvents,
        lab.DatasetEvents.Digital,
        lab.Dataset,
        lab.Session,
        lab.Subject,
    )
    mine = set(table.heading.names)
    conditions: list[Any] = [{name: value for name, value in key.items() if name in mine}]
    left = [name for name in key if name not in mine]
    if not left:
        return dj.AndList(conditions)
    for other in related:
        shared = [name for name in key if name in other.heading.names]
        if set(shared) & set(left):
            conditions.append((other & {name: key[name] for name in shared}).proj())
            left = [name for name in left if name not in shared]
    unknown = sorted(left)
    if unknown:
        known = {name for other in (table, *related) for name in other.heading.names}
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise QueryError(
            f"There is no attribute {unknown[0]!r} to select by.",
            hint=f"Did you mean {near[0]!r}?"
            if near
            else f"Known are: {', '.join(sorted(known))}.",
        )
    return dj.AndList(conditions)


def _shown(key: Any) -> str:
    return str(dict(key)) if isinstance(key, Mapping) else "this query"
