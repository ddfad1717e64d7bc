"""``put``: bring a rig's folder to the server's inbox and register it, whole or not at all.

The files are checked by the rule first (:mod:`labdata.rules.planning`), then copied and hashed in
one pass; the job is registered in one transaction when every byte is there. Interrupted anywhere
before, nothing is registered and the next ``put`` goes on, as files that are there already with
equal content count as copied.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..database.archived import refuse_archived
from ..database.locks import server_lock
from ..errors import IntegrityError, LabdataError, UploadError
from ..progress import Progress, ignore_progress
from ..stores import Checksums, copy_hashed, hash_file
from .checks import relative_path, require_same
from .known import check_new
from .planning import PutPlan, default_lab, plan_put

__all__ = ["PutPlan", "plan_put", "put", "utc"]

logger = logging.getLogger(__name__)

#: Files that are looked at, on a share that may be slow, between two words to the database.
_LOOKS_BETWEEN_WORDS = 500


def put(plan: PutPlan, *, lab: Any = None, progress: Progress = ignore_progress) -> int:
    """Copy and hash the files of a plan and register their upload.

    Parameters
    ----------
    plan : PutPlan
        From :func:`plan_put`.
    lab : Lab, optional
        Tables of another project.
    progress : Progress, optional
        Called with bytes as they are read.

    Returns
    -------
    int
        The number of the upload job.

    Raises
    ------
    IntegrityError
        If a file changes while it is copied, or the inbox has another file of its name.
    UploadError
        If another process registered one of the files meanwhile.
    """
    lab = lab or default_lab()
    refuse_archived(lab)
    if not plan.inbox.is_dir():
        raise UploadError(
            f"The inbox {plan.inbox} is not there.",
            hint="Is the server's folder mounted? Check upload_path.",
        )
    made: dict[Path, int] = {}
    try:
        rows = [_assigned(plan, path, _bring(plan, path, made, progress)) for path in plan.files]
        # one that was copied early may have grown since; so may any since it was planned
        require_same(plan.states, plan.folder, f"while {plan.folder} was copied")
    except (IntegrityError, UploadError):
        _take_back(lab, plan, made)
        raise
    with _registering(lab) as require_held:
        try:
            job_id = _register(lab, plan, rows, require_held)
        except UploadError:  # of another put that was quicker, with some of the files
            _remove_unregistered(lab, plan, made)
            raise
    logger.info("Put %s as upload job %d", plan.folder, job_id)
    return job_id


def _register(
    lab: Any, plan: PutPlan, rows: list[dict[str, Any]], require_held: Callable[[], None]
) -> int:
    """Make the job and its files true together, if nobody else has registered one of them."""
    with lab.connection.transaction:
        require_held()
        check_new(lab, [row["src_path"] for row in rows])
        _check_there(plan, rows, require_held)
        lab.UploadJob.insert1(plan.job)
        job_id = int(lab.connection.query("SELECT LAST_INSERT_ID()").fetchone()[0])
        lab.UploadJob.AssignedFiles.insert([{"job_id": job_id, **row} for row in rows])
    return job_id


def _bring(plan: PutPlan, path: Path, made: dict[Path, int], progress: Progress) -> Checksums:
    """Copy one file to the inbox and hash it; ``made`` gets the copy if it was not there.

    One that was there may be another put's, even of a project that this account does not see. The
    time of its last access is set, which tells that put, should it be refused, that it is in use.
    """
    if plan.inbox == plan.root:
        return hash_file(path, progress=progress)
    copy = plan.inbox / plan.file_path(path)
    new = not copy.exists()
    try:
        found = copy_hashed(path, copy, progress=progress)
    except IntegrityError as error:
        if new or hash_file(copy) == hash_file(path):
            raise
        raise IntegrityError(
            f"{copy} is in the inbox with other content than {path}; both were left as they are.",
            hint="Compare the two. None of this project's uploads waits for the one in the "
            "inbox: if it is left from a put that was interrupted or cancelled, and no other "
            "project has that name, remove it and put the folder again.",
        ) from error
    if new:
        made[copy] = copy.stat().st_atime_ns
    else:
        with suppress(OSError):  # of an account that does not let it
            os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))
    return found


def _take_back(lab: Any, plan: PutPlan, made: dict[Path, int]) -> None:
    """Remove the copies that a refused put made, as they would be in the way of the next.

    If the database does not let it they stay: why the put was refused is what is to be told.
    """
    with suppress(LabdataError), _registering(lab):
        _remove_unregistered(lab, plan, made)


def _remove_unregistered(lab: Any, plan: PutPlan, made: dict[Path, int]) -> None:
    """Remove copies while nobody registers; one that another put has registered or uses stays.

    The originals are where they were.
    """
    for copy, accessed_ns in made.items():
        if not copy.is_file() or copy.stat().st_atime_ns != accessed_ns:
            continue
        file_path = relative_path(copy, plan.inbox)
        jobs = lab.UploadJob & 'COALESCE(job_status, "") <> "CANCELLED"'
        if not (lab.UploadJob.AssignedFiles & {"src_path": file_path} & jobs.proj()):
            copy.unlink(missing_ok=True)
    for folder in sorted({p for c in made for p in c.parents}, reverse=True):
        if folder.is_relative_to(plan.inbox) and folder != plan.inbox:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _check_there(
    plan: PutPlan, rows: list[dict[str, Any]], require_held: Callable[[], None]
) -> None:
    """Look at the copies once more: a put of the same folder may just have taken one back."""
    for number, row in enumerate(rows):
        if number % _LOOKS_BETWEEN_WORDS == 0:
            require_held()
        copy = plan.inbox / row["src_path"]
        if not copy.is_file() or copy.stat().st_size != row["src_size"]:
            raise UploadError(
                f"{copy} was changed or removed by another process.", hint="Put the folder again."
            )


def utc(timestamp_s: float) -> datetime:
    """Return a file's timestamp as the database keeps it: UTC, without a zone.

    Parameters
    ----------
    timestamp_s : float
        Seconds since 1970.
    """
    return datetime.fromtimestamp(timestamp_s, UTC).replace(tzinfo=None)


def _registering(lab: Any) -> AbstractContextManager[Callable[[], None]]:
    """Register one folder at a time, so that of two puts of one folder the second sees the first.

    The transaction is begun after the lock is taken, as what it sees is fixed when it begins.
    """
    return server_lock(
        lab.connection,
        f"put.{lab.UploadJob.database}",
        timeout_s=60,
        refused=UploadError(
            "Another put, or `labdata garbage --remove`, has kept this one from registering for a "
            "minute.",
            hint="Put the folder again when it has ended; what was copied is kept.",
        ),
        may_be_silent=False,
    )


def _assigned(plan: PutPlan, path: Path, found: Checksums) -> dict[str, Any]:
    return {
        "src_path": plan.file_path(path),
        "src_datetime": utc(path.stat().st_mtime),
        "src_size": found.size_bytes,
        "src_sha256": found.sha256,
    }
