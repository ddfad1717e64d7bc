"""Which projects a migration closes until all rows are there: see the database's unfinished."""

from __future__ import annotations

from collections.abc import Sequence

from ..database import unfinished
from ..database.connection import connect
from ..database.schema_version import MOVING


def mark_unfinished(projects: Sequence[str | None]) -> None:
    """Close projects to all but the migration that fills them.

    Parameters
    ----------
    projects : sequence of str or None
        Into which rows are copied.
    """
    unfinished.mark_unfinished(connect(), projects, MOVING)


def finish_migration(projects: Sequence[str | None] | None = None) -> list[str | None]:
    """Open projects that a migration had closed, whole or as they are.

    Parameters
    ----------
    projects : sequence of str or None, optional
        Those that are whole now: others may be half filled by a migration before. By default all,
        as they are.

    Returns
    -------
    list of str or None
        The projects; empty if none was closed.
    """
    if projects is None:
        return unfinished.give_up(connect(), MOVING)
    return unfinished.mark_whole(connect(), MOVING, projects)
