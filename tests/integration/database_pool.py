"""Empty databases for tests, each used again by the next test once its rows are gone.

Making a lab's 88 tables takes a second or more, emptying those that a test has filled a few
milliseconds. A database that a test has changed otherwise is dropped. The projects that a pool is
made for are kept with their tables, too.
"""

from __future__ import annotations

import itertools
from typing import Any

import pymysql

from labdata.database.connection import connect, reset_connection
from labdata.database.datajoint_compat import dj
from labdata.database.project_names import schema_names
from labdata.database.projects import Lookup
from labdata.database.schema_version import CURRENT, read_all_versions
from labdata.errors import LabdataError
from labdata.schema import default_lab


class DatabasePool:
    """Names of databases on one server.

    Parameters
    ----------
    prefix : str
        What they begin with.
    projects : tuple of str, optional
        Projects that each has, after its first test made them.
    """

    def __init__(self, prefix: str, projects: tuple[str, ...] = ()) -> None:
        self._prefix, self._projects = prefix, projects
        self._numbers = itertools.count(1)
        self._free: list[str] = []

    def take(self) -> str:
        """Return the name of a database that is empty or not there."""
        return self._free.pop() if self._free else f"{self._prefix}{next(self._numbers)}"

    def give_back(self, name: str) -> None:
        """Empty the database in use, if that can be done, for the next test."""
        reset_connection()
        try:
            connection = connect()
            connection.query("SET SESSION lock_wait_timeout = 2")
            connection.query("SET SESSION innodb_lock_wait_timeout = 2")
            if _is_like_new(connection, name, self._projects):
                _empty(connection, name, self._projects)
                self._free.append(name)
            else:
                for schema in _schemas(connection, name):
                    connection.query(f"DROP DATABASE `{schema}`")
        except (LabdataError, dj.errors.DataJointError, pymysql.MySQLError, OSError):
            return  # the test broke it, which may have been its purpose
        finally:
            reset_connection()


def _schemas(connection: Any, name: str) -> list[str]:
    rows = connection.query(
        "SELECT schema_name FROM information_schema.schemata "
        "WHERE schema_name = %s OR schema_name LIKE %s",
        (name, name.replace("_", "\\_") + "\\_%"),
    ).fetchall()
    return [row[0] for row in rows]


def _declared(name: str, projects: tuple[str, ...]) -> dict[tuple[str, str], Any]:
    """Every table of the lab without a project and of projects: where it is, and its class."""
    found = {}
    for project in (None, *projects):
        schemas = schema_names(name, project)
        for label, cls in default_lab.tables_and_parts().items():
            level = default_lab._levels.get(label.split(".")[0])
            if level is not None:
                found[schemas[level], cls.table_name] = cls
    return found


def _is_like_new(connection: Any, name: str, projects: tuple[str, ...]) -> bool:
    """Whether all tables are there as they are declared; other projects' are dropped."""
    declared = _declared(name, projects)
    own = tuple({schema for schema, _ in declared})
    for schema in set(_schemas(connection, name)) - set(own):
        connection.query(f"DROP DATABASE `{schema}`")
    rows = connection.query(
        "SELECT table_schema, table_name FROM information_schema.tables "
        "WHERE table_schema IN %s AND table_name NOT LIKE '~%%'",
        (own,),
    ).fetchall()
    hidden = connection.query(
        "SELECT table_type, table_name FROM information_schema.tables WHERE table_schema = %s "
        "AND (table_type = 'VIEW' OR table_name LIKE '~labdata\\_%%' "
        "AND table_name <> '~labdata_version')",
        (name,),
    ).fetchall()
    views = {(name, table) for kind, table in hidden if kind == "VIEW"}
    if {tuple(row) for row in rows} - views != set(declared):
        return False
    for kind, table in hidden:
        what = "VIEW" if kind == "VIEW" else "TABLE"
        connection.query(f"DROP {what} `{name}`.`{table}`")
    versions = read_all_versions(connection, name)
    for project in set(versions) - {None, *projects}:
        connection.query(f"DELETE FROM `{name}`.`~labdata_version` WHERE project = %s", (project,))
    return all(versions.get(project, ("",))[0] == CURRENT for project in (None, *projects))


def _empty(connection: Any, name: str, projects: tuple[str, ...]) -> None:
    tables = _declared(name, projects)
    asked = [
        f"SELECT '{schema}', '{table}', EXISTS(SELECT 1 FROM `{schema}`.`{table}`)"
        for schema, table in tables
    ]
    filled = [
        (schema, table)
        for schema, table, is_filled in connection.query(" UNION ALL ".join(asked)).fetchall()
        if is_filled
    ]
    connection.query("SET FOREIGN_KEY_CHECKS = 0")
    for schema, table in filled:
        connection.query(f"DELETE FROM `{schema}`.`{table}`")
    for schema, table in tables:
        if table in ("upload_job", "compute_task"):  # also where rows were rolled back
            connection.query(f"ALTER TABLE `{schema}`.`{table}` AUTO_INCREMENT = 1")
    for (schema, table), cls in tables.items():
        if issubclass(cls, Lookup):
            for row in cls.initial_rows:
                marks = ", ".join(["%s"] * len(row))
                connection.query(f"INSERT INTO `{schema}`.`{table}` VALUES ({marks})", row)
    for project in projects:
        columns = "(project_name, project_startdate)"
        connection.query(
            f"INSERT INTO `{name}`.project {columns} VALUES (%s, CURDATE())", (project,)
        )
