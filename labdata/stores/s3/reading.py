"""Reading from a bucket: one GET for a range, every byte of it or an error.

Range, not HEAD, is asked first: the answer itself says how long the object is. Only what GET
cannot express (no bytes at all, a range that is refused) costs a second request.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from labdata.errors import ArchivedObjectError, IntegrityError, StoreError
from labdata.progress import Progress, ignore_progress
from labdata.stores.exact_reader import ExactReader
from labdata.stores.objects import validate_range
from labdata.stores.s3.bucket import Bucket, Head
from labdata.stores.s3.errors import S3Error, explain_s3_errors

_BLOCK_BYTES = 1024 * 1024


def open_object(
    bucket: Bucket,
    object_path: str,
    *,
    start_byte: int = 0,
    size_bytes: int | None = None,
    etag: str | None = None,
) -> BinaryIO:
    """Open a range of an object; see :meth:`labdata.stores.Store.open_range`.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    start_byte : int, optional
    size_bytes : int, optional
    etag : str, optional
        What the object must still be.

    Returns
    -------
    binary file

    Raises
    ------
    labdata.errors.MissingObjectError
        If there is no such object.
    labdata.errors.ArchivedObjectError
        If it is in cold storage.
    labdata.errors.IntegrityError
        If it is no longer what ``etag`` says.
    labdata.errors.StoreError
        If the range is not within it.
    """
    bucket.key(object_path)
    if start_byte < 0 or (size_bytes is not None and size_bytes <= 0):
        return _open_nothing(bucket, object_path, start_byte, size_bytes)
    arguments = {"IfMatch": f'"{etag}"'} if etag else {}
    if start_byte or size_bytes is not None:
        end = "" if size_bytes is None else start_byte + size_bytes - 1
        arguments["Range"] = f"bytes={start_byte}-{end}"
    try:
        answer = bucket.call("read", "get_object", object_path, **arguments)
    except S3Error as error:
        if error.status == 416:
            return _open_nothing(bucket, object_path, start_byte, size_bytes)
        raise explained(bucket, object_path, error) from error
    size = _size_given(object_path, answer, start_byte, size_bytes)
    body = answer["Body"]

    def read(view: memoryview) -> int:
        with explain_s3_errors(bucket.settings, "read", object_path):
            block = body.read(len(view))
        view[: len(block)] = block
        return len(block)

    hint = "The connection was cut; repeat."
    reader = ExactReader(object_path, size, read=read, close=body.close, hint=hint, error=S3Error)
    return cast(BinaryIO, io.BufferedReader(reader))


def hash_object(
    bucket: Bucket, object_path: str, head: Head, *, progress: Progress = ignore_progress
) -> str:
    """Return the SHA-256 of all of an object, which must stay as it is while it is read.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    head : Head
        What it was just now.
    progress : callable, optional
        Told the bytes read.

    Raises
    ------
    labdata.errors.StoreError
        If it cannot be read to its end.
    """
    digest = hashlib.sha256()
    for block in read_object(bucket, object_path, head):
        digest.update(block)
        progress(len(block))
    return digest.hexdigest()


def read_object(bucket: Bucket, object_path: str, head: Head) -> Iterator[bytes]:
    """Yield all of an object, which must stay as it is, in blocks.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    head : Head
        What it was just now.

    Raises
    ------
    labdata.errors.IntegrityError
        If it is another object meanwhile.
    labdata.errors.StoreError
        If it cannot be read to its end.
    """
    done = 0
    with open_object(bucket, object_path, etag=head.etag) as reader:
        while block := reader.read(_BLOCK_BYTES):
            done += len(block)
            yield block
    if done != head.size_bytes:
        raise StoreError(
            f"{object_path} gave {done} of {head.size_bytes} bytes.",
            hint="The object changes, or the server is faulty; look at it again.",
        )


def explained(bucket: Bucket, object_path: str, error: S3Error) -> StoreError:
    """Return what a refused GET means for an object.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    error : S3Error
        The refusal.
    """
    if error.code == "NoSuchKey":
        return bucket.missing(object_path)
    if error.code == "InvalidObjectState":
        return ArchivedObjectError(
            f"{object_path} is in cold storage in {bucket.settings.describe()}.",
            hint="Ask it back, which takes hours: `labdata get` with --restore, or "
            "store.restore(path). Then repeat.",
        )
    if error.status == 412:
        return IntegrityError(
            f"{object_path} in {bucket.settings.describe()} was replaced while it was read.",
            hint="Something other than labdata writes to this bucket; find out what, then repeat.",
        )
    return error


def _open_nothing(
    bucket: Bucket, object_path: str, start_byte: int, size_bytes: int | None
) -> BinaryIO:
    """Open a range without bytes, or say why the range is none."""
    size = validate_range(
        object_path,
        start_byte=start_byte,
        size_bytes=size_bytes,
        object_size_bytes=bucket.head(object_path).size_bytes,
    )
    if size:
        raise StoreError(
            f"{bucket.settings.describe()} refuses a range within {object_path}.",
            hint="The object changed just now, or the server is faulty; repeat.",
        )
    return io.BytesIO()


def _size_given(
    object_path: str, answer: dict[str, Any], start_byte: int, size_bytes: int | None
) -> int:
    """Return how many bytes the answer announces, which must be those asked for."""
    given = int(answer["ContentLength"])
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.get("ContentRange", ""))
    if found is None:
        if start_byte or (size_bytes is not None and size_bytes < given):
            raise StoreError(
                f"The server gave all of {object_path} where a part was asked for.",
                hint="It, or a proxy before it, knows no ranges; use another.",
            )
        first, total = 0, given
    else:
        first, total = int(found[1]), int(found[3])
    size = validate_range(
        object_path, start_byte=start_byte, size_bytes=size_bytes, object_size_bytes=total
    )
    if first != start_byte or given != size:
        raise StoreError(
            f"The server gave {given} bytes of {object_path} from {first}, "
            f"not {size} from {start_byte}.",
            hint="It, or a proxy before it, is faulty.",
        )
    return size
