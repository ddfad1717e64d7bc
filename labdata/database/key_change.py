"""Give rows another primary key, in every table that holds it, with foreign keys always checked.

DataJoint declares foreign keys ON UPDATE CASCADE, but the server cannot follow them here: a
dataset refers to its subject directly and through its session, and the first of the two cascades
is refused for the sake of the second. Checks are not switched off either, as tables that this
account cannot see would be left with dangling rows. Instead the server copies each row that
others refer to under its new key, then the rows that nobody refers to are updated in place, and
last the old ones are deleted; at no time does a row refer to nothing, and a table out of sight
that holds the old key makes the whole change fail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DatabaseError
from .datajoint_compat import dj
from .raw_tables import Key, RawTable, in_pieces, quote, read_tables
from .row_selection import Place

Columns = tuple[str, ...]
Holders = dict[Place, frozenset[Columns]]

#: Keys in one statement.
_PIECE = 200


@dataclass(frozen=True)
class KeyChange:
    """New values for one column of the keys of a table.

    Attributes
    ----------
    root : tuple of str
        Schema and name of the table.
    columns : tuple of str
        Columns of its key.
    changed : str
        The one of these that gets another value.
    pairs : tuple
        ``(old key, new value)``; the key in the order of ``columns``.
    """

    root: Place
    columns: Columns
    changed: str
    pairs: tuple[tuple[Key, str], ...]

    @property
    def position(self) -> int:
        """Where the changed column is in ``columns``."""
        return self.columns.index(self.changed)

    @property
    def old_keys(self) -> list[Key]:
        """Keys before the change."""
        return [key for key, _ in self.pairs]

    @property
    def new_keys(self) -> list[Key]:
        """Keys after the change, in the same order."""
        at = self.position
        return [(*key[:at], new, *key[at + 1 :]) for key, new in self.pairs]

    def pieces(self) -> Iterable[KeyChange]:
        """Yield the change in parts that a statement can hold."""
        for pairs in in_pieces(self.pairs, _PIECE):
            yield KeyChange(self.root, self.columns, self.changed, tuple(pairs))


def read_reachable(connection: Any, schemas: Iterable[str]) -> dict[Place, RawTable]:
    """Return the tables of schemas and of all schemas that refer to them, as far as one may look.

    Parameters
    ----------
    connection : LabConnection
        Where they are.
    schemas : iterable of str
        Names of schemas to begin with.
    """
    known: set[str] = set()
    new = set(schemas)
    while new:
        known |= new
        marks = ", ".join(["%s"] * len(new))
        rows = connection.query(
            "SELECT DISTINCT table_schema FROM information_schema.key_column_usage "
            f"WHERE referenced_table_schema IN ({marks})",
            tuple(sorted(new)),
        )
        new = {schema for (schema,) in rows} - known
    return read_tables(connection, known)


def find_holders(tables: Mapping[Place, RawTable], root: Place, columns: Columns) -> Holders:
    """Return the columns in which tables hold a table's key, under whatever names.

    Parameters
    ----------
    tables : mapping
        Of :func:`read_reachable`, parents first.
    root : tuple of str
        The table.
    columns : tuple of str
        Columns of its key.

    Returns
    -------
    dict
        For each table that holds it, one or more tuples of columns in the order of ``columns``:
        a table may refer to two datasets.
    """
    found: dict[Place, set[Columns]] = {root: {columns}}
    for place, table in tables.items():
        for reference in table.references:
            ways = dict(zip(reference.parent_columns, reference.columns, strict=True))
            for held in list(found.get(reference.parent, ())):
                if set(held) <= ways.keys():
                    found.setdefault(place, set()).add(tuple(ways[name] for name in held))
    return {place: frozenset(found[place]) for place in tables if place in found}


def count_rows(
    connection: Any, table: RawTable, held: Collection[Columns], keys: list[Key]
) -> int:
    """Return how many rows of a table hold one of some keys.

    Parameters
    ----------
    connection : LabConnection
        Where the table is.
    table : RawTable
        The table.
    held : collection of tuple of str
        Columns in which it holds keys, of :func:`find_holders`.
    keys : list of tuple
        The keys.
    """
    n_rows = 0
    for piece in in_pieces(keys, _PIECE):
        where, values = holding(held, piece)
        query = f"SELECT COUNT(*) FROM {table.sql} WHERE {where}"
        n_rows += int(connection.query(query, values).fetchone()[0])
    return n_rows


def holding(held: Collection[Columns], keys: list[Key]) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL condition, with its values, that a row holds one of some keys.

    Parameters
    ----------
    held : collection of tuple of str
        Columns in which the table holds keys.
    keys : list of tuple
        The keys.
    """
    flat = tuple(value for key in keys for value in key)
    ways = sorted(held)
    return " OR ".join(_is_one_of(columns, len(keys)) for columns in ways), flat * len(ways)


