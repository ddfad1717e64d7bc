"""A second path for an object, made by the server: its bytes do not travel twice.

Always as a multipart upload whose parts the server copies, small objects too: its completion can
be made to fail if the path is taken, which S3's plain copy cannot on most servers, and there is
no limit of 5 GB. The source is read and hashed first, so that damage is not multiplied, and the
parts are copied on condition that it is still the same. The copy is confirmed by its ETag; servers
differ in what they answer for copied parts, and where it does not fit the copy is read.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from labdata.progress import Progress
from labdata.stores.checksums import validate_sha256
from labdata.stores.objects import ObjectInfo, require_equal
from labdata.stores.s3.bucket import MTIME_KEY, Bucket, Head, bare_etag, describe_content
from labdata.stores.s3.confirm import exists_with_other_content, holds
from labdata.stores.s3.errors import S3Error
from labdata.stores.s3.once import write_once
from labdata.stores.s3.parts import PartHasher, PartSums, choose_part_bytes
from labdata.stores.s3.reading import explained, read_object
from labdata.stores.s3.uploads import Upload, abort_upload


def copy_object(
    bucket: Bucket,
    source_path: str,
    target_path: str,
    *,
    sha256: str | None,
    progress: Progress,
) -> ObjectInfo | None:
    """Copy an object within the bucket; see :meth:`labdata.stores.Store.copy`.

    Parameters
    ----------
    bucket : Bucket
    source_path, target_path : str
    sha256 : str or None
        What the content must hash to.
    progress : callable
        Told the bytes of the source as it is verified.

    Returns
    -------
    ObjectInfo or None
        Of the copy. None if it cannot be made in place: the object is empty, or the server
        does not copy parts.
    """
    expected = None if sha256 is None else validate_sha256(sha256)
    bucket.key(target_path)
    head = bucket.head(source_path)
    if head.size_bytes == 0:
        return None
    part_bytes = choose_part_bytes(head.size_bytes, bucket.settings)
    sums = _hash(bucket, source_path, head, part_bytes, progress)
    if expected is not None:
        require_equal(head.info(source_path, sums.sha256), expected)
    taken = bucket.find(target_path)
    if taken is None:
        taken = _copy(bucket, source_path, target_path, head, part_bytes, sums)
        if taken is None:
            return None
    elif not _same(bucket, target_path, taken, sums, part_bytes):
        raise exists_with_other_content(bucket, target_path)
    return taken.info(target_path, sums.sha256)


def _hash(bucket: Bucket, path: str, head: Head, part_bytes: int, progress: Progress) -> PartSums:
    hasher = PartHasher(part_bytes)
    for block in read_object(bucket, path, head):
        hasher.update(memoryview(block))
        progress(len(block))
    return hasher.finish()


def _same(bucket: Bucket, path: str, head: Head, sums: PartSums, part_bytes: int) -> bool:
    """Return whether an object has a content whose ETag is known at one part size only."""
    known = sums if head.part_bytes == part_bytes else PartSums(sums.sha256, sums.size_bytes, "")
    return holds(bucket, path, head, known)


def _copy(
    bucket: Bucket,
    source_path: str,
    target_path: str,
    head: Head,
    part_bytes: int,
    sums: PartSums,
) -> Head | None:
    """Copy on the server; None if the server cannot."""
    metadata = describe_content(sums.sha256, head.metadata.get(MTIME_KEY, ""), part_bytes)
    answer = bucket.call("copy to", "create_multipart_upload", target_path, Metadata=metadata)
    upload = Upload(target_path, answer["UploadId"], part_bytes, "")
    try:
        etags = _copy_parts(bucket, source_path, head, upload)

        def complete(**condition: str) -> None:
            parts = [{"PartNumber": i, "ETag": f'"{tag}"'} for i, tag in enumerate(etags, 1)]
            bucket.call(
                "copy to",
                "complete_multipart_upload",
                target_path,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": parts},
                **condition,
            )

        made = write_once(bucket, target_path, "complete", complete, sums)
    except S3Error as error:
        abort_upload(bucket, upload, keep_record=True)
        if error.status in (400, 405, 501):
            return None
        raise explained(bucket, source_path, error) from error
    if made is None:
        abort_upload(bucket, upload, keep_record=True)
        made = bucket.head(target_path)
        if not _same(bucket, target_path, made, sums, part_bytes):
            raise exists_with_other_content(bucket, target_path)
    return made


def _copy_parts(bucket: Bucket, source_path: str, head: Head, upload: Upload) -> list[str]:
    """Have the server copy all parts of a source that stays the same; return their ETags."""

    def copy_part(number: int) -> str:
        start = (number - 1) * upload.part_bytes
        end = min(start + upload.part_bytes, head.size_bytes) - 1
        answer = bucket.call(
            "copy to",
            "upload_part_copy",
            upload.object_path,
            UploadId=upload.upload_id,
            PartNumber=number,
            CopySource={"Bucket": bucket.settings.bucket, "Key": bucket.key(source_path)},
            CopySourceRange=f"bytes={start}-{end}",
            CopySourceIfMatch=f'"{head.etag}"',
        )
        return bare_etag(answer["CopyPartResult"])

    count = -(-head.size_bytes // upload.part_bytes)
    with ThreadPoolExecutor(bucket.settings.workers, thread_name_prefix="labdata-copy") as pool:
        return list(pool.map(copy_part, range(1, count + 1)))
