"""``clean``: free a disk of files that are safe elsewhere, and of nothing else.

A local file goes only if all of this is true, each looked at just before: the database has it by
its path; its content is what was recorded; the store holds the object with that content, read from
the store itself; it did not change meanwhile; and it is not the store's own file under another
name or through another mount (:mod:`labdata.rules.removing`). An original that was compressed goes
only if the compressed file in the store says that it was made of just these bytes. Everything else
stays, and the report says why.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..database.raw_tables import in_pieces
from ..errors import IntegrityError, LabdataError, UploadError
from ..formats.zarr_band import SUFFIX, open_zarr_band
from ..preferences import Preferences, absolute_folder, load_preferences
from ..progress import Progress, ignore_progress
from ..schema.files import open_ranges, open_store
from ..stores import ObjectInfo, Store, hash_file
from ..stores.paths import is_partial, original_name
from .checks import FileState, file_state, list_files, relative_path
from .removing import IS_OBJECT, is_object, put_back, remove_apart

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
    found = [
        one
        for folder in (cleaned_folders(preferences) if folders is None else folders)
        for one in _local_files(folder)
        if not names or any(name in one.file_path for name in names)
    ]
    known = _known(lab, {one.file_path for one in found})
    wanted = _paths_of(lab, keys) if keys else None
    planned = []
    for one in found:
        one = known.get(one.file_path, _Known()).told(one)
        if wanted is not None and one.file_path not in wanted:
            continue
        planned.append(replace(one, kept=_why_kept(one, older_than_days, only_processed)))
    return sorted(planned, key=lambda one: one.path)


def clean(
    planned: Iterable[LocalFile],
    *,
    dry_run: bool = False,
    quick: bool = False,
    free_bytes: int | None = None,
    preferences: Preferences | None = None,
    progress: Progress = ignore_progress,
) -> list[LocalFile]:
    """Remove what the stores confirm now, oldest first, and say what was kept and why.

    Parameters
    ----------
    planned : iterable of LocalFile
        From :func:`plan_clean`.
    dry_run : bool, optional
        Do all but the removing.
    quick : bool, optional
        Believe the checksum that a store keeps beside an object, where it keeps one, and do not
        have it read the object itself.
    free_bytes : int, optional
        Stop when so many bytes were freed.
    preferences : Preferences, optional
        By default the user's.
    progress : Progress, optional
        Told the bytes of each file once it is decided.

    Returns
    -------
    list of LocalFile
        All of them; those without ``kept`` were removed.
    """
    preferences = preferences or load_preferences()
    confirmed: dict[tuple[str, str], ObjectInfo] = {}
    done, freed = [], 0
    for one in sorted(planned, key=lambda one: -one.age_days):
        if not dry_run:
            one = _name_again(one)
        kept = one.kept
        if not kept and free_bytes is not None and freed >= free_bytes:
            kept = "enough was freed"
        if not kept:
            kept = _refused(one, confirmed, preferences, quick) or (
                "" if dry_run else _remove(one, preferences)
            )
        done.append(replace(one, kept=kept))
        freed += 0 if kept else one.size_bytes
        progress(one.size_bytes)
    return sorted(done, key=lambda one: one.path)


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
    found = dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir())
    # one inside another is walked with it; its paths are relative to the inner one
    return [f for f in found if not any(f != o and f.is_relative_to(o) for o in found)]


def _local_files(folder: Path) -> list[LocalFile]:
    try:
        paths = list_files(folder)
    except UploadError as problem:
        if not any(folder.iterdir()):
            return []
        paths = _readable(folder, problem)
    now_s, found = time.time(), []
    for path in paths:
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
    stands_for = {path.removesuffix(".bin") + SUFFIX: path for path in found}
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


def _refused(
    one: LocalFile,
    confirmed: dict[tuple[str, str], ObjectInfo],
    preferences: Preferences,
    quick: bool,
) -> str:
    """Return why a file must stay, or nothing if the store holds all of it, confirmed now."""
    row, object_row = one.row or {}, one.object_row or {}
    try:
        if is_object(one.path, one.file_path, _stores_of(one, preferences)):
            return IS_OBJECT
        before = file_state(one.path)
        problem = _differs(one.path, row)
        if problem:
            return problem
        place = (object_row["storage"], object_row["file_path"])
        info = open_store(place[0], preferences).stat(place[1])
        if confirmed.get(place) != info:  # of two copies the second is checked for change only
            problem = _unconfirmed(one, preferences, quick)
            if problem:
                return problem
            confirmed[place] = info
        if one.is_original and _made_of(object_row, preferences) != row["file_sha256"]:
            return f"{Path(object_row['file_path']).name} was not made of it"
        return _changed(one.path, before)
    except LabdataError as problem:
        return _vanished(one) or f"cannot tell: {problem.message}"
    except OSError as problem:
        return _vanished(one) or f"cannot tell: {problem.strerror or problem}"


def _vanished(one: LocalFile) -> str:
    """Return that a file is not there any more, as after another clean, or nothing."""
    return "" if os.path.lexists(one.path) else "gone meanwhile; another program removed it"


def _differs(path: Path, row: dict[str, Any]) -> str:
    """Return what is wrong with a file's content; files of older labs have only an MD5."""
    kind = "sha256" if row["file_sha256"] else "md5"
    recorded = row[f"file_{kind}"]
    if not recorded:
        return "no checksum of it was recorded"
    if kind == "sha256":
        same = hash_file(path).sha256 == recorded
    else:
        with path.open("rb") as file:
            same = hashlib.file_digest(file, "md5").hexdigest() == recorded
    return "" if same else "differs from what was recorded"


