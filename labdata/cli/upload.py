"""Upload what was put: verify, apply the rule, store, verify again, describe. Runs on the server.

Each job is whole or not at all, and can be interrupted and repeated at any moment. Without numbers
all jobs of this host are uploaded.

Examples:
  labdata upload
  labdata upload 12 13
  labdata upload --queue             what waits, works, failed and why
  labdata upload --reset-failed      try failed jobs again
"""

from __future__ import annotations

import argparse
from typing import Any

QUEUE_COLUMNS = (
    *("job_id", "job_status", "subject_name", "session_name", "dataset_name", "job_rule"),
    *("files", "size", "job_host", "job_endtime", "job_log"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .selection import number_of

    number = number_of("upload", "labdata upload --queue")
    parser.add_argument(
        "job", nargs="*", type=number, help="job numbers (default: all of this host)"
    )
    parser.add_argument("--queue", action="store_true", help="list the jobs")
    parser.add_argument("--reset-failed", action="store_true", help="try failed jobs again")
    parser.add_argument("--all-hosts", action="store_true", help="also jobs of other hosts")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """List or upload jobs."""
    from ..errors import QueryError
    from ..rules.uploading import check_may_upload, claimable_jobs, failed_jobs, reset_failed
    from .output import print_rows
    from .selection import chosen_lab

    lab = chosen_lab(options)
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
    if options.reset_failed:
        reset_failed(lab, options.job or failed_jobs(lab, all_hosts=options.all_hosts))
    jobs = options.job or claimable_jobs(lab, all_hosts=options.all_hosts)
    rows, failed = upload_jobs(lab, jobs)
    columns = ("job", "subject_name", "session_name", "dataset_name", "files", "raw", "stored")
    print_rows(rows, (*columns, "ratio"), as_json=options.json, empty="Nothing to upload.")
    return 1 if failed else 0


def upload_jobs(lab: Any, jobs: list[int]) -> tuple[list[dict[str, Any]], list[int]]:
    """Upload jobs one after another; one that fails is said and does not stop the others.

    Parameters
    ----------
    lab : Lab
        The tables.
    jobs : list of int
        Their numbers.

    Returns
    -------
    list of dict, list of int
        What was uploaded, and the jobs that failed.
    """
    from ..errors import LabdataError
    from ..rules.uploading import upload_job
    from . import write
    from .output import show_progress

    rows, failed = [], []
    for job_id in jobs:
        try:
            with show_progress(f"upload {job_id}") as (progress, set_total):
                result = upload_job(job_id, lab=lab, progress=progress, on_size=set_total)
        except LabdataError as error:
            write(f"labdata: upload job {job_id} failed: {error.message}", error=True)
            if error.hint:
                write(f"  {error.hint}", error=True)
            failed.append(job_id)
            continue
        if result is None:
            write(f"labdata: upload job {job_id} is done, or another worker has it.", error=True)
            continue
        rows.append(
            {
                "job": job_id,
                **result.key,
                "files": result.n_files,
                "raw": result.raw_bytes,
                "stored": result.stored_bytes,
                "ratio": round(result.raw_bytes / max(result.stored_bytes, 1), 2),
            }
        )
    return rows, failed


def find_jobs(lab: Any, jobs: list[int]) -> list[dict[str, Any]]:
    """Return upload jobs of the lab's project with their files and bytes, newest first.

    Parameters
    ----------
    lab : Lab
        The tables.
    jobs : list of int
        Their numbers; all by default.
    """
    where, values = "WHERE j.project_name <=> %s", (lab.project, *jobs)
    where += f" AND j.job_id IN ({', '.join(['%s'] * len(jobs))})" if jobs else ""
    cursor = lab.connection.query(
        "SELECT j.job_id, j.job_status, j.subject_name, j.session_name, j.dataset_name, "
        "j.job_rule, j.job_host, j.job_starttime, j.job_endtime, j.job_log, "
        "COALESCE(a.files, 0) AS files, COALESCE(a.size, 0) AS size "
        f"FROM {lab.UploadJob.full_table_name} j LEFT JOIN "
        "(SELECT job_id, COUNT(*) AS files, CAST(SUM(src_size) AS SIGNED) AS size "
        f"FROM {lab.UploadJob.AssignedFiles.full_table_name} GROUP BY job_id) a USING (job_id) "
        f"{where} ORDER BY j.job_id DESC",
        values,
        as_dict=True,
    )
    return list(cursor.fetchall())
