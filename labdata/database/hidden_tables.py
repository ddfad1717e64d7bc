"""labdata's own notes in the shared schema: tables that no query of users shows.

They are named here in one place, as each must be made before rights on it can be given, and must
travel in a dump. Their names begin with ``~``, which DataJoint passes over.
"""

from __future__ import annotations

from typing import Any

from .raw_tables import quote
from .statements import Statement

RENAMES = "~labdata_rename"
GARBAGE = "~labdata_garbage"
ARCHIVED = "~labdata_archived"
RELEASED = "~labdata_released"

#: Name -> columns.
HIDDEN_TABLES = {
    RENAMES: (
        "rename_id int NOT NULL AUTO_INCREMENT PRIMARY KEY, project varchar(32) NOT NULL, "
        "who varchar(255) NOT NULL, started datetime NOT NULL, ended datetime NULL, "
        "level varchar(16) NOT NULL, subject_name varchar(64) NOT NULL, "
        "session_name varchar(64) NULL, dataset_name varchar(128) NULL, "
        "new_name varchar(128) NOT NULL, n_rows bigint NULL, n_files bigint NULL"
    ),
    GARBAGE: (
        "object_id char(64) NOT NULL PRIMARY KEY, storage varchar(64) NOT NULL, "
        "object_path text NOT NULL, size_bytes bigint NOT NULL, modified varchar(40) NOT NULL, "
        "first_seen datetime NOT NULL"
    ),
    ARCHIVED: (
        "project varchar(32) NOT NULL PRIMARY KEY, who varchar(255) NOT NULL, "
        "archived datetime NOT NULL"
    ),
    RELEASED: (
        "project varchar(32) NOT NULL, file_path varchar(400) NOT NULL, "
        "storage varchar(32) NOT NULL, PRIMARY KEY (project, file_path, storage)"
    ),
}


def hidden_table(connection: Any, name: str) -> str:
    """Return the quoted name of a hidden table, with its schema.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    name : str
        A key of :data:`HIDDEN_TABLES`, or the name of a view of one.
    """
    return f"{quote(connection._preferences.name)}.{quote(name)}"


def hidden_view(name: str, project: str | None) -> str:
    """Return the name of the view of a hidden table that holds one project's rows.

    Parameters
    ----------
    name : str
        A key of :data:`HIDDEN_TABLES`.
    project : str or None
        The project.
    """
    return f"{name}~{project or ''}"


def is_there(connection: Any, name: str) -> bool:
    """Return whether a hidden table has been made, as far as this account may see.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    name : str
        Of the table, or of a view of it.
    """
    query = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    return connection.query(query, (connection._preferences.name, name)).fetchone() is not None


def make_hidden_table(connection: Any, name: str) -> None:
    """Make a hidden table where it is missing; an account that sees it needs no right to make it.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    name : str
        A key of :data:`HIDDEN_TABLES`.
    """
    if not is_there(connection, name):
        _creation(connection, name).run(connection)


def plan_hidden_tables(connection: Any) -> list[Statement]:
    """Return the statements that make the hidden tables that are missing.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    """
    return [_creation(connection, n) for n in HIDDEN_TABLES if not is_there(connection, n)]


def _creation(connection: Any, name: str) -> Statement:
    columns = HIDDEN_TABLES[name]
    table = hidden_table(connection, name)
    return Statement(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) CHARACTER SET utf8mb4")
