"""What ``clean`` may remove: the local files that the database knows, and why others stay.

Nothing is read but names, sizes and times, and nothing changes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..database.raw_tables import in_pieces
from ..errors import UploadError
from ..formats.raw_bands import compressed_names
from ..preferences import Preferences, absolute_folder, load_preferences
from ..stores.mounts import Mount, list_mounts, network_mount
from ..stores.paths import is_partial, original_name
from .checks import file_state, list_files, relative_path

logger = logging.getLogger(__name__)

_PIECE = 500


@dataclass(frozen=True)
class LocalFile:
    """A file on this computer, and what clean makes of it.

    Attributes
    ----------
    path : Path
        Where it is.
    file_path : str
        Its path as the database has it.
    size_bytes : int
        Its size.
    age_days : float
        Since it was last written to.
    row : dict or None
        What the database has of it.
    object_row : dict or None
        The row of File whose object stands for it: its own, or that of its compressed form.
    storages : tuple of str
        Stores that have an object of just its path, by the database.
    kept : str
        Why it stays; empty if it goes, or may.
    """

    path: Path
    file_path: str
    size_bytes: int
    age_days: float
    row: dict[str, Any] | None = field(default=None, repr=False)
    object_row: dict[str, Any] | None = field(default=None, repr=False)
    storages: tuple[str, ...] = ()
    kept: str = ""

    @property
    def is_original(self) -> bool:
        """Whether its compressed form is stored in its place."""
        return self.object_row is not self.row


def plan_clean(
    *,
    lab: Any = None,
    keys: Sequence[dict[str, str]] = (),
    names: Sequence[str] = (),
    older_than_days: float = 0.0,
    only_processed: bool = False,
    mounted: bool = False,
    folders: Sequence[Path] | None = None,
    preferences: Preferences | None = None,
) -> list[LocalFile]:
    """List the local files that may go, and those that stay with the reason; nothing changes.

    Parameters
    ----------
    lab : Lab, optional
        Tables of another project.
    keys : sequence of dict, optional
        Only files of these datasets: any of subject_name, session_name, dataset_name.
    names : sequence of str, optional
        Only files whose path contains one of these.
    older_than_days : float, optional
        Only files that were last written to longer ago.
    only_processed : bool, optional
        Only originals whose compressed form is stored.
    mounted : bool, optional
        Also files on network mounts whose object is in a bucket: such a mount may show the bucket
        itself, and remove the object later.
    folders : sequence of Path, optional
        Where to look; by default ``local_paths`` and ``upload_path``.
    preferences : Preferences, optional
        By default the user's.

    Returns
    -------
    list of LocalFile
        By path.
    """
    from .planning import default_lab

    lab = lab or default_lab()
    preferences = preferences or load_preferences()
    folders = cleaned_folders(preferences) if folders is None else folders
    found = [
        one
        for folder in folders
        for one in _local_files(folder, without=folders)
        if not names or any(name in one.file_path for name in names)
    ]
    known = _known(lab, {one.file_path for one in found})
    wanted = _paths_of(lab, keys) if keys else None
    mounts = None if mounted else list_mounts()
    planned = []
    for one in found:
        one = known.get(one.file_path, _Known()).told(one)
        if wanted is not None and one.file_path not in wanted:
            continue
        kept = _why_kept(one, older_than_days, only_processed)
        kept = kept or _maybe_object(one, mounts, preferences)
        planned.append(replace(one, kept=kept))
    return sorted(planned, key=lambda one: one.path)


def cleaned_folders(preferences: Preferences) -> list[Path]:
    """Return where clean looks: ``local_paths`` and ``upload_path``, as far as they are there.

    Parameters
    ----------
    preferences : Preferences
        The user's.
    """
    folders = preferences.local_folders()
    if preferences.upload_path:
        folders.append(absolute_folder("upload_path", preferences.upload_path))
    return list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def _local_files(folder: Path, without: Sequence[Path]) -> list[LocalFile]:
    """Return the files of a folder; those of another one inside it have their paths from there."""
    inner = [one for one in without if one != folder and one.is_relative_to(folder)]
    try:
        paths = list_files(folder)
    except UploadError as problem:
        if not any(folder.iterdir()):
            return []
        paths = _readable(folder, problem)
    now_s, found = time.time(), []
    for path in paths:
        if any(path.is_relative_to(one) for one in inner):
            continue
        size_bytes, changed_ns = file_state(path)
        age_days = (now_s - changed_ns / 1e9) / 86400
        file_path = original_name(relative_path(path, folder))
        found.append(LocalFile(path, file_path, size_bytes, age_days))
    return found


def _readable(folder: Path, problem: UploadError) -> tuple[Path, ...]:
    """Return the files of a folder of which some cannot be looked at: those simply stay."""
    logger.warning("Parts of %s are left alone: %s", folder, problem.message)
    found = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                found.append(path)
    return tuple(found)


@dataclass
class _Known:
    """What the database has of a path."""

    row: dict[str, Any] | None = None
    object_row: dict[str, Any] | None = None
    storages: tuple[str, ...] = ()

    def told(self, one: LocalFile) -> LocalFile:
        """Return a local file with this."""
        return replace(one, row=self.row, object_row=self.object_row, storages=self.storages)


def _known(lab: Any, paths: set[str]) -> dict[str, _Known]:
    """Return, by path, what the database has of a file and of its object."""
    found: dict[str, _Known] = {}
    paths = {path for path in paths if _is_unicode(path)}
    for piece in in_pieces(sorted(paths), _PIECE):
        for row in _rows(lab.ProcessedFile, piece):
            found[row["file_path"]] = _Known(row)
    stands_for = {name: path for path in found for name in compressed_names(path).values()}
    for piece in in_pieces(sorted(paths | stands_for.keys()), _PIECE):
        for row in _rows(lab.File, piece):
            if row["file_path"] in paths:
                one = found.setdefault(row["file_path"], _Known())
                one.row, one.object_row = row, row
                one.storages += (row["storage"],)
            original = stands_for.get(row["file_path"])
            if original is not None:
                found[original].object_row = row
    return found


def _is_unicode(text: str) -> bool:
    """Return whether a name is one the database can have; a disk may have others, too."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _rows(table: Any, paths: Sequence[str]) -> list[dict[str, Any]]:
    marks = ", ".join(["%s"] * len(paths))
    cursor = table.connection.query(
        f"SELECT * FROM {table.full_table_name} WHERE file_path IN ({marks})",
        tuple(paths),
        as_dict=True,
    )
    # to the database names that differ by case are one; to a disk they are two files
    return [row for row in cursor.fetchall() if row["file_path"] in set(paths)]


