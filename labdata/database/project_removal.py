"""An empty project, one made by a slip of the keyboard, is removed with its tables.

Only where no row would go: the choices that labdata itself puts into a new project and the
project's own row are none. Its tables are locked while they are counted and dropped, so that
nobody's row comes between. Killed, it is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..counted import count_of
from ..errors import DatabaseError
from .hidden_tables import ARCHIVED, hidden_table, is_there
from .projects import declared_tables, schema_names
from .raw_tables import RawTable, quote, read_tables
from .schema_version import MAKING, forget_version, write_version
from .tables import Lookup


@dataclass(frozen=True)
class ProjectRemoval:
    """What removing a project would remove.

    Attributes
    ----------
    project : str
        Its name.
    schemas : tuple of str
        That would be dropped.
    n_tables : int
        Their tables.
    rows : dict of str to int
        Rows that people or labdata put there, by table; with any, nothing is removed.
    connection : LabConnection
        To the database.
    """

    project: str
    schemas: tuple[str, ...]
    n_tables: int
    rows: dict[str, int]
    connection: Any

    def apply(self) -> None:
        """Remove the project, if it is empty still.

        Raises
        ------
        DatabaseError
            If it has rows; nothing is removed then.
        """
        refuse_rows(self.project, self.rows)
        remove_schemas(self.connection, self.project)


def plan_removal(connection: Any, project: str) -> ProjectRemoval:
    """Return what removing a project would remove.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    project : str
        Its name.
    """
    tables = _own_tables(connection, project)
    rows = _count_rows(connection, tables) | _count_references(connection, project)
    return ProjectRemoval(
        project, _own_schemas(connection, project), len(tables), rows, connection
    )


def refuse_rows(project: str, rows: dict[str, int]) -> None:
    """Raise if a project that is to be removed has rows.

    Parameters
    ----------
    project : str
        Its name.
    rows : dict of str to int
        By table.

    Raises
    ------
    DatabaseError
        Which names them.
    """
    if rows:
        shown = ", ".join(f"{count_of(n, 'row')} of {name}" for name, n in list(rows.items())[:4])
        more = f", and of {count_of(len(rows) - 4, 'other table')}" if len(rows) > 4 else ""
        raise DatabaseError(
            f"The project {project!r} is not empty: it has {shown}{more}.",
            hint="Nothing was removed: only an empty project can be. `labdata project archive "
            f"{project}` keeps it as it is, read only.",
        )


def remove_schemas(connection: Any, project: str) -> None:
    """Remove the tables and the row of a project without rows.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    project : str
        Its name.

    Raises
    ------
    DatabaseError
        If it has rows after all; nothing is removed then.
    """
    base = connection._preferences.name
    refuse_rows(project, _count_references(connection, project))
    tables = _own_tables(connection, project)
    _drop_tables(connection, project, tables)
    for schema in _own_schemas(connection, project):
        connection.query(f"DROP DATABASE IF EXISTS {quote(schema)}")
    if is_there(connection, ARCHIVED):
        query = f"DELETE FROM {hidden_table(connection, ARCHIVED)} WHERE project = %s"
        connection.query(query, (project,))
    if is_there(connection, "project"):
        query = f"DELETE FROM {quote(base)}.project WHERE project_name = %s"
        connection.query(query, (project,))
    forget_version(connection, base, project)


def _drop_tables(connection: Any, project: str, tables: list[RawTable]) -> None:
    """Drop tables that are empty, and stay so until they are dropped."""
    if not tables:
        return
    locked = ", ".join(f"{table.sql} WRITE" for table in tables)
    # first, so that a removal that is killed leaves a project that is known as half made
    write_version(connection, connection._preferences.name, project, MAKING)
    connection.query(f"LOCK TABLES {locked}")
    try:
        refuse_rows(project, _count_rows(connection, tables))
        connection.query("SET foreign_key_checks = 0")
        connection.query(f"DROP TABLE {', '.join(table.sql for table in tables)}")
    finally:
        connection.query("SET foreign_key_checks = 1")
        connection.query("UNLOCK TABLES")


def _own_schemas(connection: Any, project: str) -> tuple[str, ...]:
    names = schema_names(connection._preferences.name, project)
    wanted = (f"{names['data']}_user", names["computed"], names["data"])
    rows = connection.query(
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name IN (%s, %s, %s)",
        wanted,
    ).fetchall()
    there = {row[0] for row in rows}
    return tuple(name for name in wanted if name in there)


def _own_tables(connection: Any, project: str) -> list[RawTable]:
    schemas = _own_schemas(connection, project)
    return [*read_tables(connection, schemas).values()] if schemas else []


def _count_rows(connection: Any, tables: list[RawTable]) -> dict[str, int]:
    """Return the rows by table, without the choices that labdata puts there itself."""
    initial = {
        cls.table_name: {tuple(map(str, row)) for row in cls.initial_rows}
        for cls, _ in declared_tables()
        if issubclass(cls, Lookup) and cls.initial_rows
    }
    found = {}
    for table in tables:
        if table.name in initial:
            rows = connection.query(f"SELECT * FROM {table.sql}").fetchall()
            n_rows = sum(tuple(map(str, row)) not in initial[table.name] for row in rows)
        else:
            n_rows = connection.query(f"SELECT COUNT(*) FROM {table.sql}").fetchone()[0]
        if n_rows:
            found[table.name.lstrip("_#")] = int(n_rows)
    return found


def _count_references(connection: Any, project: str) -> dict[str, int]:
    """Return the rows of shared tables that refer to the project: members, uploads."""
    found = {}
    base = connection._preferences.name
    for table in read_tables(connection, [base]).values():
        for one in table.references:
            if one.parent == (base, "project"):
                (n_rows,) = connection.query(
                    f"SELECT COUNT(*) FROM {table.sql} WHERE {quote(one.columns[0])} = %s",
                    (project,),
                ).fetchone()
                if n_rows:
                    found[table.name.lstrip("_#")] = int(n_rows)
    return found
