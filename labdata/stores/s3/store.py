"""A store in a bucket of an S3 server: AWS, or one in the lab.

Objects keep the promises of every store on servers that differ in what they check: each verb is a
module of this package, which says what it relies on and what it does without it.
What all of them share: every body carries its MD5, which servers compare; the SHA-256 of the
content is in each object's metadata, but is never believed without the server's own ETag or a look
at the bytes; no request removes or replaces an object except ``delete``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from labdata.progress import Progress, ignore_progress
from labdata.stores.base import Store
from labdata.stores.checksums import Checksums, validate_sha256
from labdata.stores.durable import STALE_PARTIAL_S
from labdata.stores.objects import ObjectInfo, RestoreState
from labdata.stores.s3.archive import find_restore_state, request_restore
from labdata.stores.s3.bucket import Bucket
from labdata.stores.s3.confirm import confirm_object
from labdata.stores.s3.copy import copy_object
from labdata.stores.s3.get import get_file
from labdata.stores.s3.listing import list_objects
from labdata.stores.s3.put import put_file
from labdata.stores.s3.reading import hash_object, open_object
from labdata.stores.s3.settings import S3Settings
from labdata.stores.s3.uploads import remove_partials


class S3Store(Store):
    """Objects in a folder of a bucket.

    Parameters
    ----------
    settings : S3Settings
        Where the bucket is. Nothing is sent before the first use.
    """

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._bucket = Bucket(settings)

    def __repr__(self) -> str:
        return f"S3Store({self.settings!r})"

    def describe(self) -> str:
        """Return bucket, folder and server in words."""
        return self.settings.describe()

    def put(
        self,
        source: str | os.PathLike[str],
        object_path: str,
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Upload a file; see :meth:`Store.put`. A killed upload is resumed by the same call."""
        return put_file(self._bucket, source, object_path, sha256=sha256, progress=progress)

    def confirm(
        self,
        object_path: str,
        source: str | os.PathLike[str],
        *,
        sha256: str,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Have the server confirm a file's content by its checksums; see :meth:`Store.confirm`."""
        expected = validate_sha256(sha256)
        return confirm_object(
            self._bucket, object_path, Path(source), sha256=expected, progress=progress
        )

    def get(
        self,
        object_path: str,
        destination: str | os.PathLike[str],
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> Checksums:
        """Download an object; see :meth:`Store.get`. A killed one is resumed by the same call."""
        return get_file(self._bucket, object_path, destination, sha256=sha256, progress=progress)

    def stat(
        self, object_path: str, *, verify: bool = False, progress: Progress = ignore_progress
    ) -> ObjectInfo:
        """Ask for an object, and read all of it if asked to verify; see :meth:`Store.stat`."""
        head = self._bucket.head(object_path)
        if not verify:
            return head.info(object_path)
        found = hash_object(self._bucket, object_path, head, progress=progress)
        return head.info(object_path, found)

    def copy(
        self,
        source_path: str,
        target_path: str,
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Have the server copy an object; see :meth:`Store.copy`."""
        made = copy_object(
            self._bucket, source_path, target_path, sha256=sha256, progress=progress
        )
        return made or super().copy(source_path, target_path, sha256=sha256)

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects below a folder; see :meth:`Store.list`."""
        return list_objects(self._bucket, folder)

    def delete(self, object_path: str) -> None:
        """Remove an object; see :meth:`Store.delete`. A bucket with versions keeps the old one."""
        self._bucket.call("delete", "delete_object", object_path)

    def open_range(
        self, object_path: str, *, start_byte: int = 0, size_bytes: int | None = None
    ) -> BinaryIO:
        """Open part of an object by one request; see :meth:`Store.open_range`."""
        return open_object(self._bucket, object_path, start_byte=start_byte, size_bytes=size_bytes)

    def remove_partials(self, *, older_than_s: float = STALE_PARTIAL_S) -> int:
        """Remove unfinished uploads and their records; see :meth:`Store.remove_partials`."""
        return remove_partials(self._bucket, older_than_s=older_than_s)

    def restore(self, object_path: str, *, days: int = 7) -> RestoreState:
        """Ask an object back from cold storage; see :meth:`Store.restore`."""
        return request_restore(self._bucket, object_path, days=days)

    def restore_state(self, object_path: str) -> RestoreState:
        """Return whether an object is in cold storage; see :meth:`Store.restore_state`."""
        return find_restore_state(self._bucket, object_path)
