"""Object paths that are safe everywhere, and the proof that they stay inside their root.

Paths come out of a database that many people write to, and are joined to local folders on every
machine. So there is one spelling only (relative, ``/`` between parts, no ``.`` or ``..``), checked
before each use, and the joined path is checked again after symbolic links are followed.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path, PurePosixPath, PureWindowsPath

from labdata.errors import StoreError

#: Longest object path, in UTF-8 bytes: the longest key that S3 allows.
MAX_PATH_BYTES = 1024

#: Longest part between two ``/``, in UTF-8 bytes: what common file systems allow.
MAX_PART_BYTES = 255

#: Names that start like this are unfinished writes. They are never objects.
PARTIAL_PREFIX = ".labdata-partial-"

#: An empty file of this name tells that a store's folder is the right one. It is never an object.
STORE_MARK = ".labdata-store"

#: What a file's name ends with while ``clean`` asks the store whether it still has the object.
_LEAVING = re.compile(r"\.[0-9a-f]{8}\.labdata-leaving\Z")

_HINT = "An object path is relative, like 'subject/session/dataset/file.bin'."


def validate_object_path(path: str) -> str:
    """Return the path unchanged if it may name an object.

    Parameters
    ----------
    path : str
        Path of an object in a store.

    Returns
    -------
    str
        The same path.

    Raises
    ------
    labdata.errors.StoreError
        If the path is empty, absolute, too long, not UTF-8, spelled in more than one way (``.``,
        ``..``, ``//``, a trailing ``/``, a backslash), has a control character, or uses a name
        kept for labdata (:func:`is_reserved`).
    """
    fault = _fault(path)
    if fault is not None:
        raise StoreError(f"The object path {path!r} {fault}.", hint=_HINT)
    return path


def resolve_inside(root: str | os.PathLike[str], relative: str) -> Path:
    """Return the absolute path of ``relative`` under ``root``, symbolic links followed.

    Parameters
    ----------
    root : path
        The folder that must not be left. It may itself be reached by a symbolic link.
    relative : str
        An object path, see :func:`validate_object_path`. It need not exist.

    Returns
    -------
    pathlib.Path
        The resolved path, proven to be below the resolved root.

    Raises
    ------
    labdata.errors.StoreError
        If the path is not valid, or a symbolic link leads out of the root or in a circle.
    """
    validate_object_path(relative)
    try:
        resolved_root = Path(root).resolve()
        resolved = (resolved_root / relative).resolve()
    except (OSError, RuntimeError) as error:
        raise StoreError(
            f"The path {relative!r} under {os.fspath(root)} cannot be followed: {error}.",
            hint="Look for a symbolic link that leads to itself.",
        ) from error
    if not resolved.is_relative_to(resolved_root) or resolved == resolved_root:
        raise StoreError(
            f"The path {relative!r} leaves {resolved_root}: a symbolic link leads to {resolved}.",
            hint="Files are only used inside their root; remove the link or correct the path.",
        )
    return resolved


def is_partial(name: str) -> bool:
    """Return whether a file name is that of an unfinished write.

    Parameters
    ----------
    name : str
        Last part of a path.
    """
    return name.startswith(PARTIAL_PREFIX)


def is_reserved(name: str) -> bool:
    """Return whether a file name is kept for labdata, so that no object may have it.

    Parameters
    ----------
    name : str
        Last part of a path.
    """
    return is_partial(name) or name == STORE_MARK


def leaving_name(name: str) -> str:
    """Return another name for a file that is to go; never the same twice.

    Parameters
    ----------
    name : str
        Of the file.
    """
    return f"{name}.{secrets.token_hex(4)}.labdata-leaving"


def original_name(name: str) -> str:
    """Return what a file was called before :func:`leaving_name`; any other name as it is.

    Parameters
    ----------
    name : str
        Of a file, or its path.
    """
    return _LEAVING.sub("", name)


def _fault(path: object) -> str | None:
    if not isinstance(path, str):
        return "is not text"
    if not path:
        return "is empty"
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "has a control character"
    if "\\" in path:
        return "has a backslash; parts are separated by '/'"
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive:
        return "is absolute"
    return _fault_of_encoding(path) or _fault_of_parts(path.split("/"))


def _fault_of_encoding(path: str) -> str | None:
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return f"is longer than {MAX_PATH_BYTES} bytes" if size > MAX_PATH_BYTES else None


def _fault_of_parts(parts: list[str]) -> str | None:
    if "" in parts:
        return "has an empty part"
    if "." in parts or ".." in parts:
        return "has '.' or '..' as a part"
    if any(is_reserved(part) for part in parts):
        return f"has a part {STORE_MARK!r} or {PARTIAL_PREFIX + '...'!r}, names kept for labdata"
    if any(len(part.encode("utf-8")) > MAX_PART_BYTES for part in parts):
        return f"has a part longer than {MAX_PART_BYTES} bytes"
    return None
