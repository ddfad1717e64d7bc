"""``put``: bring a rig's folder to the server's inbox and register it, whole or not at all.

The files are checked by the rule first, then copied and hashed in one pass; the job is registered
in one transaction when every byte is there. Interrupted anywhere before, nothing is registered and
the next ``put`` goes on, as files that are there already with equal content count as copied.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import UploadError
from ..preferences import Preferences, absolute_folder, load_preferences
from ..progress import Progress, ignore_progress
from ..stores import Checksums, copy_hashed, hash_file
from .base import UploadRule, find_rule
from .names import check_name, guess_dataset_type, read_path

logger = logging.getLogger(__name__)

#: Files that operating systems leave behind; never data.
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


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
    root = _containing_folder(folder, preferences)
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
    files = _list_files(folder)
    _check_subject(lab, key["subject_name"])
    _check_new(lab, [path.relative_to(root).as_posix() for path in files])
    chosen.check(folder, files)
    started = None if session else names.session_datetime
    job = {
        **key,
        "dataset_type": _known(lab.DatasetType, "dataset_type", chosen.dataset_type or kind),
        "session_datetime": _session_start(
            lab, key, session_datetime or started or chosen.recorded(folder)
        ),
        "experimenter": _known(lab.LabMember, "user_name", experimenter),
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
    rows = []
    for path in plan.files:
        before = path.stat()
        if plan.inbox == plan.root:
            found = hash_file(path, progress=progress)
        else:
            found = copy_hashed(path, plan.inbox / plan.file_path(path), progress=progress)
        _check_unchanged(path, before)
        rows.append(_assigned(plan, path, found))
    if set(_list_files(plan.folder)) != set(plan.files):
        raise UploadError(
            f"Files appeared in or vanished from {plan.folder} while it was copied.",
            hint="Put it again when the recording has ended.",
        )
    with lab.connection.transaction:
        _check_new(lab, [row["src_path"] for row in rows], lock=True)
        lab.UploadJob.insert1(plan.job)
        job_id = int(lab.connection.query("SELECT LAST_INSERT_ID()").fetchone()[0])
        lab.UploadJob.AssignedFiles.insert([{"job_id": job_id, **row} for row in rows])
    logger.info("Put %s as upload job %d", plan.folder, job_id)
    return job_id


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


def _containing_folder(folder: Path, preferences: Preferences) -> Path:
    roots = [path.resolve() for path in preferences.local_folders()]
    for root in roots:
        if folder.is_relative_to(root) and folder != root:
            if not folder.is_dir():
                raise UploadError(f"{folder} is not a folder.", hint="Put a folder of raw data.")
            return root
    shown = ", ".join(map(str, roots))
    raise UploadError(
        f"{folder} is not inside a local path ({shown}).",
        hint="Move it there, or add its parent to local_paths in the preference file.",
    )


def _list_files(folder: Path) -> tuple[Path, ...]:
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise UploadError(
                f"{path} is a link.", hint="Put the data themselves, not links to them."
            )
        if path.is_file() and path.name not in _LITTER:
            files.append(path)
    if not files:
        raise UploadError(f"{folder} holds no files.", hint="Is it the right folder?")
    return tuple(files)


def _check_subject(lab: Any, subject: str) -> None:
    import difflib

    known = [str(name) for name in lab.Subject.fetch("subject_name")]
    if subject not in known:
        near = difflib.get_close_matches(subject, known, n=1)
        raise UploadError(
            f"There is no subject {subject!r} in the database.",
            hint=(f"Did you mean {near[0]!r}? " if near else "")
            + "Name it with -a, or add it to Subject first.",
        )


def _check_new(lab: Any, file_paths: list[str], *, lock: bool = False) -> None:
    """Refuse files that a job or the database has already."""
    marks = ", ".join(["%s"] * len(file_paths))
    connection = lab.connection
    suffix = " FOR UPDATE" if lock else ""
    row = connection.query(
        f"SELECT a.src_path, j.job_id, j.job_status FROM {lab.UploadJob.full_table_name} j "
        f"JOIN {lab.UploadJob.AssignedFiles.full_table_name} a USING (job_id) "
        f"WHERE a.src_path IN ({marks}) ORDER BY j.job_id DESC LIMIT 1{suffix}",
        tuple(file_paths),
    ).fetchone()
    if row:
        raise UploadError(
            f"{row[0]} was put already, as upload job {row[1]} ({row[2]}).",
            hint="`labdata upload --queue` shows the jobs.",
        )
    for table in (lab.File, lab.ProcessedFile):
        row = connection.query(
            f"SELECT file_path FROM {table.full_table_name} WHERE file_path IN ({marks}) LIMIT 1",
            tuple(file_paths),
        ).fetchone()
        if row:
            raise UploadError(
                f"{row[0]} is in the database already.",
                hint="New data need a session or dataset name of their own.",
            )


def _known(table: Any, attribute: str, value: str | None) -> str | None:
    if value is not None and not (table & {attribute: value}):
        known = ", ".join(map(str, table.fetch(attribute)))
        raise UploadError(
            f"{value!r} is no {attribute} of the database.", hint=f"It has: {known or 'none'}."
        )
    return value


def _session_start(lab: Any, key: dict[str, str], found: datetime | None) -> datetime | None:
    """Return when a new session started; a session that exists keeps its own start."""
    if lab.Session & {k: key[k] for k in ("subject_name", "session_name")}:
        return None
    if found is None:
        raise UploadError(
            f"When session {key['session_name']!r} started is not known: its name is not a date.",
            hint="Give the start with --session-datetime 2026-01-31T14:05:00.",
        )
    return found


def _check_unchanged(path: Path, before: Any) -> None:
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise UploadError(
            f"{path} changed while it was read.", hint="Put it again when it is whole."
        )


def _assigned(plan: PutPlan, path: Path, found: Checksums) -> dict[str, Any]:
    return {
        "src_path": plan.file_path(path),
        "src_datetime": utc(path.stat().st_mtime),
        "src_size": found.size_bytes,
        "src_sha256": found.sha256,
    }
