"""SHA-256 of files, and the one way in which labdata copies a file.

Each byte is read once: it is hashed on its way to the copy. The source is looked at before and
after, so a file that an acquisition program still writes to is refused, not stored half. SHA-256
was chosen over MD5 because current processors compute it about twice as fast and S3 verifies it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labdata.errors import IntegrityError, PathTakenError, StoreError
from labdata.progress import Progress, ignore_progress
from labdata.stores.durable import flush_file, flush_folder, make_folder, partial_file, publish
from labdata.stores.os_errors import explain_os_errors

#: Bytes read at once: large enough for spinning and network disks, small enough for any memory.
BLOCK_BYTES = 4 * 1024 * 1024

_CHANGED_HINT = "Wait until the recording is finished and nothing writes to the file, then repeat."


@dataclass(frozen=True)
class Checksums:
    """What identifies the content of a file.

    Attributes
    ----------
    sha256 : str
        SHA-256 (FIPS 180-4), 64 lower-case hexadecimal digits.
    size_bytes : int
        Number of bytes hashed.
    """

    sha256: str
    size_bytes: int


def hash_file(
    path: str | os.PathLike[str], *, from_disk: bool = False, progress: Progress = ignore_progress
) -> Checksums:
    """Return the SHA-256 and size of a file.

    Parameters
    ----------
    path : path
        A regular file.
    from_disk : bool, optional
        Ask the system to forget what it remembers of the file first, so that the disk itself is
        read. Only Linux can be asked.
    progress : callable, optional
        Told the number of bytes of each block read.

    Returns
    -------
    Checksums

    Raises
    ------
    labdata.errors.IntegrityError
        If the file changed while it was read.
    labdata.errors.StoreError
        If it cannot be read or is no regular file.
    """
    with explain_os_errors("read", path), Path(path).open("rb", buffering=0) as source:
        if from_disk and sys.platform == "linux":
            os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return _read_unchanged(source, Path(path), _ignore_block, progress)


def copy_hashed(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    progress: Progress = ignore_progress,
) -> Checksums:
    """Copy a file, hashing it on the way; the destination is whole or not there.

    The copy is written under a temporary name beside the destination, flushed to disk, checked,
    and only then given its name. An existing destination is never replaced: equal content is
    success, other content is an error. Of several copies to one destination at the same time one
    wins and the others are judged against it. The modification time is kept.

    Parameters
    ----------
    source : path
        A regular file.
    destination : path
        Name of the copy; missing folders are made.
    sha256 : str, optional
        What the content must hash to, 64 hexadecimal digits.
    progress : callable, optional
        Told the number of bytes of each block of the source, each byte once.

    Returns
    -------
    Checksums
        Of the source, and so of the destination.

    Raises
    ------
    labdata.errors.IntegrityError
        If the source changed while it was read or is not what ``sha256`` says, or the
        destination exists with other content. The destination is as it was before.
    labdata.errors.StoreError
        If a file cannot be read or written. The destination is as it was before.
    """
    source, destination = Path(source), Path(destination)
    expected = None if sha256 is None else validate_sha256(sha256)
    if os.path.lexists(destination):
        found = hash_file(source, progress=progress)
        require_expected(found, expected, source)
        require_same_file(destination, found)
        return found
    with explain_os_errors("read", source), source.open("rb", buffering=0) as reader:
        return _copy_open(reader, source, destination, expected, progress)


def validate_sha256(sha256: str) -> str:
    """Return a SHA-256 in lower case if it is one.

    An empty text is refused: it must not pass for "nothing to compare with".

    Parameters
    ----------
    sha256 : str
        64 hexadecimal digits.

    Raises
    ------
    labdata.errors.StoreError
        If it is anything else.
    """
    text = sha256.lower() if isinstance(sha256, str) else ""
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise StoreError(
            f"{sha256!r} is not a SHA-256.",
            hint="Give 64 hexadecimal digits, or nothing if the checksum is not known.",
        )
    return text


def _copy_open(
    reader: io.FileIO, source: Path, destination: Path, expected: str | None, progress: Progress
) -> Checksums:
    with explain_os_errors("write", destination):
        make_folder(destination.parent)
        with partial_file(destination.parent) as (writer, partial):

            def write(block: memoryview) -> None:
                writer.write(block)

            found = _read_unchanged(reader, source, write, progress)
            require_expected(found, expected, source)
            writer.flush()
            _keep_times(reader, partial)
            flush_file(writer)
            if os.fstat(writer.fileno()).st_size != found.size_bytes:
                raise IntegrityError(
                    f"The copy of {source} to {destination} is not {found.size_bytes} bytes long.",
                    hint="The target disk lost bytes; check it before anything is stored there.",
                )
            writer.close()
            won = publish(partial, destination)
    if not won:
        require_same_file(destination, found)
    return found


@contextmanager
def watch_unchanged(reader: io.FileIO, path: Path) -> Iterator[os.stat_result]:
    """Refuse a file that changes, is removed or is replaced while the block reads it.

    Parameters
    ----------
    reader : io.FileIO
        The open file.
    path : pathlib.Path
        Its name.

    Yields
    ------
    os.stat_result
        Its state before.

    Raises
    ------
    labdata.errors.IntegrityError
        At the end of the block, if the file is no longer as it was.
    labdata.errors.StoreError
        If it is no regular file.
    """
    before = os.fstat(reader.fileno())
    if not stat.S_ISREG(before.st_mode):
        raise StoreError(f"{path} is not a regular file.", hint="Name a file that has content.")
    yield before
    if _state(os.fstat(reader.fileno())) != _state(before):
        raise changed(path)
    try:
        named = path.stat()
    except FileNotFoundError:
        raise IntegrityError(
            f"{path} was removed while it was read.", hint=_CHANGED_HINT
        ) from None
    if (named.st_dev, named.st_ino) != (before.st_dev, before.st_ino):
        raise IntegrityError(f"{path} was replaced while it was read.", hint=_CHANGED_HINT)


def changed(path: Path) -> IntegrityError:
    """Return the error that says that a file changed while it was read.

    Parameters
    ----------
    path : pathlib.Path
    """
    return IntegrityError(f"{path} changed while it was read.", hint=_CHANGED_HINT)


def read_into(reader: io.FileIO, path: Path, buffer: memoryview) -> int:
    """Return how many bytes of a buffer were filled: all, or fewer at the end of the file.

    Parameters
    ----------
    reader : io.FileIO
        The open file.
    path : pathlib.Path
        Its name, for errors.
    buffer : memoryview
        What to fill.

    Raises
    ------
    labdata.errors.StoreError
        If it cannot be read.
    """
    filled = 0
    while filled < len(buffer) and (count := _read_block(reader, path, buffer[filled:])):
        filled += count
    return filled


def require_expected(found: Checksums, expected: str | None, source: Path) -> None:
    """Raise if a file is not what is on record.

    Parameters
    ----------
    found : Checksums
        Of the file.
    expected : str or None
        The SHA-256 on record, None if there is none.
    source : pathlib.Path
        The file, for the message.

    Raises
    ------
    labdata.errors.IntegrityError
        If they differ.
    """
    if expected is not None and found.sha256 != expected:
        raise IntegrityError(
            f"{source} has SHA-256 {found.sha256}, and {expected} is on record.",
            hint="Its content differs from what was recorded; do not use it, find another copy.",
        )


def _read_unchanged(
    reader: io.FileIO, path: Path, consume: Callable[[memoryview], None], progress: Progress
) -> Checksums:
    """Hash a file to its end, handing on each block; refuse it if it changed meanwhile."""
    with watch_unchanged(reader, path) as before:
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(min(BLOCK_BYTES, before.st_size + 1)))
        size_bytes = 0
        while size_bytes <= before.st_size and (count := _read_block(reader, path, buffer)):
            digest.update(buffer[:count])
            consume(buffer[:count])
            size_bytes += count
            progress(count)
        if size_bytes != before.st_size:
            raise changed(path)
    return Checksums(digest.hexdigest(), size_bytes)


def _read_block(reader: io.FileIO, path: Path, buffer: memoryview) -> int:
    with explain_os_errors("read", path):  # a fault of the source is not one of the destination
        return reader.readinto(buffer) or 0


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _ignore_block(block: memoryview) -> None:
    """Do nothing with a block; the hash is all that is wanted."""


def _keep_times(reader: io.FileIO, copy: Path) -> None:
    status = os.fstat(reader.fileno())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def require_same_file(destination: Path, found: Checksums) -> None:
    """Accept an existing destination only if it already holds the same content, on disk.

    Parameters
    ----------
    destination : pathlib.Path
        The file that exists.
    found : Checksums
        What it must hold.

    Raises
    ------
    labdata.errors.PathTakenError
        If it holds anything else.
    """
    with explain_os_errors("compare", destination):
        same_size = destination.stat().st_size == found.size_bytes
    if not same_size or hash_file(destination) != found:
        raise PathTakenError(
            f"{destination} exists with other content; it was left as it is.",
            hint="Nothing is ever overwritten. Compare the two files, and give the new one "
            "another name if both are wanted.",
        )
    with explain_os_errors("flush", destination):
        flush_folder(destination.parent)
