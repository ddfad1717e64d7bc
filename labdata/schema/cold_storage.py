"""Files in cold storage: found, asked back, and waited for.

Coming back takes hours, so asking is a step of its own that may be repeated: what was asked back
already is not asked for again, and what has come back can be read until the store puts it to
sleep again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..stores import RestoreState
from .fetching import FetchPlan
from .files import open_store

#: How often a store is asked whether objects have come back, in seconds.
POLL_S = 60.0
_N_WORKERS = 4


@dataclass(frozen=True)
class ColdFiles:
    """Which files of a fetch cannot be read now.

    Attributes
    ----------
    rows : tuple of dict
        Rows of File of those that are not readable yet.
    until : datetime or None
        Those that came back can be read until here, in UTC: the earliest of them.
    """

    rows: tuple[dict[str, Any], ...]
    until: datetime | None = None

    @property
    def size_bytes(self) -> int:
        """Recorded sizes of the files."""
        return sum(int(row["file_size"]) for row in self.rows)


def request_cold(
    plan: FetchPlan, rows: Sequence[dict[str, Any]] | None = None, *, days: int = 7
) -> ColdFiles:
    """Ask back the files of a fetch that are in cold storage; asking again is success.

    Parameters
    ----------
    plan : FetchPlan
        From :func:`~labdata.schema.fetching.plan_fetch`.
    rows : sequence of dict, optional
        Rows of File to ask for; by default those that are missing here.
    days : int, optional
        How long they shall stay readable.

    Returns
    -------
    ColdFiles
        Those that are not readable yet.

    Raises
    ------
    labdata.errors.StoreError
        If a store refuses or does not answer, or ``days`` is no positive number.
    """

    def ask(row: dict[str, Any]) -> RestoreState:
        return open_store(row["storage"], plan.preferences).restore(row["file_path"], days=days)

    return _collect(plan.missing if rows is None else rows, ask)


def wait_for_cold(
    plan: FetchPlan,
    cold: ColdFiles,
    *,
    days: int = 7,
    poll_s: float = POLL_S,
    report: Callable[[ColdFiles], None] | None = None,
) -> ColdFiles:
    """Wait until all files that were asked back can be read.

    One whose request the store has lost, or let expire, is asked for again.

    Parameters
    ----------
    plan : FetchPlan
        With the stores.
    cold : ColdFiles
        From :func:`request_cold`.
    days : int, optional
        How long they shall stay readable.
    poll_s : float, optional
        How often the stores are asked, in seconds.
    report : callable, optional
        Told what is still missing, after each look.

    Returns
    -------
    ColdFiles
        Without rows; it says until when they can be read.
    """
    until = cold.until
    while cold.rows:
        time.sleep(poll_s)
        cold = request_cold(plan, cold.rows, days=days)
        until = min(filter(None, (until, cold.until)), default=None)
        if report is not None:
            report(cold)
    return ColdFiles((), until)


def _collect(
    rows: Sequence[dict[str, Any]], ask: Callable[[dict[str, Any]], RestoreState]
) -> ColdFiles:
    with ThreadPoolExecutor(_N_WORKERS, thread_name_prefix="labdata-cold") as pool:
        states = list(pool.map(ask, rows))
    asleep = [row for row, state in zip(rows, states, strict=True) if state.archived]
    until = [s.available_until for s in states if s.available_until and not s.archived]
    return ColdFiles(tuple(asleep), min(until, default=None))
