"""Parts of a file: how large, and what a server calls the whole that it makes of them.

S3 names what it got by an ETag: the MD5 of the bytes, or, of an object in N parts, the MD5 of the
parts' MD5s followed by ``-N``. Computed from the bytes read here, it is a checksum of the server's
own over everything that it holds. Servers that encrypt with keys of their own have other ETags;
then nothing is concluded and the object is read.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labdata.errors import StoreError
from labdata.progress import Progress, ignore_progress
from labdata.stores.checksums import BLOCK_BYTES, changed, read_into, watch_unchanged
from labdata.stores.os_errors import explain_os_errors
from labdata.stores.s3.settings import MAX_PART_BYTES, MAX_PARTS, S3Settings

#: Bytes of parts in memory at once, whatever the size of the file.
MEMORY_BYTES = MAX_PART_BYTES

_MIB = 1024 * 1024


@dataclass(frozen=True)
class PartSums:
    """What identifies a file's content, here and to an S3 server.

    Attributes
    ----------
    sha256 : str
        SHA-256 of the content, 64 hexadecimal digits.
    size_bytes : int
        Number of bytes.
    etag : str
        The ETag that an S3 server gives to it.
    """

    sha256: str
    size_bytes: int
    etag: str


def choose_part_bytes(size_bytes: int, settings: S3Settings) -> int:
    """Return the size of the parts of a file, so that 10,000 are enough.

    Parameters
    ----------
    size_bytes : int
        Of the file.
    settings : S3Settings
        Has the smallest size wanted.

    Returns
    -------
    int
        Bytes, whole MiB where it had to grow.

    Raises
    ------
    labdata.errors.StoreError
        If the parts would not fit into memory.
    """
    needed = math.ceil(size_bytes / MAX_PARTS)
    if needed <= settings.part_bytes:
        return settings.part_bytes
    part_bytes = math.ceil(needed / _MIB) * _MIB
    if part_bytes > MAX_PART_BYTES:
        raise StoreError(
            f"A file of {size_bytes / 1e12:.1f} TB is more than an S3 store takes here.",
            hint=f"Split it below {MAX_PARTS * MAX_PART_BYTES / 1e12:.1f} TB.",
        )
    return part_bytes


def count_workers(part_bytes: int, settings: S3Settings) -> int:
    """Return how many parts may be in memory at once.

    Parameters
    ----------
    part_bytes : int
        Size of each.
    settings : S3Settings
        Has the number wanted.
    """
    return max(1, min(settings.workers, MEMORY_BYTES // part_bytes))


def md5_of(content: bytes | bytearray | memoryview) -> bytes:
    """Return the MD5 of bytes, 16 bytes: S3's checksum against accidents, not against forgers.

    Parameters
    ----------
    content : bytes
    """
    return hashlib.md5(content, usedforsecurity=False).digest()


def content_md5(md5: bytes) -> str:
    """Return an MD5 as the header Content-MD5 has it; the server refuses bytes that differ.

    Parameters
    ----------
    md5 : bytes
    """
    return base64.b64encode(md5).decode("ascii")


def composite_etag(md5s: list[bytes]) -> str:
    """Return the ETag of an object made of parts.

    Parameters
    ----------
    md5s : list of bytes
        Of each part, in order.
    """
    return f"{md5_of(b''.join(md5s)).hex()}-{len(md5s)}"


class PartHasher:
    """SHA-256 and ETag of bytes that come in blocks of any size.

    Parameters
    ----------
    part_bytes : int or None
        Size of the parts; None for an object that was stored in one piece.
    """

    def __init__(self, part_bytes: int | None) -> None:
        self._part_bytes = part_bytes
        self._sha256 = hashlib.sha256()
        self._part = hashlib.md5(usedforsecurity=False)
        self._in_part = 0
        self._size_bytes = 0
        self._md5s: list[bytes] = []

    def update(self, block: memoryview) -> None:
        """Take the next bytes.

        Parameters
        ----------
        block : memoryview
        """
        self._sha256.update(block)
        self._size_bytes += len(block)
        while block:
            room = self._part_bytes - self._in_part if self._part_bytes else len(block)
            self._part.update(block[:room])
            self._in_part += len(block[:room])
            block = block[room:]
            if self._in_part == self._part_bytes:
                self._end_part()

    def finish(self) -> PartSums:
        """Return the checksums of all bytes taken."""
        if self._part_bytes and self._in_part:
            self._end_part()
        etag = composite_etag(self._md5s) if self._part_bytes else self._part.hexdigest()
        return PartSums(self._sha256.hexdigest(), self._size_bytes, etag)

    def _end_part(self) -> None:
        self._md5s.append(self._part.digest())
        self._part, self._in_part = hashlib.md5(usedforsecurity=False), 0


def hash_parts(
    path: Path, *, part_bytes: int | None, progress: Progress = ignore_progress
) -> PartSums:
    """Return what identifies a file to an S3 server that has it in parts of a size.

    Parameters
    ----------
    path : pathlib.Path
        A regular file.
    part_bytes : int or None
        Size of the parts; None for one piece.
    progress : callable, optional
        Told the bytes read.

    Returns
    -------
    PartSums

    Raises
    ------
    labdata.errors.IntegrityError
        If the file changed while it was read.
    labdata.errors.StoreError
        If it cannot be read.
    """
    hasher = PartHasher(part_bytes)
    with explain_os_errors("read", path), path.open("rb", buffering=0) as reader:
        for block in read_blocks(reader, path):
            hasher.update(block)
            progress(len(block))
    return hasher.finish()


def read_blocks(
    reader: io.FileIO, path: Path, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[memoryview]:
    """Yield a file in blocks that are good until the next; refuse it if it changes meanwhile.

    Parameters
    ----------
    reader : io.FileIO
        The open file, at its start.
    path : pathlib.Path
        Its name.
    block_bytes : int, optional
        Size of each block but the last.

    Raises
    ------
    labdata.errors.IntegrityError
        If the file changed; at the latest after the last block.
    """
    with watch_unchanged(reader, path) as before:
        buffer = memoryview(bytearray(min(block_bytes, before.st_size + 1)))
        size_bytes = 0
        while size_bytes <= before.st_size and (count := read_into(reader, path, buffer)):
            size_bytes += count
            yield buffer[:count]
        if size_bytes != before.st_size:
            raise changed(path)
