"""Backups of the embedded database: dumps in a folder, the newest of each day and week kept.

Kept are the last seven, one of each of the last four weeks, and one of each month before.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from ..progress import Progress
from .dump_parts import remove_dead_parts
from .lab_dump import dump_lab

N_LAST, N_WEEKS = 7, 4
_NAME = "labdata-%Y%m%d_%H%M%S.sqlite"


def make_backup(
    connection: Any, folder: Path, *, now: datetime, progress: Progress | None = None
) -> tuple[Path, list[Path]]:
    """Write a dump into a folder, and remove what the rotation no longer keeps.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    folder : Path
        Where the backups are; made if it is missing.
    now : datetime
        The time, for the name.
    progress : Progress, optional
        Called with the number of rows written.

    Returns
    -------
    Path, list of Path
        The backup, and those that were removed; nothing is removed unless the backup was written.

    Raises
    ------
    DatabaseError
        If it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / now.strftime(_NAME)
    remove_dead_parts(folder, lambda name: _time_of(name) is not None)
    dump_lab(connection, file, progress=progress)
    kept = choose_kept(time for _, time in list_backups(folder))
    removed = [path for path, time in list_backups(folder) if time not in kept]
    for path in removed:
        path.unlink()
    return file, removed


def list_backups(folder: Path) -> list[tuple[Path, datetime]]:
    """Return the backups of a folder with their times, newest first.

    Parameters
    ----------
    folder : Path
        Where they are; files with other names are not looked at.
    """
    found = []
    for path in folder.glob("labdata-*.sqlite"):
        time = _time_of(path.name)
        if time is not None:
            found.append((path, time))
    return sorted(found, key=lambda item: item[1], reverse=True)


def _time_of(name: str) -> datetime | None:
    """Return the time in a backup's name; None for a file of the user's own."""
    try:
        return datetime.strptime(name, _NAME)
    except ValueError:
        return None


def choose_kept(times: Iterable[datetime]) -> set[datetime]:
    """Return which backups are kept.

    Parameters
    ----------
    times : iterable of datetime
        Of all backups.
    """
    newest_first = sorted(times, reverse=True)
    kept = set(newest_first[:N_LAST])
    weeks: dict[tuple[int, int], datetime] = {}
    months: dict[tuple[int, int], datetime] = {}
    for time in newest_first:
        year, week, _ = time.isocalendar()
        weeks.setdefault((year, week), time)
        months.setdefault((time.year, time.month), time)
    kept |= {weeks[week] for week in sorted(weeks, reverse=True)[:N_WEEKS]}
    return kept | set(months.values())
