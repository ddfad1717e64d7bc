"""Copy rows from one lab to another: planned first, shown, then done whole or not at all.

Copies go between projects of one database and between databases. A row that is there already with
equal content is left as it is; one that is there with other content stops the copy before it
begins. After inserting, every row is read back and compared before the transaction ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DatabaseError
from ..progress import Progress, ignore_progress
from .archived import refuse_archived
from .datajoint_compat import dj
from .projects import Lab
from .raw_tables import (
    Key,
    RawTable,
    Row,
    fetch_rows,
    in_pieces,
    insert_rows,
    raw_place,
    read_tables,
    through_views,
)
from .row_selection import Place, find_dependents, find_referred

#: Rows read, inserted and compared at a time.
_PIECE = 200


@dataclass(frozen=True)
class TableCopy:
    """What a copy does to one table.

    Attributes
    ----------
    name : str
        As users know it: ``SpikeSorting.Unit``.
    source, target : RawTable
        Where rows are, and where they go.
    new : tuple of tuple
        Primary keys of the rows to insert.
    n_same : int
        Rows that are there already with equal content.
    different : tuple of tuple
        Primary keys of rows that are there with other content.
    """

    name: str
    source: RawTable
    target: RawTable
    new: tuple[Key, ...]
    n_same: int
    different: tuple[Key, ...]


@dataclass(frozen=True)
class CopyPlan:
    """What a copy will do; nothing is done before :meth:`apply`.

    Attributes
    ----------
    source, target : Lab
        From where to where.
    tables : tuple of TableCopy
        Tables with rows to copy, parents first.
    """

    source: Lab
    target: Lab
    tables: tuple[TableCopy, ...]

    @property
    def n_new(self) -> int:
        """Rows to insert."""
        return sum(len(table.new) for table in self.tables)

    @property
    def n_different(self) -> int:
        """Rows in the way: there with other content."""
        return sum(len(table.different) for table in self.tables)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a table: ``table``, ``new``, ``same``, ``different``."""
        return [
            {"table": t.name, "new": len(t.new), "same": t.n_same, "different": len(t.different)}
            for t in self.tables
        ]

    def _repr_html_(self) -> str:
        from ..markup import card, rows_table

        heads = ["table", "new", "same", "different"]
        cells = [list(row.values()) for row in self.rows()]
        return card(rows_table("Rows to copy", heads, cells))

    def apply(self, *, progress: Progress | None = None) -> int:
        """Copy the rows, in one transaction.

        Parameters
        ----------
        progress : Progress, optional
            Called with the number of rows as they are copied.

        Returns
        -------
        int
            Rows inserted.

        Raises
        ------
        DatabaseError
            If rows with other content are in the way, or the target changed since the plan; then
            nothing is changed.
        """
        refuse_archived(self.target)
        self._refuse_different()
        report = progress or ignore_progress
        with self.target.connection.transaction:
            for table in self.tables:
                for keys in in_pieces(table.new, _PIECE):
                    self._copy(table, keys)
                    report(len(keys))
        return self.n_new

    def _copy(self, table: TableCopy, keys: list[Key]) -> None:
        rows = _read(self.source.connection, table.source, keys)
        if len(rows) != len(keys):
            raise DatabaseError(
                f"{len(keys) - len(rows)} rows of {table.name} were deleted since the plan.",
                hint="Nothing was copied. Plan again.",
            )
        try:
            insert_rows(self.target.connection, table.target, list(rows.values()))
        except dj.errors.DuplicateError:
            raise DatabaseError(
                f"Rows of {table.name} were added since the plan, by another process.",
                hint="Nothing was copied. Repeat the command when that has ended.",
            ) from None
        written = _read(self.target.connection, table.target, keys)
        for key, row in rows.items():
            if table.source.comparable(row) != table.target.comparable(written.get(key, ())):
                raise DatabaseError(
                    f"A row of {table.name} came out differently at its target: {key}.",
                    hint="Nothing was copied. Are both databases of the same kind and version?",
                )

    def _refuse_different(self) -> None:
        for table in self.tables:
            if table.different:
                shown = ", ".join(map(str, table.different[:3]))
                raise DatabaseError(
                    f"{table.name} of the target has {len(table.different)} of these rows with "
                    f"other content: {shown}.",
                    hint="Nothing was copied. Rename or delete them there, or copy less.",
                )


