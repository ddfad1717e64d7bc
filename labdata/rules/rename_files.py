"""Which files of a renamed subject, session or dataset get another path, and which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..database.key_change import Columns, find_holders, holding
from ..database.raw_tables import Key, fetch_rows, quote
from ..database.row_selection import Place
from ..database.working_jobs import job_condition
from ..errors import DatabaseError
from ..stores import validate_object_path
from .rename_reach import NAMES, Reach

_FIELD = re.compile(r"\{(\w+)\}")
_FILE = ("file_path", "storage")
#: Characters that File.file_path holds.
_LONGEST = 400
_ELSEWHERE = "its path has not the name where path_rules puts it"


@dataclass(frozen=True)
class FileMove:
    """A file that gets another path.

    Attributes
    ----------
    root : tuple of str
        The table of files that has its row.
    storage : str
        Its store.
    old_path, new_path : str
        In the store.
    size_bytes : int
    sha256 : str or None
        None for files of older labs.
    """

    root: Place
    storage: str
    old_path: str
    new_path: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class FileStay:
    """A file that keeps its path.

    Attributes
    ----------
    storage, file_path : str
        Where it is.
    size_bytes : int
    reason : str
        Why, in words.
    """

    storage: str
    file_path: str
    size_bytes: int
    reason: str


def plan_files(
    lab: Any, reach: Reach, to: str, path_rules: str, *, keep: str = ""
) -> tuple[tuple[FileMove, ...], tuple[FileStay, ...]]:
    """Return the files that get another path, and those that do not.

    Parameters
    ----------
    lab : Lab
        The tables.
    reach : Reach
        Of the name.
    to : str
        The new name.
    path_rules : str
        The preference of that name.
    keep : str, optional
        Why all files keep their paths; empty if they do not.

    Raises
    ------
    DatabaseError
        If a new path is taken or too long.
    """
    moves: list[FileMove] = []
    stays: list[FileStay] = []
    for table in (lab.File, lab.AnalysisFile):
        root = reach.place_of(table)
        known = _files_of_name(lab.connection, reach, root)
        shared = _used_by_others(lab.connection, reach, root, known)
        columns = (*_FILE, "file_size", "file_sha256")
        found = fetch_rows(lab.connection, reach.tables[root], columns, _FILE, known)
        for path, storage, size, sha256 in sorted(found):
            new = new_path(path, known[path, storage], reach.changed, to, path_rules)
            reason = keep or shared.get((path, storage)) or ("" if new else _ELSEWHERE)
            if new is None or reason:
                stays.append(FileStay(storage, path, size, reason))
            else:
                moves.append(FileMove(root, storage, path, new, size, sha256))
        _refuse_taken(lab.connection, reach, root, [m for m in moves if m.root == root])
    return tuple(moves), tuple(stays)


def new_path(
    path: str, keys: Iterable[Mapping[str, str]], changed: str, to: str, path_rules: str
) -> str | None:
    """Return a file's path under the new name, or None if it has not the name in its place.

    Parameters
    ----------
    path : str
        Its path.
    keys : iterable of mapping
        Names of the subject, session and dataset that it may be of, as far as they are known.
    changed : str
        ``subject_name``, ``session_name`` or ``dataset_name``.
    to : str
        The new name.
    path_rules : str
        The preference of that name.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "JC1"}
    >>> new_path("JC1/JC1/a.bin", [key], "session_name", "S2", "{subject_name}/{session_name}")
    'JC1/S2/a.bin'
    """
    for key in keys:
        pattern = _place_of_name(path_rules, key, changed)
        match = pattern.match(path) if pattern else None
        if match:
            for start, end in reversed([match.span(n + 1) for n in range(len(match.groups()))]):
                path = path[:start] + to + path[end:]
            return path
    return None


def find_processed(lab: Any, reach: Reach, to: str, path_rules: str) -> Iterator[tuple[Key, str]]:
    """Yield the originals that a rule replaced, with their paths under the new name.

    Parameters
    ----------
    lab, reach, to, path_rules
        As in :func:`plan_files`.

    Yields
    ------
    key : tuple of str
        Primary key of the original in ProcessedFile.
    file_path : str
        Its path under the new name.
    """
    condition, values = job_condition(lab.project, reach.key)
    rows = lab.connection.query(
        f"SELECT p.file_path, {', '.join(NAMES)} FROM {lab.UploadJob.full_table_name} "
        f"JOIN {lab.UploadJob.AssignedFiles.full_table_name} a USING (job_id) "
        f"JOIN {lab.ProcessedFile.full_table_name} p ON p.file_path = a.src_path "
        f"WHERE job_status = 'COMPLETED' AND {condition}",
        values,
    ).fetchall()
    for path, *names in rows:
        key = dict(zip(NAMES, names, strict=True))
        new = new_path(path, [key], reach.changed, to, path_rules)
        if new is not None:
            yield (path,), new


def _place_of_name(
    path_rules: str, key: Mapping[str, str], changed: str
) -> re.Pattern[str] | None:
    """Return the pattern of the beginning of a path, with a group where the name is."""
    parts = PurePosixPath(path_rules).parts
    named = [n for n, part in enumerate(parts) if f"{{{changed}}}" in part]
    if not named or changed not in key:
        return None
    written = []
    for part in parts[: named[-1] + 1]:
        pieces = _FIELD.split(part)
        for n, piece in enumerate(pieces):
            if n % 2 == 0:
                pieces[n] = re.escape(piece)
            elif piece == changed:
                pieces[n] = f"({re.escape(key[piece])})"
            else:
                pieces[n] = re.escape(key[piece]) if piece in key else "[^/]+?"
        written.append("".join(pieces))
    return re.compile("/".join(written) + "/")


def _files_of_name(connection: Any, reach: Reach, root: Place) -> dict[Key, list[dict[str, str]]]:
    """Return the files of rows that hold the name, each with the names that its rows give it."""
    found: dict[Key, list[dict[str, str]]] = {}
    for place, ways in reach.own_holders_of_files(root).items():
        if place not in reach.holders:
            continue
        table = reach.tables[place]
        where, values = holding(reach.holders[place], [reach.old_key])
        for held in _keys_known(reach, place):
            for way in ways:
                shown = ", ".join(map(quote, (*way, *held)))
                query = f"SELECT DISTINCT {shown} FROM {table.sql} WHERE {where}"
                for row in connection.query(query, values):
                    named = zip(NAMES, row[2:], strict=False)
                    key = {name: value for name, value in named if value is not None}
                    is_ours = all(key.get(n) == v for n, v in reach.key.items())
                    if row[0] is not None and is_ours and key not in found.get(row[:2], []):
                        found.setdefault(row[:2], []).append(key)
    return found


def _keys_known(reach: Reach, place: Place) -> list[Columns]:
    """Return the columns of the fullest names that a table gives its rows."""
    for holders in reach.known:
        if place in holders:
            return sorted(holders[place])
    return sorted(reach.holders[place])


def _used_by_others(
    connection: Any, reach: Reach, root: Place, files: Iterable[Key]
) -> dict[Key, str]:
    """Return the files that rows of other projects refer to, and whose."""
    own = reach.own_holders_of_files(root)
    shared: dict[Key, str] = {}
    for place, ways in find_holders(reach.tables, root, _FILE).items():
        for way in ways if place not in own else ():
            for key in fetch_rows(connection, reach.tables[place], way, way, files):
                shared[key] = f"{place[0]} uses it too"
    return shared


def _refuse_taken(connection: Any, reach: Reach, root: Place, moves: list[FileMove]) -> None:
    hint = "Nothing was changed. --keep-files renames the rows and leaves the files as they are."
    for move in moves:
        validate_object_path(move.new_path)
        if len(move.new_path) > _LONGEST:
            raise DatabaseError(
                f"{move.new_path} is a path of {len(move.new_path)} characters; {_LONGEST} are "
                "the most.",
                hint=hint,
            )
    new = [(move.new_path, move.storage) for move in moves]
    for path, _ in fetch_rows(connection, reach.tables[root], _FILE, _FILE, new):
        raise DatabaseError(f"There is a file {path} already.", hint=hint)
