"""Which objects an upload that is not finished may need: what it has stored, or will find there.

An upload stores files before it registers them, so what is in the folder of one that is not
finished is no garbage. An object under the very path of one of its files, with other content, is
not the upload's: it was there before, and is in its way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..database.raw_tables import quote
from ..errors import StoreAwayError, StoreError
from ..stores import ObjectInfo, Store, validate_object_path


@dataclass(frozen=True)
class _Job:
    """An upload that is not finished, and its files: folded path to size and SHA-256."""

    said: str
    files: dict[str, tuple[int, str]]


class PendingUploads:
    """The uploads of a database that are not finished.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    """

    def __init__(self, connection: Any) -> None:
        base = quote(connection._preferences.name)
        rows: dict[tuple[int, str], list[tuple[str, int, str]]] = {}
        for number, status, *file in connection.query(
            "SELECT job_id, job_status, src_path, src_size, src_sha256 "
            f"FROM {base}.upload_job JOIN {base}.upload_job__assigned_files USING (job_id) "
            "WHERE COALESCE(job_status, '') NOT IN ('COMPLETED', 'CANCELLED')"
        ):
            rows.setdefault((number, status), []).append(tuple(file))
        self._by_folder: dict[str, list[_Job]] = {}
        for (number, status), found in rows.items():
            files = {fold(path): (int(size), sha256 or "") for path, size, sha256 in found}
            job = _Job(f"upload job {number} is {status}", files)
            folder = fold(_shared_folder(path for path, _, _ in found))
            self._by_folder.setdefault(folder, []).append(job)

    def use_of(self, store: Store, info: ObjectInfo) -> str:
        """Return what may need an object, in words; empty if nothing does.

        Parameters
        ----------
        store : Store
            Where it is; it is read if its path and size are those of a file to be uploaded.
        info : ObjectInfo
            The object.

        Raises
        ------
        StoreAwayError
            If it has to be read and the store does not answer. What cannot be read otherwise, on
            a disk that fails, may be what is needed.
        """
        path = fold(info.path)
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            for job in self._by_folder.get(folder, ()):
                if path not in job.files or _is_same(store, info, *job.files[path]):
                    return job.said
        return ""


def _is_same(store: Store, info: ObjectInfo, size_bytes: int, sha256: str) -> bool:
    if info.size_bytes != size_bytes:
        return False
    try:
        return not sha256 or store.stat(info.path, verify=True).sha256 == sha256
    except StoreAwayError:
        raise
    except StoreError:
        return True


def _shared_folder(paths: Iterable[str]) -> str:
    """Return the folder that all are in; paths that no upload takes are passed over."""
    valid = []
    for path in paths:
        with suppress(StoreError):
            valid.append(validate_object_path(path).rpartition("/")[0])
    return os.path.commonpath(valid) if valid else ""


def fold(path: str) -> str:
    """Return a path as those disks and servers see it that do not tell cases apart.

    Parameters
    ----------
    path : str
        Of an object.
    """
    return path.casefold()