def _paths_of(lab: Any, keys: Sequence[dict[str, str]]) -> set[str]:
    """Return the paths of the files and originals of datasets."""
    paths = set((lab.Dataset.DataFiles & list(keys)).fetch("file_path"))
    jobs = lab.UploadJob & list(keys)
    return paths | set((lab.UploadJob.AssignedFiles & jobs.proj()).fetch("src_path"))


def _why_kept(one: LocalFile, older_than_days: float, only_processed: bool) -> str:
    if is_partial(one.path.name):
        return "an unfinished copy; clean removes it a day after its last change"
    if one.row is None:
        return "not in the database"
    if only_processed and not one.is_original:
        return "not an original of a compressed file"
    if older_than_days and one.age_days < 0:
        return "dated in the future, so its age is not known"
    if older_than_days and one.age_days < older_than_days:
        return f"younger than {older_than_days:g} {'day' if older_than_days == 1 else 'days'}"
    if one.object_row is None:
        return "no stored file is known to hold it"
    if one.size_bytes != one.row["file_size"]:
        return f"has {one.size_bytes} bytes, {one.row['file_size']} were recorded"
    return ""


def _maybe_object(one: LocalFile, mounts: Sequence[Mount] | None, preferences: Preferences) -> str:
    """Return that a file may be a bucket's object, shown by a mount that writes to it later."""
    if mounts is None:  # somebody knows that none shows the bucket
        return ""
    stores = [preferences.storage.get(name) for name in one.storages]
    if not any(store and store.protocol == "s3" for store in stores):
        return ""
    kind = network_mount(one.path, mounts)
    return f"on a mount ({kind}) that may show the bucket itself; --mounted if not" * bool(kind)
