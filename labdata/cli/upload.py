"""Upload what was put: verify, apply the rule, store, verify again, describe. Runs on the server.

Each job is whole or not at all, and can be interrupted and repeated at any moment. Without numbers
all jobs of this host are uploaded. A job that fails is told to whom on_failure in the preference
file names.

Examples:
  labdata upload
  labdata upload 12 13
  labdata upload --watch             go on with what comes, as a service
  labdata upload --queue             what waits, works (how far, how fast), failed and why
  labdata upload --retry             try failed jobs again
  labdata upload 12 --cancel         take back a put that was wrong; no file is touched
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..rules.upload_worker import Outcome

QUEUE_COLUMNS = (
    *("job_id", "job_status", "subject_name", "session_name", "dataset_name", "job_rule"),
    *("files", "size", "job_host", "job_endtime", "job_log"),
)
_COLUMNS = ("job", "subject_name", "session_name", "dataset_name", "files", "raw", "stored")
#: Why there was nothing to do for a job, by its status.
_WHY_NOTHING = defaultdict(
    lambda: "was changed by another worker just now; `labdata upload --queue` shows it.",
    COMPLETED="was uploaded before.",
    WORKING="is being uploaded by another worker; `labdata upload --queue` shows how far it is.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .selection import number_of

    number = number_of("upload", "labdata upload --queue")
    parser.add_argument(
        "job", nargs="*", type=number, help="job numbers (default: all of this host)"
    )
    parser.add_argument("--queue", action="store_true", help="list the jobs")
    parser.add_argument(
        "--retry",
        "--reset-failed",
        dest="retry",
        action="store_true",
        help="try failed jobs again, and only those",
    )
    parser.add_argument(
        "--cancel", action="store_true", help="take back jobs that are not uploaded yet"
    )
    parser.add_argument("--watch", action="store_true", help="go on with what comes, for good")
    parser.add_argument(
        "--every",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="with --watch, between two looks (default 10)",
    )
    parser.add_argument("--all-hosts", action="store_true", help="also jobs of other hosts")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """List or upload jobs."""
    from ..errors import QueryError
    from ..rules.upload_queue import (
        check_may_upload,
        claimable_jobs,
        failed_jobs,
        find_jobs,
        retry_failed,
    )
    from ..rules.upload_worker import upload_jobs
    from .output import print_rows
    from .selection import chosen_lab

    if options.watch and (options.job or options.queue or not options.every > 0):
        raise QueryError(
            "--watch takes all jobs that come, and --every more than 0 seconds.",
            hint="`labdata upload --watch`, without numbers and without --queue.",
        )
    if options.cancel and (not options.job or options.queue or options.retry or options.watch):
        raise QueryError(
            "--cancel is for jobs that are named.", hint="`labdata upload 12 --cancel`."
        )
    lab = chosen_lab(options)
    if options.cancel:
        return _cancel(lab, options)
    if options.queue:
        rows = find_jobs(lab, options.job)
        for number in sorted(set(options.job) - {row["job_id"] for row in rows}):
            raise QueryError(
                f"There is no upload job {number}.", hint="`labdata upload --queue` lists them."
            )
        empty = "There are no upload jobs."
        print_rows(rows, QUEUE_COLUMNS, as_json=options.json, empty=empty)
        return 0
    check_may_upload(lab)  # once, and not for each job
    jobs = options.job
    if options.retry:
        jobs = jobs or failed_jobs(lab, all_hosts=options.all_hosts)
        retry_failed(lab, jobs)
    if options.watch:
        return _watch(lab, options)
    if not (jobs or options.retry):
        jobs = claimable_jobs(lab, all_hosts=options.all_hosts)
    rows, failed = report_outcomes(upload_jobs(lab, jobs, show=show_upload))
    if rows or options.json or not failed:
        empty = _say_nothing(lab, options)
        print_rows(rows, (*_COLUMNS, "ratio"), as_json=options.json, empty=empty)
    return 1 if failed else 0


def _cancel(lab: Any, options: argparse.Namespace) -> int:
    """Take jobs back, and show them as they are now."""
    from ..rules.upload_queue import cancel_upload, find_jobs
    from .output import print_rows

    for job_id in options.job:
        cancel_upload(lab, job_id)
    print_rows(find_jobs(lab, options.job), QUEUE_COLUMNS, as_json=options.json)
    return 0


def _say_nothing(lab: Any, options: argparse.Namespace) -> str:
    """Return what to say if there was no job to upload; those that failed do not go unseen."""
    from ..counted import count_of
    from ..rules.upload_queue import failed_jobs

    if options.retry:
        return "No job has failed."
    number = len(failed_jobs(lab, all_hosts=options.all_hosts))
    if not number:
        return "Nothing to upload."
    return (
        f"Nothing to upload. {count_of(number, 'job')} failed before: `labdata upload --queue` "
        "says why, `labdata upload --retry` tries again."
    )


def _watch(lab: Any, options: argparse.Namespace) -> int:
    """Upload what comes, a line a job, until interrupted or ended."""
    import signal
    import threading

    from ..rules.upload_worker import watch_jobs
    from .output import print_rows, write_quietly

    def end(*_: object) -> None:
        raise KeyboardInterrupt  # as Ctrl-C: the job in hand is given back

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
    write_quietly(f"Watching for uploads every {options.every:g} s. Ctrl-C ends it.")
    outcomes = watch_jobs(
        lab,
        show=show_upload,
        stop=threading.Event(),
        poll_s=options.every,
        all_hosts=options.all_hosts,
    )
    for outcome in outcomes:
        rows, _ = report_outcomes([outcome])
        if rows:
            print_rows(rows, (*_COLUMNS, "ratio"), as_json=options.json)
    return 0


def show_upload(job_id: int) -> AbstractContextManager[Any]:
    """Show the progress of a job; see :data:`labdata.rules.upload_worker.ShowProgress`.

    Parameters
    ----------
    job_id : int
        The job.
    """
    from .output import show_progress

    return show_progress(f"upload {job_id}")


def report_outcomes(outcomes: Iterable[Outcome]) -> tuple[list[dict[str, Any]], list[int]]:
    """Say what failed as it fails; return the rows of what was uploaded, and what failed.

    Parameters
    ----------
    outcomes : iterable of Outcome
        As they come.

    Returns
    -------
    list of dict, list of int
        What was uploaded, and the jobs that failed.
    """
    from . import write

    rows, failed = [], []
    for outcome in outcomes:
        job_id, result, problem = outcome.job_id, outcome.result, outcome.problem
        if problem:
            how = "waits" if outcome.waits else "failed"
            whose = f"upload job {job_id} {how}: " if outcome.was_begun else ""
            write(f"labdata: {whose}{problem.message}", error=True)
            if problem.hint:
                write(f"  {problem.hint}", error=True)
            failed.append(job_id)
        elif result is None:
            write(f"labdata: upload job {job_id} {_WHY_NOTHING[outcome.status]}", error=True)
        else:
            rows.append(
                {
                    "job": job_id,
                    **result.key,
                    "files": result.n_files,
                    "raw": result.raw_bytes,
                    "stored": result.stored_bytes,
                    "ratio": round(result.raw_bytes / result.stored_bytes, 2)
                    if result.stored_bytes
                    else None,
                }
            )
    return rows, failed
