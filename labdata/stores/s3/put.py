"""From a file to an object: in one request if it fits one part, else in parts.

The object appears with the request that completes it, so it is whole or not there. Every body goes
with its MD5, which the server compares with what arrived. After the last request a HEAD must show
the size, the SHA-256 and the ETag of the bytes that were read here.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from labdata.progress import Progress
from labdata.stores.checksums import Checksums, require_expected, validate_sha256
from labdata.stores.objects import ObjectInfo
from labdata.stores.os_errors import explain_os_errors
from labdata.stores.s3.bucket import Bucket, describe_content
from labdata.stores.s3.confirm import require_existing
from labdata.stores.s3.multipart import put_in_parts
from labdata.stores.s3.once import write_once
from labdata.stores.s3.parts import PartSums, content_md5, md5_of, read_blocks


def put_file(
    bucket: Bucket,
    source: str | os.PathLike[str],
    object_path: str,
    *,
    sha256: str | None,
    progress: Progress,
) -> ObjectInfo:
    """Store a file; see :meth:`labdata.stores.Store.put`.

    Parameters
    ----------
    bucket : Bucket
    source : path
    object_path : str
    sha256 : str or None
        What it must hash to.
    progress : callable
        Told the bytes done.

    Returns
    -------
    ObjectInfo
        Confirmed by the store just now.
    """
    path = Path(source)
    bucket.key(object_path)
    expected = None if sha256 is None else validate_sha256(sha256)
    with explain_os_errors("read", path), path.open("rb", buffering=0) as reader:
        status = os.fstat(reader.fileno())
        if status.st_size > bucket.settings.part_bytes:
            return put_in_parts(bucket, reader, path, object_path, expected, progress)
        content = bytearray()
        for block in read_blocks(reader, path):
            content += block
            progress(len(block))
    sha256 = hashlib.sha256(content).hexdigest()
    require_expected(Checksums(sha256, len(content)), expected, path)
    found = PartSums(sha256, len(content), md5_of(content).hex())
    return _put_small(bucket, bytes(content), path, object_path, found, status.st_mtime_ns)


def _put_small(
    bucket: Bucket,
    content: bytes,
    path: Path,
    object_path: str,
    found: PartSums,
    mtime_ns: int,
) -> ObjectInfo:
    def write(**condition: str) -> None:
        bucket.call(
            "store",
            "put_object",
            object_path,
            Body=content,
            ContentMD5=content_md5(bytes.fromhex(found.etag)),
            Metadata=describe_content(found.sha256, mtime_ns),
            **condition,
        )

    head = write_once(bucket, object_path, "put", write, found)
    if head is None:
        return require_existing(bucket, object_path, path, sha256=found.sha256)
    return head.info(object_path, found.sha256)
