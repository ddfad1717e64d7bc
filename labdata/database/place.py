"""Where rows live, in a few words: the project and the lab's database.

Two projects have tables of the same names, so each table and each command says whose it shows.
The words come from the preferences, without a connection: a command that then cannot reach the
database has said which one it tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..preferences import DatabasePreferences
    from .projects import Lab


def place_of(lab: Lab) -> str:
    """Return the project and database of a lab's tables: ``project vision · labdata``.

    Parameters
    ----------
    lab : Lab
        The tables; they are connected if they are not yet.
    """
    return describe_place(lab.connection._preferences, lab.project)


def describe_place(database: DatabasePreferences, project: str | None) -> str:
    """Return a project and database in words.

    Parameters
    ----------
    database : DatabasePreferences
        Which database.
    project : str or None
        The project; without one only the database is named.

    Examples
    --------
    >>> from labdata.preferences import DatabasePreferences
    >>> describe_place(DatabasePreferences(), "vision")
    'project vision · labdata'
    """
    return f"project {project} · {database.name}" if project else database.name


def describe_server(database: DatabasePreferences) -> str:
    """Return where a database is: ``at mysql.lab.example``, or on this computer.

    Parameters
    ----------
    database : DatabasePreferences
        Which database.
    """
    return f"at {database.host}" if database.host else "on this computer"
