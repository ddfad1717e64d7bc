"""Which old table is which of ours, column by column, and what has no place here.

Tables are told by their level (shared, a project's data, its results, its plugins') and name, so
that the tables of a plugin that is installed here are found as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..database.projects import Lookup, schema_names
from ..database.raw_tables import RawTable, quote, read_tables
from ..database.row_copy import table_names
from .columns import Column, read_columns
from .old_database import OldDatabase
from .row_rules import IDENTITIES

#: Columns of ours that a rule fills from others.
_ADDED = {"DatasetEvents.Digital": ("event_samples",)}


@dataclass(frozen=True)
class Finding:
    """Something that a migration cannot do by itself, or does in its own way.

    Attributes
    ----------
    project : str or None
        Whose rows; None for the shared tables and the data without a project.
    where : str
        ``Subject``, ``Subject.tattoo``, or the schema and name of a table that is not ours.
    what : str
        What it is.
    n_rows : int
        How many rows it is about.
    example : str
        Keys of the first of them.
    advice : str
        What to do; empty for a mere note.
    blocks : bool
        Whether nothing is copied before it is settled.
    """

    project: str | None
    where: str
    what: str
    n_rows: int
    example: str = ""
    advice: str = ""
    blocks: bool = True


@dataclass(frozen=True)
class TablePair:
    """A table of the old database and ours.

    Attributes
    ----------
    name : str
        As users know it: ``SpikeSorting.Unit``.
    project : str or None
    source, target : RawTable
        The old table and ours.
    read : tuple of Column
        Old columns that are read.
    written : tuple of Column
        Our columns that are written.
    where : str
        Condition of the rows that come along; empty for all.
    is_there : bool
        Whether our table is there already; else its project is made by the migration.
    initial : tuple of dict
        Rows that labdata itself put into our table, which give way to the old lab's.
    """

    name: str
    project: str | None
    source: RawTable
    target: RawTable
    read: tuple[Column, ...]
    written: tuple[Column, ...]
    where: str
    is_there: bool
    initial: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class OurTable:
    """A table of ours, or of a project that is still to be made.

    Attributes
    ----------
    name : str
    level : str
        ``global``, ``data``, ``computed`` or ``user``.
    raw : RawTable
    columns : dict
        By name.
    initial : tuple of dict
        As of :class:`TablePair`.
    """

    name: str
    level: str
    raw: RawTable
    columns: dict[str, Column]
    initial: tuple[dict[str, Any], ...]


def our_tables(lab: Any) -> list[OurTable]:
    """Return the tables of a lab, parents first.

    Parameters
    ----------
    lab : Lab
        The tables.
    """
    lab.activate()  # only then it is known what plugins add
    names = table_names(lab)
    schemas = {schema for schema, _ in names}
    columns = read_columns(lab.connection, schemas)
    classes = lab.tables_and_parts()
    return [
        OurTable(
            names[place],
            lab._levels.get(names[place].partition(".")[0], "user"),
            table,
            columns[place],
            _initial_rows(names[place], classes[names[place]]),
        )
        for place, table in read_tables(lab.connection, schemas).items()
        if place in names
    ]


def moved_to(tables: Iterable[OurTable], base: str, project: str | None) -> list[OurTable]:
    """Return tables as they will be in a project that is not there yet.

    Parameters
    ----------
    tables : iterable of OurTable
        Of another project.
    base : str
        ``database.name`` of the preferences.
    project : str or None
        The project.
    """
    schemas: dict[str, str] = {str(k): v for k, v in schema_names(base, project).items()}
    schemas["user"] = f"{schemas['data']}_user"
    return [
        t
        if t.level == "global"
        else replace(t, raw=replace(t.raw, schema=schemas[t.level], references=()))
        for t in tables
    ]


def pair_table(
    old: OldDatabase,
    ours: OurTable,
    project: str | None,
    leave_out: Collection[str],
    *,
    is_there: bool,
    where: str = "",
) -> tuple[TablePair | None, list[Finding]]:
    """Return an old table with ours, and the columns that have no place.

    Parameters
    ----------
    old : OldDatabase
        The old database.
    ours : OurTable
        Our table.
    project : str or None
        The project.
    leave_out : collection of str
        Columns that stay behind: ``Subject.tattoo``.
    is_there : bool
        Whether our table is there.
    where : str, optional
        Condition of the rows that come along.
    """
    place = (old.schema_of(ours.level, project), ours.raw.name)
    if place not in old.tables:
        return None, []
    source, columns = old.tables[place], old.columns[place]
    wanted = {n: c for n, c in columns.items() if f"{ours.name}.{n}" not in leave_out}
    added = {*_ADDED.get(ours.name, ()), IDENTITIES.get(ours.name, ("",))[0]}
    pair = TablePair(
        ours.name,
        None if ours.level == "global" else project,
        source,
        ours.raw,
        tuple(c for n, c in wanted.items() if n in ours.columns),
        tuple(c for n, c in ours.columns.items() if n in wanted or n in added),
        where,
        is_there,
        ours.initial,
    )
    return pair, [*_missing_columns(pair, ours), *_unplaced_columns(old, pair, ours, wanted)]


def _missing_columns(pair: TablePair, ours: OurTable) -> list[Finding]:
    written = {column.name for column in pair.written}
    missing = [n for n, c in ours.columns.items() if not c.optional and n not in written]
    missing += sorted(set(pair.source.key) - set(pair.target.key))
    return [
        Finding(
            pair.project,
            f"{pair.name}.{name}",
            "the table has another structure here: this column is needed, or is part of its key, "
            "on one side only",
            0,
            advice=f"--leave-out {pair.name}",
        )
        for name in missing
    ]


def _unplaced_columns(
    old: OldDatabase, pair: TablePair, ours: OurTable, wanted: Collection[str]
) -> list[Finding]:
    found = []
    for name in wanted:
        if name in ours.columns or name in pair.source.key:
            continue
        also = "AND" if pair.where else "WHERE"
        n_rows = old.count(pair.source, f"{pair.where} {also} {quote(name)} IS NOT NULL")
        if n_rows:
            what = "the column has no place here"
            advice = f"--leave-out {pair.name}.{name}"
            place = f"{pair.name}.{name}"
            found.append(Finding(pair.project, place, what, n_rows, advice=advice))
    return found


def _initial_rows(name: str, cls: Any) -> tuple[dict[str, Any], ...]:
    if issubclass(cls, Lookup):
        names = cls.heading.names
        return tuple(dict(zip(names, row, strict=True)) for row in cls.initial_rows)
    return ()
