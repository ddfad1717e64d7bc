"""A local file may be the stored object, seen through another mount: then it must not go.

A bucket mounted as a folder, or one share of a file server mounted twice, shows an object as a
file with a device and inode of its own, so that nothing about the file tells. What tells is what
happens in the store when the folder is written to. So before a file goes, an empty file made
beside it must not show in a store in a folder; and the file is first given another name, and goes
only if the store still has the object then. Else it gets its name back, as it does if anything
goes wrong; one that a killed process left under the other name gets it back from the next
``clean``. No two processes use the same other name, so that none removes what another looks at.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import MissingObjectError, StoreError
from ..stores import LocalStore, Store, resolve_inside
from ..stores.durable import flush_folder, partial_file
from ..stores.os_errors import explain_os_errors
from ..stores.paths import leaving_name, original_name

IS_OBJECT = "is the stored object itself"


def is_object(path: Path, file_path: str, stores: Sequence[Store]) -> bool:
    """Return whether a local file is the object of one of some stores; nothing stays changed.

    Parameters
    ----------
    path : Path
        The file.
    file_path : str
        Path of the object.
    stores : sequence of Store
        Those that have it; of buckets nothing is found out here, but by :func:`remove_apart`.

    Raises
    ------
    StoreError
        If the file's folder cannot be written to: then it cannot be removed either.
    """
    folders = [one.root / one.folder for one in stores if isinstance(one, LocalStore)]
    stored = [resolve_inside(folder, file_path) for folder in folders]
    if any(one.exists() and one.samefile(path) for one in stored):
        return True
    if not stored:
        return False
    with (
        explain_os_errors("write beside", path),
        partial_file(path.parent) as (_, probe),
    ):
        return any((one.parent / probe.name).exists() for one in stored)


def remove_apart(path: Path, file_path: str, stores: Sequence[Store]) -> str:
    """Remove a file, unless an object goes with it.

    Parameters
    ----------
    path : Path
        The file.
    file_path : str
        Path of the object.
    stores : sequence of Store
        Those that have it.

    Returns
    -------
    str
        Why the file is still there; empty if it is gone.

    Raises
    ------
    StoreError
        If a store does not answer; then the file is still there, too.
    OSError
        If the file cannot be renamed or removed.
    """
    aside = path.with_name(leaving_name(path.name))
    path.rename(aside)
    try:
        for store in stores:
            store.stat(file_path)
        aside.unlink()
    except MissingObjectError:
        return IS_OBJECT
    finally:
        if aside.exists():
            put_back(aside)
    flush_folder(path.parent)
    return ""


def put_back(aside: Path) -> Path:
    """Give a file that was to go its name back; if it was fetched again meanwhile, it goes.

    Parameters
    ----------
    aside : Path
        The file, by its :func:`leaving_name`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        If a file of other content has that name by now, or it cannot be renamed.
    """
    path = aside.with_name(original_name(aside.name))
    with explain_os_errors("rename", aside):
        if not os.path.lexists(path):
            aside.rename(path)
        elif path.is_file() and filecmp.cmp(aside, path, shallow=False):
            aside.unlink()
        else:
            raise StoreError(
                f"{path.name} is there, too", hint=f"Compare it with {aside}, and remove one."
            )
        flush_folder(path.parent)
    return path
