"""Who works on a row: one claim wins, and a dead worker's claim is known for what it is.

Upload jobs and compute tasks are rows that workers take. A claim is one conditional UPDATE whose
row count decides, made while the worker holds a lock of the database server. The server drops the
lock when the worker dies, however it dies, so a row that is WORKING while its lock is free may be
taken again at once. The claim's token stands in the row; every later change of state names it, so
that a worker that was taken over changes nothing. The token also tells how many workers of the row
died before: work that kills each of its workers is not begun for ever.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pymysql

from ..errors import LabdataError
from . import locks
from .datajoint_compat import dj
from .locks import is_held, worker_lock
from .query_errors import BusyError

logger = logging.getLogger(__name__)

#: Characters of a row's log.
_LOG_LENGTH = 4000
#: Tokens of claims that ended in this process when the database could not be told.
_no_deaths: set[str] = set()
#: By token, how often in a row this process lost the database in the middle of the work, or had
#: to wait for it too long: once is an outage, again and again is a statement it does not bear.
_held_up: Counter[str] = Counter()
_MOST_HELD_UP = 3


@dataclass(frozen=True)
class Claim:
    """A row that this worker holds.

    Attributes
    ----------
    table : Table
        A table with ``job_id`` and the columns ``<prefix>_waiting``, ``_status``, ``_claim``,
        ``_starttime``, ``_endtime`` and ``_log``.
    prefix : str
        ``job`` or ``task``.
    job_id : int
        The row.
    token : str
        What stands in ``<prefix>_claim``.
    notes : list of str
        What the worker has reported; put before the log's last word.
    """

    table: Any
    prefix: str
    job_id: int
    token: str
    notes: list[str] = field(default_factory=list)

    def finish(self, status: str, log: str = "", **columns: Any) -> bool:
        """Leave the row in a state, if it is still this worker's.

        Parameters
        ----------
        status : str
            COMPLETED, FAILED, or WAITING to give it back.
        log : str, optional
            What to tell; the end is kept.
        **columns
            Further columns to set.

        Returns
        -------
        bool
            False if another worker has taken the row over; nothing is changed then.
        """
        values = {
            f"{self.prefix}_waiting": int(status == "WAITING"),
            f"{self.prefix}_status": status,
            f"{self.prefix}_endtime": utc_now(),
            f"{self.prefix}_log": self._whole_log(log),
            **columns,
        }
        where = f"job_id=%s AND {self.prefix}_claim=%s AND {self.prefix}_status='WORKING'"
        return _update(self.table, values, where, (self.job_id, self.token)) == 1

    def note(self, text: str) -> None:
        """Write how far the work is to the row's log, if the row is still this worker's.

        Parameters
        ----------
        text : str
            One line; the next one takes its place.
        """
        values = {f"{self.prefix}_log": self._whole_log(text)}
        where = f"job_id=%s AND {self.prefix}_claim=%s AND {self.prefix}_status='WORKING'"
        _update(self.table, values, where, (self.job_id, self.token))

    def _whole_log(self, last: str) -> str:
        """Return the end of what is told; a file's name may hold what no database takes."""
        text = "\n".join([*self.notes, last])[-_LOG_LENGTH:]
        return text.encode("utf-8", "backslashreplace").decode()[-_LOG_LENGTH:]

    @property
    def n_deaths(self) -> int:
        """How many workers in a row died while they had this row, before this one."""
        return count_deaths(self.token)

    def tell_deaths(self, limit: int) -> None:
        """Note that workers died, if they did.

        Parameters
        ----------
        limit : int
            The number of deaths that is too many.

        Raises
        ------
        LabdataError
            If so many died.
        """
        if not self.n_deaths:
            return
        times = "once" if self.n_deaths == 1 else f"{self.n_deaths} times"
        if self.n_deaths >= limit:
            raise LabdataError(
                f"The worker of {self.prefix} {self.job_id} died {times}, each time before it "
                "could say why.",
                hint="Out of memory? The system log of its host (`journalctl -k`), or Slurm's, "
                "tells. Once that is mended, give the command again with --retry.",
            )
        self.notes.append(f"Begun again, as its worker died {times}.")

    def is_held(self) -> bool:
        """Whether the row is still this worker's; inside a transaction it stays so to its end."""
        found = self.table.connection.query(
            f"SELECT 1 FROM {self.table.full_table_name} WHERE job_id=%s AND "
            f"{self.prefix}_claim=%s AND {self.prefix}_status='WORKING' FOR UPDATE",
            (self.job_id, self.token),
        ).fetchone()
        return found is not None


