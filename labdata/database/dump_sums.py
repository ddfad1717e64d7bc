"""Checksums of the tables in a dump, so that a damaged file is refused and not loaded.

SQLite notices a page that is no page any more, but not a changed byte within a blob: on a worn
stick a spike train becomes another one, and comparing the rows with the file after loading would
only compare the damage with itself. So each table's rows are hashed as they come from the server,
before the file has them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DatabaseError

_HINT = (
    "Nothing was loaded. Copy it again from where it was made, or load another: "
    "labdata's backups are in the folder `backups` beside the preference file."
)
_PIECE = 200


class RowSum:
    """The SHA-256 of rows in their order: of each value its kind, its length and its bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take rows.

        Parameters
        ----------
        rows : iterable of sequence
            Of numbers, texts, bytes and None, as a dump keeps them.
        """
        for row in rows:
            for value in row:
                kind, content = _bytes_of(value)
                self._hash.update(kind + struct.pack("<q", len(content)))
                self._hash.update(content)

    def hexdigest(self) -> str:
        """Return the checksum, as hexadecimal text."""
        return self._hash.hexdigest()


def refuse_damaged(file: Path, source: sqlite3.Connection, sums: Mapping[str, str]) -> None:
    """Raise unless each table of a dump holds the rows that were written.

    Parameters
    ----------
    file : Path
        The dump, for the message.
    source : sqlite3.Connection
        To it.
    sums : mapping of str to str
        Checksums by the tables' names in the file.

    Raises
    ------
    DatabaseError
        If the file is damaged.
    """
    with explained_damage(file):
        for name, expected in sums.items():
            quoted = '"' + name.replace('"', '""') + '"'
            rows = source.execute(f"SELECT * FROM {quoted} ORDER BY rowid")
            found = RowSum()
            while piece := rows.fetchmany(_PIECE):
                found.add(piece)
            if found.hexdigest() != expected:
                raise DatabaseError(
                    f"{file} is damaged: {name} is not as it was written.", hint=_HINT
                )


@contextmanager
def explained_damage(file: Path) -> Iterator[None]:
    """Raise what SQLite cannot read in the block as an error that says what to do.

    Parameters
    ----------
    file : Path
        The dump that is read.

    Raises
    ------
    DatabaseError
        If it is no dump, damaged or cut short.
    """
    try:
        yield
    except (sqlite3.Error, json.JSONDecodeError) as error:
        if not _is_database(file) or "no such table" in str(error):
            raise DatabaseError(
                f"{file} is no dump of a lab.", hint="`labdata db dump FILE` makes one."
            ) from None
        raise DatabaseError(f"{file} is damaged, or was cut short.", hint=_HINT) from error


def _is_database(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(16) == b"SQLite format 3\0"


def _bytes_of(value: Any) -> tuple[bytes, bytes]:
    if value is None:
        return b"n", b""
    if isinstance(value, bytes):
        return b"b", value
    if isinstance(value, str):
        return b"t", value.encode("utf-8", "surrogatepass")
    if isinstance(value, float):
        return b"f", struct.pack("<d", value)
    return b"i", str(int(value)).encode()
