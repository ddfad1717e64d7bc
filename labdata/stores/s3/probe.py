"""Whether a server refuses to overwrite when it is asked to: found out by asking it.

``If-None-Match: *`` is S3's way to write only where nothing is. Some servers refuse the header,
some ignore it and overwrite. So, once a process, a small object of a random name that is never
listed is written twice; only a server that refuses the second time (412) is relied on. Completing
a multipart upload is probed by itself, because servers learnt the two at different times.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from labdata.stores.s3.bucket import Bucket, bare_etag
from labdata.stores.s3.errors import S3Error
from labdata.stores.s3.settings import S3Settings

Kind = Literal["put", "complete"]

_REFUSED = 412
_UNKNOWN_HEADER = {400, 405, 501}

_known: dict[tuple[S3Settings, Kind], bool] = {}
_lock = threading.Lock()


def refuses_overwrite(bucket: Bucket, kind: Kind) -> bool:
    """Return whether conditional writes can be relied on.

    Parameters
    ----------
    bucket : Bucket
    kind : {'put', 'complete'}
        Writing in one piece, or completing a multipart upload.

    Raises
    ------
    labdata.errors.StoreError
        If the bucket cannot be written to.
    """
    settings = bucket.settings
    if settings.conditional_writes != "auto":
        return settings.conditional_writes == "yes"
    place = replace(settings, folder="")
    with _lock:
        if (place, kind) not in _known:
            _known[place, kind] = _probe(bucket, kind)
        return _known[place, kind]


def forget_probes() -> None:
    """Ask again at the next write: the server may have changed."""
    with _lock:
        _known.clear()


def _probe(bucket: Bucket, kind: Kind) -> bool:
    key = bucket.partial_key(f"probe-{secrets.token_hex(8)}")
    bucket.call("write to", "put_object", Key=key, Body=b"1")
    try:
        if kind == "put":
            bucket.call("write to", "put_object", Key=key, Body=b"2", IfNoneMatch="*")
        else:
            _complete(bucket, key)
    except S3Error as error:
        if error.status == _REFUSED:
            return True
        if error.status not in _UNKNOWN_HEADER:
            raise
    finally:
        with suppress(S3Error):  # it is no object, and remove_partials finds it again
            bucket.call("delete from", "delete_object", Key=key)
    return False


def _complete(bucket: Bucket, key: str) -> None:
    upload = bucket.call("write to", "create_multipart_upload", Key=key)["UploadId"]
    place = {"Key": key, "UploadId": upload}
    try:
        part = bucket.call("write to", "upload_part", **place, PartNumber=1, Body=b"2")
        parts = {"Parts": [{"PartNumber": 1, "ETag": bare_etag(part)}]}
        bucket.call(
            "write to",
            "complete_multipart_upload",
            **place,
            MultipartUpload=parts,
            IfNoneMatch="*",
        )
    finally:
        with suppress(S3Error):
            bucket.call("write to", "abort_multipart_upload", **place)
