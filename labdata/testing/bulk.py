"""A lab of many rows and no files, to see how queries behave at the size of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from ..progress import Progress, ignore_progress
from .bulk_results import insert_events, insert_recordings, insert_sortings, insert_tasks
from .bulk_rows import insert_rows


def insert_many(
    lab: Any,
    *,
    n_subjects: int = 500,
    n_sessions: int = 100_000,
    n_files: int = 1_000_000,
    n_sortings: int = 20_000,
    n_units: int = 200_000,
    n_tasks: int = 20_000,
    progress: Progress = ignore_progress,
) -> None:
    """Insert subjects, sessions with a dataset each, files and results, spread evenly.

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
    n_sortings : int, optional
        The first so many recordings are sorted and synchronised.
    n_units : int, optional
        In all, each with its metrics, judged by one criterion.
    n_tasks : int, optional
        The first so many sessions that are not recordings have a decision task.
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
    insert_rows(lab.Session, (_session(key, members) for key in keys), progress)
    datasets = [(*key, "ephys_g0" if n % 2 else "task") for n, key in enumerate(keys)]
    kinds = ("task-training", "ephys")
    insert_rows(
        lab.Dataset,
        ((*key, kinds[n % 2], None, None, None) for n, key in enumerate(datasets)),
        progress,
    )
    _insert_files(lab, datasets, n_files, progress)
    recordings = datasets[1::2]
    insert_recordings(lab, recordings, progress)
    insert_events(lab, recordings[:n_sortings], progress)
    insert_sortings(lab, recordings[:n_sortings], n_units, progress)
    insert_tasks(lab, datasets[::2][:n_tasks], progress)


def _insert_files(
    lab: Any, datasets: list[tuple[str, str, str]], n_files: int, progress: Progress
) -> None:
    paths = list(_files(datasets, n_files))
    when = datetime(2026, 1, 1)
    insert_rows(
        lab.File,
        ((path, "data", when, 1000 + n, None, f"{n:064x}") for n, (_, path) in enumerate(paths)),
        progress,
    )
    insert_rows(lab.Dataset.DataFiles, ((*key, path, "data") for key, path in paths), progress)


def _session_keys(n_subjects: int, n_sessions: int) -> Iterator[tuple[str, str]]:
    for n in range(n_sessions):
        start = datetime(2024, 1, 1, 10) + timedelta(hours=6 * (n // n_subjects))
        yield f"S{n % n_subjects:04d}", start.strftime("%Y%m%d_%H%M%S")


def _session(key: tuple[str, str], members: list[str]) -> tuple[Any, ...]:
    start = datetime.strptime(key[1], "%Y%m%d_%H%M%S")
    return (*key, start, members[int(key[1][6:8]) % len(members)])


def _files(
    datasets: list[tuple[str, str, str]], n_files: int
) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield the key of a dataset and the path of a file, dataset by dataset."""
    each, more = divmod(n_files, len(datasets))
    for n, key in enumerate(datasets):
        for number in range(each + (n < more)):
            yield key, f"{'/'.join(key)}/file_{number:03d}.bin"
