"""Uploads and tasks that work on data: while they do, the data are neither renamed nor deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DatabaseError


def refuse_working(lab: Any, key: Mapping[str, str], *, lock: bool = False) -> None:
    """Raise if an upload or a task works on data.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Names of a subject, session or dataset.
    lock : bool, optional
        In a transaction: let no worker begin before its end.

    Raises
    ------
    DatabaseError
        With the number of the job or task.
    """
    condition, values = job_condition(lab.project, key)
    names = " AND ".join(f"{name} = %s" for name in key)
    for table, prefix, where, given, command in (
        (lab.UploadJob, "job", condition, values, "labdata upload {}"),
        (lab.ComputeTask, "task", names, tuple(key.values()), "labdata task {}"),
    ):
        rows = lab.connection.query(
            f"SELECT job_id, {prefix}_status FROM {table.full_table_name} WHERE {where}"
            + (" FOR UPDATE" if lock else ""),
            given,
        ).fetchall()
        working = [number for number, status in rows if status == "WORKING"]
        if working:
            what = "Upload job" if prefix == "job" else "Task"
            raise DatabaseError(
                f"{what} {working[0]} works on these data.",
                hint="Repeat when it has ended. If its worker died, "
                f"`{command.format(working[0])}` takes it over.",
            )


def job_condition(project: str | None, key: Mapping[str, str]) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL condition, with its values, for the upload jobs of some data.

    Parameters
    ----------
    project : str or None
        Whose data.
    key : mapping
        Names of a subject, session or dataset.
    """
    names = " AND ".join(f"{name} = %s" for name in key)
    return f"project_name <=> %s AND {names}", (project, *key.values())
