"""The loop that uploads: once over what waits, or for good as a service.

One job that fails never stops the others. As a service it also outlives the database: it says
once that the database is away, and goes on when it is back. It ends between two jobs when it is
told to, and a job in hand is given back.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ..database.connection import reset_connection
from ..database.datajoint_compat import dj
from ..errors import DatabaseError, LabdataError
from ..preferences import Preferences, load_preferences
from ..progress import Progress
from .telling import tell_failure
from .uploading import UploadResult, claimable_jobs, upload_job

logger = logging.getLogger(__name__)

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
        Why it failed.
    """

    job_id: int
    result: UploadResult | None = None
    problem: LabdataError | None = None


def upload_jobs(
    lab: Any, jobs: Sequence[int], *, show: ShowProgress, preferences: Preferences | None = None
) -> Iterator[Outcome]:
    """Upload jobs one after another, and tell of those that fail.

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
    preferences = preferences or load_preferences()
    for job_id in jobs:
        try:
            with show(job_id) as (progress, on_size):
                result = upload_job(
                    job_id, lab=lab, preferences=preferences, progress=progress, on_size=on_size
                )
            yield Outcome(job_id, result)
        except LabdataError as problem:
            _tell(preferences, lab, job_id, problem)
            yield Outcome(job_id, problem=problem)


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
        Of each job.
    """
    away = False
    while not stop.is_set():
        try:
            jobs = claimable_jobs(lab, all_hosts=all_hosts)
            if away:
                logger.warning("The database is back.")
            away = False
            for job_id in jobs:
                for outcome in upload_jobs(lab, [job_id], show=show, preferences=preferences):
                    if outcome.result or outcome.problem:
                        yield outcome
                if stop.is_set():
                    return
        except (DatabaseError, dj.errors.DataJointError, OSError) as problem:
            if not away:
                logger.warning("The database is away, it is tried again: %s", problem)
            away = True
            reset_connection()
        stop.wait(poll_s)


def _tell(preferences: Preferences, lab: Any, job_id: int, problem: LabdataError) -> None:
    hint = f" {problem.hint}" if problem.hint else ""
    tell_failure(
        preferences,
        f"Upload job {job_id} failed on {socket.gethostname()}: {problem.message}{hint}",
        {
            "job_id": job_id,
            "project": lab.project,
            "host": socket.gethostname(),
            "problem": problem.message,
            "hint": problem.hint,
        },
    )
