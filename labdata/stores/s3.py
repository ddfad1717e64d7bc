"""A store in a bucket of an S3 server: Amazon's, or one of the lab's own.

An object appears at once and whole, as S3 has it. It is never replaced: every write is on the
condition that its path is free, and that the server keeps this condition is tried before the first
write, as some servers take the words and overwrite. The SHA-256 of the content is kept with the
object; what was sent is compared with the server's own checksum before a put is done.

S3 knows no folders, and servers list in different orders; here the order is that of the paths.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from labdata.errors import IntegrityError, StoreError
from labdata.progress import Progress, ignore_progress
from labdata.stores.base import ObjectInfo, Store, validate_range
from labdata.stores.checksums import Checksums, hash_file, validate_sha256
from labdata.stores.durable import STALE_PARTIAL_S
from labdata.stores.os_errors import explain_os_errors
from labdata.stores.paths import PARTIAL_PREFIX, is_partial, validate_object_path
from labdata.stores.s3_client import TAKEN, S3Client, S3Settings, code_of, explain_s3_errors
from labdata.stores.s3_fetch import fetch_object
from labdata.stores.s3_upload import SHA256_KEY, Sent, Upload

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK_BYTES = 4 * 1024 * 1024


class S3Store(Store):
    """Objects in a bucket.

    Parameters
    ----------
    settings : S3Settings
        The bucket and how it is reached. Nothing is asked of the server yet.
    folder : str, optional
        Put before each object path.

    Raises
    ------
    labdata.errors.StoreError
        If ``folder`` is not a valid relative path.
    """

    def __init__(self, settings: S3Settings, folder: str = "") -> None:
        self.settings = settings
        self.folder = "" if folder == "" else validate_object_path(folder)
        self._client = S3Client(settings)
        self._probed = False
        self._probing = threading.Lock()

    def __repr__(self) -> str:
        return f"S3Store({self.settings!r}, {self.folder!r})"

    def describe(self) -> str:
        """Return the bucket, its server and the folder in words."""
        folder = f", folder {self.folder}" if self.folder else ""
        return f"{self.settings.where}{folder}"

    def put(
        self,
        source: str | os.PathLike[str],
        object_path: str,
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Send a file, in parts if it is large; see :meth:`Store.put`.

        Without ``sha256`` the file is read twice, as its hash goes before its content.
        """
        key, source = self._key(object_path), Path(source)
        expected = validate_sha256(sha256) if sha256 is not None else hash_file(source).sha256
        with explain_s3_errors(self.settings, "store", object_path):
            self._require_conditions()
            if self._head(key) is not None:
                return self._equal_or_refused(source, object_path, expected, progress)
            sent = self._send(source, key, expected, progress)
            if sent is None:
                if self._head(key) is None:
                    raise StoreError(
                        f"{self.settings.where} refuses {object_path} as taken, and has nothing "
                        "there.",
                        hint="A folder of that name may just have been removed: repeat in a "
                        "minute.",
                    )
                return self._equal_or_refused(source, object_path, expected, ignore_progress)
            return self._confirm(object_path, sent)

    def get(
        self,
        object_path: str,
        destination: str | os.PathLike[str],
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> Checksums:
        """Fetch an object, several ranges at once; see :meth:`Store.get`."""
        expected = None if sha256 is None else validate_sha256(sha256)
        info = self.stat(object_path)
        return fetch_object(
            lambda start, size: self.read_range(object_path, start_byte=start, size_bytes=size),
            Path(destination),
            size_bytes=info.size_bytes,
            sha256=expected or info.sha256,
            progress=progress,
        )

    def stat(
        self, object_path: str, *, verify: bool = False, progress: Progress = ignore_progress
    ) -> ObjectInfo:
        """Ask for an object, and read all of it if asked to verify; see :meth:`Store.stat`."""
        key = self._key(object_path)
        with explain_s3_errors(self.settings, "look at", object_path):
            head = self._client.get().head_object(Bucket=self.settings.bucket, Key=key)
        info = _info(object_path, head)
        if not verify:
            return info
        digest = hashlib.sha256()
        with self.open_range(object_path, size_bytes=info.size_bytes) as reader:
            while block := reader.read(_BLOCK_BYTES):
                digest.update(block)
                progress(len(block))
        return ObjectInfo(object_path, info.size_bytes, digest.hexdigest(), info.modified)

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects below a folder; see :meth:`Store.list`."""
        if folder != "":
            validate_object_path(folder)
        prefix = "/".join(part for part in (self.folder, folder) if part)
        return self._list(f"{prefix}/" if prefix else "")

    def delete(self, object_path: str) -> None:
        """Remove an object; see :meth:`Store.delete`."""
        key = self._key(object_path)
        with explain_s3_errors(self.settings, "delete", object_path):
            self._client.get().delete_object(Bucket=self.settings.bucket, Key=key)

    def open_range(
        self, object_path: str, *, start_byte: int = 0, size_bytes: int | None = None
    ) -> BinaryIO:
        """Ask for part of an object by one request; see :meth:`Store.open_range`."""
        from botocore.exceptions import ClientError

        key = self._key(object_path)
        wrong = start_byte < 0 or (size_bytes is not None and size_bytes < 0)
        if wrong or size_bytes == 0:
            return self._no_bytes(object_path, start_byte, size_bytes)
        end = "" if size_bytes is None else start_byte + size_bytes - 1
        with explain_s3_errors(self.settings, "read", object_path):
            try:
                answer = self._client.get().get_object(
                    Bucket=self.settings.bucket, Key=key, Range=f"bytes={start_byte}-{end}"
                )
            except ClientError as error:
                if code_of(error) not in ("InvalidRange", "416"):
                    raise
                return self._no_bytes(object_path, start_byte, size_bytes)
        whole = int(answer["ContentRange"].rpartition("/")[2])
        size = validate_range(
            object_path, start_byte=start_byte, size_bytes=size_bytes, object_size_bytes=whole
        )
        body = _Body(answer["Body"], self.settings, object_path, size)
        return cast(BinaryIO, io.BufferedReader(body, _BLOCK_BYTES))

    def read_range(self, object_path: str, *, start_byte: int, size_bytes: int) -> bytes:
        """Return part of an object; see :meth:`Store.read_range`."""
        with self.open_range(object_path, start_byte=start_byte, size_bytes=size_bytes) as reader:
            content = reader.read()
        return content

    def remove_partials(self, *, older_than_s: float = STALE_PARTIAL_S) -> int:
        """Give up uploads that nobody has gone on with; see :meth:`Store.remove_partials`."""
        client, bucket = self._client.get(), self.settings.bucket
        prefix = f"{self.folder}/" if self.folder else ""
        now, removed = datetime.now(UTC), 0
        with explain_s3_errors(self.settings, "clean", prefix or "all"):
            pages = client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                for one in page.get("Uploads", ()):
                    if (now - one["Initiated"]).total_seconds() > older_than_s:
                        client.abort_multipart_upload(
                            Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"]
                        )
                        removed += 1
            for one in self._pages(prefix):
                age_s = (now - one["LastModified"]).total_seconds()
                if is_partial(one["Key"].rpartition("/")[2]) and age_s > older_than_s:
                    client.delete_object(Bucket=bucket, Key=one["Key"])
                    removed += 1
        return removed

    def _key(self, object_path: str) -> str:
        validate_object_path(object_path)
        return f"{self.folder}/{object_path}" if self.folder else object_path

    def _head(self, key: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            head: dict[str, Any] = self._client.get().head_object(
                Bucket=self.settings.bucket, Key=key
            )
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "404"):
                return None
            raise
        return head

    def _send(self, source: Path, key: str, sha256: str, progress: Progress) -> Sent | None:
        """Send a file that nothing writes to; None if the key was taken meanwhile."""
        from botocore.exceptions import ClientError

        with explain_os_errors("read", source), source.open("rb") as reader:
            before = os.fstat(reader.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise StoreError(
                    f"{source} is not a regular file.", hint="Name a file that has content."
                )
            upload = Upload(
                self._client.get(), self.settings.bucket, key, reader, before.st_size, sha256
            )
            try:
                sent = upload.send(progress)
            except ClientError as error:
                gone = code_of(error) == "NoSuchUpload" and self._head(key) is not None
                if code_of(error) not in TAKEN and not gone:
                    raise
                upload.give_up()
                return None
            after = os.fstat(reader.fileno())
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise IntegrityError(
                f"{source} changed while it was stored.",
                hint="Wait until nothing writes to the file. What was stored is what was "
                "recorded of it.",
            )
        return sent

    def _confirm(self, object_path: str, sent: Sent) -> ObjectInfo:
        """Compare what the server says of a new object with what was sent."""
        head = self._client.get().head_object(
            Bucket=self.settings.bucket, Key=self._key(object_path)
        )
        info = _info(object_path, head)
        etag = str(head.get("ETag", "")).strip('"')
        if info.sha256 != sent.sha256 or info.size_bytes != sent.size_bytes:
            raise IntegrityError(
                f"{object_path} is not in {self.settings.where} as it was sent.",
                hint="Another program writes there, or the server is damaged; nothing of the "
                "original was removed.",
            )
        if etag != sent.etag and self.stat(object_path, verify=True).sha256 != sent.sha256:
            # servers that encrypt give other ETags: then the content itself tells
            raise IntegrityError(
                f"{object_path} reads otherwise in {self.settings.where} than it was sent.",
                hint="The server is damaged; nothing of the original was removed.",
            )
        return info

    def _equal_or_refused(
        self, source: Path, object_path: str, expected: str, progress: Progress
    ) -> ObjectInfo:
        """Accept an object that is there if its content is that of the source."""
        found = hash_file(source, progress=progress)
        if found.sha256 != expected:
            raise IntegrityError(
                f"{source} has SHA-256 {found.sha256}, and {expected} is on record.",
                hint="Its content differs from what was recorded; do not use it, find another "
                "copy.",
            )
        info = self.stat(object_path)
        if info.size_bytes == found.size_bytes:
            info = self.stat(object_path, verify=True)
        if info.sha256 != expected or info.size_bytes != found.size_bytes:
            raise IntegrityError(
                f"{object_path} exists in {self.settings.where} with other content; it was left "
                "as it is.",
                hint="Nothing is ever overwritten. Compare the two, and give the new one another "
                "name if both are wanted.",
            )
        return info

    def _require_conditions(self) -> None:
        """Try, once, that the server refuses to replace an object."""
        from botocore.exceptions import ClientError

        with self._probing:
            if self._probed:
                return
            client, bucket = self._client.get(), self.settings.bucket
            self._require_bucket(client)
            name = f"{PARTIAL_PREFIX}probe-{secrets.token_hex(8)}"
            key = f"{self.folder}/{name}" if self.folder else name
            client.put_object(Bucket=bucket, Key=key, Body=b"1", IfNoneMatch="*")
            try:
                client.put_object(Bucket=bucket, Key=key, Body=b"2", IfNoneMatch="*")
                kept = False
            except ClientError as error:
                kept = code_of(error) in TAKEN
                if not kept and code_of(error) not in ("NotImplemented", "501"):
                    raise
            finally:
                client.delete_object(Bucket=bucket, Key=key)
            if not kept:
                raise StoreError(
                    f"The server of {self.settings.where} would overwrite objects: it does not "
                    "keep the condition If-None-Match.",
                    hint="Update the server, or use another for this store.",
                )
            self._probed = True

    def _require_bucket(self, client: Any) -> None:
        """Raise if there is no such bucket: some servers would make it, after a typing error.

        It is listed, as the refusal of a look at its head has no words.
        """
        client.list_objects_v2(Bucket=self.settings.bucket, MaxKeys=1)

    def _pages(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get().get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.settings.bucket, Prefix=prefix):
            yield from page.get("Contents", ())

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        own = len(self.folder) + 1 if self.folder else 0
        found = []
        with explain_s3_errors(self.settings, "list", prefix or "all"):
            for one in self._pages(prefix):
                path = one["Key"][own:]
                if path.endswith("/") or is_partial(path.rpartition("/")[2]):
                    continue
                found.append(ObjectInfo(path, int(one["Size"]), None, one["LastModified"]))
        yield from sorted(found, key=lambda info: info.path)

    def _no_bytes(self, object_path: str, start_byte: int, size_bytes: int | None) -> BinaryIO:
        """Return an empty range, if it lies within the object."""
        validate_range(
            object_path,
            start_byte=start_byte,
            size_bytes=size_bytes,
            object_size_bytes=self.stat(object_path).size_bytes,
        )
        return io.BytesIO()


class _Body(io.RawIOBase):
    """What a server sends of a range, and an error in place of an early end."""

    def __init__(self, body: Any, settings: S3Settings, object_path: str, size_bytes: int) -> None:
        super().__init__()
        self._body, self._settings, self._path = body, settings, object_path
        self._left_bytes = size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        if not self._left_bytes or not view:
            return 0
        with explain_s3_errors(self._settings, "read", self._path):
            data = self._body.read(min(len(view), self._left_bytes))
        if not data:
            raise StoreError(
                f"{self._path} ended {self._left_bytes} bytes early.",
                hint="The connection was cut, or the object; repeat, then verify it.",
            )
        view[: len(data)] = data
        self._left_bytes -= len(data)
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def _info(object_path: str, head: dict[str, Any]) -> ObjectInfo:
    sha256 = head.get("Metadata", {}).get(SHA256_KEY)
    return ObjectInfo(object_path, int(head["ContentLength"]), sha256, head["LastModified"])
