"""Rows as the server keeps them, by their primary keys: what copying, renaming and deleting share.

Values are read and written without decoding, so that a blob arrives as the bytes it was, whichever
codec or version of it wrote it. What refers to what is asked of the database itself, not of the
declarations: plugins' tables and those of other labs are seen too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from ..errors import DatabaseError

Key = tuple[Any, ...]
Row = tuple[Any, ...]

#: Keys in one statement; many rows are fetched in pieces, so that no statement grows too long.
_PIECE = 500


@dataclass(frozen=True)
class Reference:
    """A foreign key.

    Attributes
    ----------
    columns : tuple of str
        Of the table that refers.
    parent : tuple of str
        Schema and name of the table referred to.
    parent_columns : tuple of str
        The columns that ``columns`` refer to, in the same order.
    """

    columns: tuple[str, ...]
    parent: tuple[str, str]
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class RawTable:
    """A table as the database describes it.

    Attributes
    ----------
    schema, name : str
        Where it is: ``labdata_vision``, ``_ephys_recording__probe_file``.
    columns : tuple of str
        In their order.
    key : tuple of str
        Columns of the primary key, in their order.
    json_columns : frozenset of str
        Columns of JSON, whose text a server may write in its own way.
    references : tuple of Reference
        Foreign keys.
    seen_as : str or None
        Quoted name of the view that stands for it; see :func:`through_views`.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    json_columns: frozenset[str]
    references: tuple[Reference, ...]
    seen_as: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name

    @property
    def sql(self) -> str:
        """The quoted name, for a statement: of the table, or of the view that stands for it."""
        return self.seen_as or f"{quote(self.schema)}.{quote(self.name)}"

    def key_of(self, row: Row) -> Key:
        """Return the primary key of a row.

        Parameters
        ----------
        row : tuple
            All columns.
        """
        return tuple(row[self.columns.index(name)] for name in self.key)

    def comparable(self, row: Row) -> Row:
        """Return a row with its JSON decoded, to compare rows of two servers.

        Parameters
        ----------
        row : tuple
            All columns.
        """
        if not self.json_columns:
            return row
        return tuple(
            json.loads(value) if name in self.json_columns and value is not None else value
            for name, value in zip(self.columns, row, strict=True)
        )


def quote(name: str) -> str:
    """Return a name quoted for SQL.

    Parameters
    ----------
    name : str
        Of a schema, table or column.

    Raises
    ------
    DatabaseError
        If it holds a backquote, which no name of a lab does.
    """
    if "`" in name:
        raise DatabaseError(f"{name!r} is no name of a schema, table or column.")
    return f"`{name}`"


def raw_place(cls: Any) -> tuple[str, str]:
    """Return schema and name of a lab's table itself, also where a view stands for it.

    Parameters
    ----------
    cls : type
        The table.
    """
    cls.lab.activate()
    return str(cls.database), str(cls.table_name)


def through_views(
    tables: dict[tuple[str, str], RawTable], lab: Any
) -> dict[tuple[str, str], RawTable]:
    """Return tables of which those that an account may not use stand for its project's views.

    Parameters
    ----------
    tables : dict
        Of :func:`read_tables`.
    lab : Lab
        Whose views they are.
    """
    views = {raw_place(cls): cls._seen_as for cls in lab.tables_and_parts().values()}
    return {
        place: replace(table, seen_as=views.get(place)) if views.get(place) else table
        for place, table in tables.items()
    }


def read_tables(
    connection: Any, schemas: Iterable[str], *, hidden: Collection[str] = ()
) -> dict[tuple[str, str], RawTable]:
    """Return the tables of schemas, those referred to before those that refer.

    Parameters
    ----------
    connection : LabConnection
        Where they are.
    schemas : iterable of str
        Names of the schemas; hidden tables (``~log`` and the like) are left out.
    hidden : collection of str, optional
        Names of hidden tables to read all the same.
    """
    names = tuple(sorted(set(schemas)))
    marks = ", ".join(["%s"] * len(names))
    columns: dict[tuple[str, str], list[tuple[str, bool, bool]]] = {}
    for schema, table, column, key, kind, comment in connection.query(
        "SELECT table_schema, table_name, column_name, column_key, data_type, column_comment "
        f"FROM information_schema.columns WHERE table_schema IN ({marks}) "
        "ORDER BY table_schema, table_name, ordinal_position",
        names,
    ):
        if not table.startswith("~") or table in hidden:
            is_json = kind == "json" or str(comment).startswith(":json:")
            columns.setdefault((schema, table), []).append((column, key == "PRI", is_json))
    references = _read_references(connection, names, marks)
    tables = {
        place: RawTable(
            *place,
            columns=tuple(name for name, _, _ in described),
            key=tuple(name for name, in_key, _ in described if in_key),
            json_columns=frozenset(name for name, _, is_json in described if is_json),
            references=tuple(references.get(place, ())),
        )
        for place, described in columns.items()
    }
    return _parents_first(tables)


