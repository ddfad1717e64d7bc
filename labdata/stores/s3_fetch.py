"""A distant object on its way to a file: several ranges at once, resumed where it was.

The ranges are written to an unfinished file beside the destination, whose name says which content
it will have; a note beside it lists the ranges that are there. A killed fetch is found by the next
one. The whole is hashed before it gets its name, so what the note says is never trusted: if it was
wrong, everything is fetched anew, once. An unfinished file has one writer, who holds a lock on it;
whoever comes meanwhile for the same content writes one of its own, which is not resumed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

from labdata.errors import IntegrityError
from labdata.progress import Progress, ignore_progress
from labdata.stores.checksums import Checksums, hash_file
from labdata.stores.durable import flush_file, make_folder, publish
from labdata.stores.os_errors import explain_os_errors
from labdata.stores.paths import PARTIAL_PREFIX

#: Length of a range.
RANGE_BYTES = 8 * 1024 * 1024
#: Ranges on their way at once.
N_WORKERS = 4
ReadRange = Callable[[int, int], bytes]


def fetch_object(
    read: ReadRange,
    destination: Path,
    *,
    size_bytes: int,
    sha256: str | None,
    progress: Progress,
) -> Checksums:
    """Write an object to a file, which is whole and checked or not there.

    Parameters
    ----------
    read : callable
        Gives a range by its first byte and its length.
    destination : Path
        The file. If it exists with equal content that is success.
    size_bytes : int
        Of the object.
    sha256 : str or None
        What the content must hash to; None if nobody knows.
    progress : Progress
        Told bytes as they come.

    Returns
    -------
    Checksums

    Raises
    ------
    IntegrityError
        If it is other content, or the file exists with other content.
    StoreError
        If it cannot be read or written.
    """
    with explain_os_errors("write", destination):
        make_folder(destination.parent)
        if os.path.lexists(destination):
            return _compared(destination, read, size_bytes, sha256, progress)
        with _unfinished(destination, sha256) as partial:
            found = _fetch_checked(read, partial, destination, size_bytes, sha256, progress)
            won = publish(partial, destination)
            _remove(partial)
    if not won and hash_file(destination) != found:
        raise _other(destination)
    return found


@contextmanager
def _unfinished(destination: Path, sha256: str | None) -> Iterator[Path]:
    """Yield the unfinished file to write to, this fetch's alone as long as the block runs.

    Without a checksum, two contents could meet in one file; without locks, two writers.
    """
    if sha256 is not None and sys.platform != "win32":
        import fcntl

        shared = destination.with_name(f"{PARTIAL_PREFIX}get-{sha256[:32]}")
        with shared.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free = os.path.samestat(os.fstat(lock.fileno()), shared.stat())
            except OSError:  # somebody has it, or just gave it its final name
                free = False
            if free:
                yield shared
                return
    own = destination.with_name(f"{PARTIAL_PREFIX}get-{os.urandom(16).hex()}")
    try:
        yield own
    finally:
        _remove(own)


def _fetch_checked(
    read: ReadRange,
    partial: Path,
    destination: Path,
    size_bytes: int,
    sha256: str | None,
    progress: Progress,
) -> Checksums:
    """Fetch all of it to a file, forced to the disk, that hashes to what it must."""
    resumed = _fetch(read, partial, size_bytes, progress)
    found = hash_file(partial)
    if resumed and sha256 is not None and found.sha256 != sha256:
        _note_of(partial).unlink(missing_ok=True)
        _fetch(read, partial, size_bytes, ignore_progress)
        found = hash_file(partial)
    if sha256 is not None and found.sha256 != sha256:
        _remove(partial)
        raise IntegrityError(
            f"What came for {destination.name} has SHA-256 {found.sha256}, and {sha256} is on "
            "record.",
            hint="It was damaged in the store or on the way; nothing was kept. Repeat, then "
            "verify the object.",
        )
    with partial.open("rb+") as writer:
        flush_file(writer)
    return found


def _fetch(read: ReadRange, partial: Path, size_bytes: int, progress: Progress) -> bool:
    """Fetch the ranges that are not there; return whether some were."""
    note = _note_of(partial)
    done = _read_note(note) if partial.exists() and partial.stat().st_size == size_bytes else set()
    if not done:
        note.unlink(missing_ok=True)
        with partial.open("wb") as file:  # the same file, as the lock is on it
            file.truncate(size_bytes)
    starts = range(0, size_bytes, RANGE_BYTES)
    progress(sum(min(RANGE_BYTES, size_bytes - s) for s in starts if s in done))
    with (
        partial.open("rb+") as writer,
        note.open("a", encoding="ascii") as log,
        ThreadPoolExecutor(N_WORKERS, thread_name_prefix="labdata-s3") as pool,
    ):
        waiting: dict[Future[bytes], int] = {}

        def take(ready: set[Future[bytes]]) -> None:
            for future in ready:
                start = waiting.pop(future)
                data = future.result()
                writer.seek(start)
                writer.write(data)
                writer.flush()
                log.write(f"{start}\n")
                log.flush()
                progress(len(data))

        try:
            for start in starts:
                if start in done:
                    continue
                size = min(RANGE_BYTES, size_bytes - start)
                waiting[pool.submit(read, start, size)] = start
                if len(waiting) >= 2 * N_WORKERS:
                    take(wait(waiting, return_when=FIRST_COMPLETED)[0])
            while waiting:
                take(wait(waiting, return_when=FIRST_COMPLETED)[0])
        finally:
            for future in waiting:
                future.cancel()
    return bool(done)


def _compared(
    destination: Path, read: ReadRange, size_bytes: int, sha256: str | None, progress: Progress
) -> Checksums:
    """Accept a file that is there if its content is the object's."""
    found = hash_file(destination, progress=progress)
    if sha256 is not None:
        same = found.sha256 == sha256
    else:
        same = found.size_bytes == size_bytes and _reads_equal(destination, read, size_bytes)
    if not same:
        raise _other(destination)
    return found


def _reads_equal(path: Path, read: ReadRange, size_bytes: int) -> bool:
    with path.open("rb") as file:
        for start in range(0, size_bytes, RANGE_BYTES):
            size = min(RANGE_BYTES, size_bytes - start)
            if file.read(size) != read(start, size):
                return False
    return True


def _other(destination: Path) -> IntegrityError:
    return IntegrityError(
        f"{destination} exists with other content; it was left as it is.",
        hint="Nothing is ever overwritten. Move it away, and repeat.",
    )


def _note_of(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.ranges")


def _read_note(note: Path) -> set[int]:
    try:
        lines = note.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    return {int(line) for line in lines if line.isdigit()}


def _remove(partial: Path) -> None:
    for path in (partial, _note_of(partial)):
        with suppress(FileNotFoundError):
            path.unlink()
