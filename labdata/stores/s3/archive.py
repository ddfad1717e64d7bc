"""Cold storage: objects that are there, whole, and cannot be read before they are asked back."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from labdata.stores.objects import RestoreState, require_days
from labdata.stores.s3.bucket import Bucket, Head
from labdata.stores.s3.errors import S3Error

_COLD_CLASSES = {"GLACIER", "DEEP_ARCHIVE"}
_ALREADY = {"RestoreAlreadyInProgress", "ObjectAlreadyInActiveTierError"}


def find_restore_state(bucket: Bucket, object_path: str) -> RestoreState:
    """Return whether an object is in cold storage.

    Parameters
    ----------
    bucket : Bucket
    object_path : str

    Raises
    ------
    labdata.errors.MissingObjectError
        If there is no such object.
    labdata.errors.StoreError
        If it cannot be told.
    """
    return state_of(bucket.head(object_path))


def state_of(head: Head) -> RestoreState:
    """Return what a HEAD tells of cold storage.

    Parameters
    ----------
    head : Head
    """
    restore = str(head.answer.get("Restore") or "")
    ongoing = 'ongoing-request="true"' in restore
    expiry = re.search(r'expiry-date="([^"]*)"', restore)
    until = None
    if expiry:
        try:
            until = parsedate_to_datetime(expiry[1]).astimezone(UTC)
        except ValueError:
            until = None
    cold = is_cold(head) and not (restore and not ongoing)
    return RestoreState(cold, ongoing, until)


def is_cold(head: Head) -> bool:
    """Return whether an object's home is cold storage, asked back or not.

    Parameters
    ----------
    head : Head
    """
    return head.answer.get("StorageClass") in _COLD_CLASSES or bool(
        head.answer.get("ArchiveStatus")
    )


def request_restore(bucket: Bucket, object_path: str, *, days: int) -> RestoreState:
    """Ask an object back from cold storage; asking again is success.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    days : int
        How long it shall stay readable.

    Returns
    -------
    RestoreState
        As it is now.

    Raises
    ------
    labdata.errors.MissingObjectError
        If there is no such object.
    labdata.errors.StoreError
        If ``days`` is no positive number, or the server refuses.
    """
    require_days(days)
    head = bucket.head(object_path)
    state = state_of(head)
    if not state.archived or state.in_progress:
        return state
    request: dict[str, object] = {"GlacierJobParameters": {"Tier": "Standard"}}
    if head.answer.get("StorageClass") in _COLD_CLASSES:  # the other kind comes back for good
        request["Days"] = days
    try:
        bucket.call("ask back", "restore_object", object_path, RestoreRequest=request)
    except S3Error as error:
        if error.code not in _ALREADY:
            raise
    return find_restore_state(bucket, object_path)
