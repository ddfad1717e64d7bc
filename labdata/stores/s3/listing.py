"""The objects below a folder, in the order of whole paths, whatever order the server lists in.

S3 lists by whole keys; servers that keep files list a folder's content where the folder's name
stands, so ``a/z`` comes before ``a-b``. In both orders nothing that is still to come sorts before
the first part of the key at hand, so keys wait in a heap until that has passed them: at most the
objects of one folder at the top are held in memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC

from labdata.stores.objects import ObjectInfo
from labdata.stores.paths import is_partial, validate_object_path
from labdata.stores.s3.bucket import Bucket


def list_objects(bucket: Bucket, folder: str) -> Iterator[ObjectInfo]:
    """Return the objects below a folder; see :meth:`labdata.stores.Store.list`.

    Parameters
    ----------
    bucket : Bucket
    folder : str
        Empty for all.

    Returns
    -------
    iterator of ObjectInfo

    Raises
    ------
    labdata.errors.StoreError
        If the bucket cannot be listed.
    """
    return _ordered(bucket, "" if folder == "" else f"{validate_object_path(folder)}/")


def _ordered(bucket: Bucket, start: str) -> Iterator[ObjectInfo]:
    waiting: list[tuple[str, ObjectInfo]] = []
    for info in _as_listed(bucket, start):
        first = start + info.path[len(start) :].split("/", 1)[0]
        while waiting and waiting[0][0] < first:
            yield heapq.heappop(waiting)[1]
        heapq.heappush(waiting, (info.path, info))
    while waiting:
        yield heapq.heappop(waiting)[1]


def _as_listed(bucket: Bucket, start: str) -> Iterator[ObjectInfo]:
    more: dict[str, str] = {}
    while True:
        answer = bucket.call("list", "list_objects_v2", Prefix=bucket.prefix + start, **more)
        for found in answer.get("Contents", []):
            path = found["Key"].removeprefix(bucket.prefix)
            # keys that end with "/" are folders, made by web consoles
            if not path.endswith("/") and not any(map(is_partial, path.split("/"))):
                # in whole seconds, as HEAD has it: some servers list fractions
                modified = found["LastModified"].astimezone(UTC).replace(microsecond=0)
                yield ObjectInfo(path, found["Size"], None, modified)
        if not answer.get("IsTruncated"):
            return
        more = {"ContinuationToken": answer["NextContinuationToken"]}