def plan_copy(
    source: Lab,
    target: Lab,
    chosen: Mapping[str, Collection[Key]],
    *,
    leave_out: Collection[str] = (),
) -> CopyPlan:
    """Plan to copy rows, all that depend on them, and all that these refer to.

    Parameters
    ----------
    source, target : Lab
        From where to where. Tables that both share are left alone.
    chosen : mapping
        Table name (``"Session"``, ``"SpikeSorting.Unit"``) to primary keys as tuples.
    leave_out : collection of str, optional
        Tables whose rows are not followed when looking for what depends on the chosen ones.

    Returns
    -------
    CopyPlan
        Rows by table; its ``apply`` copies them.

    Raises
    ------
    DatabaseError
        If the tables of the two labs differ, as those of different versions do.
    """
    names = table_names(source)
    places = {name: place for place, name in names.items()}
    tables = read_tables(source.connection, {schema for schema, _ in names})
    tables = through_views(tables, source)
    ways = dict(zip(names, table_names(target), strict=True))
    down = find_dependents(
        source.connection,
        tables,
        {places[name]: keys for name, keys in chosen.items()},
        leave_out={places[name] for name in leave_out},
    )
    same_server = source.connection is target.connection
    shared = {place for place, way in ways.items() if same_server and place == way}
    selected = find_referred(source.connection, tables, down)
    theirs = read_tables(target.connection, {schema for schema, _ in ways.values()})
    theirs = through_views(theirs, target)
    copies = [
        _compare(source, target, names[place], tables[place], theirs.get(ways[place]), keys)
        for place, keys in selected.items()
        if place in ways and place not in shared
    ]
    return CopyPlan(source, target, tuple(copies))


def table_names(lab: Lab) -> dict[Place, str]:
    """Return the tables of a lab with their parts: where each is, and what users call it.

    Parameters
    ----------
    lab : Lab
        The tables.
    """
    names = {}
    for name, cls in lab.tables_and_parts().items():
        names[raw_place(cls)] = name
    return names


def _compare(
    source: Lab,
    target: Lab,
    name: str,
    table: RawTable,
    theirs: RawTable | None,
    keys: Collection[Key],
) -> TableCopy:
    if theirs is None or theirs.columns != table.columns or theirs.key != table.key:
        raise DatabaseError(
            f"The table {name} differs between the two labs.",
            hint="`labdata db upgrade` brings a lab to this version.",
        )
    new: list[Key] = []
    different: list[Key] = []
    for piece in in_pieces(sorted(keys, key=repr), _PIECE):
        there = _read(target.connection, theirs, piece)
        here = _read(source.connection, table, [key for key in piece if key in there])
        for key in piece:
            if key not in there:
                new.append(key)
            elif table.comparable(here[key]) != theirs.comparable(there[key]):
                different.append(key)
        # a key that a server takes for equal to ours, though its letters are of another case
        different += [key for key in there if key not in set(piece)]
        new = [key for key in new if not _is_like(key, there)]
    n_same = len(keys) - len(new) - len(different)
    return TableCopy(name, table, theirs, tuple(new), n_same, tuple(different))


def _is_like(key: Key, there: Collection[Key]) -> bool:
    """Whether a key differs from one of others by the case of its letters only."""

    def fold(one: Key) -> Key:
        return tuple(value.casefold() if isinstance(value, str) else value for value in one)

    return any(fold(key) == fold(other) for other in there if other != key)


def _read(connection: Any, table: RawTable, keys: Collection[Key]) -> dict[Key, Row]:
    rows = fetch_rows(connection, table, table.columns, table.key, keys)
    return {table.key_of(row): row for row in rows}
