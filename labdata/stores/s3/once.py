"""Writing where nothing is, and nowhere else: by the server's own condition, else by claims."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from labdata.stores.s3.bucket import Bucket, Head
from labdata.stores.s3.claims import claim_key
from labdata.stores.s3.confirm import confirm_written
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
    for attempt in range(_ATTEMPTS):
        try:
            write(IfNoneMatch="*")
        except S3Error as error:
            if error.status == 412:
                return None
            if error.code != "ConditionalRequestConflict" or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # another writer is at it
        else:
            return confirm_written(bucket, object_path, written)
    return None  # pragma: no cover
