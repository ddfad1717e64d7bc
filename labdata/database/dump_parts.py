"""The unfinished file of a dump: of one writer, and removed when that is dead.

A dump is written beside its final name and published whole. The part's name says which process of
which computer writes it, so that the next dump can tell what a killed one left from the work of a
living one. Where that cannot be asked (another computer, Windows) a part counts as left when
nothing was written to it for a day.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..stores.durable import STALE_PARTIAL_S

#: The host and the random letters are missing in parts of earlier versions.
_PART = re.compile(r"(?P<file>.+?)\.(?:(?P<host>[\w-]*)@)?(?P<pid>\d+)(?:-[0-9a-f]{8})?\.part")


def part_of(file: Path) -> Path:
    """Return a new name beside a dump under which this process writes it.

    Parameters
    ----------
    file : Path
        The dump that it will be.
    """
    return file.with_name(f"{file.name}.{_host()}@{os.getpid()}-{secrets.token_hex(4)}.part")


def remove_dead_parts(folder: Path, is_ours: Callable[[str], bool]) -> list[Path]:
    """Remove the parts that killed writers left; those of living ones stay.

    Parameters
    ----------
    folder : Path
        Where the dumps are.
    is_ours : callable
        Whether parts of a dump of this name are looked at.

    Returns
    -------
    list of Path
        Those removed.
    """
    removed = []
    with suppress(OSError):  # a folder that one may not read, or a file that one may not remove
        for path in sorted(folder.glob("*.part")):
            found = _PART.fullmatch(path.name)
            if found and is_ours(found["file"]) and _is_dead(path, found["host"], found["pid"]):
                path.unlink(missing_ok=True)
                removed.append(path)
    return removed


def _is_dead(path: Path, host: str | None, pid: str) -> bool:
    if host in (None, _host()) and sys.platform != "win32":
        try:
            os.kill(int(pid), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass  # lives, and is another's
    return time.time() - path.stat().st_mtime > STALE_PARTIAL_S


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())[:40]
