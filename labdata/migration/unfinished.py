"""Projects into which rows are being copied are closed until all rows are there.

A sorting of which half the units have come would be read as one with fewer units. The version of
such a project says that it is not whole, and no labdata opens it but the migration that goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..database.connection import connect
from ..database.lab_dump import list_all_projects
from ..database.schema_version import CURRENT, MOVING, read_version, write_version


def mark_unfinished(projects: Sequence[str | None]) -> None:
    """Close projects to all but the migration that fills them.

    Parameters
    ----------
    projects : sequence of str or None
        Into which rows are copied.
    """
    base = connect()._preferences.name
    for project in projects:
        write_version(connect(), base, project, MOVING)


def finish_migration(projects: Sequence[str | None] | None = None) -> list[str | None]:
    """Open projects that a migration had closed, whole or as they are.

    Parameters
    ----------
    projects : sequence of str or None, optional
        Those that are whole now: others may be half filled by a migration before. By default all.

    Returns
    -------
    list of str or None
        The projects; empty if none was closed.
    """
    base = connect()._preferences.name
    closed = [
        project
        for project in list_all_projects(connect())
        if (projects is None or project in projects)
        and read_version(connect(), base, project) == MOVING
    ]
    for project in closed:
        write_version(connect(), base, project, CURRENT)
    return closed
