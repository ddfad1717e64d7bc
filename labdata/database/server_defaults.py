"""Columns that the server itself fills: who wrote a row, and when.

DataJoint declares no computed defaults, so these are set where tables are made. They can be
believed because of the rights: who only adds rows may give values to all other columns and not to
these, whatever statement is sent. See :mod:`.rights`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .raw_tables import quote


def set_defaults(connection: Any, tables: Iterable[Any]) -> None:
    """Let the server fill the columns of tables that are there; repeated, it changes nothing.

    Parameters
    ----------
    connection : LabConnection
        Of an account that may alter the tables.
    tables : iterable of type
        Table classes.
    """
    for table in tables:
        for column, expression in table.filled_by_server.items():
            connection.query(
                f"ALTER TABLE {quote(table.database)}.{quote(table.table_name)} "
                f"ALTER COLUMN {quote(column)} SET DEFAULT ({expression})"
            )


def given_columns(table: Any) -> list[str]:
    """Return the columns of a table to which who adds a row gives values.

    Parameters
    ----------
    table : type
        A table class of an open lab.
    """
    return [name for name in table.heading.names if name not in table.filled_by_server]


def add_account_of_curation(connection: Any, computed: str) -> None:
    """Add the account to the log of curation of version 5; entries that are there have none.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    computed : str
        The schema of results.
    """
    ((there, done),) = connection.query(
        "SELECT COUNT(*), SUM(column_name = 'account') FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = 'unit_curation'",
        (computed,),
    )
    if there and not done:
        connection.query(
            f"ALTER TABLE {quote(computed)}.unit_curation ADD COLUMN `account` varchar(384) "
            "DEFAULT NULL COMMENT ':varchar(384):that wrote it, as user@host; none before "
            "version 6' AFTER `curated_by`"
        )
