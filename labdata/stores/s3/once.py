"""Writing where nothing is, and nowhere else: by the server's own condition, by claims, by both.

A server that honours ``If-None-Match`` when it is asked twice in a row may still check first and
write later. SeaweedFS 4.48 does so when multipart uploads are completed: of twelve completions of
one key at once, up to twelve succeed, each replacing the one before (its single puts do exclude
one another). No probe tells this for certain, so everywhere but on AWS, which documents its
condition as atomic, completions are kept apart by claims as well; and a single put looks for a
claim once it is written, since a completion may have checked before and written after it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from labdata.stores.s3.bucket import Bucket, Head
from labdata.stores.s3.claims import claim_key, claims_passed
from labdata.stores.s3.confirm import confirm_written, holds
from labdata.stores.s3.errors import S3Error
from labdata.stores.s3.parts import PartSums
from labdata.stores.s3.probe import Kind, refuses_overwrite

_ATTEMPTS = 8


def write_once(
    bucket: Bucket,
    object_path: str,
    kind: Kind,
    write: Callable[..., Any],
    written: PartSums,
) -> Head | None:
    """Make an object, unless the path is taken, and have the store confirm it.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    kind : {'put', 'complete'}
        Which operation ``write`` is.
    write : callable
        Sends the request; takes the arguments of the condition.
    written : PartSums
        What the object must be.

    Returns
    -------
    Head or None
        Of the new object, None if there was one already.

    Raises
    ------
    labdata.errors.IntegrityError
        If the store does not have what was written.
    labdata.errors.StoreError
        If it cannot be written to.
    """
    if not refuses_overwrite(bucket, kind):
        with claim_key(bucket, object_path):
            if bucket.find(object_path) is not None:
                return None
            write()
            return confirm_written(bucket, object_path, written)
    if kind == "complete" and not bucket.settings.is_aws:
        with claim_key(bucket, object_path, with_condition=True):
            if bucket.find(object_path) is not None or not _write_on_condition(write):
                return None
            return confirm_written(bucket, object_path, written)
    if not _write_on_condition(write):
        return None
    if not bucket.settings.is_aws and claims_passed(bucket, object_path):
        head = bucket.find(object_path)
        return head if head is not None and holds(bucket, object_path, head, written) else None
    return confirm_written(bucket, object_path, written)


def _write_on_condition(write: Callable[..., Any]) -> bool:
    """Return whether the server wrote; False if there is something already."""
    for attempt in range(_ATTEMPTS):
        try:
            write(IfNoneMatch="*")
        except S3Error as error:
            if error.status == 412:
                return False
            if error.code != "ConditionalRequestConflict" or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # another writer is at it
        else:
            return True
    return False  # pragma: no cover
