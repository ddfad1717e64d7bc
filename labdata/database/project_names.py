"""How the schemas of a project are called."""

from __future__ import annotations

import re
from typing import Literal

from ..errors import DatabaseError

Level = Literal["global", "data", "computed"]

#: ``<name>_<project>`` must not be another's ``..._computed`` or ``..._user``.
_PROJECT_NAME = re.compile(r"(?!.*(?:^|_)(?:computed|user)$)[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def schema_names(name: str, project: str | None) -> dict[Level, str]:
    """Return the names of a project's schemas by level.

    Parameters
    ----------
    name : str
        ``database.name`` of the preferences.
    project : str or None
        The project; without one, data live in the shared schema.

    Raises
    ------
    DatabaseError
        If the project's schema could not be told from those of results and plugins.
    """
    if project and not _PROJECT_NAME.fullmatch(project):
        raise DatabaseError(
            f"{project!r} cannot be the name of a project.",
            hint="Use up to 32 letters, digits, _ and -, not ending in 'computed' or 'user'.",
        )
    data = f"{name}_{project}" if project else name
    return {"global": name, "data": data, "computed": f"{data}_computed"}
