"""A lock between processes that its holder's death releases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DatabaseError


@contextmanager
def hold_lock(path: Path, *, timeout_s: float = 120.0) -> Iterator[None]:
    """Hold an exclusive lock on a file while the block runs.

    The kernel releases the lock when its holder ends, however it ends, so a killed process leaves
    nothing to clean up.

    Parameters
    ----------
    path : Path
        The lock file, made if missing and never removed.
    timeout_s : float, optional
        How long to wait for another holder.

    Raises
    ------
    DatabaseError
        If another process holds it for longer.
    """
    import fcntl

    deadline = time.monotonic() + timeout_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        f"Another process has held {path} for {timeout_s:.0f} s.",
                        hint="Wait for it, or end it if it hangs.",
                    ) from None
                time.sleep(0.02)
        yield
