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
from .project_names import Level
from .raw_tables import quote
from .server_defaults import add_account_of_curation

#: Version of the tables that this labdata declares. Raised with each change of a table, and with
#: it a step in :data:`STEPS`.
CURRENT = 7
#: Labs made before versions were kept.
UNMARKED = 1
MAKING = 0
#: While rows of an older lab, or of a dump, come into a project: it is not whole, and nobody reads
#: it so. See :mod:`.unfinished`.
MOVING, LOADING = -1, -2
#: Such versions -> what is being done, how to go on, and how to leave it as it is.
UNFINISHED = {
    MOVING: (
        "Rows of an older lab are being copied into",
        "labdata migrate --from OLD_PREFERENCES --apply",
        "labdata migrate --give-up",
    ),
    LOADING: (
        "Rows of a dump are being loaded into",
        "labdata db load FILE, with the same file",
        "labdata db load --give-up",
    ),
}
_TABLE = "~labdata_version"
#: DataJoint 2 keeps it beside the tables that it makes; that of labdata 0.1 did not.
_LINEAGE = "~lineage"

#: Version before -> what the step does, in words. The tables that a version brings are made by
#: their declarations; a step that has to change what is there has a function in ``CHANGES``.
STEPS = {
    1: "makes the tables of procedures, imaging, segmentation, behaviour, video, histology",
    2: "makes the table of the segments of recordings",
    3: "makes the table of curated units",
    4: "makes the tables of counts of curated units and of reports of synchronisations",
    5: "keeps with each entry of a curation log the account that wrote it",
    6: "lets spike trains be stored in fewer bytes; those that are there stay as they are",
}
CHANGES: dict[int, Callable[[Any, dict[Level, str]], None]] = {
    5: lambda connection, names: add_account_of_curation(connection, names["computed"]),
}


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


def read_all_versions(connection: Any, name: str) -> dict[str | None, tuple[int, str]]:
    """Return the version that is recorded of each project, and what recorded it.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    name : str
        ``database.name`` of the preferences.
    """
    query = f"SELECT project, version, labdata FROM {quote(name)}.{quote(_TABLE)} ORDER BY project"
    try:
        rows = connection.query(query).fetchall()
    except dj.errors.MissingTableError:
        return {}
    return {project or None: (int(version), str(by)) for project, version, by in rows}


def write_version(
    connection: Any, name: str, project: str | None, version: int, *, by: str = ""
) -> None:
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
    by : str, optional
        What is recorded with it, up to 32 characters: by default the version of labdata.
    """
    from .. import __version__

    table = f"{quote(name)}.{quote(_TABLE)}"
    connection.query(
        f"CREATE TABLE IF NOT EXISTS {table} (project varchar(32) PRIMARY KEY, "
        "version int NOT NULL, labdata varchar(32) NOT NULL, changed datetime NOT NULL)"
    )
    connection.query(
        f"REPLACE INTO {table} VALUES (%s, %s, %s, UTC_TIMESTAMP())",
        (project or "", version, by or __version__),
    )


def forget_version(connection: Any, name: str, project: str | None) -> None:
    """Record no version of a project, as before its tables were made.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    name : str
        ``database.name`` of the preferences.
    project : str or None
        The project.
    """
    query = f"DELETE FROM {quote(name)}.{quote(_TABLE)} WHERE project = %s"
    connection.query(query, (project or "",))


_opens_unfinished: ContextVar[int | None] = ContextVar("opens_unfinished", default=None)


@contextmanager
def opening_unfinished(work: int = MOVING) -> Iterator[None]:
    """Let labs be opened that are not whole, as the work that fills them must.

    Parameters
    ----------
    work : int, optional
        Which one: ``MOVING`` or ``LOADING``; labs that another fills stay closed.
    """
    token = _opens_unfinished.set(work)
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
    if version in UNFINISHED:
        if _opens_unfinished.get() == version:
            return
        doing, go_on, leave = UNFINISHED[version]
        raise DatabaseError(
            f"{doing} {where}: it is not whole yet.",
            hint=f"Wait; or, if that was ended before its end, go on: {go_on}. To open it as it "
            f"is, with the rows that have come: {leave}",
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
