"""A whole lab in one file, and back: from a laptop to a server, from a server to a laptop.

The file is a SQLite database with a table for each of the lab's, which anybody can open without
labdata; blobs are the bytes that they were. It is written from one snapshot of the database, so
that its tables fit together whoever works meanwhile, and under another name until it is whole.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymysql

from ..errors import DatabaseError
from ..progress import Progress, ignore_progress
from ..stores.durable import publish
from .datajoint_compat import dj
from .dump_parts import part_of, remove_dead_parts
from .dump_sums import RowSum, explained_damage
from .hidden_tables import HIDDEN_TABLES
from .projects import schema_names
from .raw_tables import RawTable, quote, read_tables
from .schema_version import UNMARKED, read_version, refuse_other
from .unfinished import unfinished_projects

_ROOM = "Is there room on the disk, and may you write into that folder?"
#: Rows in one statement.
PIECE = 200
_FORMAT = "labdata dump 1"


@dataclass(frozen=True)
class DumpedTable:
    """A table in a dump.

    Attributes
    ----------
    name : str
        In the file: ``vision.data.subject``; ``.data.subject`` without a project.
    project : str or None
        Its project; None for the shared tables and for data without one.
    level : str
        ``global``, ``data``, ``computed`` or ``user``.
    table : str
        Its name in the database.
    n_rows : int
    """

    name: str
    project: str | None
    level: str
    table: str
    n_rows: int


def dump_lab(
    connection: Any, file: Path, *, progress: Progress | None = None
) -> list[DumpedTable]:
    """Write a lab with all its projects to a file, whatever the version of its tables.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    file : Path
        Where to; it must not be there yet.
    progress : Progress, optional
        Called with the number of rows written.

    Returns
    -------
    list of DumpedTable
        What was written.

    Raises
    ------
    DatabaseError
        If the file is there already, or cannot be written; or a project is not whole, as its
        migration or load was killed: a dump of it would be taken for a whole lab.
    """
    if file.exists():
        raise DatabaseError(f"{file} is there already.", hint="Choose another name.")
    remove_dead_parts(file.parent, lambda name: name == file.name)
    part = part_of(file)
    if not file.absolute().parent.is_dir():
        raise DatabaseError(f"There is no folder {file.parent}.", hint="Make it first: mkdir.")
    report = progress or ignore_progress
    base = connection._preferences.name
    projects = list_all_projects(connection)
    _refuse_unfinished(connection)
    places = list_places(connection, base, projects)
    if not places:
        raise DatabaseError("There is nothing to dump: the database has no lab yet.")
    schemas = {schema for schema, _, _ in places}
    tables = read_tables(connection, schemas, hidden=HIDDEN_TABLES)
    where = {schema: (project, level) for schema, project, level in places}
    try:
        with closing(_new_file(part)) as out, _snapshot(connection) as cursor:
            dumped, sums = [], {}
            for table in tables.values():
                project, level = where[table.schema]
                name = f"{project or ''}.{level}.{table.name}"
                n_rows, sums[name] = _dump_table(cursor, out, table, name, report)
                dumped.append(DumpedTable(name, project, level, table.name, n_rows))
            version = read_version(connection, base, connection._preferences.project)
            about = {"version": UNMARKED if version is None else version, "projects": projects}
            _write_contents(out, dumped, about | {"sha256": sums})
        if not publish(part, file):
            raise DatabaseError(
                f"{file} is there now: another process has written it meanwhile.",
                hint="Nothing of it was replaced. Choose another name, or keep that one.",
            )
    except pymysql.MySQLError as error:
        raise DatabaseError(
            f"Your account may not read all of the lab: {error.args[-1]}",
            hint="A dump is the whole lab. Ask the lab's administrator for it.",
        ) from None
    except (OSError, sqlite3.Error) as error:
        raise DatabaseError(f"{file} could not be written: {_why(error)}.", hint=_ROOM) from error
    finally:
        with suppress(OSError):  # in a folder of another's there is none, and no right to look
            part.unlink(missing_ok=True)
    return dumped


def read_contents(file: Path) -> tuple[list[DumpedTable], dict[str, Any]]:
    """Return the tables of a dump, and what it says about itself.

    Parameters
    ----------
    file : Path
        The dump.

    Raises
    ------
    DatabaseError
        If it is no dump of a lab, or damaged.
    """
    with closing(open_dump(file)) as source, explained_damage(file):
        facts = dict(source.execute("SELECT name, value FROM about"))
        tables = [
            DumpedTable(name, project, level, table, n_rows)
            for name, project, level, table, n_rows in source.execute(
                "SELECT name, project, level, table_name, n_rows FROM contents ORDER BY number"
            )
        ]
        about = {key: json.loads(value) for key, value in facts.items()}
    if about.get("format") != _FORMAT:
        raise DatabaseError(f"{file} is no dump of a lab.", hint="`labdata db dump` makes one.")
    return tables, about


def list_all_projects(connection: Any) -> list[str | None]:
    """Return the projects of a database; None, the first, stands for data without a project.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    """
    try:
        rows = connection.query(
            f"SELECT project_name FROM {quote(connection._preferences.name)}.project "
            "ORDER BY project_name"
        ).fetchall()
    except dj.errors.MissingTableError:
        rows = ()
    return [None, *(str(row[0]) for row in rows)]


def _refuse_unfinished(connection: Any) -> None:
    for project in unfinished_projects(connection):
        refuse_other(read_version(connection, connection._preferences.name, project) or 0, project)


def list_places(
    connection: Any, base: str, projects: Sequence[str | None]
) -> list[tuple[str, str | None, str]]:
    """Return schema, project and level of everything in a lab that is there.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    base : str
        ``database.name`` of the preferences.
    projects : sequence of str or None
        Of which; None for data without one, which lie among the shared tables.
    """
    wanted: dict[str, tuple[str | None, str]] = {base: (None, "global")}
    for project in projects:
        names = schema_names(base, project)
        for level in ("data", "computed"):
            wanted.setdefault(names[level], (project, level))
        wanted.setdefault(f"{names['data']}_user", (project, "user"))
    marks = ", ".join(["%s"] * len(wanted))
    rows = connection.query(
        f"SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ({marks})",
        tuple(wanted),
    ).fetchall()
    there = {row[0] for row in rows}
    return [(schema, *place) for schema, place in wanted.items() if schema in there]


@contextmanager
def _snapshot(connection: Any) -> Iterator[Any]:
    """Yield a cursor that reads rows as they come, all as they stand at this moment."""
    own = pymysql.connect(**connection._arguments(), cursorclass=pymysql.cursors.SSCursor)
    with closing(own), own.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield cursor


def _new_file(path: Path) -> sqlite3.Connection:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(descriptor)
    out = sqlite3.connect(path, isolation_level=None)
    out.execute("PRAGMA journal_mode=OFF")
    out.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT)")
    out.execute(
        "CREATE TABLE contents (number INTEGER PRIMARY KEY, name TEXT, project TEXT, level TEXT, "
        "table_name TEXT, n_rows INTEGER)"
    )
    return out


def open_dump(path: Path) -> sqlite3.Connection:
    """Open a dump to read it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    sqlite3.Connection
        That cannot write.

    Raises
    ------
    DatabaseError
        If it is not there.
    """
    if not path.is_file():
        raise DatabaseError(f"There is no file {path}.", hint="`labdata db dump FILE` makes one.")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _dump_table(
    cursor: Any, out: sqlite3.Connection, table: RawTable, name: str, report: Progress
) -> tuple[int, str]:
    columns = ", ".join(map(quoted, table.columns))
    keys = ", ".join(map(quoted, table.key))
    out.execute(f"CREATE TABLE {quoted(name)} ({columns}, PRIMARY KEY ({keys}))")
    marks = ", ".join(["?"] * len(table.columns))
    cursor.execute(f"SELECT {', '.join(map(quote, table.columns))} FROM {table.sql}")
    n_rows, checksum = 0, RowSum()
    out.execute("BEGIN")
    while rows := cursor.fetchmany(PIECE):
        plain_rows = [tuple(map(plain, row)) for row in rows]
        checksum.add(plain_rows)
        out.executemany(f"INSERT INTO {quoted(name)} VALUES ({marks})", plain_rows)
        n_rows += len(rows)
        report(len(rows))
    out.execute("COMMIT")
    return n_rows, checksum.hexdigest()


def _write_contents(
    out: sqlite3.Connection, dumped: Sequence[DumpedTable], about: dict[str, Any]
) -> None:
    from .. import __version__

    out.executemany(
        "INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?)",
        [(n, t.name, t.project, t.level, t.table, t.n_rows) for n, t in enumerate(dumped)],
    )
    about = about | {
        "format": _FORMAT,
        "labdata": __version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    rows = [(key, json.dumps(value)) for key, value in about.items()]
    out.executemany("INSERT INTO about VALUES (?, ?)", rows)


def plain(value: Any) -> Any:
    """Return a value of the database as a dump keeps it: number, text, bytes or None.

    Parameters
    ----------
    value : object
        As the driver gives it. Times become ISO text, which a server takes as it is.
    """
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    return value


def _why(error: OSError | sqlite3.Error) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error)


def quoted(name: str) -> str:
    """Return the name of a table or column of a dump, quoted for SQLite.

    Parameters
    ----------
    name : str
        Its name.
    """
    return '"' + name.replace('"', '""') + '"'
