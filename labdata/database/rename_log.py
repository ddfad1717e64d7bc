"""Which names were corrected, when and by whom: kept in the database beside the data.

A hidden table of the shared schema has a row a rename, written before the first file is copied and
finished in the transaction that changes the rows. So a rename that was killed is seen, and one
that is finished is finished in every table.
"""

from __future__ import annotations

import getpass
import socket
from typing import Any

from ..errors import DatabaseError
from .datajoint_compat import dj
from .hidden_tables import RENAMES, hidden_table, hidden_view, is_there, make_hidden_table

_NAMES = ("subject_name", "session_name", "dataset_name")


def begin_rename(
    connection: Any, project: str | None, level: str, key: dict[str, str], new_name: str
) -> int:
    """Write that a rename begins; one that was begun with the same names goes on.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    project : str or None
        Whose data.
    level : str
        ``subject``, ``session`` or ``dataset``.
    key : dict
        The names before.
    new_name : str
        The name after.

    Returns
    -------
    int
        Its number.

    Raises
    ------
    DatabaseError
        If the account may not write there.
    """
    table = _table(connection, project)
    names = tuple(key.get(name) for name in _NAMES)
    row = (project or "", level, *names, new_name)
    try:
        if table == hidden_table(connection, RENAMES):
            make_hidden_table(connection, RENAMES)
        begun = connection.query(
            f"SELECT rename_id FROM {table} WHERE ended IS NULL AND (project, level) = (%s, %s) "
            "AND subject_name <=> %s AND session_name <=> %s AND dataset_name <=> %s "
            "AND BINARY new_name = %s",
            row,
        ).fetchone()
        if begun:
            return int(begun[0])
        connection.query(
            f"INSERT INTO {table} (project, level, subject_name, session_name, dataset_name, "
            "new_name, who, started) VALUES (%s, %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP())",
            (*row, whoami(connection)),
        )
        return int(connection.query("SELECT LAST_INSERT_ID()").fetchone()[0])
    except dj.errors.AccessError as error:
        raise DatabaseError(
            f"Your account may not write the log of renames: {error.args[0]}",
            hint="Nothing was changed. Ask the lab's administrator to rename, or to renew your "
            "rights: `labdata account grant NAME -p PROJECT --role admin`.",
        ) from error


def finish_rename(
    connection: Any, project: str | None, rename_id: int, *, n_rows: int, n_files: int
) -> None:
    """Write that a rename is done, in the transaction that changes its rows.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    project : str or None
        Whose data.
    rename_id : int
        Of :func:`begin_rename`.
    n_rows, n_files : int
        Rows changed, files that got another path.
    """
    table = _table(connection, project)
    connection.query(
        f"UPDATE {table} SET ended = UTC_TIMESTAMP(), n_rows = %s, n_files = %s "
        "WHERE rename_id = %s",
        (n_rows, n_files, rename_id),
    )


def read_renames(connection: Any, project: str | None) -> list[dict[str, Any]]:
    """Return the renames of a project, newest first.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    project : str or None
        The project.

    Returns
    -------
    list of dict
        ``rename_id``, ``who``, ``started`` and ``ended`` (UTC; ``ended`` is None if it was not
        finished), ``level``, ``key`` (the names before), ``old_name``, ``new_name``, ``n_rows``,
        ``n_files``.
    """
    table = _table(connection, project)
    if not is_there(connection, table.split("`")[-2]):
        return []
    columns = ["rename_id", "who", "started", "ended", "level", *_NAMES, "new_name"]
    columns += ["n_rows", "n_files"]
    rows = connection.query(
        f"SELECT {', '.join(columns)} FROM {table} WHERE project = %s ORDER BY rename_id DESC",
        (project or "",),
    )
    found = []
    for values in rows:
        row = dict(zip(columns, values, strict=True))
        names = {name: row.pop(name) for name in _NAMES}
        row["key"] = {name: value for name, value in names.items() if value is not None}
        row["old_name"] = names[f"{row['level']}_name"]
        found.append(row)
    return found


def whoami(connection: Any) -> str:
    """Return who uses a connection: the account, or on an embedded database the computer's user.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    """
    user = connection._preferences.user if connection._preferences.host else None
    return f"{user or getpass.getuser()}@{socket.gethostname()}"


def _table(connection: Any, project: str | None) -> str:
    """Return the log, or the view of the project's part for an account that sees no more."""
    view = hidden_view(RENAMES, project)
    sees_part = is_there(connection, view) and not is_there(connection, RENAMES)
    return hidden_table(connection, view if sees_part else RENAMES)
