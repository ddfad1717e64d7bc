"""``clean``: free a disk of files that are safe elsewhere, and of nothing else.

A local file goes only if all of this is true, each looked at just before: the database has it by
its path; its content is what was recorded; the store holds the object with that content, read from
the store itself; it did not change meanwhile; and it is not the store's own file under another
name or through another mount (:mod:`labdata.rules.removing`, :mod:`labdata.stores.mounts`). An
original that was compressed goes only if the compressed file in the store says that it was made of
just these bytes. Everything else stays, and the report says why.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import IntegrityError, LabdataError, MissingObjectError
from ..formats.zarr_band import open_zarr_band
from ..preferences import Preferences, load_preferences
from ..progress import Progress, ignore_progress
from ..schema.files import open_ranges, open_store
from ..stores import ObjectInfo, Store, hash_file
from ..stores.paths import original_name
from .checks import FileState, file_state
from .clean_plan import LocalFile, cleaned_folders, plan_clean
from .removing import IS_OBJECT, is_object, put_back, remove_apart

__all__ = ["LocalFile", "clean", "cleaned_folders", "plan_clean"]

logger = logging.getLogger(__name__)


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
    except MissingObjectError:
        return _vanished(one) or f"missing in the store; {_put_back(one)}"
    except LabdataError as problem:
        return _vanished(one) or f"cannot tell: {problem.message}"
    except OSError as problem:
        return _vanished(one) or f"cannot tell: {problem.strerror or problem}"


def _put_back(one: LocalFile) -> str:
    """Return the command that puts an object back; a local copy of it is a source for that."""
    storage = (one.object_row or {})["storage"]
    return f"`labdata verify --everything --store {storage} --repair` says how it is put back"


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
        sizes = f"{info.size_bytes} bytes of it, {row['file_size']} were recorded"
        return f"the store has {sizes}; {_put_back(one)}"
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
    return "" if same else f"the store has other content under its path; {_put_back(one)}"


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