def fetch_rows(
    connection: Any,
    table: RawTable,
    columns: Sequence[str],
    where: Sequence[str],
    values: Iterable[Key],
) -> Iterator[Row]:
    """Yield rows in which some columns have one of several values.

    Parameters
    ----------
    connection : LabConnection
        Where the table is.
    table : RawTable
        What to read.
    columns : sequence of str
        What to return of each row.
    where : sequence of str
        Columns to look at.
    values : iterable of tuple
        Values of these columns, in the same order.
    """
    shown = ", ".join(map(quote, columns))
    looked_at = ", ".join(map(quote, where))
    one = f"({', '.join(['%s'] * len(where))})"
    for piece in in_pieces(values, _PIECE):
        query = (
            f"SELECT {shown} FROM {table.sql} "
            f"WHERE ({looked_at}) IN ({', '.join([one] * len(piece))})"
        )
        flat = tuple(value for key in piece for value in key)
        yield from connection.query(query, flat).fetchall()


def insert_rows(connection: Any, table: RawTable, rows: Sequence[Row]) -> None:
    """Insert rows as they are, in this thread's transaction if there is one.

    Parameters
    ----------
    connection : LabConnection
        Where the table is.
    table : RawTable
        Where they go.
    rows : sequence of tuple
        All columns, in the order of the table.
    """
    columns = ", ".join(map(quote, table.columns))
    one = f"({', '.join(['%s'] * len(table.columns))})"
    for piece in in_pieces(rows, _PIECE):
        for part in _by_size(piece):
            query = f"INSERT INTO {table.sql} ({columns}) VALUES {', '.join([one] * len(part))}"
            connection.query(query, tuple(value for row in part for value in row))


def in_pieces(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of at most some items.

    Parameters
    ----------
    items : iterable
        What to divide.
    size : int
        Items a list.
    """
    piece: list[Any] = []
    for item in items:
        piece.append(item)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


def _by_size(rows: list[Row], most_bytes: int = 16 << 20) -> Iterator[list[Row]]:
    """Yield rows in groups whose blobs are not too many for one packet."""
    group: list[Row] = []
    size = 0
    for row in rows:
        own = sum(len(value) for value in row if isinstance(value, bytes | str))
        if group and size + own > most_bytes:
            yield group
            group, size = [], 0
        group.append(row)
        size += own
    if group:
        yield group


def read_references(connection: Any, table: Any) -> list[Reference]:
    """Return the foreign keys of one table.

    Parameters
    ----------
    connection : LabConnection
        Where it is.
    table : Table
        The table; its own schema and name count, also where a view stands for it.
    """
    found = _read_references(
        connection, (table.database, table.table_name), "%s", " AND table_name = %s"
    )
    return found.get((table.database, table.table_name), [])


def _read_references(
    connection: Any, names: tuple[str, ...], marks: str, more: str = ""
) -> dict[tuple[str, str], list[Reference]]:
    found: dict[tuple[str, str, str], list[tuple[str, str, str, str]]] = {}
    for schema, table, constraint, column, *parent in connection.query(
        "SELECT table_schema, table_name, constraint_name, column_name, "
        "referenced_table_schema, referenced_table_name, referenced_column_name "
        f"FROM information_schema.key_column_usage WHERE table_schema IN ({marks}) "
        f"AND referenced_table_name IS NOT NULL{more} "
        "ORDER BY table_schema, table_name, constraint_name, ordinal_position",
        names,
    ):
        found.setdefault((schema, table, constraint), []).append((column, *parent))
    references: dict[tuple[str, str], list[Reference]] = {}
    for (schema, table, _), parts in found.items():
        (parent,) = {(part[1], part[2]) for part in parts}
        references.setdefault((schema, table), []).append(
            Reference(tuple(p[0] for p in parts), parent, tuple(p[3] for p in parts))
        )
    return references


def _parents_first(tables: dict[tuple[str, str], RawTable]) -> dict[tuple[str, str], RawTable]:
    order = TopologicalSorter(
        {
            place: {r.parent for r in table.references if r.parent in tables} - {place}
            for place, table in tables.items()
        }
    )
    return {place: tables[place] for place in order.static_order()}
