"""Rows that the tests of copying, renaming, deleting and dumping begin with, and how they look.

They compare rows as the server keeps them, before and after: nothing is decoded.
"""

from __future__ import annotations

from typing import Any

from labdata.database.row_copy import table_names
from labdata.testing import insert_dataset, insert_streams, insert_unit


def insert_sorted_dataset(lab: Any, spike_times: Any) -> dict[str, Any]:
    """Insert JC1 with a session of two streams and one sorted unit; return the unit's key."""
    key = insert_dataset(lab)
    insert_streams(lab, key)
    return insert_unit(lab, key, spike_times=spike_times)


def insert_file(lab: Any, key: dict[str, Any], path: str, size: int = 7) -> dict[str, str]:
    """Insert a file of a dataset that is in no store; return its key."""
    file = {"file_path": path, "storage": "data"}
    lab.File.insert1({**file, "file_datetime": "2025-06-01", "file_size": size})
    lab.Dataset.DataFiles.insert1({**key, **file})
    return file


def dataset_of(key: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a key that is its dataset's."""
    return {name: key[name] for name in ("subject_name", "session_name", "dataset_name")}


def read_rows(lab: Any, *, with_shared: bool = True) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables of a project, or without those that projects share."""
    shared = lab.connection._preferences.name
    return {
        name: lab.connection.query(f"SELECT * FROM `{schema}`.`{table}`", as_dict=True).fetchall()
        for (schema, table), name in table_names(lab).items()
        if with_shared or schema != shared
    }