def change_keys(
    connection: Any,
    tables: Mapping[Place, RawTable],
    holders: Holders,
    change: KeyChange,
) -> dict[Place, int]:
    """Change keys in all tables that hold them, within the transaction that the caller began.

    Parameters
    ----------
    connection : LabConnection
        Where the tables are.
    tables : mapping
        Of :func:`read_reachable`, parents first.
    holders : dict
        Of :func:`find_holders`, less what is to stay as it is.
    change : KeyChange
        What to change.

    Returns
    -------
    dict
        Rows changed by table.

    Raises
    ------
    DatabaseError
        If a new key is taken, rows changed meanwhile, or rows that are out of sight refer to an
        old key. The caller's transaction is to be rolled back.
    """
    changed = dict.fromkeys(holders, 0)
    for piece in change.pieces():
        before = {
            p: count_rows(connection, tables[p], holders[p], piece.old_keys) for p in holders
        }
        used = {place: held for place, held in holders.items() if before[place]}
        try:
            _apply(connection, tables, used, piece)
        except dj.errors.DataJointError as error:
            raise _explain(error) from error
        for place, held in used.items():
            left = count_rows(connection, tables[place], held, piece.old_keys)
            there = count_rows(connection, tables[place], held, piece.new_keys)
            if left or there != before[place]:
                raise DatabaseError(
                    f"Of {before[place]} rows of {tables[place].name} {there} came out under the "
                    f"new name and {left} kept the old one.",
                    hint="Nothing was changed. Did somebody just add rows? Repeat the command.",
                )
            changed[place] += before[place]
    return {place: n_rows for place, n_rows in changed.items() if n_rows}


def _apply(
    connection: Any, tables: Mapping[Place, RawTable], used: Holders, change: KeyChange
) -> None:
    copied = [place for place in used if _is_referred_to(tables, used, place, change)]
    for place, held in used.items():
        table = tables[place]
        where, wanted = holding(held, change.old_keys)
        values = _new_values(held, change)
        if place in copied:
            columns = ", ".join(map(quote, table.columns))
            shown = ", ".join(values[c][0] if c in values else quote(c) for c in table.columns)
            given = tuple(v for c in table.columns if c in values for v in values[c][1])
            query = f"INSERT INTO {table.sql} ({columns}) SELECT {shown} FROM {table.sql}"
        else:
            shown = ", ".join(
                f"{quote(column)} = {value}" for column, (value, _) in values.items()
            )
            given = tuple(v for _, parameters in values.values() for v in parameters)
            query = f"UPDATE {table.sql} SET {shown}"
        connection.query(f"{query} WHERE {where}", (*given, *wanted))
    for place in reversed(copied):
        where, wanted = holding(used[place], change.old_keys)
        connection.query(f"DELETE FROM {tables[place].sql} WHERE {where}", wanted)


def _is_referred_to(
    tables: Mapping[Place, RawTable], holders: Holders, place: Place, change: KeyChange
) -> bool:
    """Whether rows of other tables refer to a column that changes."""
    own = {held[change.position] for held in holders[place]}
    return any(
        reference.parent == place and own & set(reference.parent_columns)
        for table in tables.values()
        for reference in table.references
    )


def _new_values(
    held: Collection[Columns], change: KeyChange
) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Return, for each column that changes, its new value in SQL and the values in that."""
    branches: dict[str, list[tuple[str, tuple[Any, ...]]]] = {}
    for columns in sorted(held):
        shown = ", ".join(map(quote, columns))
        marks = ", ".join(["%s"] * len(columns))
        for key, new in change.pairs:
            branch = (f"WHEN ({shown}) = ({marks}) THEN %s", (*key, new))
            branches.setdefault(columns[change.position], []).append(branch)
    return {
        column: (
            f"CASE {' '.join(text for text, _ in found)} ELSE {quote(column)} END",
            tuple(value for _, values in found for value in values),
        )
        for column, found in branches.items()
    }


def _is_one_of(columns: Columns, n_keys: int) -> str:
    one = f"({', '.join(['%s'] * len(columns))})"
    return f"({', '.join(map(quote, columns))}) IN ({', '.join([one] * n_keys)})"


def _explain(error: Exception) -> DatabaseError:
    if isinstance(error, dj.errors.DuplicateError):
        return DatabaseError(
            f"The new name is taken in one of the tables: {error.args[0]}",
            hint="Nothing was changed. Choose another name.",
        )
    if isinstance(error, dj.errors.IntegrityError):
        return DatabaseError(
            f"Rows that you cannot see refer to the old name: {error.args[0]}",
            hint="Nothing was changed. Ask the lab's administrator to do it. If they are another "
            "project's rows of the same files, --keep-files leaves the files as they are.",
        )
    return DatabaseError(
        f"The database refused: {error.args[0] if error.args else error}",
        hint="Nothing was changed. If somebody works on these data, repeat when they have ended.",
    )