@contextmanager
def claim_row(
    table: Any,
    prefix: str,
    job_id: int,
    *,
    states: Sequence[str],
    only: Mapping[str, Any] | None = None,
    deaths: int | None = None,
    **columns: Any,
) -> Iterator[Claim | None]:
    """Hold a row while the block works on it, and say how it ended if it fails.

    A block that raises leaves the row FAILED with the reason; one that is interrupted, or loses
    the database, gives it back as WAITING, and fails if that happens three times. A block that
    succeeds finishes the claim itself, in its own transaction.

    Parameters
    ----------
    table : Table
        The table; see :class:`Claim`.
    prefix : str
        ``job`` or ``task``.
    job_id : int
        The row.
    states : sequence of str
        States that may be taken; WORKING means: if its worker is gone.
    only : mapping, optional
        What else must be true of the row.
    deaths : int, optional
        After so many workers that died in a row it fails instead. By default it may always be
        taken: that is for work that somebody asks for each time.
    **columns
        Further columns to set with the claim.

    Yields
    ------
    Claim or None
        None if another worker has the row, or it is in another state.

    Raises
    ------
    LabdataError
        If too many of its workers died; the row is FAILED then, until it is released.
    """
    if "WORKING" in states:
        _let_worker_speak(table, prefix, job_id)
    with worker_lock(table.connection, _lock_name(table, prefix, job_id)) as alone:
        claim = _take(table, prefix, job_id, states, only or {}, columns) if alone else None
        try:
            if claim and deaths is not None:
                claim.tell_deaths(deaths)
            yield claim
        except (dj.errors.LostConnectionError, BusyError) as error:
            _hold_up(claim, str(error))
            raise
        except LabdataError as error:
            _give_back(claim, "FAILED", str(error))
            raise
        except Exception as error:
            # a defect, or the database's refusal: not to be tried again and again by itself
            _give_back(claim, "FAILED", f"{type(error).__name__}: {error}")
            raise
        except BaseException:
            _give_back(claim, "WAITING", "interrupted; it waits to be taken again")
            raise


def _let_worker_speak(table: Any, prefix: str, job_id: int) -> None:
    """Wait, if the server may have begun just now, for the lock of a worker that lives."""
    working = table & {"job_id": job_id, f"{prefix}_status": "WORKING"}
    if not working or is_held(table.connection, _lock_name(table, prefix, job_id)):
        return
    if locks.is_young(table.connection):
        logger.warning(
            "The worker of %s %d seems to be gone. The database was started within the hour, so "
            "it is given %.0f s to say that it lives.",
            prefix,
            job_id,
            locks.GRACE_S,
        )
        time.sleep(locks.GRACE_S)


def _hold_up(claim: Claim | None, log: str) -> None:
    """Let a row wait for the database; it fails if that happens to it again and again."""
    if claim is None:
        return
    _held_up[claim.token] += 1
    is_last = _held_up[claim.token] >= _MOST_HELD_UP
    _give_back(claim, "FAILED" if is_last else "WAITING", log)


