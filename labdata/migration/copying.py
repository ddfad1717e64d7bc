"""One table of a migration: read in pieces, brought into our form, compared, inserted, read back.

A piece is one transaction: its rows are inserted, read again through the columns' codecs and
compared with what the old blobs decoded to; a row that differs undoes the piece. So a migration
that is killed has whole pieces, and its repetition finds them equal and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ..database.raw_tables import Key, Row, fetch_rows, insert_rows, quote
from ..errors import DatabaseError
from .old_database import OldDatabase
from .pairing import TablePair
from .recordings import OldRow, Recordings
from .row_rules import IDENTITIES, RULES, other_identity
from .values import Misfit, decode_old, fit, load, same, store

#: Rows and bytes of a piece, at most.
_ROWS, _BYTES = 500, 16 << 20

#: Told of rows and bytes as they are done.
RowProgress = Callable[[int, int], None]


@dataclass
class Piece:
    """Some rows of a table on their way.

    Attributes
    ----------
    rows : dict
        What our columns are to hold, by primary key.
    misfits : list
        Key, column and reason of rows that cannot come.
    notes : list
        Key and word of what is kept in another form.
    n_rows, n_bytes : int
        As they were read.
    """

    rows: dict[Key, OldRow] = field(default_factory=dict)
    misfits: list[tuple[Key, str, str]] = field(default_factory=list)
    notes: list[tuple[Key, str]] = field(default_factory=list)
    n_rows: int = 0
    n_bytes: int = 0


@dataclass(frozen=True)
class Standing:
    """How the rows of a piece stand to what is here.

    Attributes
    ----------
    new, initial, same, different : tuple of tuple
        Primary keys: not here; here as labdata put them, to be replaced; here with equal content;
        here with other content, or under a key that differs by the case of letters.
    """

    new: tuple[Key, ...]
    initial: tuple[Key, ...]
    same: tuple[Key, ...]
    different: tuple[Key, ...]


class TableCopy:
    """The way of one table.

    Parameters
    ----------
    old : OldDatabase
        From where.
    connection : LabConnection
        To where.
    pair : TablePair
        The table on both sides.
    recordings : Recordings
        Of the project.
    """

    def __init__(
        self, old: OldDatabase, connection: Any, pair: TablePair, recordings: Recordings
    ) -> None:
        self.pair = pair
        self._old = old
        self._connection = connection
        self._recordings = recordings
        self._columns = {column.name: column for column in pair.written}
        # our table with the columns that are written only; the others keep their defaults
        self._target = replace(pair.target, columns=tuple(self._columns))
        self._identity = IDENTITIES.get(pair.name)
        self._coded = [c.name for c in pair.written if c.codec or c.is_blob]

    def pieces(self) -> Iterator[Piece]:
        """Yield the old rows in our form, in the order of their keys."""
        piece = Piece()
        for raw in self._old.stream(self.pair.source, self.pair.read, self.pair.where):
            self._add(piece, raw)
            if piece.n_rows >= _ROWS or piece.n_bytes >= _BYTES:
                yield piece
                piece = Piece()
        if piece.n_rows:
            yield piece

    def compare(self, piece: Piece) -> Standing:
        """Return how the rows of a piece stand to what is here.

        Parameters
        ----------
        piece : Piece
            Of :meth:`pieces`.
        """
        if not self.pair.is_there:
            return Standing(tuple(piece.rows), (), (), ())
        there = self._fetch(piece.rows)
        found: dict[str, list[Key]] = {"new": [], "initial": [], "same": [], "different": []}
        folded = {_fold(key) for key in there}
        for key, row in piece.rows.items():
            if key not in there:
                # for a server letters of either case are one key
                found["different" if _fold(key) in folded else "new"].append(key)
            elif self._is_same(key, row, there[key]):
                found["same"].append(key)
            else:
                found["initial" if self._is_initial(there[key]) else "different"].append(key)
        return Standing(*(tuple(keys) for keys in found.values()))

    def copy(self, piece: Piece) -> Standing:
        """Bring a piece here, in one transaction, and compare all of it.

        Parameters
        ----------
        piece : Piece
            Of :meth:`pieces`.

        Returns
        -------
        Standing
            How its rows stood before.

        Raises
        ------
        DatabaseError
            If a row does not fit, is here with other content, or reads back differently; then
            nothing of the piece is here.
        """
        for key, column, reason in piece.misfits:
            raise DatabaseError(
                f"{self.pair.name} {key}: {column} {reason}.".replace("  ", " "),
                hint="Nothing of it was copied.",
            )
        with self._connection.transaction:
            standing = self.compare(piece)
            if standing.different:
                raise DatabaseError(
                    f"{self.pair.name} has the row {standing.different[0]} here with other "
                    "content than in the old database.",
                    hint="It was changed since the plan was made. Plan again.",
                )
            written = {key: piece.rows[key] for key in (*standing.new, *standing.initial)}
            self._tell_apart(written)
            self._insert({key: written[key] for key in standing.new})
            for key in standing.initial:
                self._replace(key, written[key])
            self._compare_written(written)
        return standing

    def count_blobs(self, piece: Piece) -> int:
        """Return the number of arrays, blobs and JSON values of a piece.

        Parameters
        ----------
        piece : Piece
            Of :meth:`pieces`.
        """
        return sum(row[name] is not None for row in piece.rows.values() for name in self._coded)

    def _add(self, piece: Piece, raw: Row) -> None:
        """Decode a row, apply its table's rule, and see that it fits."""
        piece.n_rows += 1
        piece.n_bytes += sum(len(v) if isinstance(v, bytes | str) else 8 for v in raw)
        by_name = {c.name: value for c, value in zip(self.pair.read, raw, strict=True)}
        key = tuple(by_name.get(name) for name in self.pair.target.key)
        column = ""
        try:
            decoded = {}
            for old_column in self.pair.read:
                column = old_column.name
                decoded[column] = decode_old(old_column, by_name[column])
            column = ""
            decoded = self._apply_rule(key, decoded, piece)
            row = {}
            for name, ours in self._columns.items():
                column = name
                row[name] = fit(ours, decoded.get(name), lambda w: piece.notes.append((key, w)))
        except Misfit as misfit:
            piece.misfits.append((key, column, misfit.message))
            return
        piece.rows[key] = row

    def _apply_rule(self, key: Key, decoded: OldRow, piece: Piece) -> OldRow:
        rule = RULES.get(self.pair.name)
        if rule is None:
            return decoded
        try:
            return rule(decoded, self._recordings, lambda word: piece.notes.append((key, word)))
        except (LookupError, TypeError, ValueError) as error:
            raise Misfit(f"the row is not as the old package makes them: {error}") from None

    def _fetch(self, keys: Collection[Key]) -> dict[Key, OldRow]:
        """Return rows that are here, read through the columns' codecs."""
        columns = list(self._columns.values())
        key = self._target.key
        one = f"({', '.join(['%s'] * len(key))})"
        rows: dict[Key, OldRow] = {}
        if not keys:
            return rows
        for raw in self._connection.query(
            f"SELECT {', '.join(c.sql for c in columns)} FROM {self._target.sql} "
            f"WHERE ({', '.join(map(quote, key))}) IN ({', '.join([one] * len(keys))})",
            tuple(value for values in keys for value in values),
        ).fetchall():
            loaded = [load(column, value) for column, value in zip(columns, raw, strict=True)]
            rows[self._target.key_of(raw)] = dict(zip(self._columns, loaded, strict=True))
        return rows

    def _is_same(self, key: Key, row: OldRow, other: OldRow) -> bool:
        for name, value in row.items():
            if self._identity and name == self._identity[0]:
                if other[name] not in (value, other_identity(value, key)):
                    return False
            elif not same(value, other[name]):
                return False
        return True

    def _is_initial(self, row: OldRow) -> bool:
        if self.pair.name == "Project":  # made with its tables, before anybody said what it is
            return not any(v for name, v in row.items() if name not in self.pair.target.key)
        return any(
            all(same(row[name], one.get(name)) for name in row) for one in self.pair.initial
        )

    def _tell_apart(self, rows: dict[Key, OldRow]) -> None:
        """Give rows with a content that another row has an identity of their own."""
        if not self._identity:
            return
        name, within = self._identity
        where = (name, *within)
        taken: set[tuple[Any, ...]] = set()
        for key, row in rows.items():
            found = tuple(row[one] for one in where)
            here = fetch_rows(self._connection, self._target, self._target.key, where, [found])
            if found in taken or any(other != key for other in here):
                row[name] = other_identity(row[name], key)
            taken.add(found)

    def _insert(self, rows: dict[Key, OldRow]) -> None:
        stored = [
            tuple(self._store(key, name, row[name]) for name in self._columns)
            for key, row in rows.items()
        ]
        insert_rows(self._connection, self._target, stored)

    def _replace(self, key: Key, row: OldRow) -> None:
        names = [name for name in self._columns if name not in self._target.key]
        values = [self._store(key, name, row[name]) for name in names]
        assigned = ", ".join(f"{quote(name)} = %s" for name in names)
        where = " AND ".join(f"{quote(name)} = %s" for name in self._target.key)
        if names:
            self._connection.query(
                f"UPDATE {self._target.sql} SET {assigned} WHERE {where}", (*values, *key)
            )

    def _store(self, key: Key, name: str, value: Any) -> Any:
        try:
            return store(self._columns[name], value)
        except Misfit as misfit:
            raise DatabaseError(f"{self.pair.name} {key}: {name} {misfit.message}") from None

    def _compare_written(self, rows: dict[Key, OldRow]) -> None:
        there = self._fetch(rows)
        for key, row in rows.items():
            if key not in there or not self._is_same(key, row, there[key]):
                raise DatabaseError(
                    f"A row of {self.pair.name} came out differently here: {key}.",
                    hint="Its piece was undone, and the old database is as it was. "
                    "Please report this.",
                )


def _fold(key: Key) -> Key:
    return tuple(
        value.casefold().rstrip(" ") if isinstance(value, str) else value for value in key
    )
