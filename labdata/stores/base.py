"""What every store can do, and what all of them promise.

A few verbs are enough for labdata, and every kind of storage can keep the same promises with
them, so the rest of the program does not know what is behind. ``tests/contracts`` holds each kind
to the promises:

- an object is seen whole or not at all, whenever a writer is killed;
- an object that exists is never overwritten: equal content is success, other content an error;
- what is asked for is given in full or an error is raised, never fewer bytes;
- "it is not there" (:class:`~labdata.errors.MissingObjectError`) and "I cannot tell" (any other
  :class:`~labdata.errors.StoreError`) are different answers, because originals are deleted on the
  strength of them.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from labdata.errors import MissingObjectError, StoreError
from labdata.progress import Progress, ignore_progress
from labdata.stores.access import AccessReport, probe_access
from labdata.stores.checksums import Checksums
from labdata.stores.durable import STALE_PARTIAL_S
from labdata.stores.objects import ObjectInfo, RestoreState, require_days, require_equal

__all__ = ["Store"]


class Store(ABC):
    """A place where objects (named, immutable runs of bytes) are kept.

    Subclasses implement the abstract verbs and run ``tests/contracts/store_contract.py``. Every
    verb takes an object path as :func:`~labdata.stores.paths.validate_object_path` allows it and
    raises only :class:`~labdata.errors.StoreError` or its children. A store may be used from
    several threads.
    """

    @abstractmethod
    def put(
        self,
        source: str | os.PathLike[str],
        object_path: str,
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Store a file as an object; return once the store itself has confirmed all of it.

        Callers need no second look: what the store holds was compared with what was read.

        Parameters
        ----------
        source : path
            A regular file that nothing writes to.
        object_path : str
            The object's path in the store.
        sha256 : str, optional
            What the content must hash to.
        progress : callable, optional
            Told bytes done; they add up to the size of the file.

        Returns
        -------
        ObjectInfo
            Of the stored object, its ``sha256`` never None.

        Raises
        ------
        labdata.errors.IntegrityError
            If the file changed meanwhile, is not what ``sha256`` says, or the object exists with
            other content. The store is as it was before.
        labdata.errors.StoreError
            If the file cannot be read or the store not written.
        """

    @abstractmethod
    def confirm(
        self,
        object_path: str,
        source: str | os.PathLike[str],
        *,
        sha256: str,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Have the store itself confirm now that it holds the content of a local file.

        Local files are deleted on the strength of it. Only what the store answers now counts,
        nothing remembered; where it has checksums of its own, the object is not downloaded.

        Parameters
        ----------
        object_path : str
            The object's path in the store.
        source : path
            The local file; it is read.
        sha256 : str
            What both must hash to.
        progress : callable, optional
            Told bytes of the file read.

        Returns
        -------
        ObjectInfo
            Of the object, with its ``sha256``.

        Raises
        ------
        labdata.errors.MissingObjectError
            If there is no such object.
        labdata.errors.IntegrityError
            If the object or the file is anything else, or changed meanwhile.
        labdata.errors.StoreError
            If the store cannot tell, or the file is the object itself.
        """

    @abstractmethod
    def get(
        self,
        object_path: str,
        destination: str | os.PathLike[str],
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> Checksums:
        """Write an object to a file, which is whole and checked or not there.

        Parameters
        ----------
        object_path : str
            The object's path in the store.
        destination : path
            The file to write. If it exists with equal content that is success.
        sha256 : str, optional
            What the content must hash to. Without it the store's own record is used, if any.
        progress : callable, optional
            Told bytes done; they add up to the size of the object.

        Returns
        -------
        labdata.stores.checksums.Checksums
            Of what was written.

        Raises
        ------
        labdata.errors.MissingObjectError
            If there is no such object.
        labdata.errors.IntegrityError
            If the content is not what ``sha256`` says, or the file exists with other content.
        labdata.errors.StoreError
            If the object cannot be read or the file not written.
        """

    @abstractmethod
    def stat(
        self, object_path: str, *, verify: bool = False, progress: Progress = ignore_progress
    ) -> ObjectInfo:
        """Return what the store knows of an object now; nothing is remembered from before.

        Parameters
        ----------
        object_path : str
            The object's path in the store.
        verify : bool, optional
            Have the content itself confirmed now. Then ``sha256`` is never None.
        progress : callable, optional
            Told bytes read when verifying.

        Raises
        ------
        labdata.errors.MissingObjectError
            If there is no such object.
        labdata.errors.StoreError
            If the store cannot tell.
        """

    def copy(
        self,
        source_path: str,
        target_path: str,
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Give an object a second path in the same store; return once it is there and verified.

        Stores that can do this in place do; here the object is fetched and put again.

        Parameters
        ----------
        source_path, target_path : str
            Of the object that is there, and of the new one.
        sha256 : str, optional
            What the content must hash to.
        progress : callable, optional
            Told bytes done; they add up to the size of the object.

        Returns
        -------
        ObjectInfo
            Of the new object, its ``sha256`` never None and confirmed by the store just now.

        Raises
        ------
        labdata.errors.MissingObjectError
            If there is no object at ``source_path``.
        labdata.errors.IntegrityError
            If its content is not what ``sha256`` says, or the other path has other content.
        labdata.errors.StoreError
            If the store cannot be read or written.
        """
        with tempfile.TemporaryDirectory(prefix="labdata-copy-") as folder:
            found = self.get(source_path, Path(folder, "object"), sha256=sha256)
            self.put(Path(folder, "object"), target_path, sha256=found.sha256, progress=progress)
        return require_equal(self.stat(target_path, verify=True), found.sha256)

    @abstractmethod
    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects below a folder and the folders in it, ordered by path.

        Unfinished writes are not objects and are not seen.

        Parameters
        ----------
        folder : str, optional
            An object path, taken as a folder: ``"a"`` yields ``a/b`` but not ``a-b``. Empty for
            the whole store. A folder without objects yields nothing.

        Raises
        ------
        labdata.errors.StoreError
            If the store cannot be read.
        """

    @abstractmethod
    def delete(self, object_path: str) -> None:
        """Remove an object; one that is not there is success, so that it can be repeated.

        Parameters
        ----------
        object_path : str
            The object's path in the store.

        Raises
        ------
        labdata.errors.StoreError
            If it cannot be removed.
        """

    @abstractmethod
    def open_range(
        self, object_path: str, *, start_byte: int = 0, size_bytes: int | None = None
    ) -> BinaryIO:
        """Open part of an object for reading from its start; close it after use.

        Parameters
        ----------
        object_path : str
            The object's path in the store.
        start_byte : int, optional
            First byte, counted from 0.
        size_bytes : int, optional
            Number of bytes; to the end of the object if not given.

        Returns
        -------
        binary file
            Gives exactly the range, then its end. It may not be seekable. If the store fails
            on the way, reading raises.

        Raises
        ------
        labdata.errors.MissingObjectError
            If there is no such object.
        labdata.errors.StoreError
            If the range is not within the object.
        """

    @abstractmethod
    def remove_partials(self, *, older_than_s: float = STALE_PARTIAL_S) -> int:
        """Remove what killed writers left behind.

        Parameters
        ----------
        older_than_s : float, optional
            Unfinished writes younger than this, in seconds, are kept, because their writer may
            live or come back to resume.

        Returns
        -------
        int
            Number of unfinished writes removed.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return one line that tells a person where this is, without secrets."""

    def read_range(self, object_path: str, *, start_byte: int, size_bytes: int) -> bytes:
        """Return part of an object.

        Parameters
        ----------
        object_path : str
            The object's path in the store.
        start_byte : int
            First byte, counted from 0.
        size_bytes : int
            Number of bytes.

        Returns
        -------
        bytes
            Exactly ``size_bytes`` of them.

        Raises
        ------
        labdata.errors.MissingObjectError
            If there is no such object.
        labdata.errors.StoreError
            If the range is not within the object, or it ended early.
        """
        with self.open_range(object_path, start_byte=start_byte, size_bytes=size_bytes) as reader:
            content = reader.read()
        if len(content) != size_bytes:
            raise StoreError(
                f"{object_path} gave {len(content)} of {size_bytes} bytes from {start_byte}.",
                hint="The object or the connection was cut; repeat, then verify the object.",
            )
        return content

    def exists(self, object_path: str) -> bool:
        """Return whether the store has an object; raise if it cannot tell.

        Parameters
        ----------
        object_path : str
            The object's path in the store.

        Raises
        ------
        labdata.errors.StoreError
            If the store does not answer: that is not False.
        """
        try:
            self.stat(object_path)
        except MissingObjectError:
            return False
        return True

    def restore(self, object_path: str, *, days: int = 7) -> RestoreState:
        """Ask an object back from cold storage; asking again, or without need, is success.

        Parameters
        ----------
        object_path : str
            The object's path in the store.
        days : int, optional
            How long it shall stay readable.

        Returns
        -------
        RestoreState
            As it is now; coming back takes hours.

        Raises
        ------
        labdata.errors.MissingObjectError
            If there is no such object.
        labdata.errors.StoreError
            If ``days`` is no positive number, or the store refuses.
        """
        require_days(days)
        return self.restore_state(object_path)

    def restore_state(self, object_path: str) -> RestoreState:
        """Return whether an object is in cold storage, which few stores have.

        Parameters
        ----------
        object_path : str
            The object's path in the store.

        Raises
        ------
        labdata.errors.MissingObjectError
            If there is no such object.
        """
        self.stat(object_path)
        return RestoreState(archived=False)

    def check_access(self) -> AccessReport:
        """Try, live, to write, read, list and delete a small object of a name of its own.

        Returns
        -------
        labdata.stores.access.AccessReport
            What worked and, in words, what did not. Nothing is raised for a store that refuses.
        """
        return probe_access(self)
