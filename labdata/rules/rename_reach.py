"""How far a name reaches: every table that holds it, by foreign keys or by its columns' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..database.key_change import Columns, Holders, find_holders, read_reachable
from ..database.projects import schema_names
from ..database.raw_tables import Key, RawTable, quote, raw_place, through_views
from ..database.row_copy import table_names
from ..database.row_selection import Place

NAMES = ("subject_name", "session_name", "dataset_name")
_TABLES = ("Subject", "Session", "Dataset")


@dataclass(frozen=True)
class Reach:
    """Tables that hold the key of a subject, session or dataset.

    Attributes
    ----------
    key : dict
        The names.
    tables : dict
        All tables of the project and those connected with them, parents first.
    names : dict
        What users call the tables.
    root : tuple of str
        The table of the subject, session or dataset itself.
    holders : dict
        Columns in which tables hold the key.
    known : tuple of dict
        The same for the keys of datasets, sessions and subjects, in this order.
    own_schemas : frozenset of str
        Those of this project; others' rows are not touched.
    """

    key: dict[str, str]
    tables: dict[Place, RawTable]
    names: dict[Place, str]
    root: Place
    holders: Holders
    known: tuple[Holders, ...]
    own_schemas: frozenset[str]

    @property
    def level(self) -> str:
        """``subject``, ``session`` or ``dataset``."""
        return self.changed.removesuffix("_name")

    @property
    def columns(self) -> Columns:
        """Columns of the key."""
        return tuple(self.key)

    @property
    def changed(self) -> str:
        """The column with the name."""
        return self.columns[-1]

    @property
    def old_key(self) -> Key:
        """The names as a tuple."""
        return tuple(self.key.values())

    def name_of(self, place: Place) -> str:
        """Return what users call a table.

        Parameters
        ----------
        place : tuple of str
            Schema and name.
        """
        return self.names.get(place, ".".join(place))

    def place_of(self, table: Any) -> Place:
        """Return where a table is.

        Parameters
        ----------
        table : type
            Its class.
        """
        return raw_place(table)

    def own_holders_of_files(self, root: Place) -> Holders:
        """Return the tables of this project that refer to files, and the files' own.

        Parameters
        ----------
        root : tuple of str
            The table of files.
        """
        found = find_holders(self.tables, root, ("file_path", "storage"))
        return {p: held for p, held in found.items() if p == root or p[0] in self.own_schemas}

    def takes_for_equal(self, connection: Any, name: str) -> bool:
        """Whether the server takes a new name for the old one, as it does with JC1 and jc1.

        Parameters
        ----------
        connection : LabConnection
            To the server.
        name : str
            The new name.
        """
        where = " AND ".join(f"{quote(column)} = %s" for column in self.columns)
        query = (
            f"SELECT {quote(self.changed)} = %s FROM {self.tables[self.root].sql} WHERE {where}"
        )
        row = connection.query(query, (name, *self.old_key)).fetchone()
        return bool(row and row[0])


def find_reach(lab: Any, key: Mapping[str, str]) -> Reach:
    """Return how far a key reaches.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        ``subject_name``, and ``session_name`` and ``dataset_name`` if it is that of a session or
        dataset.
    """
    connection = lab.connection
    levels = schema_names(connection._preferences.name, lab.project)
    tables = read_reachable(connection, set(levels.values()) | {f"{levels['data']}_user"})
    tables = through_views(tables, lab)
    names = table_names(lab)
    places = {name: place for place, name in names.items()}
    found = [
        find_holders(tables, places[table], NAMES[: n + 1]) for n, table in enumerate(_TABLES)
    ]
    own = {levels["data"], levels["computed"], f"{levels['data']}_user"}
    own |= {schema for schema, _ in found[0]}
    own |= {
        schema for schema, _ in tables if lab.project and schema.endswith(f"_{lab.project}_user")
    }
    holders = dict(found[len(key) - 1])
    columns = NAMES[: len(key)]
    for place, table in tables.items():
        loose = place[0] in own and place != places["UploadJob"] and place not in holders
        if loose and set(columns) <= set(table.columns):
            holders[place] = frozenset({columns})
    return Reach(
        dict(key),
        tables,
        names,
        places[_TABLES[len(key) - 1]],
        {place: holders[place] for place in tables if place in holders},
        tuple(reversed(found)),
        frozenset(own),
    )
