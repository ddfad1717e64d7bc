"""Where rows live, in a few words: the project and the lab's database.

Two projects have tables of the same names, so each table and each command says whose it shows.
The words come from the preferences, without a connection: a command that then cannot reach the
database has said which one it tried.

A join, projection or union is of several tables, and may be of several projects; all are read off
the names of what it selects from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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


def describe_query(expression: Any) -> str:
    """Return a query's tables, projects and database: ``Subject * Session · project a · lab``.

    Parameters
    ----------
    expression : QueryExpression
        A join, an aggregation, a union, or a query on these.
    """
    database = expression.connection._preferences
    sources = [_read_source(name, database.name) for name in _source_names(expression)]
    signs = set(_signs(expression))
    # where they are mixed, only whose rows are read is said; the query itself says the rest
    sign = signs.pop() if len(signs) == 1 else ", "
    tables = sign.join(dict.fromkeys(label for label, _ in sources))
    projects = dict.fromkeys(project for _, project in sources if project is not _OF_ALL)
    if len(projects) < 2:
        return f"{tables} · {describe_place(database, next(iter(projects), None))}"
    named = ", ".join(sorted(str(project) for project in projects if project))
    one = len(projects) == 2 and None in projects
    words = f"project{'' if one else 's'} {named}{' and of none' if None in projects else ''}"
    return f"{tables} · {words} · {database.name}"


#: Of a table that all projects share.
_OF_ALL = "/"


def _source_names(expression: Any) -> Iterator[str]:
    """Yield the quoted names of the tables that a query selects from, in its order."""
    for part in expression._support:
        if isinstance(part, str):
            yield part
        else:
            yield from _source_names(part)


def _signs(expression: Any) -> Iterator[str]:
    """Yield how a query and those that it is made of put tables together."""
    from .datajoint_compat import dj

    if isinstance(expression, dj.expression.Aggregation):
        yield ", "
    elif isinstance(expression, dj.expression.Union):
        yield " + "
    elif len(expression._support) > 1:
        yield " * "
    for part in expression._support:
        if not isinstance(part, str):
            yield from _signs(part)


def _read_source(name: str, base: str) -> tuple[str, str | None]:
    """Return what users call a table, and its project, from its name in the database."""
    from .datajoint_compat import dj
    from .projects import default_lab

    schema, table = name.strip("`").split("`.`")
    _, *view = table.split("~") if table.startswith("~") else ("",)
    parts = (view[0] if view else table).lstrip("#_").split("__")
    label = ".".join(dj.utils.to_camel_case(part) for part in parts)
    if view:  # of those rows of a shared table that are a project's
        return label, (view[1] if len(view) > 1 else "") or None
    if schema != base:
        own = schema.removeprefix(f"{base}_").removesuffix("_computed").removesuffix("_user")
        return label, None if own in ("computed", "user") else own
    level = default_lab._levels.get(label.partition(".")[0])
    return label, None if level == "data" else _OF_ALL
