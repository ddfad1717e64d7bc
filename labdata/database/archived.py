"""An archived project is read as before and takes no writes; here it is decided whether it is.

Its end date in the table of projects says so, as it always did; who archived it by the command is
noted beside, for the one who meets the refusal. The date is asked for at each write and not kept:
a project may be archived by somebody else while a notebook is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from ..errors import DatabaseError
from .datajoint_compat import dj
from .hidden_tables import ARCHIVED, hidden_table, is_there, make_hidden_table
from .project_views import GUARDED
from .raw_tables import quote
from .rename_log import whoami

if TYPE_CHECKING:
    from .projects import Lab


@dataclass(frozen=True)
class Archived:
    """That a project is archived.

    Attributes
    ----------
    project : str
    since : date
    who : str or None
        The account and computer that archived it; None where that was not written down.
    """

    project: str
    since: date
    who: str | None = None

    def error(self) -> DatabaseError:
        """Return what a refused write says."""
        by = f" by {self.who}" if self.who else ""
        return DatabaseError(
            f"The project {self.project!r} is archived since {self.since}{by}: it is read only.",
            hint=f"Nothing was changed. `labdata project reopen {self.project}` opens it again.",
        )


def has_ended(end: date | None) -> bool:
    """Return whether a project's end date has come.

    Parameters
    ----------
    end : date or None
        ``project_enddate``.
    """
    return end is not None and end <= date.today()


def find_archived(connection: Any) -> dict[str, Archived]:
    """Return the archived projects of a database by name.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    """
    table = f"{quote(connection._preferences.name)}.project"
    rows = connection.query(
        f"SELECT project_name, project_enddate FROM {table} WHERE project_enddate <= %s",
        (date.today(),),
    ).fetchall()
    if not rows:
        return {}
    who = _who_archived(connection)
    return {str(n): Archived(str(n), end, who.get(str(n))) for n, end in rows}


def refuse_archived(lab: Lab) -> None:
    """Raise if the project of these tables is archived.

    Parameters
    ----------
    lab : Lab
        The tables that are to be written to.

    Raises
    ------
    DatabaseError
        If it is: since when, who did it, and how it is taken up again.
    """
    connection, project = lab.connection, lab.project
    found = find_archived(connection).get(project) if project else None
    if found:
        raise found.error()


def refuse_write(table: Any) -> None:
    """Raise if a table's rows are those of an archived project.

    What all projects share stays writable, the table of projects above all.

    Parameters
    ----------
    table : Table
        Of a lab, a part or a plugin's too.
    """
    lab: Lab = table.lab
    label = _label(table)
    is_shared = lab._levels.get(label.partition(".")[0]) == "global" and label not in GUARDED
    if not is_shared and lab._state != "busy":  # busy: its tables are being made
        refuse_archived(lab)


def refuse_cascade(table: Any) -> None:
    """Raise if deleting rows of a shared table would delete rows of an archived project.

    Parameters
    ----------
    table : Table
        A query; for instance one of LabMember, to which subjects of all projects refer.
    """
    lab: Lab = table.lab
    archived = find_archived(lab.connection)
    base = lab.connection._preferences.name
    places = {
        f"{base}_{name}{end}": one
        for name, one in archived.items()
        for end in ("", "_computed", "_user")
    }
    if not places:
        return
    for below in dj.Diagram.cascade(table):
        found = places.get(below.database)
        if found and len(below):
            raise found.error()


def note_archived(connection: Any, project: str, *, reopened: bool) -> None:
    """Write down who archives a project, or that it is open again.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    project : str
        The project.
    reopened : bool
        Take the note away.
    """
    make_hidden_table(connection, ARCHIVED)
    table = hidden_table(connection, ARCHIVED)
    if reopened:
        connection.query(f"DELETE FROM {table} WHERE project = %s", (project,))
        return
    query = f"REPLACE INTO {table} VALUES (%s, %s, UTC_TIMESTAMP())"
    connection.query(query, (project, whoami(connection)))


def _who_archived(connection: Any) -> dict[str, str]:
    if not is_there(connection, ARCHIVED):
        return {}
    rows = connection.query(f"SELECT project, who FROM {hidden_table(connection, ARCHIVED)}")
    return {str(project): str(who) for project, who in rows}


def _label(table: Any) -> str:
    from .tables import label_of

    return label_of(type(table))