def _unconfirmed(one: LocalFile, preferences: Preferences, quick: bool) -> str:
    """Return why a store does not confirm an object now, or nothing if it does."""
    row = one.object_row or {}
    store = open_store(row["storage"], preferences)
    info = store.stat(row["file_path"])
    if info.size_bytes != row["file_size"]:
        return f"the store has {info.size_bytes} bytes of it, {row['file_size']} were recorded"
    if row["file_sha256"]:
        try:
            if quick and not one.is_original:
                info = store.confirm(row["file_path"], one.path, sha256=row["file_sha256"])
            else:
                info = store.stat(row["file_path"], verify=True)
            same = info.sha256 == row["file_sha256"]
        except IntegrityError:
            same = False
    else:
        digest = hashlib.md5(usedforsecurity=False)
        with store.open_range(row["file_path"]) as reader:
            while block := reader.read(4 * 1024 * 1024):
                digest.update(block)
        same = bool(row["file_md5"]) and digest.hexdigest() == row["file_md5"]
    return "" if same else "the store has other content under its path"


def _made_of(row: dict[str, Any], preferences: Preferences) -> str:
    """Return the SHA-256 of the original of a compressed recording, as the stored file says."""
    band = open_zarr_band(open_ranges(row, preferences, local=False))
    attributes: dict[str, Any] = band.samples.attributes  # type: ignore[attr-defined]
    return str(attributes["bin_sha256"])


def _stores_of(one: LocalFile, preferences: Preferences) -> list[Store]:
    """Return the stores of which a local file may show the object."""
    return [open_store(name, preferences) for name in one.storages]


def _changed(path: Path, before: FileState) -> str:
    return "" if file_state(path) == before else "changed while it was looked at"


def _remove(one: LocalFile, preferences: Preferences) -> str:
    try:
        kept = remove_apart(one.path, one.file_path, _stores_of(one, preferences))
    except OSError as error:
        return _vanished(one) or f"cannot be removed: {error.strerror or error}"
    except LabdataError as problem:
        return f"cannot tell: {problem.message}"
    if kept:
        return kept
    logger.info(
        "Removed %s, which the store %s holds", one.path, (one.object_row or {})["storage"]
    )
    for folder in list(one.path.parents)[: one.file_path.count("/")]:
        try:
            folder.rmdir()
        except OSError:  # not empty
            break
    return ""


def _name_again(one: LocalFile) -> LocalFile:
    """Give a file its name back that a killed clean left under the other one."""
    if one.row is None or original_name(one.path.name) == one.path.name:
        return one
    try:
        return replace(one, path=put_back(one.path))
    except LabdataError as problem:
        return replace(one, kept=problem.message)
