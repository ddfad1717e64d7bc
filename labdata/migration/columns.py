"""What a column takes, as the database itself describes it: on both sides of a migration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..database.raw_tables import quote

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_BLOBS = frozenset({"tinyblob", "blob", "mediumblob", "longblob"})


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
    kind : str
        The database's name of its type: ``double``, ``longblob``.
    choices : tuple of str
        Of an enum.
    unsigned : bool
    nullable : bool
    optional : bool
        Whether a row may leave it out: it may be NULL, has a default, or numbers itself.
    length : int or None
        Characters of a text.
    codec : str or None
        ``array``, ``spiketrain``, ``blob``, ``json`` or a plugin's, for our own columns.
    """

    name: str
    kind: str
    choices: tuple[str, ...]
    unsigned: bool
    nullable: bool
    optional: bool
    length: int | None
    codec: str | None

    @property
    def is_integer(self) -> bool:
        """Whether it holds whole numbers."""
        return self.kind in _INTEGERS

    @property
    def is_blob(self) -> bool:
        """Whether it holds bytes."""
        return self.kind in _BLOBS

    @property
    def sql(self) -> str:
        """What is selected to read it; the server's text of a float has six digits only."""
        return f"{quote(self.name)} + 0e0" if self.kind == "float" else quote(self.name)

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest whole number it takes."""
        bits = _BITS[self.kind]
        return (0, 2**bits - 1) if self.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def read_columns(
    connection: Any, schemas: Iterable[str]
) -> dict[tuple[str, str], dict[str, Column]]:
    """Return the columns of every table of schemas, by name.

    Parameters
    ----------
    connection : LabConnection or OldDatabase
        Where they are.
    schemas : iterable of str
        Their names.
    """
    names = tuple(sorted(set(schemas)))
    marks = ", ".join(["%s"] * len(names))
    found: dict[tuple[str, str], dict[str, Column]] = {}
    for schema, table, *described in connection.query(
        "SELECT table_schema, table_name, column_name, data_type, column_type, is_nullable, "
        "column_default, extra, character_maximum_length, column_comment "
        f"FROM information_schema.columns WHERE table_schema IN ({marks}) "
        "ORDER BY table_schema, table_name, ordinal_position",
        names,
    ):
        column = _read(*described)
        found.setdefault((schema, table), {})[column.name] = column
    return found


def _read(
    name: str,
    kind: str,
    full: str,
    nullable: str,
    default: str | None,
    extra: str,
    length: int | None,
    comment: str,
) -> Column:
    kind = kind.lower()
    is_null = nullable == "YES"
    return Column(
        name=name,
        kind=kind,
        choices=_choices(full) if kind == "enum" else (),
        unsigned="unsigned" in full,
        nullable=is_null,
        optional=is_null or default is not None or "auto_increment" in extra.lower(),
        length=length if kind in ("varchar", "char") else None,
        codec=_codec(kind, comment),
    )


def _choices(full: str) -> tuple[str, ...]:
    inside = full[full.index("(") + 1 : full.rindex(")")]
    return tuple(one.strip().strip("'").replace("''", "'") for one in inside.split(","))


def _codec(kind: str, comment: str) -> str | None:
    """Return the codec that DataJoint 2 writes into the comment of a column: ``:<array>:...``."""
    declared = comment[1:].partition(":")[0] if comment.startswith(":") else ""
    if declared == "json" or kind == "json":
        return "json"
    return declared.strip("<>") if declared.startswith("<") else None
