"""``put``: bring a rig's folder to the server's inbox and register it, whole or not at all.

The files are checked by the rule first, then copied and hashed in one pass; the job is registered
in one transaction when every byte is there. Interrupted anywhere before, nothing is registered and
the next ``put`` goes on, as files that are there already with equal content count as copied.
"""

from __future__ import annotations

import logging
import socket
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..database.locks import server_lock
from ..errors import IntegrityError, UploadError
from ..preferences import Preferences, absolute_folder, load_preferences
from ..progress import Progress, ignore_progress
from ..stores import Checksums, copy_hashed, hash_file
from .base import UploadRule, find_rule
from .checks import (
    check_new,
    check_paths,
    check_subject,
    check_unchanged,
    containing_folder,
    file_state,
    known_value,
    list_files,
    session_start,
)
from .names import check_name, guess_dataset_type, parse_date, read_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PutPlan:
    """What a put will do, before it does it.

    Attributes
    ----------
    folder : Path
        The folder.
    root : Path
        The local path it lies in; paths in the database are relative to it.
    inbox : Path
        Where the files go; equal to ``root`` where this computer is the server.
    files : tuple of Path
        Its files.
    size_bytes : int
        Their sizes together.
    rule : UploadRule
        How they will be uploaded.
    job : dict
        The UploadJob row.
    """

    folder: Path
    root: Path
    inbox: Path
    files: tuple[Path, ...]
    size_bytes: int
    rule: UploadRule
    job: dict[str, Any]

    def file_path(self, path: Path) -> str:
        """Return the path in the database of one of the files.

        Parameters
        ----------
        path : Path
            One of ``files``.
        """
        return path.relative_to(self.root).as_posix()


def plan_put(
    folder: str | Path,
    *,
    rule: str | None = None,
    subject: str | None = None,
    session: str | None = None,
    dataset: str | None = None,
    dataset_type: str | None = None,
    session_datetime: datetime | None = None,
    experimenter: str | None = None,
    lab: Any = None,
    preferences: Preferences | None = None,
) -> PutPlan:
    """Check a folder and say what putting it would do; nothing changes.

    Parameters
    ----------
    folder : path
        A folder within one of ``local_paths``.
    rule : str, optional
        Upload rule; by default the one of the dataset's type, else ``none``.
    subject, session, dataset, dataset_type : str, optional
        Names where the path does not say them, or says them wrongly.
    session_datetime : datetime, optional
        Start of a new session where its name does not say it.
    experimenter : str, optional
        Lab member of a new session.
    lab : Lab, optional
        Tables of another project.
    preferences : Preferences, optional
        By default the user's.

    Raises
    ------
    UploadError
        If the folder is outside the local paths, empty or put already, or a name is missing or
        unknown.
    LabdataError
        If the rule refuses the files.
    """
    lab = lab or _default_lab()
    preferences = preferences or load_preferences()
    folder = Path(folder).expanduser().absolute().resolve()
    root = containing_folder(folder, preferences)
    names = read_path(
        folder.relative_to(root).as_posix(),
        preferences.path_rules,
        preferences.path_rules_session_date,
    )
    key = {
        "subject_name": check_name("subject_name", subject or names.subject_name, 64),
        "session_name": check_name("session_name", session or names.session_name, 64),
        "dataset_name": check_name("dataset_name", dataset or names.dataset_name, 128),
    }
    kind = dataset_type or guess_dataset_type(key["dataset_name"])
    chosen = find_rule(rule or ("ephys" if kind == "ephys" else "none"))
    files = list_files(folder)
    file_paths = [path.relative_to(root).as_posix() for path in files]
    check_paths(file_paths)
    check_subject(lab, key["subject_name"])
    check_new(lab, file_paths)
    chosen.check_dataset(lab, key)
    chosen.check(folder, files)
    field, form = preferences.path_rules_session_date
    started = parse_date(key[field], form) if field in key else names.session_datetime
    job = {
        **key,
        "project_name": known_value(lab.Project, "project_name", lab.project),
        "dataset_type": known_value(lab.DatasetType, "dataset_type", chosen.dataset_type or kind),
        "session_datetime": session_start(
            lab, key, session_datetime or started or chosen.recorded(folder)
        ),
        "experimenter": known_value(lab.LabMember, "user_name", experimenter),
        "job_rule": chosen.name,
        "job_status": "ON SERVER",
        "job_waiting": 1,
        "job_host": preferences.upload_host or socket.gethostname(),
        "upload_storage": preferences.upload_storage or "data",
    }
    inbox = absolute_folder("upload_path", preferences.upload_path or str(root))
    size = sum(path.stat().st_size for path in files)
    return PutPlan(folder, root, inbox, files, size, chosen, job)


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
    lab = lab or _default_lab()
    if not plan.inbox.is_dir():
        raise UploadError(
            f"The inbox {plan.inbox} is not there.",
            hint="Is the server's folder mounted? Check upload_path.",
        )
    made: list[Path] = []
    before = {path: file_state(path) for path in plan.files}
    try:
        rows = [_assigned(plan, path, _bring(plan, path, made, progress)) for path in plan.files]
        check_unchanged(plan.folder, before)
    except (IntegrityError, UploadError):
        _take_back(lab, plan, made)
        raise
    with _registering(lab), lab.connection.transaction:
        check_new(lab, [row["src_path"] for row in rows])
        _check_there(plan, rows)
        lab.UploadJob.insert1(plan.job)
        job_id = int(lab.connection.query("SELECT LAST_INSERT_ID()").fetchone()[0])
        lab.UploadJob.AssignedFiles.insert([{"job_id": job_id, **row} for row in rows])
    logger.info("Put %s as upload job %d", plan.folder, job_id)
    return job_id


