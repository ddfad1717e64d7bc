"""How a test lets labdata connect anew, as another process would."""

from __future__ import annotations

from labdata.database.connection import reset_connection


def forget_connection() -> None:
    """Make the next use of any table read the preferences and connect anew."""
    from labdata import schema

    for lab in (schema.default_lab, *schema._labs.values()):
        lab.deactivate()
    schema._labs.clear()
    reset_connection()
