"""Writers kept apart where the server does not do it: whoever is alone in the list may write.

For servers without conditional writes, and for those that check the condition first and write
later (see :mod:`labdata.stores.s3.once`). A writer first puts a claim beside the objects, then
lists the claims for the same key. Of two writers the one that puts its claim later sees the
other's, so both can never find themselves alone. Among several the lowest waits, the others
withdraw and come back at a random moment. A claim is put anew again and again; one that has not
been for five minutes (half a minute where the server's condition stands behind it), by the
server's clock, belongs to nobody alive. This rests on lists that show at once what was put, which
S3 servers promise.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from labdata.errors import StoreError
from labdata.stores.s3.bucket import Bucket, server_time, short_hash
from labdata.stores.s3.errors import S3Error
from labdata.stores.s3.probe import refuses_overwrite

#: A claim that nobody renewed for this long, in seconds, is dead.
DEAD_S = 300.0

#: The same where a writer that was only asleep would still be refused by the server.
DEAD_WITH_CONDITION_S = 30.0

_RENEWALS_IN_A_LIFE = 5
_WAIT_S = 900.0

_locks: dict[str, tuple[threading.Lock, int]] = {}
_guard = threading.Lock()


@contextmanager
def claim_key(bucket: Bucket, object_path: str, *, with_condition: bool = False) -> Iterator[None]:
    """Be the only writer of a path, in this process and all others, during the block.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    with_condition : bool, optional
        The server is also asked not to overwrite, so claims need not live long.

    Raises
    ------
    labdata.errors.StoreError
        If others hold the path for a quarter of an hour, or the server does not answer.
    """
    dead_s = DEAD_WITH_CONDITION_S if with_condition else DEAD_S
    folder = _folder(bucket, object_path)
    claim = f"{folder}{secrets.token_hex(16)}"
    with _thread_lock(f"{bucket.settings.describe()} {folder}"):
        try:
            _enter(bucket, object_path, folder, claim, dead_s)
            with _renewing(bucket, claim, dead_s / _RENEWALS_IN_A_LIFE):
                yield
        finally:
            with suppress(S3Error):  # a claim that stays dies within minutes
                bucket.call("delete from", "delete_object", Key=claim)


def claims_passed(bucket: Bucket, object_path: str) -> bool:
    """Wait until nobody claims a path; return whether somebody did.

    Parameters
    ----------
    bucket : Bucket
        Of a server that is asked not to overwrite.
    object_path : str

    Returns
    -------
    bool

    Raises
    ------
    labdata.errors.StoreError
        If others hold the path for a quarter of an hour, or the server does not answer.
    """
    until_s = time.monotonic() + _WAIT_S
    folder, claimed = _folder(bucket, object_path), False
    # a completion that no condition protects is renewed more seldom; others' claims are let be
    dead_s = DEAD_WITH_CONDITION_S if refuses_overwrite(bucket, "complete") else DEAD_S
    while _living(bucket, folder, dead_s, remove_dead=False):
        claimed = True
        if time.monotonic() > until_s:
            raise _taken_too_long(bucket, object_path)
        time.sleep(random.uniform(0.02, 0.1))
    return claimed


def _folder(bucket: Bucket, object_path: str) -> str:
    return bucket.partial_key(f"claim-{short_hash(bucket.key(object_path))}/")


def _enter(bucket: Bucket, object_path: str, folder: str, claim: str, dead_s: float) -> None:
    """Return when ours is the only living claim."""
    until_s = time.monotonic() + _WAIT_S
    while time.monotonic() < until_s:
        bucket.call("write to", "put_object", Key=claim, Body=b"")
        while True:
            living = _living(bucket, folder, dead_s)
            if living == [claim]:
                return
            if claim not in living or living[0] != claim or time.monotonic() > until_s:
                break
            time.sleep(random.uniform(0.02, 0.1))
        bucket.call("delete from", "delete_object", Key=claim)
        time.sleep(random.uniform(0.05, 0.4))
    raise _taken_too_long(bucket, object_path)


def _taken_too_long(bucket: Bucket, object_path: str) -> StoreError:
    return StoreError(
        f"Others have been writing {object_path} in {bucket.settings.describe()} for "
        f"{_WAIT_S / 60:.0f} minutes.",
        hint="Repeat later, or give the file another name.",
    )


def _living(bucket: Bucket, folder: str, dead_s: float, *, remove_dead: bool = True) -> list[str]:
    """Return the claims that are not dead, in order of their names."""
    claims: dict[str, bool] = {}
    more: dict[str, str] = {}
    while True:
        answer = bucket.call("list", "list_objects_v2", Prefix=folder, **more)
        dead = server_time(answer) - timedelta(seconds=dead_s)
        for found in answer.get("Contents", []):
            if not found["Key"].endswith("/"):
                claims[found["Key"]] = found["LastModified"] < dead
        if not answer.get("IsTruncated"):
            break
        more = {"ContinuationToken": answer["NextContinuationToken"]}
    for key in [key for key, is_dead in claims.items() if is_dead and remove_dead]:
        with suppress(S3Error):
            bucket.call("delete from", "delete_object", Key=key)
    return sorted(key for key, is_dead in claims.items() if not is_dead)


@contextmanager
def _renewing(bucket: Bucket, claim: str, every_s: float) -> Iterator[None]:
    """Put the claim anew, for writes that take longer than a claim lives."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(every_s):
            with suppress(S3Error):
                bucket.call("write to", "put_object", Key=claim, Body=b"")

    thread = threading.Thread(target=renew, name="labdata-claim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _thread_lock(name: str) -> Iterator[None]:
    """Keep the threads of this process apart without asking the server; forgotten after use."""
    with _guard:
        lock, users = _locks.get(name, (threading.Lock(), 0))
        _locks[name] = (lock, users + 1)
    try:
        with lock:
            yield
    finally:
        with _guard:
            lock, users = _locks[name]
            if users == 1:
                del _locks[name]
            else:
                _locks[name] = (lock, users - 1)
