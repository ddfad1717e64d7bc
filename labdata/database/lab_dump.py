"""A whole lab in one file, and back: from a laptop to a server, from a server to a laptop.

The file is a SQLite database with a table for each of the lab's, which anybody can open without
labdata; blobs are the bytes that they were. It is written from one snapshot of the database, so
that its tables fit together whoever works meanwhile, and under another name until it is whole.

Loading checks the file against its checksums, inserts the rows that are missing and leaves those
that are there with equal content; a row with other content stops it before it begins. Killed, it
is repeated. At the end every row of the file is compared with the database.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymysql

from ..errors import DatabaseError
from ..progress import Progress, ignore_progress
from .datajoint_compat import dj
from .dump_sums import RowSum, explained_damage, refuse_damaged
from .hidden_tables import GARBAGE, HIDDEN_TABLES, RENAMES, make_hidden_table
from .own_roles import check_role
from .projects import Lab, make_lab, schema_names
from .raw_tables import Key, RawTable, Row, fetch_rows, in_pieces, insert_rows, quote, read_tables
from .schema_version import UNMARKED, read_version, refuse_other

_ROOM = "Is there room on the disk, and may you write into that folder?"
_PIECE = 200
_FORMAT = "labdata dump 1"
JOB_TABLES = frozenset(
    {"upload_job", "upload_job__assigned_files", "compute_task", "compute_task__assigned_files"}
)
#: Numbered or dated by the one lab that they are of, as jobs are.
_OF_ONE_LAB = JOB_TABLES | {RENAMES, GARBAGE}


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
        If the file is there already, or cannot be written.
    """
    if file.exists():
        raise DatabaseError(f"{file} is there already.", hint="Choose another name.")
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    report = progress or ignore_progress
    base = connection._preferences.name
    projects = list_all_projects(connection)
    places = _places(connection, base, projects)
    if not places:
        raise DatabaseError("There is nothing to dump: the database has no lab yet.")
    schemas = {schema for schema, _, _ in places}
    tables = read_tables(connection, schemas, hidden=HIDDEN_TABLES)
    where = {schema: (project, level) for schema, project, level in places}
    if not file.absolute().parent.is_dir():
        raise DatabaseError(f"There is no folder {file.parent}.", hint="Make it first: mkdir.")
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
        part.replace(file)
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
    with closing(_open_file(file)) as source, explained_damage(file):
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


def load_lab(
    lab: Lab, file: Path, *, without_jobs: bool = False, progress: Progress | None = None
) -> dict[str, int]:
    """Bring the rows of a dump into the database, and compare them.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database; projects of the dump are made where missing.
    file : Path
        The dump.
    without_jobs : bool, optional
        Leave out the uploads, tasks and renames that were, and what was noted as garbage: their
        numbers may be taken by others where the lab grows into one that is there.
    progress : Progress, optional
        Called with the number of rows loaded or found.

    Returns
    -------
    dict of str to int
        ``inserted``, ``same`` and ``compared`` rows.

    Raises
    ------
    DatabaseError
        If the account may not, the dump is damaged or of another version, tables are missing, or
        rows with other content are in the way; then nothing is changed.
    """
    report = progress or ignore_progress
    check_role(lab, "load a dump", ())
    dumped, about = read_contents(file)
    refuse_other(about["version"], None)
    with closing(_open_file(file)) as source:
        # dumps made before there were checksums have none
        refuse_damaged(file, source, about.get("sha256", {}))
    base = lab.connection._preferences.name
    _make_projects(lab, about["projects"])
    places = _places(lab.connection, base, about["projects"])
    for entry in dumped:
        if entry.n_rows and entry.table in HIDDEN_TABLES:
            make_hidden_table(lab.connection, entry.table)
    own = {schema for schema, _, _ in places}
    tables = read_tables(lab.connection, own, hidden=HIDDEN_TABLES)
    schemas = {(project, level): schema for schema, project, level in places}
    ways = []
    for entry in dumped:
        if entry.n_rows == 0 or (without_jobs and entry.table in _OF_ONE_LAB):
            continue
        table = tables.get((schemas.get((entry.project, entry.level), ""), entry.table))
        if table is None:
            raise DatabaseError(
                f"The database has no table {entry.table!r} of {entry.level}, and the dump has "
                f"{entry.n_rows} rows of it.",
                hint="Is it of a plugin? Install it first. Nothing was loaded.",
            )
        ways.append((entry, table))
    with closing(_open_file(file)) as source:
        todo = [(entry, table, *_missing(lab, source, entry, table)) for entry, table in ways]
        counts = {"inserted": 0, "same": 0, "compared": 0}
        for entry, table, missing, n_same in todo:
            for rows in in_pieces(_rows(source, entry, table, missing), _PIECE):
                try:
                    with lab.connection.transaction:
                        insert_rows(lab.connection, table, rows)
                except dj.errors.DuplicateError as error:
                    raise DatabaseError(
                        f"{entry.name} has such a row already: {error.args[0]}",
                        hint="Does another process load it, too? Repeat the command when that "
                        "has ended. To a server, names that differ by case only are one.",
                    ) from error
                counts["inserted"] += len(rows)
                report(len(rows))
            counts["same"] += n_same
            report(n_same)
        for entry, table in ways:
            counts["compared"] += _compare_all(lab, source, entry, table)
    return counts


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


