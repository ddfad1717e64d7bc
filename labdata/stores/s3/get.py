"""From an object to a file: ranges side by side into a partial file, which is named at the end.

The partial file has the full size from the start, a name made of what is fetched (so that the same
get finds it again after a kill), and beside it a list of the ranges that are in it. Neither is
believed: the whole file is read back and hashed, in order, behind the ranges as they come. If
ranges of an earlier attempt were in it and the hash is wrong, all is fetched anew, once.
"""

from __future__ import annotations

import functools
import hashlib
import os
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Self

from labdata.errors import IntegrityError
from labdata.progress import Progress
from labdata.stores.checksums import Checksums, require_same_file, validate_sha256
from labdata.stores.durable import flush_file, make_folder, publish
from labdata.stores.os_errors import explain_os_errors
from labdata.stores.paths import PARTIAL_PREFIX
from labdata.stores.s3.bucket import MTIME_KEY, Bucket, Head, short_hash
from labdata.stores.s3.errors import S3Error
from labdata.stores.s3.reading import open_object

#: Bytes of one range.
RANGE_BYTES = 8 * 1024 * 1024

_BLOCK_BYTES = 1024 * 1024
_ATTEMPTS = 3
_seeking = threading.Lock()


def get_file(
    bucket: Bucket,
    object_path: str,
    destination: str | os.PathLike[str],
    *,
    sha256: str | None,
    progress: Progress,
) -> Checksums:
    """Fetch an object; see :meth:`labdata.stores.Store.get`.

    Parameters
    ----------
    bucket : Bucket
    object_path : str
    destination : path
    sha256 : str or None
        What it must hash to; else what the object's metadata say.
    progress : callable
        Told the bytes done.

    Returns
    -------
    Checksums
        Of what was written.
    """
    target = Path(destination)
    expected = None if sha256 is None else validate_sha256(sha256)
    head = bucket.head(object_path)
    wanted = expected or head.sha256
    if os.path.lexists(target) and wanted is not None:
        found = Checksums(wanted, head.size_bytes)
        require_same_file(target, found)
        progress(head.size_bytes)
        return found
    with explain_os_errors("write", target):
        make_folder(target.parent)
        with _partial(bucket, object_path, head, target) as partial:
            found = _fetch(bucket, object_path, head, partial, wanted, progress)
            partial.list_path.unlink(missing_ok=True)
            partial.let_go()
            won = publish(partial.path, target)
            partial.published = True
    if not won:
        require_same_file(target, found)
    return found


def _fetch(
    bucket: Bucket,
    object_path: str,
    head: Head,
    partial: _Partial,
    wanted: str | None,
    progress: Progress,
) -> Checksums:
    """Fill the partial file and return its checksums, which are as wanted."""
    resumed = bool(partial.finished)
    found = _fetch_ranges(bucket, object_path, head, partial, progress)
    if resumed and wanted is not None and found.sha256 != wanted:
        partial.clear()
        found = _fetch_ranges(bucket, object_path, head, partial, _told_already)
    if found.size_bytes == head.size_bytes and wanted in (None, found.sha256):
        _keep_time(head, partial.path)
        flush_file(partial.file)
        return found
    partial.clear()
    raise IntegrityError(
        f"The object {object_path!r} in {bucket.settings.describe()} has SHA-256 {found.sha256}, "
        f"and {wanted} is on record.",
        hint="It was damaged or replaced in the store; nothing was kept. Find another copy.",
    )


def _fetch_ranges(
    bucket: Bucket, object_path: str, head: Head, partial: _Partial, progress: Progress
) -> Checksums:
    """Fetch what is not in the file yet; hash the file behind the ranges as they come."""
    starts = range(0, head.size_bytes, RANGE_BYTES)
    if partial.finished:
        progress(sum(min(RANGE_BYTES, head.size_bytes - start) for start in partial.finished))
    todo = [start for start in starts if start not in partial.finished]
    done: queue.SimpleQueue[tuple[int, int, Future[None]]] = queue.SimpleQueue()
    with (
        _Follower(partial.path) as follower,
        ThreadPoolExecutor(bucket.settings.workers, thread_name_prefix="labdata-get") as pool,
    ):
        try:
            for start in todo:
                size = min(RANGE_BYTES, head.size_bytes - start)
                future = pool.submit(
                    _fetch_range, bucket, object_path, head.etag, partial, start, size
                )
                future.add_done_callback(functools.partial(_tell, done, start, size))
            for _ in todo:
                start, size, future = done.get()
                future.result()
                partial.finish(start)
                follower.advance(partial.finished)
                progress(size)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        follower.advance(partial.finished)
        return follower.finish()


def _tell(
    done: queue.SimpleQueue[tuple[int, int, Future[None]]],
    start: int,
    size: int,
    future: Future[None],
) -> None:
    done.put((start, size, future))


