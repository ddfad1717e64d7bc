"""Said when a project is made because somebody named one that was not there.

On the embedded database any first use makes its project, so that a laptop needs no ceremony; a
name with a letter wrong makes one, too, and it is empty. It is said where it can be a slip: a
variable of the environment or a call named it, and there are others.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection
from typing import Any

from ..errors import LabdataWarning
from ..nearest import nearest
from .datajoint_compat import dj
from .raw_tables import quote

_VARIABLE = "LABDATA_DATABASE_PROJECT"


def read_projects(connection: Any) -> list[str]:
    """Return the names of the projects; none if the database has no lab yet.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    """
    base = quote(connection._preferences.name)
    try:
        rows = connection.query(f"SELECT project_name FROM {base}.project").fetchall()
    except dj.errors.MissingTableError:
        return []
    return sorted(str(name) for (name,) in rows)


def warn_of_new_project(project: str, others: Collection[str], *, in_use: bool) -> None:
    """Warn that a project was made, and say how to undo it.

    Parameters
    ----------
    project : str
        Which was made.
    others : collection of str
        Those that were there before; without any nothing is said.
    in_use : bool
        Whether it is the one of the preferences, rather than named in a call. One that the
        preference file names is meant.
    """
    from ..preferences import load_preferences

    by_variable = load_preferences().origins.get("database.project") == _VARIABLE
    if not others or (in_use and not by_variable):
        return
    near = nearest(project, others)
    shown = ", ".join(map(repr, sorted(others)[:8])) + (", ..." if len(others) > 8 else "")
    text = f"There was no project {project!r}: it was made, and is empty. Others are {shown}."
    if near:
        text += f" Did you mean {near[0]!r}?"
    text += f" To remove it: labdata project delete {project} --apply"
    if in_use:
        text += f" (and correct {_VARIABLE} before)"
    _warn(text)


def _warn(text: str) -> None:
    """Warn at the line of the first caller outside labdata."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, LabdataWarning, stacklevel=level)


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] in ("labdata", "datajoint", "contextlib")
