"""What is looked up in the database before a folder is put: what it knows, and has already."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ..counted import count_of
from ..errors import UploadError
from ..nearest import nearest


def check_subject(lab: Any, subject: str) -> list[str]:
    """Refuse a subject that the database does not have.

    Parameters
    ----------
    lab : Lab
        The tables.
    subject : str
        Its name.

    Returns
    -------
    list of str
        All subjects.

    Raises
    ------
    UploadError
        With the nearest name there is.
    """
    known = [str(name) for name in lab.Subject.fetch("subject_name")]
    if subject not in known:
        near = nearest(subject, known)
        raise UploadError(
            f"There is no subject {subject!r} in the database.",
            hint=(f"Did you mean {near[0]!r}? " if near else "")
            + "Name it with -a, or add it to Subject first.",
        )
    return known


def check_new(lab: Any, file_paths: list[str], root: Path | None = None) -> None:
    """Refuse files that a job or the database has already.

    Parameters
    ----------
    lab : Lab
        The tables.
    file_paths : list of str
        Relative, with ``/``.
    root : Path, optional
        Where they are, to say if they are not what was put.

    Raises
    ------
    UploadError
        With the job, or the file.
    """
    marks = ", ".join(["%s"] * len(file_paths))
    connection = lab.connection
    rows = connection.query(
        f"SELECT a.src_path, a.src_size, j.job_id, j.job_status "
        f"FROM {lab.UploadJob.full_table_name} j "
        f"JOIN {lab.UploadJob.AssignedFiles.full_table_name} a USING (job_id) "
        f"WHERE a.src_path IN ({marks}) AND COALESCE(j.job_status, '') <> 'CANCELLED' "
        "ORDER BY j.job_id DESC, a.src_path",
        tuple(file_paths),
    ).fetchall()
    if rows:
        raise _put_already(rows, file_paths, root)
    for table in (lab.File, lab.ProcessedFile):
        row = connection.query(
            f"SELECT file_path FROM {table.full_table_name} WHERE file_path IN ({marks}) LIMIT 1",
            tuple(file_paths),
        ).fetchone()
        if row:
            raise UploadError(
                f"{row[0]} is in the database already.",
                hint="New data need a session or dataset name of their own.",
            )


def _put_already(
    rows: Sequence[tuple[str, int, int, str]], file_paths: list[str], root: Path | None
) -> UploadError:
    """Return the refusal of files that were put, with what is not as it was then."""
    path, _, job_id, status = rows[0]
    hint = "`labdata upload --queue` shows the jobs"
    if status == "FAILED":
        hint += f"; `labdata upload {job_id} --retry` tries it again"
    if status != "COMPLETED":
        hint += f"; `labdata upload {job_id} --cancel` takes it back, to put it anew"
    message = f"{path} was put already, as upload job {job_id} ({status})."
    changed = _first_changed(rows, root) if root else ""
    if changed:
        message += f" {changed}"
        if status == "COMPLETED":
            hint += "; what is there now can be put under another name: rename its folder"
    new = sorted(set(file_paths) - {row[0] for row in rows})
    if new:
        were = "was" if len(new) == 1 else "were"
        message += f" {count_of(len(new), 'file')} beside it {were} not put then: {new[0]}"
        message += ", …" if len(new) > 1 else "."
        if status == "COMPLETED":
            hint += "; put new files in a folder of their own, with -s and -d of the first"
    return UploadError(message, hint=f"{hint}.")


def _first_changed(rows: Sequence[tuple[str, int, int, str]], root: Path) -> str:
    for path, size_bytes, *_ in rows:
        with suppress(OSError):
            now_bytes = (root / path).stat().st_size
            if now_bytes != size_bytes:
                return f"{path} has {now_bytes} bytes now, {size_bytes} when it was put."
    return ""


def known_value(table: Any, attribute: str, value: str | None) -> str | None:
    """Return a value that is in a table's column, or None as it is.

    Parameters
    ----------
    table : Table
        The table.
    attribute : str
        The column.
    value : str or None
        The value.

    Raises
    ------
    UploadError
        If the column does not have it.
    """
    # the server finds other spellings, too, which the tables do not take
    if value is not None and value not in (table & {attribute: value}).fetch(attribute):
        known = ", ".join(map(str, table.fetch(attribute)))
        raise UploadError(
            f"{value!r} is no {attribute} of the database.", hint=f"It has: {known or 'none'}."
        )
    return value


def session_start(lab: Any, key: dict[str, str], found: datetime | None) -> datetime | None:
    """Return when a new session started; a session that exists keeps its own start.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        subject_name, session_name.
    found : datetime or None
        What name, user or data say.

    Raises
    ------
    UploadError
        If nothing says it, or it has a time zone.
    """
    if lab.Session & {k: key[k] for k in ("subject_name", "session_name")}:
        return None
    if found is None:
        raise UploadError(
            f"When session {key['session_name']!r} started is not known: its name is not a date.",
            hint="Give the start with --session-datetime 2026-01-31T14:05:00.",
        )
    if found.tzinfo is not None:
        # the database would drop the zone and keep the digits
        raise UploadError(
            f"The session's start {found.isoformat()} has a time zone.",
            hint="Sessions are kept in the rig's local time: give that, without a zone.",
        )
    return found


def check_spelling(lab: Any, key: dict[str, str]) -> None:
    """Refuse a session or dataset that is there under a name that only the server takes for equal.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        subject_name, session_name, dataset_name.

    Raises
    ------
    UploadError
        With both names.
    """
    for table, name in ((lab.Session, "session_name"), (lab.Dataset, "dataset_name")):
        part = {k: key[k] for k in table.primary_key}
        for found in (table & part).fetch(name):
            if found != key[name]:
                raise UploadError(
                    f"There is a {name} {found!r}: {key[name]!r} would be the same one to the "
                    "database.",
                    hint="Names that differ by the case of letters or accents only are one. Name "
                    f"it {found!r}, or by another name: -s SESSION, -d DATASET.",
                )
