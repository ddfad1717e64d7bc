"""What a file's disk is: one of this computer, or a mount behind which there may be a bucket.

A program or device that shows a bucket as a folder (rclone, s3fs, a file gateway) does so through
FUSE or as a network share, and may carry out a renaming or a removal minutes after it was done in
the folder. Nothing that is looked at in between tells that a file there is an object.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

#: Kinds of file systems that are reached over a network, or a bucket's program may provide.
_NETWORK = ("nfs", "cifs", "smb", "fuse", "macfuse", "osxfuse", "webdav", "davfs", "afpfs")
#: How a guest system, WSL too, sees its host's folders, whatever these are.
_OF_HOSTS = ("9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs")
#: Of these, disks of this computer that Linux reads through FUSE.
_DISKS = ("fuseblk", "fuse.ntfs", "fuse.exfat", "fuse.ext", "fuse.apfs")


class Mount(NamedTuple):
    """A file system and where it is mounted."""

    folder: str
    kind: str
    options: str


def list_mounts() -> list[Mount]:
    """Return the mounted file systems of this computer."""
    import psutil

    return [Mount(m.mountpoint, m.fstype, m.opts) for m in psutil.disk_partitions(all=True)]


def is_on_block_device(path: Path) -> bool:
    """Return whether a file or folder, there or not, surely lies on a disk; without a list.

    Linux gives file systems that are reached over a network device numbers of no real device.

    Parameters
    ----------
    path : Path
        Absolute.
    """
    if not sys.platform.startswith("linux"):
        return False
    there = next(one for one in (path, *path.parents) if one.exists())
    return os.major(there.stat().st_dev) != 0


def network_mount(path: Path, mounts: Iterable[Mount]) -> str:
    """Return the kind of network mount that a file lies on; empty if it lies on a disk.

    Parameters
    ----------
    path : Path
        The file.
    mounts : iterable of Mount
        From :func:`list_mounts`; of two at one place the later hides the earlier.
    """
    return _on_network(path.parent, tuple(mounts))


@lru_cache(maxsize=4096)
def _on_network(folder: Path, mounts: tuple[Mount, ...]) -> str:
    resolved = _comparable(folder.resolve())
    holding = [m for m in mounts if resolved.is_relative_to(_comparable(Path(m.folder)))]
    if not holding:
        return "unknown"  # a network folder of Windows without a letter is in no list
    deepest = max(len(Path(m.folder).parts) for m in holding)
    mount = [m for m in holding if len(Path(m.folder).parts) == deepest][-1]
    kind = mount.kind.lower()
    is_remote = kind.startswith((*_NETWORK, *_OF_HOSTS)) and not kind.startswith(_DISKS)
    if is_remote or "remote" in mount.options.lower().split(","):
        return mount.kind or "remote"
    return ""


def _comparable(path: Path) -> Path:
    """Return a path as this computer compares them: Windows' drives by any case."""
    return Path(os.path.normcase(path))
