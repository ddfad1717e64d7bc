"""A dump's rows into a database: all is checked before anything is made, all compared at the end.

Rows that are there with equal content are left; a row with other content, or a name that to the
server is another's, stops the load before it begins. Then the projects that it fills are closed
(:mod:`.unfinished`) until every row was compared: a load that is killed leaves none that could be
read as whole, and is repeated. One that is refused on the way, before its first row, takes away
what it had made.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from ..errors import DatabaseError
from ..plugins import load_plugins
from ..progress import Progress, ignore_progress
from .alike_names import fold
from .connection import connect
from .datajoint_compat import dj
from .dump_sums import refuse_damaged
from .hidden_tables import GARBAGE, HIDDEN_TABLES, RENAMES, make_hidden_table
from .lab_dump import (
    PIECE,
    DumpedTable,
    list_places,
    open_dump,
    plain,
    quoted,
    read_contents,
)
from .own_roles import check_role
from .project_removal import remove_schemas
from .projects import Lab, declared_tables, default_lab, find_version, make_lab
from .raw_tables import Key, RawTable, Row, fetch_rows, in_pieces, insert_rows, quote, read_tables
from .schema_version import (
    LOADING,
    MAKING,
    forget_version,
    read_all_versions,
    refuse_other,
    write_version,
)
from .tables import parts_of
from .unfinished import filling_alone, mark_unfinished, mark_whole, unfinished_projects

JOB_TABLES = frozenset(
    {"upload_job", "upload_job__assigned_files", "compute_task", "compute_task__assigned_files"}
)
#: Numbered or dated by the one lab that they are of, as jobs are.
_OF_ONE_LAB = JOB_TABLES | {RENAMES, GARBAGE}

_Tables = dict[tuple[str | None, str, str], RawTable]


@dataclass(frozen=True)
class _Load:
    """What is loaded: an open dump, its tables that have rows, its projects, and its mark."""

    connection: Any
    source: sqlite3.Connection
    entries: tuple[DumpedTable, ...]
    projects: tuple[str | None, ...]
    mark: str


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
        rows with other content are in the way; then nothing is changed. If the database refuses a
        row later, the projects that were being filled stay closed until the load is repeated.
    """
    connection = connect()
    with filling_alone(connection, LOADING):
        if not connection.embedded and _has_schema(connection, connection._preferences.name):
            check_role(lab, "load a dump", ())
        dumped, about = read_contents(file)
        refuse_other(about["version"], None)
        with closing(open_dump(file)) as source:
            # dumps made before there were checksums have none
            refuse_damaged(file, source, about.get("sha256", {}))
            entries = tuple(
                entry
                for entry in dumped
                if entry.n_rows and not (without_jobs and entry.table in _OF_ONE_LAB)
            )
            load = _Load(
                connection, source, entries, tuple(about["projects"]), _mark(dumped, about)
            )
            return _load(lab, load, progress or ignore_progress)


def _load(lab: Lab, load: _Load, report: Progress) -> dict[str, int]:
    """Check everything, close the projects, make what is missing, fill, compare, and open."""
    connection, base = load.connection, load.connection._preferences.name
    _check_projects(load)
    tables = _tables_there(load)
    _refuse_unknown_tables(load, tables)
    missing = {entry: _missing(load, entry, tables)[0] for entry in load.entries}
    new = [p for p in load.projects if find_version(connection, p) is None and _is_needed(load, p)]
    filled = _projects_to_fill(load, new, missing)
    before = read_all_versions(connection, base)
    try:
        if not _has_schema(connection, base):
            connection.query(f"CREATE DATABASE {quote(base)} CHARACTER SET utf8mb4")
        mark_unfinished(connection, filled, LOADING, source=load.mark)
        lab.activate()
        tables = _make(load)
        _refuse_unknown_tables(load, tables, made=True)
        todo = [(entry, *_missing(load, entry, tables)) for entry in load.entries]
    except (DatabaseError, dj.errors.DataJointError, pymysql.MySQLError):
        _undo(load, new, filled, {project: version for project, (version, _) in before.items()})
        raise
    counts: dict[str, int] = {}
    try:
        counts = _insert_all(load, tables, todo, report)
        counts["compared"] = sum(_compare_all(load, entry, tables) for entry in load.entries)
        mark_whole(connection, LOADING, filled)
    finally:
        if "compared" not in counts:  # closed to this process, too
            lab.deactivate()
            default_lab.deactivate()
    return counts


def _mark(dumped: list[DumpedTable], about: dict[str, Any]) -> str:
    """Return what tells one dump from another, up to 32 characters."""
    content = json.dumps([about, [vars(table) for table in dumped]], sort_keys=True)
    return f"dump {hashlib.sha256(content.encode()).hexdigest()[:24]}"


# --- what is checked before anything is made -----------------------------------------------------


