"""What is looked at before a folder is put: its place, its files and their names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath

from ..counted import count_of
from ..errors import StoreError, UploadError
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
