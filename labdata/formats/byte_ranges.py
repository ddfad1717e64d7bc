"""Where bytes come from: a file of this computer, or part after part of something far away.

The readers of compressed recordings ask for ranges and nothing else, so that one second of a
recording of 100 GB costs the same in a store as on a disk. Stores are not known here: whoever has
one gives an object with these three members.
"""

from __future__ import annotations

import io
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from labdata.errors import FormatError, IntegrityError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ByteRanges(Protocol):
    """Bytes that never change, read in any order and from several threads."""

    @property
    def name(self) -> str:
        """Path or file name, for messages and for what the name says of the content."""
        ...

    @property
    def size_bytes(self) -> int:
        """Number of bytes in all."""
        ...

    def read(self, start_byte: int, size_bytes: int) -> bytes:
        """Return exactly ``size_bytes`` bytes from ``start_byte``.

        Parameters
        ----------
        start_byte, size_bytes : int
            Within ``size_bytes`` of the whole.

        Raises
        ------
        LabdataError
            If they cannot be read; never fewer bytes.
        """
        ...


class FileRanges:
    """Ranges of a file.

    Processes that are forked from one another may share it: the position in the file is not used
    where the system can read without it.

    Parameters
    ----------
    path : str or Path
        A file.

    Raises
    ------
    FormatError
        If there is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FormatError(f"{self.path} does not exist.", hint="Is its disk mounted?")
        try:
            self._file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise FormatError(
                f"{self.path} cannot be opened: {error.strerror}.", hint="May you read it?"
            ) from error
        weakref.finalize(self, os.close, self._file)  # as long as samples are read lazily
        self._lock = threading.Lock()
        self._size_bytes = os.fstat(self._file).st_size

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def size_bytes(self) -> int:
        """Size of the file when it was opened."""
        return self._size_bytes

    def read(self, start_byte: int, size_bytes: int) -> bytes:
        """Return exactly these bytes; see :class:`ByteRanges`.

        Parameters
        ----------
        start_byte, size_bytes : int
            Within the file.

        Raises
        ------
        IntegrityError
            If the file ends before.
        """
        data = bytearray()
        while len(data) < size_bytes:
            piece = self._read_at(start_byte + len(data), size_bytes - len(data))
            if not piece:
                raise IntegrityError(
                    f"{self.path} ended at byte {start_byte + len(data)}, within bytes "
                    f"{start_byte} to {start_byte + size_bytes}.",
                    hint="It was cut, or is being written: take another copy of it.",
                )
            if len(piece) == size_bytes:
                return piece
            data += piece
        return bytes(data)

    def _read_at(self, start_byte: int, size_bytes: int) -> bytes:
        try:
            if hasattr(os, "pread"):
                return os.pread(self._file, size_bytes, start_byte)
            with self._lock:
                os.lseek(self._file, start_byte, os.SEEK_SET)
                return os.read(self._file, size_bytes)
        except OSError as error:
            raise IntegrityError(
                f"{self.path} cannot be read at byte {start_byte}: {error.strerror or error}.",
                hint="Check the disk, or take another copy of the file.",
            ) from error


class RangeFile(io.RawIOBase):
    """A seekable file over ranges, for libraries that want a file.

    Parameters
    ----------
    ranges : ByteRanges
        The bytes.
    """

    def __init__(self, ranges: ByteRanges) -> None:
        super().__init__()
        self._ranges = ranges
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position in bytes; see :meth:`io.IOBase.seek`."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._ranges.size_bytes}
        if start[whence] + offset < 0:
            raise ValueError(f"negative position {start[whence] + offset}")
        self._position = start[whence] + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, all if no size is given; see :meth:`io.RawIOBase.read`."""
        left = max(self._ranges.size_bytes - self._position, 0)
        size = left if size is None or size < 0 else min(size, left)
        start, self._position = self._position, self._position + size
        return self._ranges.read(start, size) if size else b""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer, as buffered readers do; see :meth:`io.RawIOBase.readinto`."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class TailKept:
    """Ranges whose end is read once and kept, for formats that have their contents list there.

    Parameters
    ----------
    ranges : ByteRanges
        The bytes.
    tail_bytes : int
        How many at the end to keep.
    """

    def __init__(self, ranges: ByteRanges, tail_bytes: int) -> None:
        self._ranges = ranges
        self._start = max(ranges.size_bytes - tail_bytes, 0)
        self._tail = ranges.read(self._start, ranges.size_bytes - self._start)

    @property
    def name(self) -> str:
        """Of the ranges."""
        return self._ranges.name

    @property
    def size_bytes(self) -> int:
        """Number of bytes in all."""
        return self._ranges.size_bytes

    def read(self, start_byte: int, size_bytes: int) -> bytes:
        """Return exactly these bytes; see :class:`ByteRanges`.

        Parameters
        ----------
        start_byte, size_bytes : int
            Within ``size_bytes`` of the whole.
        """
        if start_byte >= self._start:
            return self._tail[start_byte - self._start :][:size_bytes]
        return self._ranges.read(start_byte, size_bytes)