def _bring(plan: PutPlan, path: Path, made: list[Path], progress: Progress) -> Checksums:
    """Copy one file to the inbox and hash it; ``made`` gets the copy if it was not there."""
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
            hint="Compare the two. No upload job has the one in the inbox: if it is left from a "
            "put that was interrupted, remove it and put the folder again.",
        ) from error
    if new:
        made.append(copy)
    return found


def _take_back(lab: Any, plan: PutPlan, made: list[Path]) -> None:
    """Remove the copies that a refused put made, as they would be in the way of the next.

    The originals are where they were. A copy that another put has registered meanwhile stays.
    """
    with _registering(lab):
        for copy in made:
            file_path = copy.relative_to(plan.inbox).as_posix()
            if not (lab.UploadJob.AssignedFiles & {"src_path": file_path}):
                copy.unlink(missing_ok=True)
    for folder in sorted({p for c in made for p in c.parents}, reverse=True):
        if folder.is_relative_to(plan.inbox) and folder != plan.inbox:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _check_there(plan: PutPlan, rows: list[dict[str, Any]]) -> None:
    """Look at the copies once more: a put of the same folder may just have taken one back."""
    for row in rows:
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


def _default_lab() -> Any:
    from ..schema import default_lab

    return default_lab


def _registering(lab: Any) -> AbstractContextManager[None]:
    """Register one folder at a time, so that of two puts of one folder the second sees the first.

    The transaction is begun after the lock is taken, as what it sees is fixed when it begins.
    """
    return server_lock(
        lab.connection,
        f"put.{lab.UploadJob.database}",
        timeout_s=60,
        refused=UploadError(
            "Another put has been registering for a minute.", hint="Put the folder again."
        ),
    )


def _assigned(plan: PutPlan, path: Path, found: Checksums) -> dict[str, Any]:
    return {
        "src_path": plan.file_path(path),
        "src_datetime": utc(path.stat().st_mtime),
        "src_size": found.size_bytes,
        "src_sha256": found.sha256,
    }
