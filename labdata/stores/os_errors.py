"""Operating system errors said in words: what was being done, to what, and what to do now.

A full disk, a missing mount and a missing permission are everyday events in a laboratory. They
leave the stores as :class:`~labdata.errors.StoreError` with a hint, never as a bare ``OSError``.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labdata.counted import show_size
from labdata.errors import StoreAwayError, StoreError

_FULL = "Free some space there (or raise the quota) and repeat; nothing incomplete was kept."
_REFUSED = "Check who owns the folder, its permissions, and that the disk is not read-only."
_DEVICE = "Check the disk, its cable or the network mount, then repeat."

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
#: A file server that does not answer now; a disk that fails says EIO, and is not waited for.
_AWAY = frozenset(
    {errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH}
)
_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "The file system or the process limit (ulimit -f) allows no file of this size.",
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: _REFUSED,
    errno.EIO: _DEVICE,
    errno.ENOENT: "Check the path, and that the disk is mounted.",
    errno.ENOTDIR: "A part of the path is a file; choose another path.",
    errno.EISDIR: "That is a folder; name a file.",
    errno.EEXIST: "A part of the path is a file; choose another path.",
    errno.ENAMETOOLONG: "Shorten the path; the file system does not allow one that long.",
}


@contextmanager
def explain_os_errors(action: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn any ``OSError`` of the block into a StoreError with a hint.

    Parameters
    ----------
    action : str
        What is being done, as in ``"store"`` or ``"read"``.
    path : path
        What it is done to; shown in the message.

    Raises
    ------
    labdata.errors.StoreError
        In place of the ``OSError``, which is kept as its cause.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        code = error.errno if error.errno is not None else 0
        room = _room(path) if code in _NO_ROOM else ""
        kind = StoreAwayError if code in _AWAY else StoreError
        raise kind(
            f"Could not {action} {os.fspath(path)}: {reason}{room}.",
            hint=_DEVICE if code in _AWAY else _HINTS.get(code),
        ) from error


def _room(path: str | os.PathLike[str]) -> str:
    """Return in words how much room the disk of a path has; the path itself need not be there.

    It is asked for after what was begun has been removed, so it is what a repetition will find.
    """
    whole = Path(path).absolute()
    disk = next(folder for folder in (whole, *whole.parents) if os.path.ismount(folder))
    with suppress(OSError):
        usage = shutil.disk_usage(disk)
        return f" ({show_size(usage.free)} of {show_size(usage.total)} now free on {disk})"
    return ""
