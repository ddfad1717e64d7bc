"""What a run of ``labdata verify`` will compare, and which content it will read.

Disks fail quietly, and a copy that nobody has read for years is only believed to be one. To read
everything each day would take longer than a day, so a run reads the part of its day. Which part a
file is in follows from its path and the date alone: no note of it can be lost or be wrong, and
daily runs have read everything after ``days`` of them. What was found damaged is read in each run,
until it is right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ..errors import QueryError
from ..nearest import nearest
from ..preferences import Preferences, load_preferences
from .stored_copies import StoredFile
from .verify_note import read_note

#: Days in which daily runs have read everything.
DAYS = 30


@dataclass(frozen=True)
class VerifyPlan:
    """What a run will compare.

    Attributes
    ----------
    files : dict
        Name of a store to the files that the database says are there.
    due : frozenset of StoredFile
        Those whose content will be read.
    damaged : frozenset of StoredFile
        Those of them that an earlier run found damaged, which are read on any day.
    noted : dict
        Name of a store to the paths of such, also of those that are not recorded any more.
    today : date
        The day whose part is read.
    days : int
        Number of parts.
    everything : bool
        Whether all is read.
    whole : bool
        Whether all stores are looked at.
    preferences : Preferences
        With the stores.
    """

    files: dict[str, tuple[StoredFile, ...]]
    due: frozenset[StoredFile]
    damaged: frozenset[StoredFile]
    noted: dict[str, frozenset[str]]
    today: date
    days: int
    everything: bool
    whole: bool
    preferences: Preferences = field(repr=False)

    @property
    def n_objects(self) -> int:
        """Files that the database has."""
        return sum(map(len, self.files.values()))

    @property
    def size_bytes(self) -> int:
        """Their recorded sizes."""
        return sum(file.size_bytes for files in self.files.values() for file in files)

    @property
    def read_bytes(self) -> int:
        """Recorded sizes of those that will be read."""
        return sum(file.size_bytes for file in self.due)


def part_of(storage: str, file_path: str, days: int) -> int:
    """Return which part of all files a file is in; the same on every computer, for ever.

    Parameters
    ----------
    storage, file_path : str
        Its store's name and its path there.
    days : int
        Number of parts.

    Returns
    -------
    int
        From 0 to ``days - 1``: the first 8 bytes of the SHA-256 of both names, modulo ``days``.
    """
    named = f"{storage}\0{file_path}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(named).digest()[:8], "big") % days


def plan_verify(
    lab: Any,
    *,
    stores: Sequence[str] | None = None,
    days: int = DAYS,
    today: date | None = None,
    everything: bool = False,
    preferences: Preferences | None = None,
) -> VerifyPlan:
    """Find out what there is to compare; no store is looked at.

    Parameters
    ----------
    lab : Lab
        Tables of any project; an account of some projects compares those files that it sees.
    stores : sequence of str, optional
        Names of stores; by default all that the preferences or the database name.
    days : int, optional
        Number of daily runs after which everything has been read.
    today : date, optional
        The day whose part is read; by default the computer's.
    everything : bool, optional
        Read all.
    preferences : Preferences, optional
        By default the user's.

    Returns
    -------
    VerifyPlan
        For :func:`verify_planned`.

    Raises
    ------
    QueryError
        If ``days`` is no number of days, or there is no such store.
    """
    if days < 1:
        raise QueryError(f"{days} days are no number of days.", hint="Give --days 1 or more.")
    preferences = preferences or load_preferences()
    today = today or date.today()
    files: dict[str, list[StoredFile]] = {name: [] for name in preferences.storage}
    for file in _recorded(lab):
        files.setdefault(file.storage, []).append(file)
    for name in stores or ():
        if name not in files:
            near = nearest(name, files)
            known = f"There are: {', '.join(files) or 'none'}."
            raise QueryError(
                f"There is no store {name!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else known,
            )
    chosen = {k: tuple(v) for k, v in files.items() if stores is None or k in stores}
    notes = read_note(lab.connection._preferences.name)
    noted = {name: note.damaged for name, note in notes.items() if note.damaged}
    damaged = frozenset(_known_damaged(chosen, noted))
    part = today.toordinal() % days
    due = damaged.union(
        file
        for found in chosen.values()
        for file in found
        if everything or part_of(file.storage, file.file_path, days) == part
    )
    whole = stores is None
    return VerifyPlan(chosen, due, damaged, noted, today, days, everything, whole, preferences)


def _known_damaged(
    files: dict[str, tuple[StoredFile, ...]], noted: dict[str, frozenset[str]]
) -> Iterator[StoredFile]:
    """Yield what an earlier run found damaged and nobody has seen right since."""
    for name in files.keys() & noted.keys():
        yield from (file for file in files[name] if file.file_path in noted[name])


def _recorded(lab: Any) -> Iterator[StoredFile]:
    """Yield all files, by one statement a table."""
    lab.activate()
    columns = "storage, file_path, file_size, file_sha256, file_md5"
    for name in ("File", "AnalysisFile"):
        table = getattr(lab, name)
        for row in lab.connection.query(f"SELECT {columns} FROM {table.full_table_name}"):
            storage, path, size, sha256, md5 = row
            yield StoredFile(name, storage, path, int(size), (sha256 or "").lower(), md5 or "")