def _check_projects(load: _Load) -> None:
    """Raise if a project of the dump is here under another case, version, or half filled."""
    connection, base = load.connection, load.connection._preferences.name
    marks = unfinished_projects(connection, LOADING)
    known = _names_of_projects(connection, base)
    for project in load.projects:
        if project and known.get(project.casefold(), project) != project:
            raise DatabaseError(
                f"The dump has a project {project!r}, and here is {known[project.casefold()]!r}.",
                hint="Nothing was loaded: to the database names that differ by the case of "
                "letters only are one. Load into another database.",
            )
        version = find_version(connection, project)
        if version not in (None, MAKING):
            refuse_other(version, project)
        if marks.get(project, load.mark) != load.mark:
            raise DatabaseError(
                f"Another dump was being loaded into {project or 'the data without a project'}, "
                "and has not come whole.",
                hint="Nothing was loaded. Load that dump again: labdata db load FILE. Or open "
                "what has come of it, as it is: labdata db load --give-up",
            )


def _names_of_projects(connection: Any, base: str) -> dict[str, str]:
    try:
        rows = connection.query(f"SELECT project_name FROM {quote(base)}.project").fetchall()
    except dj.errors.MissingTableError:
        rows = ()
    names = [str(name) for (name,) in rows]
    names += [name for name in read_all_versions(connection, base) if name]
    return {name.casefold(): name for name in names}


def _refuse_unknown_tables(load: _Load, there: _Tables, *, made: bool = False) -> None:
    """Raise if a table of the dump is neither there nor declared by labdata or a plugin."""
    for entry in load.entries:
        if (entry.project, entry.level, entry.table) in there:
            continue
        if made or (entry.level, entry.table) not in _declared_tables(entry.project):
            raise DatabaseError(
                f"The database has no table {entry.table!r} of {entry.level}, and the dump has "
                f"{entry.n_rows} rows of it.",
                hint="Is it of a plugin? Install it first. Nothing was loaded.",
            )


def _declared_tables(project: str | None) -> set[tuple[str, str]]:
    """Return level and name, as a dump has them, of the tables that opening a project makes."""
    found: set[tuple[str, str]] = {
        ("global" if project is None and level == "data" else level, cls.table_name)
        for cls, level in declared_tables()
    }
    found |= {("global", name) for name in HIDDEN_TABLES}
    for plugin in load_plugins():
        if plugin.counts_in(project):
            found |= {
                ("user", one.table_name) for cls in plugin.tables for one in (cls, *parts_of(cls))
            }
    return found


def _is_shared(entry: DumpedTable) -> bool:
    """Whether a table is all projects'; data without a project lie beside those in the dump."""
    data = {cls.table_name for cls, level in declared_tables() if level == "data"}
    return entry.level == "global" and entry.table not in data


def _is_needed(load: _Load, project: str | None) -> bool:
    """Whether the dump has something of a project; data without one are often none."""
    return bool(project) or any(e.project is None and not _is_shared(e) for e in load.entries)


def _projects_to_fill(
    load: _Load, new: Collection[str | None], missing: dict[DumpedTable, set[Key]]
) -> list[str | None]:
    """Return the projects into which rows come; if only shared rows come, all that it has."""
    filled = {e.project for e, keys in missing.items() if keys and not _is_shared(e)}
    filled |= {*new, *unfinished_projects(load.connection, LOADING)} & set(load.projects)
    if not filled and any(missing.values()):
        filled = {e.project for e in load.entries if not _is_shared(e)}
    return sorted(filled, key=str)


# --- what is made --------------------------------------------------------------------------------


def _make(load: _Load) -> _Tables:
    """Make the tables that are missing; return all of the dump's projects."""
    for project in load.projects:
        if _is_needed(load, project):
            make_lab(project).create()
    for entry in load.entries:
        if entry.table in HIDDEN_TABLES:
            make_hidden_table(load.connection, entry.table)
    return _tables_there(load)


def _undo(
    load: _Load,
    new: Collection[str | None],
    filled: Collection[str | None],
    before: dict[str | None, int],
) -> None:
    """Remove the projects that were made, and open again those that were closed."""
    base = load.connection._preferences.name
    for project in filled:
        if project and project in new:
            remove_schemas(load.connection, project)
        elif project in before:
            write_version(load.connection, base, project, before[project])
        else:
            forget_version(load.connection, base, project)


def _tables_there(load: _Load) -> _Tables:
    base = load.connection._preferences.name
    places = {
        schema: (project, level)
        for schema, project, level in list_places(load.connection, base, load.projects)
    }
    if not places:
        return {}
    tables = read_tables(load.connection, places, hidden=HIDDEN_TABLES)
    return {(*places[table.schema], table.name): table for table in tables.values()}


def _has_schema(connection: Any, name: str) -> bool:
    query = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
    return connection.query(query, (name,)).fetchone() is not None


