"""Files that appear whole, once, and stay after the power fails.

A copy is written under a name that starts with ``.labdata-partial-``. It gets its final name by a
hard link, which fails if the name is taken, so that two writers cannot both win and nothing is
replaced (a rename would replace). Where links do not exist (FAT, exFAT, some network mounts) the
folder is locked, the name is looked up, and the file is renamed.

A killed writer leaves at most a partial file. Its age is read from the time of its last change of
status, which a live writer renews with each block and which nobody can set back.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from labdata.stores.paths import PARTIAL_PREFIX, is_partial

#: A partial file older than this belongs to no living writer.
STALE_PARTIAL_S = 86_400.0

_NO_LINKS = {
    errno.EPERM,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EINVAL,
    errno.EXDEV,
}


@contextmanager
def partial_file(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a new unfinished file in a folder; it is removed at the end of the block.

    Parameters
    ----------
    folder : pathlib.Path
        Where the finished file will be; it must exist.

    Yields
    ------
    writer : binary file
    path : pathlib.Path
    """
    path = folder / f"{PARTIAL_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
    try:
        with path.open("xb") as writer:
            yield writer, path
    finally:
        with suppress(OSError):
            path.unlink()


def publish(partial: Path, final: Path) -> bool:
    """Give a finished file its name, unless the name is taken.

    Parameters
    ----------
    partial : pathlib.Path
        A flushed file in the same folder.
    final : pathlib.Path
        The name it shall have.

    Returns
    -------
    bool
        True if the file has the name now, False if the name was taken; nothing is replaced.
    """
    try:
        os.link(partial, final)
    except FileExistsError:
        won = partial.samefile(final)  # an NFS server may answer a link twice
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        won = _rename_if_free(partial, final)
    else:
        won = True
    with suppress(FileNotFoundError):
        partial.unlink()
    flush_folder(final.parent)
    return won


def flush_file(writer: BinaryIO | FileIO) -> None:
    """Force a file's bytes to the disk, through the disk's own cache where it can be asked.

    Parameters
    ----------
    writer : binary file
        An open file.
    """
    writer.flush()
    if sys.platform == "darwin":  # fsync alone leaves the bytes in the drive's cache there
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(writer.fileno(), fcntl.F_FULLFSYNC)
            return
    os.fsync(writer.fileno())


def flush_folder(folder: Path) -> None:
    """Force a folder's names to the disk; Windows does so by itself.

    Parameters
    ----------
    folder : pathlib.Path
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise  # network mounts that cannot flush a folder answer one of these
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, and force their names to the disk.

    Parameters
    ----------
    folder : pathlib.Path
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def remove_stale_partials(folder: Path, *, older_than_s: float = STALE_PARTIAL_S) -> list[Path]:
    """Remove what killed writers left in a folder and those below it.

    Parameters
    ----------
    folder : pathlib.Path
        Symbolic links below it are not followed.
    older_than_s : float, optional
        Partial files changed more recently than this, in seconds, are kept: their writer may
        live. A writer whose file is taken away all the same fails; it loses nothing.

    Returns
    -------
    list of pathlib.Path
        The files removed.
    """
    removed = []
    now_s = time.time()
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if is_partial(name)):
            with suppress(FileNotFoundError):
                status = path.lstat()
                if now_s - max(status.st_ctime, status.st_mtime) > older_than_s:
                    path.unlink()
                    removed.append(path)
    return removed


def _rename_if_free(partial: Path, final: Path) -> bool:
    if sys.platform == "win32":
        try:
            partial.rename(final)  # refuses a name that is taken
        except FileExistsError:
            return False
        return True
    import fcntl

    descriptor = os.open(final.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # released by the system if this process dies
        if os.path.lexists(final):
            return False
        partial.rename(final)
        return True
    finally:
        os.close(descriptor)
