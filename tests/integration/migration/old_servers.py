"""What tests of migration ask of the server of an old database, and how they call the command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labdata.cli import main
from labdata.migration import open_old, plan_migration

OLD_NAME = "labtestold"


def migrate(source: str, password: str, *more: str) -> int:
    """Run the command with the password in the environment, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABDATA_MIGRATE_PASSWORD", password)
        return main(["migrate", "--from", source, *more])


def run(old: Any, *more: str) -> int:
    """Run the command on a small lab."""
    return migrate(old.text, old.address.password.get_secret_value(), *more)


def findings(old: Any, **options: Any) -> dict[str, Any]:
    """Return the findings of a plan for a small lab, by what they are about."""
    with open_old(old.address) as opened:
        return {one.where: one for one in plan_migration(opened, **options).findings}


def drop_database(server: Any, name: str) -> None:
    """Drop all schemas of an old database."""
    with server.admin() as connection, connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        cursor.execute("SHOW DATABASES")
        for (schema,) in cursor.fetchall():
            if schema == name or schema.startswith(f"{name}_"):
                cursor.execute(f"DROP DATABASE `{schema}`")


def checksums(connect: Callable[[], Any], name: str) -> dict[str, int]:
    """Return the checksum of every table of a database, as the server computes them."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT CONCAT('`', table_schema, '`.`', table_name, '`') "
            "FROM information_schema.tables "
            "WHERE table_schema = %s OR table_schema LIKE %s",
            (name, f"{name}\\_%"),
        )
        tables = [row[0] for row in cursor.fetchall()]
        cursor.execute(f"CHECKSUM TABLE {', '.join(tables)}")
        return dict(cursor.fetchall())


def writes(connect: Callable[[], Any]) -> dict[str, int]:
    """Return how often the server was told to write anything since it started."""
    verbs = ("insert", "update", "delete", "replace", "create", "alter", "drop", "truncate")
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Com\\_%'")
        return {
            name: int(count)
            for name, count in cursor.fetchall()
            if name.removeprefix("Com_").startswith(verbs)
        }
