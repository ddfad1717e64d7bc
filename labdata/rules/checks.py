"""What is looked at before a folder is put: its place, files and names, and what is known."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from ..counted import count_of
from ..errors import StoreError, UploadError
from ..nearest import nearest
from ..preferences import Preferences
from ..stores import validate_object_path
from ..stores.paths import is_partial, original_name

#: Size in bytes, and time of the last change in ns.
FileState = tuple[int, int]
#: Files that operating systems leave behind; never data.
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
#: What File.file_path holds, less the longer suffix of a compressed band.
_LONGEST_PATH = 390


def containing_folder(folder: Path, preferences: Preferences) -> Path:
    """Return the local path that a folder lies in.

    Parameters
    ----------
    folder : Path
        Absolute and resolved.
    preferences : Preferences
        The user's.

    Raises
    ------
    UploadError
        If it lies in none, or is no folder.
    """
    roots = [path.resolve() for path in preferences.local_folders()]
    if folder in roots:
        raise UploadError(
            f"{folder} is a local path itself, not a folder of raw data.",
            hint=f"Put a folder in it, as `labdata put {folder}/SUBJECT/SESSION/DATASET`.",
        )
    for root in roots:
        if folder.is_relative_to(root) and folder != root:
            if not folder.exists():
                raise UploadError(f"There is no {folder}.", hint="Check how it is spelled.")
            if not folder.is_dir():
                raise UploadError(f"{folder} is not a folder.", hint="Put a folder of raw data.")
            return root
    shown = ", ".join(map(str, roots))
    raise UploadError(
        f"{folder} is not inside a local path ({shown}).",
        hint="Move it there, or add its parent to local_paths in the preference file.",
    )


def relative_path(path: PurePath, root: PurePath) -> str:
    """Return a path as the database has it: relative to its root, with ``/`` on every system.

    Parameters
    ----------
    path, root : PurePath
        Of this system or, in tests, of another.

    Raises
    ------
    UploadError
        If the path is not below the root.
    """
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        raise UploadError(
            f"{path} is not inside {root}.", hint="Is a link or another drive in the way?"
        ) from None


def list_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder in the order of their paths, without what systems leave behind.

    Parameters
    ----------
    folder : Path
        The folder.

    Raises
    ------
    UploadError
        If it holds a link, a pipe or a socket, no file, or what cannot be read.
    """
    files = []
    for path in _everything_in(folder):
        if path.is_symlink():
            raise UploadError(
                f"{path} is a link.", hint="Put the data themselves, not links to them."
            )
        if not os.path.lexists(path):
            raise UploadError(
                f"{path} vanished while the folder was looked at.",
                hint="A program is still writing there. Put the folder when it has ended.",
            )
        if not (path.is_file() or path.is_dir()):
            raise UploadError(
                f"{path} is neither a file nor a folder (a pipe or a socket of a program).",
                hint="Remove it, or put a folder without it: it cannot be stored.",
            )
        if path.is_file() and path.name not in _LITTER:
            if not os.access(path, os.R_OK):
                raise _unreadable(path)
            files.append(path)
    if not files:
        raise UploadError(f"{folder} holds no files.", hint="Is it the right folder?")
    return tuple(files)


def empty_folders(folder: Path) -> tuple[Path, ...]:
    """Return the folders within a folder that hold no file, nor a folder with one.

    Parameters
    ----------
    folder : Path
        The folder.
    """
    found = _everything_in(folder)
    holding = {parent for path in found if path.is_file() for parent in path.parents}
    return tuple(path for path in found if path.is_dir() and path not in holding)


def _everything_in(folder: Path) -> list[Path]:
    """Return the paths below a folder; one that cannot be looked into is not passed over."""

    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename) from error

    return sorted(
        Path(parent, name)
        for parent, folders, files in os.walk(folder, onerror=refuse)
        for name in (*folders, *files)
    )


def _unreadable(path: object) -> UploadError:
    return UploadError(
        f"{path} cannot be read, so it would be left out.",
        hint="Check who owns it and its permissions.",
    )


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