def _fetch_range(
    bucket: Bucket, object_path: str, etag: str, partial: _Partial, start: int, size: int
) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            with open_object(
                bucket, object_path, start_byte=start, size_bytes=size, etag=etag
            ) as reader:
                partial.write(start, reader)
            return
        except S3Error as error:
            if error.status or attempt == _ATTEMPTS - 1:
                raise  # the server said why; only a cut connection is tried again


class _Follower:
    """Reads a file behind its writers, in order, and hashes what it reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)
        self._digest = hashlib.sha256()
        self._buffer = memoryview(bytearray(_BLOCK_BYTES))
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def advance(self, finished: set[int]) -> None:
        """Go on to the first range that is not in the file yet."""
        while self._done in finished:
            self._read(RANGE_BYTES)

    def finish(self) -> Checksums:
        """Read what is left, and return the checksums of the whole file."""
        while self._read(RANGE_BYTES):
            pass
        return Checksums(self._digest.hexdigest(), self._done)

    def _read(self, size_bytes: int) -> bool:
        start = self._done
        while self._done < start + size_bytes:
            with explain_os_errors("read", self._path):
                count = self._file.readinto(self._buffer[: start + size_bytes - self._done])
            if not count:
                break
            self._digest.update(self._buffer[:count])
            self._done += count
        return self._done > start


@dataclass
class _Partial:
    """An unfinished file, and the list of the ranges in it."""

    path: Path
    list_path: Path
    file: FileIO
    finished: set[int]
    published: bool = False

    def write(self, start: int, reader: BinaryIO) -> None:
        """Copy a range from the network to its place."""
        while block := reader.read(_BLOCK_BYTES):
            with explain_os_errors("write", self.path):
                _write_at(self.file, memoryview(block), start)
            start += len(block)

    def finish(self, start: int) -> None:
        """Note that a range is in the file."""
        self.finished.add(start)
        with self.list_path.open("a", encoding="ascii") as notes:
            notes.write(f"{start}\n")

    def clear(self) -> None:
        """Forget all ranges."""
        self.list_path.unlink(missing_ok=True)
        self.finished.clear()

    def let_go(self) -> None:
        """Close the file where open ones are not named or removed; elsewhere keep its lock."""
        if sys.platform == "win32":
            self.file.close()

    def discard(self) -> None:
        """Remove the file and its list."""
        self.clear()
        self.let_go()
        self.path.unlink(missing_ok=True)


@contextmanager
def _partial(bucket: Bucket, object_path: str, head: Head, target: Path) -> Iterator[_Partial]:
    """Open the partial file of this get, that of an earlier attempt if nobody else has it."""
    identity = f"{bucket.settings.describe()}\n{object_path}\n{head.identity}\n{target.name}"
    path = target.parent / f"{PARTIAL_PREFIX}get-{short_hash(identity)}"
    file = _open_alone(path)
    if file is None:  # another get of the same is under way, or locks are not to be had
        path = path.with_name(f"{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
        file = path.open("x+b", buffering=0)
    with file:
        partial = _Partial(path, path.with_name(f"{path.name}.ranges"), file, set())
        if os.fstat(file.fileno()).st_size == head.size_bytes:
            partial.finished = _read_list(partial.list_path, head.size_bytes)
        else:
            partial.clear()
            file.truncate(head.size_bytes)
        try:
            yield partial
        finally:
            if not (partial.published or partial.finished):
                partial.discard()  # nothing to go on from


def _open_alone(path: Path) -> FileIO | None:
    """Open a file, new or left by a killed get; None if another has it open."""
    if sys.platform == "win32":
        return None
    import fcntl

    file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)  # noqa: PTH123, SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released if this process dies
        ours, named = os.fstat(file.fileno()), path.stat()
        alone = ours.st_nlink == 1  # a kill in mid-publication leaves both names
        if alone and (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino):
            return file
    except OSError:  # locked, no locks on this disk, or published just now
        pass
    file.close()
    return None


def _read_list(path: Path, size_bytes: int) -> set[int]:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return set()
    starts = range(0, size_bytes, RANGE_BYTES)
    whole = (line.strip() for line in lines if line.endswith("\n"))
    return {int(line) for line in whole if line.isdecimal() and int(line) in starts}


def _write_at(file: FileIO, view: memoryview, start: int) -> None:
    if sys.platform == "win32":
        with _seeking:
            file.seek(start)
            while view:
                view = view[file.write(view) :]
        return
    while view:
        count = os.pwrite(file.fileno(), view, start)
        view, start = view[count:], start + count


def _keep_time(head: Head, path: Path) -> None:
    """Give the file the time that its source had, if the object says."""
    text = head.metadata.get(MTIME_KEY, "")
    if text.isdecimal():
        with suppress(OSError, OverflowError):
            os.utime(path, ns=(int(text), int(text)))


def _told_already(count: int) -> None:
    """Progress of bytes that were told of once."""
