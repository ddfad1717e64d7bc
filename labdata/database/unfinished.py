"""Projects into which many rows come are closed until all rows are there.

A sorting of which half the units have come would be read as one with fewer units. The version of
such a project says that it is not whole, and no labdata opens it but the work that goes on: a
migration, or the loading of a dump. The mark is set before the first table is made, and goes after
the last row was compared; so whatever kills the work leaves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import DatabaseError
from .locks import server_lock
from .schema_version import (
    CURRENT,
    MAKING,
    UNFINISHED,
    opening_unfinished,
    read_all_versions,
    write_version,
)

#: How long another's work is waited for.
WAIT_S = 10


@contextmanager
def filling_alone(connection: Any, work: int) -> Iterator[None]:
    """Be the only one that fills projects of this database, and open those that are not whole.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    work : int
        ``MOVING`` or ``LOADING``.

    Raises
    ------
    DatabaseError
        If another process does so for longer than :data:`WAIT_S`.
    """
    busy = DatabaseError(
        "Another migration into this database, or another loading of a dump, is at work.",
        hint="Repeat the command when it has ended.",
    )
    lock = f"fill.{connection._preferences.name}"
    with (
        server_lock(connection, lock, timeout_s=WAIT_S, refused=busy),
        opening_unfinished(work),
    ):
        yield


def mark_unfinished(
    connection: Any, projects: Sequence[str | None], work: int, *, source: str = ""
) -> None:
    """Close projects to all but the work that fills them.

    Parameters
    ----------
    connection : LabConnection
        To the database, whose shared schema exists.
    projects : sequence of str or None
        Into which rows come.
    work : int
        ``MOVING`` or ``LOADING``.
    source : str, optional
        From where the rows come, up to 32 characters: see :func:`unfinished_projects`.
    """
    for project in projects:
        write_version(connection, connection._preferences.name, project, work, by=source)


def unfinished_projects(connection: Any, work: int | None = None) -> dict[str | None, str]:
    """Return the projects that are not whole, and from where their rows come.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    work : int, optional
        Of this kind only.
    """
    versions = read_all_versions(connection, connection._preferences.name)
    wanted = UNFINISHED if work is None else (work,)
    return {project: by for project, (version, by) in versions.items() if version in wanted}


def mark_whole(
    connection: Any, work: int, projects: Sequence[str | None] | None = None
) -> list[str | None]:
    """Open projects into which all rows have come.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    work : int
        ``MOVING`` or ``LOADING``: those that another has closed stay closed.
    projects : sequence of str or None, optional
        By default all.

    Returns
    -------
    list of str or None
        Those that were closed.
    """
    closed = [
        project
        for project in unfinished_projects(connection, work)
        if projects is None or project in projects
    ]
    for project in closed:
        write_version(connection, connection._preferences.name, project, CURRENT)
    return closed


def give_up(connection: Any, work: int) -> list[str | None]:
    """Open projects that are not whole, as they are.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    work : int
        ``MOVING`` or ``LOADING``.

    Returns
    -------
    list of str or None
        The projects.

    Raises
    ------
    DatabaseError
        If the work goes on in another process.
    """
    from .projects import make_lab

    base = connection._preferences.name
    with filling_alone(connection, work):
        closed = list(unfinished_projects(connection, work))
        for project in closed:
            # it may have been ended while the tables were made: what is missing is made
            write_version(connection, base, project, MAKING)
            make_lab(project).create()
    return closed
