"""Uploads in parts that outlive their writer: found again by path and content, from any host.

S3 keeps the parts of an unfinished upload under an id that it gives out once. A small record
beside the objects, named by the key and the content's SHA-256, holds the id and the size of the
parts. A writer of the same content to the same path, on whatever host, goes on from there; several
at once share the upload, because equal parts may be sent twice. A record is a hint: each part
counts only if the server has it with the size and MD5 of the local one.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from labdata.errors import IntegrityError
from labdata.stores.s3.bucket import Bucket, bare_etag, server_time, short_hash
from labdata.stores.s3.claims import DEAD_S
from labdata.stores.s3.errors import S3Error
from labdata.stores.s3.probe import refuses_overwrite
from labdata.stores.s3.settings import MAX_PART_BYTES, MIN_PART_BYTES


@dataclass(frozen=True)
class Upload:
    """An unfinished upload in parts.

    Attributes
    ----------
    object_path : str
        What it will be.
    upload_id : str
        The server's name of it.
    part_bytes : int
        Size of each part but the last.
    record_key : str
        Where this is written down.
    """

    object_path: str
    upload_id: str
    part_bytes: int
    record_key: str


def join_upload(
    bucket: Bucket, object_path: str, *, sha256: str, part_bytes: int, metadata: dict[str, str]
) -> Upload:
    """Return the upload of a content to a path that is under way, else a new one.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    sha256 : str
        Of the content.
    part_bytes : int
        Size of the parts if it is a new one.
    metadata : dict
        Of the object if it is a new one.

    Returns
    -------
    Upload

    Raises
    ------
    labdata.errors.IntegrityError
        If others replace the record again and again.
    labdata.errors.StoreError
        If the bucket cannot be read and written.
    """
    record_key = bucket.partial_key(f"upload-{short_hash(bucket.key(object_path))}-{sha256[:32]}")
    for _ in range(3):
        found = _read_record(bucket, object_path, record_key)
        if found is not None:
            return found
        answer = bucket.call("store", "create_multipart_upload", object_path, Metadata=metadata)
        upload = Upload(object_path, answer["UploadId"], part_bytes, record_key)
        if _write_record(bucket, upload):
            return upload
        abort_upload(bucket, upload, keep_record=True)
    raise IntegrityError(
        f"The record of the upload of {object_path} cannot be read.",
        hint="Remove unfinished uploads from the store, then repeat.",
    )


def list_parts(bucket: Bucket, upload: Upload) -> dict[int, tuple[str, int]]:
    """Return the parts that the server has: number to ETag and size in bytes.

    Parameters
    ----------
    bucket : Bucket
    upload : Upload

    Raises
    ------
    labdata.stores.s3.errors.S3Error
        With the code ``NoSuchUpload`` if it is finished or given up.
    """
    parts: dict[int, tuple[str, int]] = {}
    marker = 0
    while True:
        answer = bucket.call(
            "look at the parts of",
            "list_parts",
            upload.object_path,
            UploadId=upload.upload_id,
            PartNumberMarker=marker,
        )
        for part in answer.get("Parts", []):
            number, there = part["PartNumber"], (bare_etag(part), part["Size"])
            # SeaweedFS keeps and lists every version of a part: then ours is sent once more
            parts[number] = there if parts.get(number, there) == there else ("", 0)
        following = int(answer.get("NextPartNumberMarker") or 0)
        if not answer.get("IsTruncated") or following <= marker:
            return parts
        marker = following


def abort_upload(bucket: Bucket, upload: Upload, *, keep_record: bool = False) -> None:
    """Give an upload up; what was sent of it is removed. Never fails: it is only tidying.

    Parameters
    ----------
    bucket : Bucket
    upload : Upload
    keep_record : bool, optional
        The record is another upload's.
    """
    with suppress(S3Error):
        bucket.call(
            "give up", "abort_multipart_upload", upload.object_path, UploadId=upload.upload_id
        )
    if not keep_record:
        forget_upload(bucket, upload)


def forget_upload(bucket: Bucket, upload: Upload) -> None:
    """Remove the record of an upload that is finished; it is harmless if it stays.

    Parameters
    ----------
    bucket : Bucket
    upload : Upload
    """
    with suppress(S3Error):
        bucket.call("delete from", "delete_object", Key=upload.record_key)


def _read_record(bucket: Bucket, object_path: str, record_key: str) -> Upload | None:
    try:
        answer = bucket.call("read", "get_object", Key=record_key)
    except S3Error as error:
        if error.code == "NoSuchKey":
            return None
        raise
    try:
        content = json.loads(answer["Body"].read())
        upload = Upload(
            object_path, str(content["upload_id"]), int(content["part_bytes"]), record_key
        )
        usable = content["key"] == bucket.key(object_path)
    except (ValueError, KeyError, TypeError):
        usable = False
    if usable and MIN_PART_BYTES <= upload.part_bytes <= MAX_PART_BYTES:
        return upload
    bucket.call("delete from", "delete_object", Key=record_key)
    return None


def _write_record(bucket: Bucket, upload: Upload) -> bool:
    """Write an upload down; False if another writer was first."""
    content = {
        "key": bucket.key(upload.object_path),
        "upload_id": upload.upload_id,
        "part_bytes": upload.part_bytes,
    }
    condition = {"IfNoneMatch": "*"} if refuses_overwrite(bucket, "put") else {}
    try:
        bucket.call(
            "store",
            "put_object",
            Key=upload.record_key,
            Body=json.dumps(content).encode("utf-8"),
            **condition,
        )
    except S3Error as error:
        if condition and (error.status == 412 or error.code == "ConditionalRequestConflict"):
            return False
        raise
    return True


def remove_partials(bucket: Bucket, *, older_than_s: float) -> int:
    """Remove unfinished uploads, records, claims and probes; see ``Store.remove_partials``.

    The age of an upload is that of the last part that came, so a slow one is not given up.

    Parameters
    ----------
    bucket : Bucket
    older_than_s : float
        Younger ones are kept, in seconds by the server's clock.

    Returns
    -------
    int
        Number of unfinished writes removed: uploads, and records and claims that had none.
    """
    uploads, living, removed = _list_uploads(bucket), set(), 0
    for found in uploads:
        now, last = _last_change(bucket, found)
        if now - last > timedelta(seconds=older_than_s):
            place = {"Key": found["Key"], "UploadId": found["UploadId"]}
            bucket.call("give up", "abort_multipart_upload", **place)
            removed += 1
        else:
            living.add(found["UploadId"])
    known = {found["UploadId"] for found in uploads}
    for key, is_old in _list_partials(bucket, older_than_s):
        upload_id = _recorded_id(bucket, key) if "/" not in key.removeprefix(bucket.prefix) else ""
        if is_old and upload_id not in living:
            bucket.call("delete from", "delete_object", Key=key)
            removed += upload_id not in known
    return removed


def _list_uploads(bucket: Bucket) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        answer = bucket.call("list", "list_multipart_uploads", Prefix=bucket.prefix, **more)
        found += answer.get("Uploads", [])
        if not answer.get("IsTruncated"):
            return found
        more = {
            "KeyMarker": answer.get("NextKeyMarker", ""),
            "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
        }


def _last_change(bucket: Bucket, found: dict[str, Any]) -> tuple[datetime, datetime]:
    """Return the server's clock, and when it got the last part of an upload."""
    last: datetime = found["Initiated"]
    marker = 0
    while True:
        place = {"Key": found["Key"], "UploadId": found["UploadId"]}
        try:
            answer = bucket.call("list", "list_parts", **place, PartNumberMarker=marker)
        except S3Error as error:
            if error.code != "NoSuchUpload":
                raise
            return last, last  # finished just now
        last = max([last, *(part["LastModified"] for part in answer.get("Parts", []))])
        following = int(answer.get("NextPartNumberMarker") or 0)
        if not answer.get("IsTruncated") or following <= marker:
            return server_time(answer), last
        marker = following


def _list_partials(bucket: Bucket, older_than_s: float) -> list[tuple[str, bool]]:
    """Return what lies beside the objects, and whether it is older than the limit."""
    found: list[tuple[str, bool]] = []
    more: dict[str, str] = {}
    while True:
        prefix = bucket.partial_key("")
        answer = bucket.call("list", "list_objects_v2", Prefix=prefix, **more)
        limit = server_time(answer) - timedelta(seconds=older_than_s)
        for item in answer.get("Contents", []):
            age = timedelta(seconds=DEAD_S) if "-claim-" in item["Key"] else timedelta()
            found.append((item["Key"], item["LastModified"] < limit - age))
        if not answer.get("IsTruncated"):
            return found
        more = {"ContinuationToken": answer["NextContinuationToken"]}


def _recorded_id(bucket: Bucket, key: str) -> str:
    """Return the upload that a record is of, empty if it is none."""
    try:
        content = json.loads(bucket.call("read", "get_object", Key=key)["Body"].read())
        return str(content["upload_id"])
    except S3Error as error:
        if error.code == "NoSuchKey":
            return ""
        raise
    except (ValueError, KeyError, TypeError):
        return ""
