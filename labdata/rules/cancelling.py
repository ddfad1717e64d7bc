"""Taking back a put whose upload has not happened: the folder may then be put anew.

A folder that was put under the wrong animal, or changed since, cannot be uploaded as it was put,
and what is registered is not put again. So its job can be cancelled: it stays in the table, with
its files, and stands in nobody's way. No file is touched, neither on the rig nor in the inbox.
"""

from __future__ import annotations

from typing import Any

from ..database.claims import claim_row
from ..errors import UploadError
from .uploading import check_may_upload

#: States in which an upload has not happened; WORKING only when its worker is gone.
_OPEN = ("ON SERVER", "WAITING", "FAILED", "WORKING")


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
            text = f"cancelled; before it was {status[0]}" + f": {log[0]}" * bool(log[0])
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