# --- rows ----------------------------------------------------------------------------------------


def _insert_all(
    load: _Load,
    tables: _Tables,
    todo: list[tuple[DumpedTable, set[Key], int]],
    report: Progress,
) -> dict[str, int]:
    counts = {"inserted": 0, "same": 0}
    for entry, missing, n_same in todo:
        table = tables[entry.project, entry.level, entry.table]
        for rows in in_pieces(_rows(load, entry, table, missing), PIECE):
            try:
                with load.connection.transaction:
                    insert = _describe_projects if table.name == "project" else insert_rows
                    insert(load.connection, table, rows)
            except dj.errors.DuplicateError as error:
                raise DatabaseError(
                    f"{entry.name} has such a row already: {error.args[0]}",
                    hint="Does somebody write into this lab meanwhile? Repeat the command. To a "
                    "server, names that differ by case only are one.",
                ) from error
            counts["inserted"] += len(rows)
            report(len(rows))
        counts["same"] += n_same
        report(n_same)
    return counts


def _missing(load: _Load, entry: DumpedTable, tables: _Tables) -> tuple[set[Key], int]:
    """Return the keys of the rows that are not there, and how many are; refuse other content."""
    table = tables.get((entry.project, entry.level, entry.table))
    missing: set[Key] = set()
    n_same = 0
    if table is None:
        return {(entry.name,)}, 0  # all of them
    for rows in in_pieces(_rows(load, entry, table), PIECE):
        keyed = {table.key_of(row): row for row in rows}
        there = _plain_rows(load.connection, table, keyed)
        _refuse_alike(entry, keyed, there)
        for key, row in keyed.items():
            if key not in there or _is_initial(entry, table, there[key], row):
                missing.add(key)
            elif table.comparable(there[key]) == table.comparable(row):
                n_same += 1
            else:
                raise DatabaseError(
                    f"{entry.name} has a row {key} with other content than the dump.",
                    hint="Nothing was loaded. Load into an empty database, or another project.",
                )
    return missing, n_same


def _is_initial(entry: DumpedTable, table: RawTable, there: Row, row: Row) -> bool:
    """Whether a row is a project's as it was made with its tables, before anybody described it."""
    said = [v for v, name in zip(there, table.columns, strict=True) if name not in table.key]
    return entry.table == "project" and there != row and not any(said)


def _describe_projects(connection: Any, table: RawTable, rows: list[Row]) -> None:
    """Insert rows of projects, of which some were made with nothing but their name."""
    columns = ", ".join(map(quote, table.columns))
    marks = ", ".join(["%s"] * len(table.columns))
    changed = ", ".join(f"{quote(c)} = VALUES({quote(c)})" for c in table.columns)
    for row in rows:
        connection.query(
            f"INSERT INTO {table.sql} ({columns}) VALUES ({marks}) "
            f"ON DUPLICATE KEY UPDATE {changed}",
            row,
        )


def _refuse_alike(entry: DumpedTable, wanted: Collection[Key], there: Collection[Key]) -> None:
    """Raise if the server found rows whose names are not those that were asked for."""
    for key in there:
        if key in wanted:
            continue
        alike = [one for one in wanted if [*map(fold, one)] == [*map(fold, key)]]
        raise DatabaseError(
            f"{entry.name} has a row {key} here, and the dump {(alike or [*wanted])[0]}: to the "
            "database these are one.",
            hint="Nothing was loaded. Names that differ by the case of letters or by accents only "
            "are one: rename one of them (labdata rename), or load into another database.",
        )


def _compare_all(load: _Load, entry: DumpedTable, tables: _Tables) -> int:
    table = tables[entry.project, entry.level, entry.table]
    n_rows = 0
    for rows in in_pieces(_rows(load, entry, table), PIECE):
        keyed = {table.key_of(row): row for row in rows}
        there = _plain_rows(load.connection, table, keyed)
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


def _plain_rows(connection: Any, table: RawTable, keys: Collection[Key]) -> dict[Key, Row]:
    rows = fetch_rows(connection, table, table.columns, table.key, keys)
    plain_rows = [tuple(map(plain, row)) for row in rows]
    return {table.key_of(row): row for row in plain_rows}


def _rows(
    load: _Load,
    entry: DumpedTable,
    table: RawTable,
    only: Collection[Key] | None = None,
) -> Iterator[Row]:
    columns = ", ".join(map(quoted, table.columns))
    try:
        rows = load.source.execute(f"SELECT {columns} FROM {quoted(entry.name)}")
    except sqlite3.OperationalError as error:
        raise DatabaseError(
            f"The table {entry.name} of the dump lacks a column: {error}.",
            hint="Was it made by the same version of labdata?",
        ) from None
    for row in rows:
        if only is None or table.key_of(row) in only:
            yield row
