"""SQL statements that are shown before they are run, with their secrets masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from pymysql.converters import escape_string

Value = str | int | SecretStr | None


@dataclass(frozen=True)
class Statement:
    """One statement; its values are escaped by the driver, never put into the text here.

    Attributes
    ----------
    sql : str
        The text with ``%s`` for each value.
    values : tuple of str, int, SecretStr or None
        What stands for ``%s``.
    may_fail_with : tuple of int
        Error codes of the server that mean there was nothing to do.
    """

    sql: str
    values: tuple[Value, ...] = ()
    may_fail_with: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.sql % tuple(map(_literal, self.values))};"

    def run(self, connection: Any) -> None:
        """Run it.

        Parameters
        ----------
        connection : LabConnection
            Where.
        """
        plain = tuple(v.get_secret_value() if isinstance(v, SecretStr) else v for v in self.values)
        connection.query(self.sql, plain)


def show_statements(statements: Sequence[Statement]) -> str:
    """Return statements as a script, a line each, with ``***`` in the place of secrets.

    Parameters
    ----------
    statements : sequence of Statement
        What to show.
    """
    return "\n".join(map(str, statements))


def _literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, SecretStr):
        return "'***'"
    return str(value) if isinstance(value, int) else f"'{escape_string(value)}'"
