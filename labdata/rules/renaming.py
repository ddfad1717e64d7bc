"""Correct the name of a subject, session or dataset after its upload: planned, whole, resumable.

The objects get their new paths first, beside the old ones and verified; then one transaction gives
rows and files their new names, and the log says that it is done. Killed before that, everything is
as it was and the same command goes on; killed after, everything has its new name. The old objects
are left to ``labdata garbage``, so no recording is deleted here.

Files that another project uses keep their paths, as do those that do not lie where ``path_rules``
puts a file of these names. What jobs noted when a folder was put (``UploadJob.AssignedFiles``)
stays as it was: the originals on the rig still have that path, and are not to be put twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..database.archived import refuse_archived
from ..database.key_change import Holders, KeyChange, change_keys, count_rows
from ..database.locks import worker_lock
from ..database.own_roles import check_role, is_limited
from ..database.raw_tables import Key
from ..database.rename_log import begin_rename, finish_rename, read_renames
from ..database.working_jobs import job_condition, refuse_working
from ..errors import DatabaseError, QueryError
from ..nearest import nearest
from ..preferences import Preferences, load_preferences
from ..progress import Progress, ignore_progress
from ..schema.files import open_store
from .names import check_name
from .rename_files import FileMove, FileStay, find_processed, plan_files
from .rename_reach import NAMES, Reach, find_reach

_LONGEST = {"subject": 64, "session": 64, "dataset": 128}


@dataclass(frozen=True)
class TableRename:
    """Rows of one table that hold the name.

    Attributes
    ----------
    name : str
        As users know it: ``SpikeSorting.Unit``.
    n_rows : int
    """

    name: str
    n_rows: int


@dataclass(frozen=True)
class RenamePlan:
    """What a rename will do; nothing is done before :meth:`apply`.

    Attributes
    ----------
    lab : Lab
        The tables.
    key : dict
        The names before: ``subject_name``, and ``session_name`` and ``dataset_name`` if it is a
        session or dataset that is renamed.
    new_name : str
        The name after.
    tables : tuple of TableRename
        Tables with rows that hold the name, parents first.
    moves : tuple of FileMove
        Files that get another path.
    stays : tuple of FileStay
        Files that keep theirs, each with the reason.
    """

    lab: Any
    key: dict[str, str]
    new_name: str
    tables: tuple[TableRename, ...]
    moves: tuple[FileMove, ...]
    stays: tuple[FileStay, ...]
    reach: Reach = field(repr=False)
    preferences: Preferences = field(repr=False)

    @property
    def level(self) -> str:
        """``subject``, ``session`` or ``dataset``."""
        return self.reach.level

    @property
    def n_rows(self) -> int:
        """Rows that hold the name."""
        return sum(table.n_rows for table in self.tables)

    @property
    def size_bytes(self) -> int:
        """Bytes of the files that get another path."""
        return sum(move.size_bytes for move in self.moves)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a table: ``table``, ``rows``."""
        return [{"table": t.name, "rows": t.n_rows} for t in self.tables]

    def files(self) -> list[dict[str, Any]]:
        """Return a row a file: ``file_path``, ``storage``, ``size_bytes``, ``becomes``."""
        moved = [
            {
                "file_path": m.old_path,
                "storage": m.storage,
                "size_bytes": m.size_bytes,
                "becomes": m.new_path,
            }
            for m in self.moves
        ]
        return moved + [
            {
                "file_path": s.file_path,
                "storage": s.storage,
                "size_bytes": s.size_bytes,
                "becomes": f"stays: {s.reason}",
            }
            for s in self.stays
        ]

    def _repr_html_(self) -> str:
        from ..markup import card, rows_table

        tables = [list(row.values()) for row in self.rows()]
        files = [list(row.values()) for row in self.files()]
        return card(
            rows_table(f"Rows to rename to {self.new_name}", ["table", "rows"], tables),
            rows_table("Files", ["path", "store", "bytes", "becomes"], files),
        )

    def apply(self, *, progress: Progress | None = None) -> int:
        """Copy the objects, then change all rows in one transaction; repeat it after a kill.

        Parameters
        ----------
        progress : Progress, optional
            Called with bytes of files as they are verified.

        Returns
        -------
        int
            Rows changed.

        Raises
        ------
        StoreError
            If an object is missing or damaged, or cannot be written; then no row is changed.
        DatabaseError
            If the name was taken or a job has begun meanwhile, another process renames, or rows
            that the account cannot see refer to the name; then no row is changed.
        """
        connection = self.lab.connection
        refuse_archived(self.lab)
        with worker_lock(connection, rename_lock(connection)) as alone:
            if not alone:
                raise DatabaseError(
                    "Another process renames, or removes objects from the stores.",
                    hint="Repeat the command when it has ended.",
                )
            refuse_working(self.lab, self.key)
            number = begin_rename(
                connection, self.lab.project, self.level, self.key, self.new_name
            )
            self._copy_objects(progress or ignore_progress)
            with connection.transaction:
                refuse_working(self.lab, self.key, lock=True)
                n_rows = self._change_rows()
                alone.require_held()
                done = {"n_rows": n_rows, "n_files": len(self.moves)}
                finish_rename(connection, self.lab.project, number, **done)
        return n_rows

    def _copy_objects(self, progress: Progress) -> None:
        for move in self.moves:
            store = open_store(move.storage, self.preferences)
            store.copy(move.old_path, move.new_path, sha256=move.sha256, progress=progress)

    def _change_rows(self) -> int:
        reach, connection = self.reach, self.lab.connection
        for root in dict.fromkeys(move.root for move in self.moves):
            moves = [move for move in self.moves if move.root == root]
            pairs = tuple(((m.old_path, m.storage), m.new_path) for m in moves)
            change = KeyChange(root, ("file_path", "storage"), "file_path", pairs)
            done = change_keys(connection, reach.tables, reach.own_holders_of_files(root), change)
            if done.get(root) != len(moves):
                raise DatabaseError(
                    "Files of these data changed since the plan.",
                    hint="Nothing was changed. Repeat the command.",
                )
        self._change_processed()
        n_rows = sum(self._change_names())
        job_key, values = job_condition(self.lab.project, self.key)
        cursor = connection.query(
            f"UPDATE {self.lab.UploadJob.full_table_name} SET {reach.changed} = %s "
            f"WHERE {job_key}",
            (self.new_name, *values),
        )
        return n_rows + int(cursor.rowcount)

    def _change_names(self) -> list[int]:
        """Change the name itself; a name that the server takes for equal goes by a third one."""
        names = [self.new_name]
        if self.reach.takes_for_equal(self.lab.connection, self.new_name):
            names = [f"~{uuid.uuid4().hex[:24]}", self.new_name]
        old, done = self.reach.old_key, {}
        for name in names:
            change = KeyChange(
                self.reach.root, self.reach.columns, self.reach.changed, ((old, name),)
            )
            done = change_keys(self.lab.connection, self.reach.tables, self.reach.holders, change)
            (old,) = change.new_keys
        if not done.get(self.reach.root):
            raise DatabaseError(
                f"The {self.level} vanished since the plan.", hint="Nothing was changed."
            )
        return list(done.values())

    def _change_processed(self) -> None:
        if not self.moves:
            return
        rules = self.preferences.path_rules
        pairs = tuple(find_processed(self.lab, self.reach, self.new_name, rules))
        if pairs:
            place = self.reach.place_of(self.lab.ProcessedFile)
            change = KeyChange(place, ("file_path",), "file_path", pairs)
            holders: Holders = {place: frozenset({("file_path",)})}
            change_keys(self.lab.connection, self.reach.tables, holders, change)