def _make_projects(lab: Lab, projects: Sequence[str | None]) -> None:
    """Make the projects that are missing; their rows come with the dump."""
    known = set(lab.Project.fetch("project_name"))
    for project in projects:
        if project and project not in known:
            make_lab(project).create()
            (lab.Project & {"project_name": project}).delete_quick()


def _places(
    connection: Any, base: str, projects: Sequence[str | None]
) -> list[tuple[str, str | None, str]]:
    """Return schema, project and level of everything in a lab that is there."""
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


def _open_file(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise DatabaseError(f"There is no file {path}.", hint="`labdata db dump FILE` makes one.")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _dump_table(
    cursor: Any, out: sqlite3.Connection, table: RawTable, name: str, report: Progress
) -> tuple[int, str]:
    columns = ", ".join(map(_quoted, table.columns))
    keys = ", ".join(map(_quoted, table.key))
    out.execute(f"CREATE TABLE {_quoted(name)} ({columns}, PRIMARY KEY ({keys}))")
    marks = ", ".join(["?"] * len(table.columns))
    cursor.execute(f"SELECT {', '.join(map(quote, table.columns))} FROM {table.sql}")
    n_rows, checksum = 0, RowSum()
    out.execute("BEGIN")
    while rows := cursor.fetchmany(_PIECE):
        plain_rows = [tuple(map(plain, row)) for row in rows]
        checksum.add(plain_rows)
        out.executemany(f"INSERT INTO {_quoted(name)} VALUES ({marks})", plain_rows)
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


def _missing(
    lab: Lab, source: sqlite3.Connection, entry: DumpedTable, table: RawTable
) -> tuple[set[Key], int]:
    """Return the keys of the rows that are not there, and how many are; refuse other content."""
    missing: set[Key] = set()
    n_same = 0
    for rows in in_pieces(_rows(source, entry, table), _PIECE):
        keyed = {table.key_of(row): row for row in rows}
        there = _plain_rows(lab, table, keyed)
        for key, row in keyed.items():
            if key not in there:
                missing.add(key)
            elif table.comparable(there[key]) == table.comparable(row):
                n_same += 1
            else:
                raise DatabaseError(
                    f"{entry.name} has a row {key} with other content than the dump.",
                    hint="Nothing was loaded. Load into an empty database, or another project.",
                )
    return missing, n_same


def _compare_all(lab: Lab, source: sqlite3.Connection, entry: DumpedTable, table: RawTable) -> int:
    n_rows = 0
    for rows in in_pieces(_rows(source, entry, table), _PIECE):
        keyed = {table.key_of(row): row for row in rows}
        there = _plain_rows(lab, table, keyed)
        for key, row in keyed.items():
            if key not in there or table.comparable(there[key]) != table.comparable(row):
                raise DatabaseError(
                    f"The row {key} of {entry.name} is not in the database as in the dump.",
                    hint="Load again into an empty database, and keep the dump.",
                )
        n_rows += len(rows)
    if n_rows != entry.n_rows:
        raise DatabaseError(
            f"{entry.name} has {n_rows} rows in the dump, and {entry.n_rows} were written.",
            hint="The file is damaged. Make another.",
        )
    return n_rows


def _plain_rows(lab: Lab, table: RawTable, keys: Collection[Key]) -> dict[Key, Row]:
    rows = fetch_rows(lab.connection, table, table.columns, table.key, keys)
    plain_rows = [tuple(map(plain, row)) for row in rows]
    return {table.key_of(row): row for row in plain_rows}


def _rows(
    source: sqlite3.Connection,
    entry: DumpedTable,
    table: RawTable,
    only: Collection[Key] | None = None,
) -> Iterator[Row]:
    columns = ", ".join(map(_quoted, table.columns))
    try:
        rows = source.execute(f"SELECT {columns} FROM {_quoted(entry.name)}")
    except sqlite3.OperationalError as error:
        raise DatabaseError(
            f"The table {entry.name} of the dump lacks a column: {error}.",
            hint="Was it made by the same version of labdata?",
        ) from None
    for row in rows:
        if only is None or table.key_of(row) in only:
            yield row


def _why(error: OSError | sqlite3.Error) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