def _give_back(claim: Claim | None, status: str, log: str) -> None:
    """Say how a claim ended; if the database is away, remember that its worker lives."""
    if claim is None:
        return
    try:
        claim.finish(status, log)
    except (LabdataError, dj.errors.DataJointError, pymysql.MySQLError, OSError) as problem:
        logger.warning("How %s %d ended is not told: %s", claim.prefix, claim.job_id, problem)
        _no_deaths.add(claim.token)


def release_failed(
    table: Any, prefix: str, job_id: int, *, only: Mapping[str, Any] | None = None
) -> bool:
    """Let a failed row be taken again.

    Parameters
    ----------
    table, prefix, job_id
        As of :class:`Claim`.
    only : mapping, optional
        What else must be true of the row.

    Returns
    -------
    bool
        False if it has not failed.
    """
    only = only or {}
    values = {f"{prefix}_waiting": 1, f"{prefix}_status": "WAITING", f"{prefix}_claim": None}
    where = f"job_id=%s AND {prefix}_status='FAILED'" + _and_equal(only)
    return _update(table, values, where, (job_id, *only.values())) == 1


def has_worker(table: Any, prefix: str, job_id: int) -> bool:
    """Return whether somebody who lives works on a row.

    Parameters
    ----------
    table, prefix, job_id
        As of :class:`Claim`.
    """
    return is_held(table.connection, _lock_name(table, prefix, job_id))


def count_deaths(token: str | None) -> int:
    """Return how many workers of a row died before the one that has, or had, it.

    Parameters
    ----------
    token : str or None
        What stands in the row's ``<prefix>_claim``.
    """
    found = re.match(r"(\d\d)n", token or "")  # tokens of before have hexadecimal digits only
    return int(found[1]) if found else 0


def _lock_name(table: Any, prefix: str, job_id: int) -> str:
    return f"{prefix}.{table.database}.{job_id}"


def utc_now() -> datetime:
    """Return the time as the database keeps it: UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def _take(
    table: Any,
    prefix: str,
    job_id: int,
    states: Sequence[str],
    only: Mapping[str, Any],
    columns: Mapping[str, Any],
) -> Claim | None:
    claim = Claim(table, prefix, job_id, _new_token(table, prefix, job_id))
    values = {
        f"{prefix}_waiting": 0,
        f"{prefix}_status": "WORKING",
        f"{prefix}_claim": claim.token,
        f"{prefix}_starttime": utc_now(),
        f"{prefix}_endtime": None,
        **columns,
    }
    marks = ", ".join(["%s"] * len(states))
    where = f"job_id=%s AND {prefix}_status IN ({marks})" + _and_equal(only)
    taken = _update(table, values, where, (job_id, *states, *only.values()))
    return claim if taken == 1 else None


def _new_token(table: Any, prefix: str, job_id: int) -> str:
    """Return a token that counts one death more than the row's, if it has a worker: that died."""
    row = table.connection.query(
        f"SELECT COALESCE({prefix}_claim, ''), {prefix}_status FROM {table.full_table_name} "
        "WHERE job_id=%s",
        (job_id,),
    ).fetchone()
    before, status = row or ("", None)
    deaths = 0
    if status == "WORKING":
        deaths = min(count_deaths(before) + (before not in _no_deaths), 99)
    token = f"{deaths:02d}n{uuid.uuid4().hex[:29]}"
    if before in _held_up:
        _held_up[token] = _held_up.pop(before)
    return token


def _and_equal(only: Mapping[str, Any]) -> str:
    return "".join(f" AND {name} <=> %s" for name in only)


def _update(table: Any, values: Mapping[str, Any], where: str, keys: Sequence[Any]) -> int:
    """Change rows; names come from the code, values go in as parameters."""
    assignments = ", ".join(f"{name}=%s" for name in values)
    content = [json.dumps(v) if isinstance(v, dict) else v for v in values.values()]
    cursor = table.connection.query(
        f"UPDATE {table.full_table_name} SET {assignments} WHERE {where}", (*content, *keys)
    )
    return int(cursor.rowcount)