def plan_rename(
    lab: Any,
    key: Mapping[str, str],
    to: str,
    *,
    keep_files: bool = False,
    preferences: Preferences | None = None,
) -> RenamePlan:
    """Plan to give a subject, session or dataset another name.

    Parameters
    ----------
    lab : Lab
        The tables; other projects are left alone.
    key : mapping
        ``subject_name``; with ``session_name`` a session is renamed, with ``dataset_name`` too a
        dataset.
    to : str
        The new name.
    keep_files : bool, optional
        Rename the rows only; all files keep their paths.
    preferences : Preferences, optional
        By default the user's; their ``path_rules`` say where a file's path has the name.

    Returns
    -------
    RenamePlan
        Nothing is done before its ``apply``.

    Raises
    ------
    QueryError
        If there is no such subject, session or dataset.
    UploadError
        If the new name cannot be one.
    DatabaseError
        If the new name is taken, a job works on the data, or the project is archived.
    """
    preferences = preferences or load_preferences()
    refuse_archived(lab)
    check_role(lab, "rename", ("admin",))
    names = _check_key(key)
    level = names[-1].removesuffix("_name")
    check_name(names[-1], to, _LONGEST[level])
    stored = _find_row(lab, names, key, level)
    if stored[names[-1]] == to:
        raise DatabaseError(f"The {level} is named {to!r} already.", hint="Nothing was changed.")
    refuse_working(lab, stored)
    reach = find_reach(lab, stored)
    equal = _refuse_taken(lab, reach, to)
    counts = {
        place: count_rows(lab.connection, reach.tables[place], held, [reach.old_key])
        for place, held in reach.holders.items()
    }
    tables = [TableRename(reach.name_of(place), n) for place, n in counts.items() if n]
    n_jobs = _count_jobs(lab, stored)
    tables += [TableRename("UploadJob", n_jobs)] if n_jobs else []
    keep = "told to, by --keep-files" if keep_files else ""
    keep = keep or ("some disks do not tell the two names apart" if equal else "")
    moves, stays = plan_files(lab, reach, to, preferences.path_rules, keep=keep)
    if moves and is_limited(lab):
        raise DatabaseError(
            f"{len(moves)} files would get another path, and files are all projects'.",
            hint="--keep-files renames the rows alone; the lab's administrator can do both.",
        )
    return RenamePlan(lab, stored, to, tuple(tables), moves, stays, reach, preferences)


