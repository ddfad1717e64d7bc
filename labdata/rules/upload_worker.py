"""The loop that uploads: once over what waits, or for good as a service.

One job that fails never stops the others. As a service it also outlives the database and the
stores: it says once that one is away, and goes on when it is back. It ends between two jobs when
it is told to, and a job in hand is given back.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pymysql

from ..database.connection import reset_connection
from ..database.datajoint_compat import dj
from ..errors import (
    DatabaseError,
    LabdataError,
    NotUploadableError,
    StoreAwayError,
    UploadError,
)
from ..preferences import Preferences, load_preferences
from ..progress import Progress
from .telling import tell_failure
from .upload_queue import claimable_jobs
from .uploading import UploadResult, upload_job

logger = logging.getLogger(__name__)

#: Between two attempts of a job that waits for a store.
_LONGEST_PAUSE_S = 300.0

#: Gives the progress of a job in hand, and what takes its size.
ShowProgress = Callable[[int], AbstractContextManager[tuple[Progress, Callable[[int], None]]]]


@dataclass(frozen=True)
class Outcome:
    """How one job ended.

    Attributes
    ----------
    job_id : int
        The job.
    result : UploadResult or None
        None if it failed, or there was nothing to do: it is done, or another worker has it.
    problem : LabdataError or None
        Why it failed, or, if that is a StoreAwayError, why it waits.
    status : str
        The job's, if there was nothing to do.
    """

    job_id: int
    result: UploadResult | None = None
    problem: LabdataError | None = None
    status: str = ""

    @property
    def waits(self) -> bool:
        """Whether the job will be done by itself when a store is back."""
        return isinstance(self.problem, StoreAwayError)

    @property
    def was_begun(self) -> bool:
        """Whether it could be begun; there may be no such job, or it failed before."""
        return not isinstance(self.problem, NotUploadableError)


def upload_jobs(
    lab: Any, jobs: Sequence[int], *, show: ShowProgress, preferences: Preferences | None = None
) -> Iterator[Outcome]:
    """Upload jobs one after another, and tell of those that fail; once of a store that is away.

    Parameters
    ----------
    lab : Lab
        The tables.
    jobs : sequence of int
        Their numbers.
    show : callable
        Shows the progress of a job; see :data:`ShowProgress`.
    preferences : Preferences, optional
        By default the user's.

    Yields
    ------
    Outcome
        Of each job.
    """
    yield from _upload_each(lab, jobs, show, preferences or load_preferences(), _Waiting())


@dataclass
class _Waiting:
    """Jobs that wait for a store: they are tried again after longer and longer pauses."""

    first_pause_s: float = 0.0
    _next_s: dict[int, float] = field(default_factory=dict)
    _pauses_s: dict[int, float] = field(default_factory=dict)
    _stores: dict[int, str] = field(default_factory=dict)

    def is_due(self, job_id: int) -> bool:
        return time.monotonic() >= self._next_s.get(job_id, 0.0)

    def add(self, job_id: int, store: str, took_s: float) -> bool:
        """Return whether this job is the first that waits for a store: then that is to be told.

        The pause is no shorter than the attempt, which may have been hours of work.
        """
        is_first = store not in self._stores.values()
        pause_s = min(self._pauses_s.get(job_id, self.first_pause_s), _LONGEST_PAUSE_S)
        self._next_s[job_id] = time.monotonic() + max(pause_s, took_s)
        self._pauses_s[job_id] = 2 * pause_s
        self._stores[job_id] = store
        return is_first

    def keep(self, jobs: Sequence[int]) -> None:
        """Forget all jobs but these: the others were done, failed or cancelled."""
        for job_id in self._stores.keys() - set(jobs):
            del self._next_s[job_id], self._pauses_s[job_id], self._stores[job_id]


def _upload_each(
    lab: Any,
    jobs: Sequence[int],
    show: ShowProgress,
    preferences: Preferences,
    waiting: _Waiting,
) -> Iterator[Outcome]:
    for job_id in jobs:
        began_s = time.monotonic()
        try:
            with show(job_id) as (progress, on_size):
                result = upload_job(
                    job_id, lab=lab, preferences=preferences, progress=progress, on_size=on_size
                )
        except (DatabaseError, dj.errors.LostConnectionError, pymysql.MySQLError) as error:
            problem = error if isinstance(error, LabdataError) else DatabaseError(str(error))
            if _column(lab, job_id, "job_status") != "FAILED":
                raise  # it was not begun: the database is away, or does not let it
            _tell(preferences, lab, job_id, problem, "failed")
            yield Outcome(job_id, problem=problem)
        except StoreAwayError as away:
            store = _column(lab, job_id, "upload_storage")
            if waiting.add(job_id, store, time.monotonic() - began_s):
                _tell(preferences, lab, job_id, away, "waits")
            yield Outcome(job_id, problem=away)
        except NotUploadableError as refusal:
            yield Outcome(job_id, problem=refusal)
        except LabdataError as failure:
            _tell(preferences, lab, job_id, failure, "failed")
            yield Outcome(job_id, problem=failure)
        except Exception as defect:  # of a rule, often a plugin's: the others go on
            logger.exception("Upload job %d failed", job_id)
            problem = UploadError(
                f"{type(defect).__name__}: {defect}",
                hint="It is a fault of the upload rule or of labdata; the log says where.",
            )
            _tell(preferences, lab, job_id, problem, "failed")
            yield Outcome(job_id, problem=problem)
        else:
            yield _done(lab, job_id, result)


def _done(lab: Any, job_id: int, result: UploadResult | None) -> Outcome:
    status = "" if result else _column(lab, job_id, "job_status")
    return Outcome(job_id, result, status=status)


def _column(lab: Any, job_id: int, name: str) -> str:
    return str((lab.UploadJob & {"job_id": job_id}).fetch1(name))


def watch_jobs(
    lab: Any,
    *,
    show: ShowProgress,
    stop: threading.Event,
    poll_s: float = 10.0,
    all_hosts: bool = False,
    preferences: Preferences | None = None,
) -> Iterator[Outcome]:
    """Upload what comes, until told to stop.

    Parameters
    ----------
    lab : Lab
        The tables.
    show : callable
        Shows the progress of a job; see :data:`ShowProgress`.
    stop : threading.Event
        Set to end it after the job in hand.
    poll_s : float, optional
        Between two looks for new jobs.
    all_hosts : bool, optional
        Also jobs meant for other hosts.
    preferences : Preferences, optional
        By default the user's.

    Yields
    ------
    Outcome
        Of each job, once for the time that it waits for a store.
    """
    preferences = preferences or load_preferences()
    waiting, said = _Waiting(first_pause_s=poll_s), set[int]()
    away = False
    while not stop.is_set():
        try:
            # by the preferences that it began with: the file may be being edited
            jobs = claimable_jobs(lab, all_hosts=all_hosts, preferences=preferences)
            waiting.keep(jobs)
            if away:
                logger.warning("The database is back.")
            away = False
            for job_id in filter(waiting.is_due, jobs):
                for outcome in _upload_each(lab, [job_id], show, preferences, waiting):
                    news = not (outcome.waits and job_id in said)
                    said = said | {job_id} if outcome.waits else said - {job_id}
                    if news and (outcome.result or outcome.problem):
                        yield outcome
                if stop.is_set():
                    return
        except (
            DatabaseError,
            dj.errors.DataJointError,
            pymysql.MySQLError,
            OSError,
        ) as problem:
            if not away:
                logger.warning("The database is away, it is tried again: %s", problem)
            away = True
            reset_connection()
        stop.wait(poll_s)


def _tell(
    preferences: Preferences, lab: Any, job_id: int, problem: LabdataError, how: str
) -> None:
    hint = f" {problem.hint}" if problem.hint else ""
    tell_failure(
        preferences,
        f"Upload job {job_id} {how} on {socket.gethostname()}: {problem.message}{hint}",
        {
            "job_id": job_id,
            "project": lab.project,
            "host": socket.gethostname(),
            "problem": problem.message,
            "hint": problem.hint,
        },
    )
