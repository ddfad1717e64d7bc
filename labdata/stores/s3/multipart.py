"""A large file, read once, sent in parts by several threads, resumed where it was killed.

The file is read in order by one thread, which hashes all of it, and sent part by part by others.
There are as many buffers as workers, used again and again: memory is bounded whatever the size of
the file. The request that makes the parts an object is sent only once the file was read to its
end, is unchanged, and hashes to what the object's metadata say.
"""

from __future__ import annotations

import hashlib
import io
import os
import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from labdata.errors import IntegrityError
from labdata.progress import Progress
from labdata.stores.checksums import (
    Checksums,
    changed,
    hash_file,
    read_into,
    require_expected,
    watch_unchanged,
)
from labdata.stores.objects import ObjectInfo
from labdata.stores.s3.bucket import Bucket, bare_etag, describe_content
from labdata.stores.s3.confirm import exists_with_other_content, require_existing
from labdata.stores.s3.errors import S3Error
from labdata.stores.s3.once import write_once
from labdata.stores.s3.parts import (
    PartSums,
    choose_part_bytes,
    composite_etag,
    content_md5,
    count_workers,
    md5_of,
)
from labdata.stores.s3.uploads import (
    Upload,
    abort_upload,
    forget_upload,
    join_upload,
    list_parts,
)

_ATTEMPTS = 3


def put_in_parts(
    bucket: Bucket,
    reader: io.FileIO,
    path: Path,
    object_path: str,
    expected: str | None,
    progress: Progress,
) -> ObjectInfo:
    """Store a file in parts.

    Parameters
    ----------
    bucket : Bucket
    reader : io.FileIO
        The open file.
    path : pathlib.Path
        Its name.
    object_path : str
    expected : str or None
        Its SHA-256 if it is known; else it is hashed first.
    progress : callable
        Told the bytes done, each byte once.

    Returns
    -------
    ObjectInfo
        Confirmed by the store just now.

    Raises
    ------
    labdata.errors.IntegrityError
        If the file changed, is not what is expected, or the object exists with other content.
    labdata.errors.StoreError
        If it cannot be read or stored. What was sent is kept, to go on from.
    """
    status = os.fstat(reader.fileno())
    sha256 = expected or hash_file(path).sha256
    part_bytes = choose_part_bytes(status.st_size, bucket.settings)
    metadata = describe_content(sha256, status.st_mtime_ns, part_bytes)
    steps = _EachOnce(progress)
    for attempt in range(_ATTEMPTS):
        head = bucket.find(object_path)
        if head is not None:
            if head.size_bytes != status.st_size:
                raise exists_with_other_content(bucket, object_path)
            info = require_existing(bucket, object_path, path, sha256=sha256)
            steps.reach(status.st_size)
            return info
        upload = join_upload(
            bucket, object_path, sha256=sha256, part_bytes=part_bytes, metadata=metadata
        )
        steps.restart()
        try:
            return _Sender(bucket, upload, path, sha256, steps).send(reader)
        except S3Error as error:
            # another writer of the same content finished it, or somebody gave it up
            if error.code != "NoSuchUpload" or attempt == _ATTEMPTS - 1:
                raise
            forget_upload(bucket, upload)
    raise bucket.missing(object_path)  # pragma: no cover


