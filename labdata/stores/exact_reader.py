"""A file of exactly so many bytes, whatever a store gives them through."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from labdata.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ExactReader(io.RawIOBase):
    """The next bytes of something open, and an error in place of an early end.

    Parameters
    ----------
    object_path : str
        For the message.
    size_bytes : int
        Number of bytes to give.
    read : callable
        Fills the buffer that it is given, or its beginning, and returns the number of bytes; 0
        only at the end. Raises StoreError if the store fails.
    close : callable
        Lets go of what is read from.
    hint : str
        What to do if there are fewer bytes.
    error : type, optional
        What is raised then.
    """

    def __init__(
        self,
        object_path: str,
        size_bytes: int,
        *,
        read: Callable[[memoryview], int],
        close: Callable[[], object],
        hint: str,
        error: type[StoreError] = StoreError,
    ) -> None:
        super().__init__()
        self._object_path, self._left_bytes = object_path, size_bytes
        self._read, self._close = read, close
        self._error, self._hint = error, hint

    def readable(self) -> bool:
        """Return True: there is nothing else to do with it."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer as far as bytes are to be had at once.

        Parameters
        ----------
        buffer : writeable bytes-like
            Filled from its beginning.

        Returns
        -------
        int
            Number of bytes; 0 only after the last of them.

        Raises
        ------
        labdata.errors.StoreError
            If there are fewer bytes than there should be.
        """
        view = memoryview(buffer).cast("B")[: self._left_bytes]
        if not view:
            return 0
        count = self._read(view)
        if not count:
            message = f"{self._object_path} ended {self._left_bytes} bytes early."
            raise self._error(message, hint=self._hint)
        self._left_bytes -= count
        return count

    def close(self) -> None:
        """Let go of what is read from; again is nothing."""
        if not self.closed:
            self._close()
        super().close()