def check_paths(file_paths: list[str]) -> None:
    """Refuse paths that no store or column can hold, before anything is copied.

    Parameters
    ----------
    file_paths : list of str
        Relative, with ``/``.

    Raises
    ------
    UploadError
        If one is too long, or two differ only in what some systems ignore.
    """
    seen: dict[str, str] = {}
    for file_path in file_paths:
        _check_spelled(file_path)
        if len(file_path) > _LONGEST_PATH:
            raise UploadError(
                f"{file_path} is a path of {len(file_path)} characters; {_LONGEST_PATH} are the "
                "most.",
                hint="Shorten the names of its folders.",
            )
        # other computers, and the database, do not tell such names apart
        twin = seen.setdefault(_folded(file_path), file_path)
        if twin != file_path:
            raise UploadError(
                f"{twin} and {file_path} differ only in case, accents or trailing spaces.",
                hint="Give them names that every file system tells apart.",
            )


def _check_spelled(file_path: str) -> None:
    """Refuse a path that is no good in every store, or that of an unfinished copy."""
    name = PurePosixPath(file_path).name
    if original_name(name) != name:
        raise UploadError(
            f"{file_path} was to be removed by a `labdata clean` that was interrupted.",
            hint="Repeat `labdata clean`: it names it back, or removes it.",
        )
    try:
        validate_object_path(file_path)
    except StoreError as error:
        if is_partial(name):
            raise UploadError(
                f"{file_path} is what a copy that was interrupted has left.",
                hint="Remove it if no `labdata get` or `labdata put` is running: it is part of a "
                "file only.",
            ) from None
        raise UploadError(
            f"{error.message.replace('object path', 'path')} So it cannot be stored.",
            hint="Rename it, then put the folder again.",
        ) from error


def _folded(file_path: str) -> str:
    plain = unicodedata.normalize("NFKD", file_path)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold().rstrip(" ")


def check_new(lab: Any, file_paths: list[str]) -> None:
    """Refuse files that a job or the database has already.

    Parameters
    ----------
    lab : Lab
        The tables.
    file_paths : list of str
        Relative, with ``/``.

    Raises
    ------
    UploadError
        With the job, or the file.
    """
    marks = ", ".join(["%s"] * len(file_paths))
    connection = lab.connection
    row = connection.query(
        f"SELECT a.src_path, j.job_id, j.job_status FROM {lab.UploadJob.full_table_name} j "
        f"JOIN {lab.UploadJob.AssignedFiles.full_table_name} a USING (job_id) "
        f"WHERE a.src_path IN ({marks}) AND COALESCE(j.job_status, '') <> 'CANCELLED' "
        "ORDER BY j.job_id DESC LIMIT 1",
        tuple(file_paths),
    ).fetchone()
    if row:
        hint = "`labdata upload --queue` shows the jobs"
        if row[2] == "FAILED":
            hint += f"; `labdata upload {row[1]} --retry` tries it again"
        if row[2] != "COMPLETED":
            hint += f"; `labdata upload {row[1]} --cancel` takes it back, to put it anew"
        raise UploadError(
            f"{row[0]} was put already, as upload job {row[1]} ({row[2]}).", hint=f"{hint}."
        )
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


def require_same(before: Mapping[Path, FileState], folder: Path, meanwhile: str) -> None:
    """Look at every file again, and raise if one changed, appeared or vanished.

    Parameters
    ----------
    before : mapping
        Path to :func:`file_state` of each file.
    folder : Path
        The folder.
    meanwhile : str
        What was done between, as in ``"while it was copied"``.

    Raises
    ------
    UploadError
        With the first file that is not as it was.
    """
    after = {path: file_state(path) for path in list_files(folder)}
    known = before.keys() | after.keys()
    changed = sorted(path for path in known if before.get(path) != after.get(path))
    if changed:
        more = f" (and {count_of(len(changed) - 1, 'other file')})" if len(changed) > 1 else ""
        raise UploadError(
            f"{changed[0]}{more} changed, appeared or vanished {meanwhile}.",
            hint="The recording or copy has not ended: put the folder again when it has.",
        )


def file_state(path: Path) -> FileState:
    """Return what changes when a file is written to: its size in bytes and time in ns.

    Parameters
    ----------
    path : Path
        The file.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns
