"""``put``: bring a rig's folder to the server's inbox and register it, whole or not at all.

The files are checked by the rule first, then copied and hashed in one pass; the job is registered
in one transaction when every byte is there. Interrupted anywhere before, nothing is registered and
the next ``put`` goes on, as files that are there already with equal content count as copied.
"""

from __future__ import annotations

import logging
import socket
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import IntegrityError, UploadError
from ..preferences import Preferences, absolute_folder, load_preferences
from ..progress import Progress, ignore_progress
from ..stores import Checksums, copy_hashed, hash_file, validate_object_path
from .base import UploadRule, find_rule
from .names import check_name, guess_dataset_type, parse_date, read_path

logger = logging.getLogger(__name__)

#: Files that operating systems leave behind; never data.
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
#: What File.file_path holds, less the longer suffix of a compressed band.
_LONGEST_PATH = 390


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
    file_paths = [path.relative_to(root).as_posix() for path in files]
    _check_paths(file_paths)
    _check_subject(lab, key["subject_name"])
    _check_new(lab, file_paths)
    chosen.check_dataset(lab, key)
    chosen.check(folder, files)
    field, form = preferences.path_rules_session_date
    started = parse_date(key[field], form) if field in key else names.session_datetime
    job = {
        **key,
        "project_name": _known(lab.Project, "project_name", lab.project),
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
    made: list[Path] = []
    before = {path: _state(path) for path in plan.files}
    try:
        rows = [_assigned(plan, path, _bring(plan, path, made, progress)) for path in plan.files]
        _check_unchanged(plan.folder, before)
    except (IntegrityError, UploadError):
        _take_back(lab, plan, made)
        raise
    with _registering(lab), lab.connection.transaction:
        _check_new(lab, [row["src_path"] for row in rows])
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
    found = copy_hashed(path, copy, progress=progress)
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


def _check_paths(file_paths: list[str]) -> None:
    """Refuse paths that no store or column can hold, before anything is copied."""
    seen: dict[str, str] = {}
    for file_path in file_paths:
        validate_object_path(file_path)
        if len(file_path) > _LONGEST_PATH:
            raise UploadError(
                f"{file_path} is a path of {len(file_path)} characters; {_LONGEST_PATH} are the "
                "most.",
                hint="Shorten the names of its folders.",
            )
        # other computers, and the database, do not tell such names apart
        twin = seen.setdefault(_folded(file_path), file_path)
        if twin != file_path:
            raise UploadError(
                f"{twin} and {file_path} differ only in case, accents or trailing spaces.",
                hint="Give them names that every file system tells apart.",
            )


def _folded(file_path: str) -> str:
    plain = unicodedata.normalize("NFKD", file_path)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold().rstrip(" ")


@contextmanager
def _registering(lab: Any) -> Iterator[None]:
    """Register one folder at a time, so that of two puts of one folder the second sees the first.

    The transaction is begun after the lock is taken, as what it sees is fixed when it begins.
    """
    name, connection = f"labdata.put.{lab.UploadJob.database}", lab.connection
    if connection.query("SELECT GET_LOCK(%s, 60)", (name,)).fetchone()[0] != 1:
        raise UploadError(
            "Another put has been registering for a minute.", hint="Put the folder again."
        )
    try:
        yield
    finally:
        connection.query("SELECT RELEASE_LOCK(%s)", (name,))


def _check_new(lab: Any, file_paths: list[str]) -> None:
    """Refuse files that a job or the database has already."""
    marks = ", ".join(["%s"] * len(file_paths))
    connection = lab.connection
    row = connection.query(
        f"SELECT a.src_path, j.job_id, j.job_status FROM {lab.UploadJob.full_table_name} j "
        f"JOIN {lab.UploadJob.AssignedFiles.full_table_name} a USING (job_id) "
        f"WHERE a.src_path IN ({marks}) ORDER BY j.job_id DESC LIMIT 1",
        tuple(file_paths),
    ).fetchone()
    if row:
        failed = row[2] == "FAILED"
        raise UploadError(
            f"{row[0]} was put already, as upload job {row[1]} ({row[2]}).",
            hint="`labdata upload --queue` shows the jobs"
            + (f"; `labdata upload {row[1]} --reset-failed` tries it again." * failed or "."),
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


def _check_unchanged(folder: Path, before: dict[Path, tuple[int, int]]) -> None:
    """Look at every file again, once all are copied: one may have grown after its own turn."""
    after = {path: _state(path) for path in _list_files(folder)}
    changed = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    if changed:
        raise UploadError(
            f"{changed[0]} changed, appeared or vanished while {folder} was copied.",
            hint="Put it again when the recording has ended.",
        )


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _assigned(plan: PutPlan, path: Path, found: Checksums) -> dict[str, Any]:
    return {
        "src_path": plan.file_path(path),
        "src_datetime": utc(path.stat().st_mtime),
        "src_size": found.size_bytes,
        "src_sha256": found.sha256,
    }
