"""Rows of chosen columns by their keys, in one question to the server.

DataJoint asks five times for a table's heading before its first row; on a lab's network that is
longer than the rows take. Here nothing is asked that is not needed: columns are named by the
caller, whose tables they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .codecs import decode_array


def select_rows(
    table: Any, columns: Sequence[str], keys: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return some columns of the rows that belong to any of some keys.

    Parameters
    ----------
    table : Table
        One of labdata's own.
    columns : sequence of str
        Names, at least one; rows come in their order. Of arrays and numbers, texts or dates: what
        is stored as bytes is decoded as an array.
    keys : iterable of mapping
        Column to value, none of them NULL. Without any there are no rows.

    Returns
    -------
    list of dict
    """
    wanted = [dict(key) for key in keys]
    if not wanted:
        return []
    names = ", ".join(f"`{name}`" for name in columns)
    any_of = " OR ".join(
        "(" + " AND ".join(f"`{name}` = %s" for name in key) + ")" for key in wanted
    )
    rows = table.connection.query(
        f"SELECT {names} FROM {table.full_table_name} WHERE {any_of} ORDER BY {names}",
        [value for key in wanted for value in key.values()],
    ).fetchall()
    return [dict(zip(columns, map(_decoded, row), strict=True)) for row in rows]


def _decoded(value: Any) -> Any:
    return decode_array(value) if isinstance(value, bytes) else value
