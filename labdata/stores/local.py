"""A store in a folder: a disk of this machine, or a network mount.

The root must exist already. A store that made its own root would, on the morning when the lab's
disk is not mounted, quietly fill the system disk under the empty mount point. Below the root there
are no symbolic links: one that leads elsewhere would take objects out of the store.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from labdata.errors import IntegrityError, MissingObjectError, StoreAwayError, StoreError
from labdata.progress import Progress, ignore_progress
from labdata.stores.base import Store
from labdata.stores.checksums import (
    Checksums,
    copy_hashed,
    hash_file,
    require_expected,
    validate_sha256,
)
from labdata.stores.durable import (
    STALE_PARTIAL_S,
    flush_folder,
    make_folder,
    remove_stale_partials,
)
from labdata.stores.exact_reader import ExactReader
from labdata.stores.objects import ObjectInfo, require_equal, validate_range
from labdata.stores.os_errors import explain_os_errors
from labdata.stores.paths import is_reserved, resolve_inside, validate_object_path

#: Folders that systems and file servers keep at the top of a disk; few may look into them.
_OF_SYSTEM = (
    *("lost+found/", ".snapshot/", "#snapshot/", "System Volume Information/", "$RECYCLE.BIN/"),
    *(".Trashes/", ".Spotlight-V100/", ".fseventsd/", ".DocumentRevisions-V100/"),
)


class LocalStore(Store):
    """Objects as files below a folder.

    Parameters
    ----------
    root : path
        An existing folder. It is looked for at each use, not now.
    folder : str, optional
        Relative path below the root, put before each object path; made when first written to.

    Raises
    ------
    labdata.errors.StoreError
        If ``folder`` is not a valid relative path.
    """

    def __init__(self, root: str | os.PathLike[str], folder: str = "") -> None:
        self.root = Path(root).expanduser().absolute()
        self.folder = "" if folder == "" else validate_object_path(folder)

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r}, {self.folder!r})"

    def describe(self) -> str:
        """Return the folder in words."""
        return f"folder {self.root / self.folder}"

    def put(
        self,
        source: str | os.PathLike[str],
        object_path: str,
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Copy a file into the store and read the copy back from the disk; see :meth:`Store.put`.

        Its modification time is kept.
        """
        target = self._locate(object_path)
        found = copy_hashed(source, target, sha256=sha256, progress=progress)
        return require_equal(self.stat(object_path, verify=True), found.sha256)

    def confirm(
        self,
        object_path: str,
        source: str | os.PathLike[str],
        *,
        sha256: str,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Read the object from the disk and compare it; see :meth:`Store.confirm`."""
        expected, path, target = validate_sha256(sha256), Path(source), self._locate(object_path)
        self.stat(object_path)  # raises if it is not there
        with explain_os_errors("compare", path):
            same_file = path.samefile(target)
        if same_file:
            raise StoreError(
                f"{path} is the object {object_path!r} in {self.describe()} itself.",
                hint="It is no copy; do not delete it. A folder of local_paths lies within the "
                "store: move one of them.",
            )
        require_expected(hash_file(path, progress=progress), expected, path)
        return require_equal(self.stat(object_path, verify=True), expected)

    def get(
        self,
        object_path: str,
        destination: str | os.PathLike[str],
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> Checksums:
        """Copy an object to a file; see :meth:`Store.get`. Its modification time is kept."""
        self.stat(object_path)
        return copy_hashed(
            self._locate(object_path), destination, sha256=sha256, progress=progress
        )

    def stat(
        self, object_path: str, *, verify: bool = False, progress: Progress = ignore_progress
    ) -> ObjectInfo:
        """Look at an object, and read all of it if asked to verify; see :meth:`Store.stat`."""
        target = self._locate(object_path)
        with explain_os_errors("look at", target):
            try:
                status = target.lstat()
            except (FileNotFoundError, NotADirectoryError):
                raise self._missing(object_path) from None
        if not stat.S_ISREG(status.st_mode):
            raise self._missing(object_path)
        if not verify:
            return _info(object_path, status, None)
        found = hash_file(target, from_disk=True, progress=progress)
        with explain_os_errors("look at", target):
            return _info(object_path, target.stat(), found.sha256)

    def copy(
        self,
        source_path: str,
        target_path: str,
        *,
        sha256: str | None = None,
        progress: Progress = ignore_progress,
    ) -> ObjectInfo:
        """Give a file a second name, without room for a second copy; see :meth:`Store.copy`.

        Objects never change, so two names of one file serve as two objects; on disks without
        such links the file is copied.
        """
        source, target = self._locate(source_path), self._locate(target_path)
        self.stat(source_path)  # raises if it is not there
        made = _link(source, target)
        if not made:
            copy_hashed(source, target, sha256=sha256)
        info = self.stat(target_path, verify=True, progress=progress)
        try:
            return info if sha256 is None else require_equal(info, sha256)
        except IntegrityError:
            if made:
                target.unlink()
            raise

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """Yield the files below a folder; see :meth:`Store.list`."""
        start = self._base() if folder == "" else self._locate(folder)
        return self._walk(start, f"{folder}/" if folder else "")

    def delete(self, object_path: str) -> None:
        """Remove a file, once and for all; see :meth:`Store.delete`. Folders are left."""
        target = self._locate(object_path)
        if not self.exists(object_path):
            return
        with explain_os_errors("delete", target):
            target.unlink(missing_ok=True)
            flush_folder(target.parent)

    def open_range(
        self, object_path: str, *, start_byte: int = 0, size_bytes: int | None = None
    ) -> BinaryIO:
        """Open part of a file; see :meth:`Store.open_range`."""
        size = validate_range(
            object_path,
            start_byte=start_byte,
            size_bytes=size_bytes,
            object_size_bytes=self.stat(object_path).size_bytes,
        )
        target = self._locate(object_path)
        with explain_os_errors("read", target):
            reader = target.open("rb", buffering=0)
            reader.seek(start_byte)

        def read(view: memoryview) -> int:
            with explain_os_errors("read", object_path):
                return reader.readinto(view)

        hint = "The object was cut while it was read; verify it."
        exact = ExactReader(object_path, size, read=read, close=reader.close, hint=hint)
        return cast(BinaryIO, io.BufferedReader(exact))

    def remove_partials(self, *, older_than_s: float = STALE_PARTIAL_S) -> int:
        """Remove what killed writers left; see :meth:`Store.remove_partials`."""
        base = self._base()
        with explain_os_errors("clean", base):
            return len(remove_stale_partials(base, older_than_s=older_than_s))

    def _base(self) -> Path:
        """Return the resolved folder of the store; its root must be there."""
        with explain_os_errors("look into", self.root):
            is_there = self.root.is_dir()
        if not is_there:
            raise StoreAwayError(
                f"The store's folder {self.root} is not there.",
                hint="Mount its disk, or make the folder if the store is new.",
            )
        root = self.root.resolve()
        return self._without_links(root, self.folder) if self.folder else root

    def _locate(self, object_path: str) -> Path:
        validate_object_path(object_path)
        return self._without_links(self._base(), object_path)

    def _without_links(self, root: Path, relative: str) -> Path:
        path = root / relative
        if resolve_inside(root, relative) != path:
            raise StoreError(
                f"The path {relative!r} in {self.describe()} goes through a symbolic link.",
                hint="A store holds files, not links; replace the link by what it points to.",
            )
        return path

    def _missing(self, object_path: str) -> MissingObjectError:
        return MissingObjectError(
            f"There is no object {object_path!r} in {self.describe()}.",
            hint="Check the path, and that this is the store that the file was uploaded to.",
        )

    def _walk(self, folder: Path, prefix: str) -> Iterator[ObjectInfo]:
        """Yield in the order of whole paths, in which ``a-b`` is before ``a/b``."""
        with explain_os_errors("list", folder):
            try:
                with os.scandir(folder) as found:
                    entries = {_sort_name(item): item for item in found if not item.is_symlink()}
                for name in _OF_SYSTEM if prefix == "" else ():
                    entries.pop(name, None)
            except (FileNotFoundError, NotADirectoryError):
                return
        for name in sorted(entries):
            entry = entries[name]
            if name.endswith("/"):
                yield from self._walk(Path(entry.path), f"{prefix}{name}")
            elif entry.is_file(follow_symlinks=False) and not is_reserved(name):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield _info(f"{prefix}{name}", status, None)


def _link(source: Path, target: Path) -> bool:
    """Make a second name of a file, forced to the disk; False where that is not to be had."""
    with explain_os_errors("store", target):
        make_folder(target.parent)
    try:
        os.link(source, target)
    except OSError:
        return False  # the name is taken, or the disk has no links: copying tells which
    with explain_os_errors("store", target):
        flush_folder(target.parent)
    return True


def _sort_name(entry: os.DirEntry[str]) -> str:
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _info(object_path: str, status: os.stat_result, sha256: str | None) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, tz=UTC)
    return ObjectInfo(object_path, status.st_size, sha256, modified)