class _EachOnce:
    """Progress that is told each byte once, though some may be read again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0
        self._told = 0

    def __call__(self, count: int) -> None:
        self._done += count
        self.reach(self._done)

    def reach(self, done: int) -> None:
        if done > self._told:
            self._progress(done - self._told)
            self._told = done

    def restart(self) -> None:
        self._done = 0


class _Sender:
    """One attempt at the parts of one upload."""

    def __init__(
        self, bucket: Bucket, upload: Upload, path: Path, sha256: str, progress: Progress
    ) -> None:
        self._bucket = bucket
        self._upload = upload
        self._path = path
        self._sha256 = sha256
        self._progress = progress
        self._workers = count_workers(upload.part_bytes, bucket.settings)
        self._md5s: dict[int, bytes] = {}
        self._etags: dict[int, str] = {}

    def send(self, reader: io.FileIO) -> ObjectInfo:
        there = list_parts(self._bucket, self._upload)
        try:
            found = self._send_parts(reader, there)
            require_expected(found, self._sha256, self._path)
        except IntegrityError:
            abort_upload(self._bucket, self._upload)
            raise
        md5s = [self._md5s[number] for number in sorted(self._md5s)]
        written = PartSums(found.sha256, found.size_bytes, composite_etag(md5s))
        head = write_once(
            self._bucket, self._upload.object_path, "complete", self._complete, written
        )
        if head is None:
            abort_upload(self._bucket, self._upload)
            return require_existing(
                self._bucket, self._upload.object_path, self._path, sha256=self._sha256
            )
        forget_upload(self._bucket, self._upload)
        return head.info(self._upload.object_path, self._sha256)

    def _send_parts(self, reader: io.FileIO, there: dict[int, tuple[str, int]]) -> Checksums:
        """Read the file to its end, hash it, and send each part that is not there."""
        digest, size_bytes = hashlib.sha256(), 0
        reader.seek(0)
        with (
            watch_unchanged(reader, self._path) as before,
            _Pool(self._workers, self._upload.part_bytes, self._progress) as pool,
        ):
            number = 0
            while size_bytes <= before.st_size:
                buffer = pool.take_buffer()
                count = read_into(reader, self._path, buffer)
                if not count:
                    break
                number += 1
                pool.run(self._send_part, number, buffer[:count], there.get(number))
                digest.update(buffer[:count])
                size_bytes += count
            pool.finish()
            if size_bytes != before.st_size:
                raise changed(self._path)
        return Checksums(digest.hexdigest(), size_bytes)

    def _send_part(self, number: int, block: memoryview, there: tuple[str, int] | None) -> None:
        md5 = md5_of(block)
        self._md5s[number] = md5
        if there == (md5.hex(), len(block)):
            self._etags[number] = there[0]
            return
        answer = self._bucket.call(
            "store",
            "upload_part",
            self._upload.object_path,
            UploadId=self._upload.upload_id,
            PartNumber=number,
            Body=_as_body(block),
            ContentMD5=content_md5(md5),
        )
        self._etags[number] = bare_etag(answer)

    def _complete(self, **condition: str) -> None:
        parts = [
            {"PartNumber": number, "ETag": f'"{self._etags[number]}"'}
            for number in sorted(self._etags)
        ]
        self._bucket.call(
            "store",
            "complete_multipart_upload",
            self._upload.object_path,
            UploadId=self._upload.upload_id,
            MultipartUpload={"Parts": parts},
            **condition,
        )


def _as_body(block: memoryview) -> bytes | bytearray:
    """Return what boto3 takes, which is no memoryview; only the last part is copied."""
    whole = block.obj
    if isinstance(whole, bytearray) and len(whole) == len(block):
        return whole
    return bytes(block)


class _Pool:
    """Threads that send parts, and the buffers that they hand back to the reader."""

    def __init__(self, workers: int, part_bytes: int, progress: Progress) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="labdata-put")
        self._unused = workers
        self._part_bytes = part_bytes
        self._progress = progress
        self._back: queue.SimpleQueue[tuple[memoryview, Future[None]]] = queue.SimpleQueue()
        self._under_way = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def take_buffer(self) -> memoryview:
        """Return a buffer of one part, when there is one; raise what a thread raised."""
        if self._unused:
            self._unused -= 1
            return memoryview(bytearray(self._part_bytes))
        return self._wait()

    def run(
        self, send: Callable[..., None], number: int, block: memoryview, *arguments: object
    ) -> None:
        """Send a part in a thread; its buffer comes back."""
        self._under_way += 1
        future = self._executor.submit(send, number, block, *arguments)
        future.add_done_callback(lambda done: self._back.put((block, done)))

    def finish(self) -> None:
        """Return when all parts are sent; raise what a thread raised."""
        while self._under_way:
            self._wait()

    def _wait(self) -> memoryview:
        block, done = self._back.get()
        self._under_way -= 1
        done.result()
        self._progress(len(block))
        whole = block.obj
        return memoryview(whole)
