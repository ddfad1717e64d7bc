"""Whether a bucket holds the content of a local file, said by the bucket's own server, now.

The server's ETag is compared with one computed from the local bytes at the part size in which the
object was written. Equal size and the SHA-256 in the metadata are not enough: they say what a
writer meant to store. If the ETag differs, which it does on servers that encrypt, nothing is
concluded: the object is read and its SHA-256 decides. A HEAD before and one after must agree, so
that an object which is replaced or deleted in between is not confirmed.
"""

from __future__ import annotations

from pathlib import Path

from labdata.errors import IntegrityError, PathTakenError
from labdata.progress import Progress, ignore_progress
from labdata.stores.checksums import Checksums, require_expected
from labdata.stores.objects import ObjectInfo
from labdata.stores.s3.bucket import Bucket, Head
from labdata.stores.s3.parts import PartSums, hash_parts
from labdata.stores.s3.reading import hash_object


def confirm_object(
    bucket: Bucket,
    object_path: str,
    source: Path,
    *,
    sha256: str | None,
    progress: Progress = ignore_progress,
) -> ObjectInfo:
    """Return what the store says of an object that holds a file's content now.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    source : pathlib.Path
        The local file, which is read.
    sha256 : str or None
        What it must hash to.
    progress : callable, optional
        Told the bytes of the file.

    Returns
    -------
    ObjectInfo
        With the SHA-256.

    Raises
    ------
    labdata.errors.MissingObjectError
        If there is no such object.
    labdata.errors.IntegrityError
        If the object or the file is anything else.
    labdata.errors.StoreError
        If it cannot be told.
    """
    head = bucket.head(object_path)
    local = hash_parts(source, part_bytes=head.part_bytes, progress=progress)
    require_expected(Checksums(local.sha256, local.size_bytes), sha256, source)
    if not holds(bucket, object_path, head, local):
        raise IntegrityError(
            f"The object {object_path!r} in {bucket.settings.describe()} does not have the "
            f"content of {source}.",
            hint="Keep the file. The object was damaged, or is another file's.",
        )
    if bucket.head(object_path).identity != head.identity:
        raise IntegrityError(
            f"The object {object_path!r} in {bucket.settings.describe()} was replaced while it "
            "was compared.",
            hint="Keep the file, and find out what else writes to this bucket.",
        )
    return head.info(object_path, local.sha256)


def holds(bucket: Bucket, object_path: str, head: Head, local: PartSums) -> bool:
    """Return whether an object has the content that the checksums are of.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    head : Head
        Of the object, just now.
    local : PartSums
        Of the content, at the part size of the object.

    Raises
    ------
    labdata.errors.StoreError
        If the object had to be read and could not be.
    """
    if head.size_bytes != local.size_bytes:
        return False
    if head.sha256 == local.sha256 and head.etag == local.etag:
        return True
    return hash_object(bucket, object_path, head) == local.sha256


def confirm_written(bucket: Bucket, object_path: str, local: PartSums) -> Head:
    """Return the HEAD of an object that was written just now, if it is what was written.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    local : PartSums
        Of the bytes that were sent.

    Raises
    ------
    labdata.errors.PathTakenError
        If it is what another wrote there at the same moment.
    labdata.errors.IntegrityError
        If it is not what anybody wrote.
    """
    head = bucket.head(object_path)
    if holds(bucket, object_path, head, local):
        return head
    if head.sha256 and head.sha256 != local.sha256:  # another writer of labdata was quicker
        raise exists_with_other_content(bucket, object_path)
    raise IntegrityError(
        f"{bucket.settings.describe()} has other bytes at {object_path!r} than were sent.",
        hint="The server damages data or another program wrote there: keep the file, and tell "
        "who runs the server. The object is in the way of a repetition: `labdata garbage` "
        "lists it if it is nobody's.",
    )


def require_existing(bucket: Bucket, object_path: str, source: Path, *, sha256: str) -> ObjectInfo:
    """Accept an object that is there already only if it has a file's content.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    source : pathlib.Path
        The file.
    sha256 : str
        Of the file.

    Returns
    -------
    ObjectInfo
        Confirmed just now.

    Raises
    ------
    labdata.errors.IntegrityError
        If it has other content.
    """
    head = bucket.head(object_path)
    local = hash_parts(source, part_bytes=head.part_bytes)
    require_expected(Checksums(local.sha256, local.size_bytes), sha256, source)
    if not holds(bucket, object_path, head, local):
        raise exists_with_other_content(bucket, object_path)
    return head.info(object_path, sha256)


def exists_with_other_content(bucket: Bucket, object_path: str) -> PathTakenError:
    """Return the error that says that a path is taken.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    """
    return PathTakenError(
        f"{object_path} exists in {bucket.settings.describe()} with other content; it was left "
        "as it is.",
        hint="Nothing is ever overwritten. Compare the two, and give the new one another name "
        "if both are wanted.",
    )
