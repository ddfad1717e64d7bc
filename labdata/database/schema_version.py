"""The version of a lab's tables, kept in the database beside them.

A hidden table of the shared schema has a row a project (``''`` for the data without one). Before
the first table of a project is made its version is 0, after the last it is :data:`CURRENT`; so a
maker that was killed is told from a lab of an older version. A lab of another version than this
labdata's is not opened: a wrong guess about a column would be a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..errors import DatabaseError
from .datajoint_compat import dj
from .raw_tables import quote

#: Version of the tables that this labdata declares. Raised with each change of a table, and with
#: it a step in :data:`STEPS`.
CURRENT = 2
#: Labs made before versions were kept.
UNMARKED = 1
MAKING = 0
#: While rows of an older lab are copied into a project: it is not whole, and nobody reads it so.
MOVING = -1
_TABLE = "~labdata_version"
#: DataJoint 2 keeps it beside the tables that it makes; that of labdata 0.1 did not.
_LINEAGE = "~lineage"

#: Version before -> what the step does, in words. The tables that a version brings are made by
#: their declarations; a step that has to change what is there has a function in ``CHANGES``.
STEPS = {1: "makes the tables of procedures, imaging, segmentation, behaviour, video, histology"}
CHANGES: dict[int, Callable[[Any, dict[str, str]], None]] = {}


def read_version(connection: Any, name: str, project: str | None) -> int | None:
    """Return the version of a project's tables; None if nothing is recorded.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    name : str
        ``database.name`` of the preferences.
    project : str or None
        The project.
    """
    query = f"SELECT version FROM {quote(name)}.{quote(_TABLE)} WHERE project = %s"
    try:
        row = connection.query(query, (project or "",)).fetchone()
    except dj.errors.MissingTableError:
        return None
    return None if row is None else int(row[0])


def write_version(connection: Any, name: str, project: str | None, version: int) -> None:
    """Record the version of a project's tables.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    name : str
        ``database.name`` of the preferences; its schema exists.
    project : str or None
        The project.
    version : int
        Of its tables.
    """
    from .. import __version__

    table = f"{quote(name)}.{quote(_TABLE)}"
    connection.query(
        f"CREATE TABLE IF NOT EXISTS {table} (project varchar(32) PRIMARY KEY, "
        "version int NOT NULL, labdata varchar(32) NOT NULL, changed datetime NOT NULL)"
    )
    connection.query(
        f"REPLACE INTO {table} VALUES (%s, %s, %s, UTC_TIMESTAMP())",
        (project or "", version, __version__),
    )


_opens_unfinished: ContextVar[bool] = ContextVar("opens_unfinished", default=False)


@contextmanager
def opening_unfinished() -> Iterator[None]:
    """Let labs be opened whose migration has not ended, as the migration itself must."""
    token = _opens_unfinished.set(True)
    try:
        yield
    finally:
        _opens_unfinished.reset(token)


def refuse_old_package(schema: str, tables: Collection[str]) -> None:
    """Raise if a schema's tables were made by labdata 0.1, whose names are the same.

    Its values are kept in other types. An upgrade in place would mix the two; it is copied.

    Parameters
    ----------
    schema : str
        Where the data are.
    tables : collection of str
        All tables of the schema, those of DataJoint's housekeeping too.

    Raises
    ------
    DatabaseError
        Which says what to do.
    """
    if _LINEAGE in tables:
        return
    raise DatabaseError(
        f"The database {schema!r} was made by labdata 0.1, whose tables this labdata does not "
        "write to.",
        hint="Give database.name another name, a new lab; `labdata migrate --from OLD_PREFERENCES`"
        " copies the old one into it.",
    )


def refuse_other(version: int, project: str | None) -> None:
    """Raise if a lab's tables are of another version than this labdata's.

    Parameters
    ----------
    version : int
        Of the lab.
    project : str or None
        The project, for the message.

    Raises
    ------
    DatabaseError
        Which says what to do.
    """
    where = f"project {project!r}" if project else "this lab"
    if version == MOVING:
        if _opens_unfinished.get():
            return
        raise DatabaseError(
            f"Rows of an older lab are being copied into {where}: it is not whole yet.",
            hint="Wait, or go on: labdata migrate --from OLD_PREFERENCES --apply. To leave it as "
            "it is: labdata migrate --give-up",
        )
    if version < CURRENT:
        raise DatabaseError(
            f"The tables of {where} are of version {version}; this labdata needs {CURRENT}.",
            hint="`labdata db dump FILE` keeps a copy, `labdata db upgrade` brings them there.",
        )
    if version > CURRENT:
        raise DatabaseError(
            f"The tables of {where} are of version {version}, made by a newer labdata; this one "
            f"knows {CURRENT}.",
            hint="pip install --upgrade labdata-jupyter",
        )
