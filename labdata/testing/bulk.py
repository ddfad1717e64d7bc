"""A lab of many rows and no files, to see how queries behave at the size of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from ..progress import Progress, ignore_progress

_PIECE = 2000


def insert_many(
    lab: Any,
    *,
    n_subjects: int = 500,
    n_sessions: int = 100_000,
    n_files: int = 1_000_000,
    progress: Progress = ignore_progress,
) -> None:
    """Insert subjects, sessions with a dataset each, and files, spread evenly.

    Parameters
    ----------
    lab : Lab
        The tables; an empty lab.
    n_subjects : int, optional
        Named ``S0000``, ``S0001``, ...; ten lab members have them.
    n_sessions : int, optional
        In all; every second one is an ephys recording.
    n_files : int, optional
        In all.
    progress : Progress, optional
        Called with the number of rows inserted.
    """
    members = [f"member{n}" for n in range(10)]
    lab.LabMember.insert([{"user_name": name} for name in members])
    lab.Subject.insert(
        {
            "subject_name": f"S{n:04d}",
            "subject_dob": date(2024, 1, 1) + timedelta(days=n),
            "subject_sex": "MF"[n % 2],
            "strain_name": "C57BL/6J",
            "user_name": members[n % len(members)],
        }
        for n in range(n_subjects)
    )
    keys = list(_session_keys(n_subjects, n_sessions))
    _insert(lab.Session, (_session(key, members) for key in keys), progress)
    datasets = ((*key, "ephys_g0" if n % 2 else "task") for n, key in enumerate(keys))
    kinds = ("task-training", "ephys")
    _insert(
        lab.Dataset,
        ((*key, kinds[n % 2], None, None, None) for n, key in enumerate(datasets)),
        progress,
    )
    recordings = ((*key, "ephys_g0", 1, 3600.0, "SpikeGLX") for key in keys[1::2])
    _insert(lab.EphysRecording, recordings, progress)
    paths = list(_files(keys, n_files))
    when = datetime(2026, 1, 1)
    _insert(
        lab.File,
        ((path, "data", when, 1000 + n, None, f"{n:064x}") for n, (_, path) in enumerate(paths)),
        progress,
    )
    _insert(lab.Dataset.DataFiles, ((*key, path, "data") for key, path in paths), progress)


def _session_keys(n_subjects: int, n_sessions: int) -> Iterator[tuple[str, str]]:
    for n in range(n_sessions):
        start = datetime(2024, 1, 1, 10) + timedelta(hours=6 * (n // n_subjects))
        yield f"S{n % n_subjects:04d}", start.strftime("%Y%m%d_%H%M%S")


def _session(key: tuple[str, str], members: list[str]) -> tuple[Any, ...]:
    start = datetime.strptime(key[1], "%Y%m%d_%H%M%S")
    return (*key, start, members[int(key[1][6:8]) % len(members)])


def _files(
    keys: list[tuple[str, str]], n_files: int
) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield the key of a dataset and the path of a file, in the order of the paths."""
    each, more = divmod(n_files, len(keys))
    for n, (subject, session) in enumerate(keys):
        dataset = "ephys_g0" if n % 2 else "task"
        for number in range(each + (n < more)):
            path = f"{subject}/{session}/{dataset}/file_{number:03d}.bin"
            yield (subject, session, dataset), path


def _insert(table: Any, rows: Iterator[tuple[Any, ...]], progress: Progress) -> None:
    from ..database.raw_tables import in_pieces

    columns = ", ".join(f"`{name}`" for name in table.heading.names)
    one = f"({', '.join(['%s'] * len(table.heading.names))})"
    connection = table.connection
    for piece in in_pieces(rows, _PIECE):
        marks = ", ".join([one] * len(piece))
        query = f"INSERT INTO {table.full_table_name} ({columns}) VALUES {marks}"
        connection.query(query, tuple(value for row in piece for value in row))
        progress(len(piece))
