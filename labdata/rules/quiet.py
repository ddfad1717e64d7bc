"""A recording that still runs is not put: its files are watched while everything else is checked.

No system tells reliably whether another program writes to a file: on a network share not even the
size is fresh. So the files are looked at when planning begins and when it ends, and at least a
moment lies between the two looks; longer where a file was written to just before. A program that
pauses for longer is found on Linux, where the system lists the files that each program of the same
user, on the same computer, has open for writing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import UploadError
from .checks import FileState, file_state, require_same

#: Between the two looks, if nothing was written to for a while.
SETTLE_S = 0.3
#: Between the two looks, if something was.
SETTLE_FRESH_S = 2.0
#: A file that was written to more recently than this is fresh.
FRESH_S = 60.0


@dataclass(frozen=True)
class FirstLook:
    """The files of a folder as they were.

    Attributes
    ----------
    folder : Path
        The folder.
    states : dict
        Path to size in bytes and time of the last change in ns.
    at_s : float
        When, on the monotonic clock.
    youngest_s : float
        When one was last written to, seconds since 1970.
    """

    folder: Path
    states: dict[Path, FileState]
    at_s: float
    youngest_s: float


def look_first(folder: Path, files: tuple[Path, ...]) -> FirstLook:
    """Look at the files of a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    files : tuple of Path
        Its files.

    Returns
    -------
    FirstLook
        For :func:`require_still`.
    """
    states = {path: file_state(path) for path in files}
    youngest_ns = max((changed_ns for _, changed_ns in states.values()), default=0)
    return FirstLook(folder, states, time.monotonic(), youngest_ns / 1e9)


def require_still(look: FirstLook) -> None:
    """Look again, and raise if a file changed, appeared or vanished, or is open for writing.

    Parameters
    ----------
    look : FirstLook
        The first look.

    Raises
    ------
    UploadError
        If the folder is still being written or copied.
    """
    fresh = time.time() - look.youngest_s < FRESH_S
    left_s = (SETTLE_FRESH_S if fresh else SETTLE_S) - (time.monotonic() - look.at_s)
    if left_s > 0:
        time.sleep(left_s)
    waited_s = time.monotonic() - look.at_s
    require_same(look.states, look.folder, f"within {waited_s:.1f} s")
    for path, pid, program in find_writers(look.folder):
        if path in look.states:
            raise UploadError(
                f"{path} is open for writing in {program} (process {pid}).",
                hint="Close it there, or end that program; then put the folder again.",
            )


def find_writers(folder: Path, system: Path = Path("/proc")) -> Iterator[tuple[Path, int, str]]:
    """Yield the files below a folder that programs have open for writing, as far as it is known.

    Parameters
    ----------
    folder : Path
        The folder, resolved.
    system : Path, optional
        Where Linux lists its processes, see proc(5); where there is none nothing is found.

    Yields
    ------
    path : Path
        A file that is open.
    pid : int
        Number of the process that has it.
    program : str
        Name of its program.
    """
    inside = f"{folder}{os.sep}"
    for process in system.glob("[0-9]*"):
        for handle in _handles(process):
            with suppress(OSError):  # it was closed meanwhile
                target = handle.readlink()
                if str(target).startswith(inside) and _writes(process / "fdinfo" / handle.name):
                    program = (process / "comm").read_text("utf-8", "replace").strip()
                    yield target, int(process.name), program


def _handles(process: Path) -> list[Path]:
    try:
        return list((process / "fd").iterdir())
    except OSError:  # it has ended, or is another user's
        return []


def _writes(fdinfo: Path) -> bool:
    """Return whether a file was opened for writing; its flags stand in octal (proc(5))."""
    lines = dict(line.split(":", 1) for line in fdinfo.read_text().splitlines() if ":" in line)
    return int(lines.get("flags", "0"), 8) & os.O_ACCMODE != os.O_RDONLY
