"""How far an upload is, told where everybody looks: in the job's row, as its worker sees it.

The worker's callbacks only add up bytes, from whichever thread moves them. A thread of its own
writes a line to the row every few seconds, over a connection of its own, so that neither a slow
database nor the worker's open transaction holds up the bytes or the line.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType

import pymysql

from ..counted import show_duration, show_size
from ..database.claims import Claim
from ..database.datajoint_compat import dj
from ..errors import LabdataError
from ..progress import Progress

logger = logging.getLogger(__name__)

#: Between two lines.
EVERY_S = 2.0


class JobProgress:
    """Counts the bytes of a claimed job, and tells while the block runs.

    Parameters
    ----------
    claim : Claim
        The job.
    progress : callable
        Who else is told the bytes done.
    on_size : callable
        Who else is told the bytes in all.
    """

    def __init__(self, claim: Claim, progress: Progress, on_size: Callable[[int], None]) -> None:
        self._claim, self._progress, self._on_size = claim, progress, on_size
        self._lock = threading.Lock()
        self._done_bytes, self._total_bytes = 0, 0
        self._began_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True, name="labdata-progress")

    def advance(self, n_bytes: int) -> None:
        """Take bytes that were just done.

        Parameters
        ----------
        n_bytes : int
            Since the last call.
        """
        with self._lock:
            self._done_bytes += n_bytes
        self._progress(n_bytes)

    def set_total(self, n_bytes: int) -> None:
        """Take the bytes of work in all.

        Parameters
        ----------
        n_bytes : int
            Every pass over the data counts.
        """
        self._total_bytes = n_bytes
        self._on_size(n_bytes)

    def line(self) -> str:
        """Return how far it is, how fast, and how long it will take."""
        with self._lock:
            done_bytes = self._done_bytes
        took_s = max(time.monotonic() - self._began_s, 1e-3)
        rate = done_bytes / took_s
        at = datetime.now(UTC).strftime("%H:%M:%S UTC")
        if not (self._total_bytes and done_bytes):
            return f"begun ({at})"
        part = min(done_bytes / self._total_bytes, 1.0)
        left_s = (self._total_bytes - done_bytes) / rate
        return (
            f"{100 * part:.0f} % of {show_size(self._total_bytes)} of work, "
            f"{show_size(round(rate))}/s, {show_duration(max(left_s, 0))} left ({at})"
        )

    def __enter__(self) -> JobProgress:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Write no more: the worker is about to change the row in a transaction of its own."""
        self._ended.set()
        self._thread.join()

    def _tell(self) -> None:
        try:
            while not self._ended.wait(EVERY_S):
                try:
                    self._claim.note(self.line())
                except (LabdataError, dj.errors.DataJointError, pymysql.MySQLError, OSError) as no:
                    # the row was in use, or the database is away: the next time
                    logger.debug("The progress of job %d is not told: %s", self._claim.job_id, no)
        finally:
            self._claim.table.connection.close_thread()
