"""Which rows belong together: those chosen, all that depend on them, and all that these refer to.

Rows that depend on a chosen one are found by going down the foreign keys; then, from all of
these, whatever they refer to by going up, each with its parts (a note with its images). What else
depends on a row that is only referred to (the other sessions of a rig) stays out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .raw_tables import Key, RawTable, Reference, fetch_rows

Place = tuple[str, str]
Selection = dict[Place, set[Key]]


def find_dependents(
    connection: Any,
    tables: Mapping[Place, RawTable],
    chosen: Mapping[Place, Collection[Key]],
    *,
    leave_out: Collection[Place] = (),
) -> Selection:
    """Return chosen rows and all rows that refer to them, directly or not.

    Parameters
    ----------
    connection : LabConnection
        Where the rows are.
    tables : mapping
        Of :func:`read_tables`, parents first.
    chosen : mapping
        Primary keys by table.
    leave_out : collection, optional
        Tables that are not followed.

    Returns
    -------
    dict
        Primary keys by table, parents first; tables without any are not in it.
    """
    found: Selection = {place: set(keys) for place, keys in chosen.items()}
    for place, table in tables.items():
        if place in leave_out:
            continue
        for reference in table.references:
            parent = tables.get(reference.parent)
            if parent is None or not found.get(reference.parent):
                continue
            wanted = _in_order(found[reference.parent], parent, reference)
            rows = fetch_rows(connection, table, table.key, reference.columns, wanted)
            found.setdefault(place, set()).update(rows)
    return _tidy(tables, found)


def find_referred(
    connection: Any, tables: Mapping[Place, RawTable], chosen: Mapping[Place, Collection[Key]]
) -> Selection:
    """Return chosen rows, all that they refer to, and the parts of these.

    Parameters
    ----------
    connection : LabConnection
        Where the rows are.
    tables : mapping
        Of :func:`read_tables`, parents first.
    chosen : mapping
        Primary keys by table.

    Returns
    -------
    dict
        Primary keys by table, parents first.
    """
    found: Selection = {place: set(keys) for place, keys in chosen.items()}
    new: Selection = {place: set(keys) for place, keys in found.items()}
    while any(new.values()):
        step: Selection = {}
        for place, keys in new.items():
            for reference in tables[place].references:
                if reference.parent in tables:
                    keys_up = _keys_above(connection, tables, place, keys, reference)
                    step.setdefault(reference.parent, set()).update(keys_up)
            for part in _parts_of(tables, place):
                step.setdefault(part.place, set()).update(
                    _keys_of_parts(connection, tables[place], part, keys)
                )
        new = {place: keys - found.get(place, set()) for place, keys in step.items()}
        for place, keys in new.items():
            found.setdefault(place, set()).update(keys)
    return _tidy(tables, found)


def _keys_above(
    connection: Any,
    tables: Mapping[Place, RawTable],
    place: Place,
    keys: Iterable[Key],
    reference: Reference,
) -> set[Key]:
    """Return the keys of what rows refer to, as they stand there: case may differ."""
    table, parent = tables[place], tables[reference.parent]
    rows = fetch_rows(connection, table, reference.columns, table.key, keys)
    wanted = {row for row in rows if None not in row}
    return set(fetch_rows(connection, parent, parent.key, reference.parent_columns, wanted))


def _parts_of(tables: Mapping[Place, RawTable], place: Place) -> list[RawTable]:
    schema, name = place
    if "__" in name.lstrip("#_"):
        return []
    return [t for t in tables.values() if t.schema == schema and t.name.startswith(f"{name}__")]


def _keys_of_parts(
    connection: Any, master: RawTable, part: RawTable, keys: Iterable[Key]
) -> set[Key]:
    return set(fetch_rows(connection, part, part.key, master.key, keys))


def _in_order(keys: Iterable[Key], parent: RawTable, reference: Reference) -> list[Key]:
    """Return keys with their values in the order of a reference's columns."""
    places = [parent.key.index(name) for name in reference.parent_columns]
    return [tuple(key[i] for i in places) for key in keys]


def _tidy(tables: Mapping[Place, RawTable], found: Selection) -> Selection:
    return {place: found[place] for place in tables if found.get(place)}