def rename_lock(connection: Any) -> str:
    """Return the name of the server's lock on the paths of objects.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    """
    return f"objects.{connection._preferences.name}"


def _check_key(key: Mapping[str, str]) -> tuple[str, ...]:
    names = tuple(name for name in NAMES if key.get(name))
    if names != NAMES[: len(names)] or not names:
        raise QueryError(
            "A session is named with its subject, a dataset with its subject and session.",
            hint="labdata rename -a SUBJECT -s SESSION -d DATASET --to NEW",
        )
    return names


def _find_row(
    lab: Any, names: tuple[str, ...], key: Mapping[str, str], level: str
) -> dict[str, str]:
    """Return the key as the database has it."""
    table = getattr(lab, level.capitalize())
    # all that are equal to the server, which takes JC1 and jc1 for one
    rows = (table & {name: key[name] for name in names}).fetch(*names, as_dict=True)
    if rows:
        return {name: str(rows[0][name]) for name in names}
    above = {name: key[name] for name in names[:-1]}
    known = [str(name) for name in (table & above).fetch(names[-1])]
    given = key[names[-1]]
    near = nearest(given, known)
    line = "subjects" if level == "subject" else f"sessions -a {key['subject_name']}"
    hint = f"Did you mean {near[0]!r}?" if near else f"`labdata {line}` lists them."
    for row in read_renames(lab.connection, lab.project):
        if row["ended"] and (row["level"], row["old_name"]) == (level, given):
            hint = f"{row['who']} renamed it to {row['new_name']!r} on {row['ended']} (UTC)."
            break
    raise QueryError(f"There is no {level} {given!r}.", hint=hint)


def _refuse_taken(lab: Any, reach: Reach, to: str) -> bool:
    """Raise if the new name is taken; whether the server takes it for equal to the old one."""
    if reach.takes_for_equal(lab.connection, to):
        return True
    new: Key = (*reach.old_key[:-1], to)
    if count_rows(lab.connection, reach.tables[reach.root], [reach.columns], [new]):
        raise DatabaseError(
            f"There is a {reach.level} {to!r} already.",
            hint="Two cannot become one by renaming. Choose another name.",
        )
    return False


def _count_jobs(lab: Any, key: Mapping[str, str]) -> int:
    condition, values = job_condition(lab.project, key)
    query = f"SELECT COUNT(*) FROM {lab.UploadJob.full_table_name} WHERE {condition}"
    return int(lab.connection.query(query, values).fetchone()[0])
