"""Many rows into a table, as they are: no codec, no check of each row by DataJoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..progress import Progress

_PIECE = 2000


def insert_rows(
    table: Any,
    rows: Iterable[tuple[Any, ...]],
    progress: Progress,
    columns: Sequence[str] | None = None,
) -> None:
    """Insert rows by a statement for every 2000 of them.

    Parameters
    ----------
    table : type
        A table.
    rows : iterable of tuple
        Values as the server keeps them: arrays are encoded.
    progress : Progress
        Called with the number of rows inserted.
    columns : sequence of str, optional
        What the values are; by default all columns, in the order of the table.
    """
    from ..database.raw_tables import in_pieces, quote

    names = list(columns or table.heading.names)
    shown = ", ".join(map(quote, names))
    one = f"({', '.join(['%s'] * len(names))})"
    for piece in in_pieces(rows, _PIECE):
        marks = ", ".join([one] * len(piece))
        query = f"INSERT INTO {table.full_table_name} ({shown}) VALUES {marks}"
        table.connection.query(query, tuple(value for row in piece for value in row))
        progress(len(piece))
