"""The queue of uploads: what waits, works or failed; jobs tried again, and jobs taken back.

A folder that was put under the wrong animal, or changed since, cannot be uploaded as it was put,
and what is registered is not put again. So its job can be cancelled: it stays in the table, with
its files, and stands in nobody's way. No file is touched, neither on the rig nor in the inbox.
"""

from __future__ import annotations

import socket
from typing import Any

from ..database.archived import refuse_archived
from ..database.claims import claim_row, count_deaths, has_worker, release_failed
from ..database.own_roles import check_role
from ..errors import NotUploadableError, UploadError
from ..preferences import Preferences, load_preferences

#: States a worker may claim; WORKING only when its worker is gone.
CLAIMABLE = ("ON SERVER", "WAITING", "WORKING")
#: States in which an upload has not happened; WORKING only when its worker is gone.
_OPEN = ("ON SERVER", "WAITING", "FAILED", "WORKING")
#: A service begins jobs unasked: one that kills its worker, as when memory runs out, not for ever.
MOST_DEATHS = 3


def find_jobs(lab: Any, jobs: list[int]) -> list[dict[str, Any]]:
    """Return upload jobs of the lab's project with their files and bytes, newest first.

    Of a job whose worker died the log says so, as the row itself does not know it.

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
        "j.job_rule, j.job_host, j.job_starttime, j.job_endtime, j.job_log, j.job_claim, "
        "COALESCE(a.files, 0) AS files, COALESCE(a.size, 0) AS size "
        f"FROM {lab.UploadJob.full_table_name} j LEFT JOIN "
        "(SELECT job_id, COUNT(*) AS files, CAST(SUM(src_size) AS SIGNED) AS size "
        f"FROM {lab.UploadJob.AssignedFiles.full_table_name} GROUP BY job_id) a USING (job_id) "
        f"{where} ORDER BY j.job_id DESC",
        values,
        as_dict=True,
    )
    rows: list[dict[str, Any]] = list(cursor.fetchall())
    for row in rows:
        number, n_deaths = row["job_id"], count_deaths(row.pop("job_claim")) + 1
        if row["job_status"] == "WORKING" and not has_worker(lab.UploadJob, "job", number):
            again = "begins it again" if n_deaths < MOST_DEATHS else "says what to do"
            times = "" if n_deaths == 1 else f", the {n_deaths}. that died"
            last = f" Its last word: {row['job_log']}" if row["job_log"] else ""
            row["job_log"] = f"Its worker is gone{times}; `labdata upload {number}` {again}.{last}"
    return rows


def claimable_jobs(
    lab: Any, *, all_hosts: bool = False, preferences: Preferences | None = None
) -> list[int]:
    """Return the numbers of the jobs that this host may claim, oldest first.

    Parameters
    ----------
    lab : Lab
        The tables.
    all_hosts : bool, optional
        Also those meant for other hosts.
    preferences : Preferences, optional
        By default the user's; they say what this host is called.
    """
    return _jobs_in(lab, CLAIMABLE, all_hosts, preferences)


def failed_jobs(lab: Any, *, all_hosts: bool = False) -> list[int]:
    """Return the numbers of the failed jobs of this host, oldest first.

    Parameters
    ----------
    lab : Lab
        The tables.
    all_hosts : bool, optional
        Also those of other hosts.
    """
    return _jobs_in(lab, ("FAILED",), all_hosts)


def _jobs_in(
    lab: Any, states: tuple[str, ...], all_hosts: bool, preferences: Preferences | None = None
) -> list[int]:
    query = lab.UploadJob & [{"job_status": status} for status in states]
    query = query & {"project_name": lab.project}
    if not all_hosts:
        preferences = preferences or load_preferences()
        query = query & {"job_host": preferences.upload_host or socket.gethostname()}
    return [int(number) for number in query.fetch("job_id")]


def check_may_upload(lab: Any) -> None:
    """Raise if nothing may be uploaded into the tables of a project.

    Parameters
    ----------
    lab : Lab
        The tables.

    Raises
    ------
    DatabaseError
        If the project is archived, or this account has not the role.
    """
    refuse_archived(lab)
    check_role(lab, "upload", ("experimenter", "admin"))


def check_uploadable(lab: Any, job_id: int) -> None:
    """Refuse a job that is not to be uploaded, or not into the tables of this project.

    Parameters
    ----------
    lab : Lab
        The tables.
    job_id : int
        The job.

    Raises
    ------
    NotUploadableError
        If there is none, it belongs to another project, failed before or was cancelled.
    """
    row = lab.connection.query(
        f"SELECT project_name, job_status, job_log FROM {lab.UploadJob.full_table_name} "
        "WHERE job_id=%s",
        (job_id,),
    ).fetchone()
    if row is None:
        raise NotUploadableError(
            f"There is no upload job {job_id}.", hint="`labdata upload --queue` shows the jobs."
        )
    project, status, log = row
    if project != lab.project:
        raise NotUploadableError(
            f"Upload job {job_id} belongs to {_named(project)}; these are the tables of "
            f"{_named(lab.project)}.",
            hint=f"Use `labdata upload -p {project}`." if project else "Leave -p out.",
        )
    if status == "CANCELLED":
        raise NotUploadableError(
            f"Upload job {job_id} was cancelled.", hint="Put the folder again."
        )
    if status == "FAILED":
        raise NotUploadableError(
            f"Upload job {job_id} failed before: {log}",
            # most logs end in a hint of their own
            hint=None
            if "--retry" in (log or "")
            else f"Once that is mended, `labdata upload {job_id} --retry`.",
        )


def _named(project: str | None) -> str:
    return f"project {project!r}" if project else "no project"


def retry_failed(lab: Any, job_ids: list[int]) -> int:
    """Let failed jobs be claimed again.

    Parameters
    ----------
    lab : Lab
        The tables.
    job_ids : list of int
        The jobs; those that have not failed are left alone.

    Returns
    -------
    int
        How many were reset.
    """
    check_may_upload(lab)
    return sum(
        release_failed(lab.UploadJob, "job", job_id, only={"project_name": lab.project})
        for job_id in job_ids
    )


def cancel_upload(lab: Any, job_id: int) -> None:
    """Cancel an upload job; one that was cancelled before stays so.

    Parameters
    ----------
    lab : Lab
        The tables.
    job_id : int
        The job.

    Raises
    ------
    UploadError
        If there is no such job in the lab's project, it is done, or a worker has it.
    DatabaseError
        If the project is archived, or this account has not the role.
    """
    check_may_upload(lab)
    only = {"project_name": lab.project}
    before = (lab.UploadJob & {"job_id": job_id, **only}).fetch("job_status", "job_log")
    status, log = (list(column) for column in before)
    if not status:
        raise UploadError(
            f"There is no upload job {job_id} here.", hint="`labdata upload --queue` lists them."
        )
    if status[0] == "CANCELLED":
        return
    with claim_row(lab.UploadJob, "job", job_id, states=_OPEN, only=only) as claim:
        if claim:
            # what its log advises is no advice any more
            why = f": {log[0].splitlines()[0]}" if log[0] else ""
            text = f"cancelled; before it was {status[0]}{why}"
            claim.finish("CANCELLED", text)
            return
    if status[0] == "COMPLETED":
        raise UploadError(
            f"Upload job {job_id} is done, so it cannot be cancelled.",
            hint="`labdata delete` shows what deleting its dataset would do.",
        )
    raise UploadError(
        f"Upload job {job_id} is being uploaded, so it cannot be cancelled.",
        hint="End that upload with Ctrl-C first, then repeat.",
    )
