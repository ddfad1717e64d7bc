"""Plugins' tables in a lab: bound after the lab's own, each plugin by itself.

A plugin whose tables cannot be made or do not fit is named and left out; the lab opens without it.
"""

from __future__ import annotations

from typing import Any

from ..errors import LabdataError
from ..plugins import Plugin, load_plugins
from .datajoint_compat import dj, quiet_notices


def bind_plugin_tables(lab: Any, connection: Any, schema: str, *, own: bool) -> dict[str, Any]:
    """Return the plugins' tables of a lab by name, connected; they are made where missing.

    Parameters
    ----------
    lab : Lab
        Whose own tables are connected.
    connection : LabConnection
        To the database.
    schema : str
        ``<name>_<project>_user``.
    own : bool
        Whether the lab is the project in use: then the plugins' classes are its tables, else
        subclasses of them.
    """
    found: dict[str, Any] = {}
    for plugin in load_plugins():
        if not plugin.tables or not plugin.counts_in(lab._project):
            continue
        try:
            found |= _bind(plugin, lab, connection, schema, found, own)
        except (dj.errors.DataJointError, LabdataError, TypeError, ValueError) as error:
            plugin.skip(f"its tables cannot be used: {error}")
    return found


def _bind(
    plugin: Plugin, lab: Any, connection: Any, schema: str, others: dict[str, Any], own: bool
) -> dict[str, Any]:
    from .tables import bound_class, set_lab

    taken = {**lab.tables, **others}
    bound: dict[str, Any] = {}
    for cls in plugin.tables:
        if cls.__name__ in taken or cls.__name__ in bound:
            owner = _owner(plugin, cls.__name__, lab)
            raise LabdataError(
                f"There is a table {cls.__name__} of {owner} already.",
                hint="Give the plugin's another name.",
            )
        bound[cls.__name__] = cls if own else bound_class(cls)
        set_lab(bound[cls.__name__], lab)
    place = _open_schema(connection, schema)
    with quiet_notices():
        for cls in bound.values():
            place(cls, context={**taken, **bound})
    return bound


def _owner(plugin: Plugin, name: str, lab: Any) -> str:
    """Return whose table has a name, in words."""
    if name in lab.tables:
        return "labdata"
    for other in load_plugins():
        if other is not plugin and name in (cls.__name__ for cls in other.tables):
            return f"the plugin {other.name!r}"
    return "the same plugin"


def _open_schema(connection: Any, schema: str) -> Any:
    """Return the schema of plugins, made if it is missing; its tables too."""
    there = connection.query(
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (schema,)
    ).fetchone()
    if not there:
        connection.query(f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb4")
    return dj.Schema(schema, connection=connection, create_schema=False, create_tables=True)
