"""What a put will do: a folder is read, checked and named before anything is copied."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..database.archived import refuse_archived
from ..database.own_roles import check_role
from ..errors import PreferenceError, UploadError
from ..preferences import Preferences, absolute_folder, load_preferences
from .base import UploadRule, find_rule, guess_rule
from .checks import (
    FileState,
    check_paths,
    containing_folder,
    empty_folders,
    list_files,
    relative_path,
)
from .known import check_new, check_spelling, check_subject, known_value, session_start
from .names import PathNames, check_name, guess_dataset_type, parse_date, read_path
from .put_notes import inbox_notes, kept_notes, plan_notes
from .quiet import look_first, require_still
from .subject_guard import check_same_animal


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
    states : dict
        Size and time of each file when it was planned; they must not change any more.
    why_rule : str
        How the rule was found: ``said``, ``files`` (their names) or ``dataset type``.
    notes : tuple of str
        What may not be meant, or not be known, a sentence each.
    """

    folder: Path
    root: Path
    inbox: Path
    files: tuple[Path, ...]
    size_bytes: int
    rule: UploadRule
    job: dict[str, Any]
    states: dict[Path, FileState]
    why_rule: str = "said"
    notes: tuple[str, ...] = ()

    @property
    def empty_folders(self) -> tuple[Path, ...]:
        """Folders in it without a file: they are not put, as a store has files only."""
        return empty_folders(self.folder)

    def file_path(self, path: Path) -> str:
        """Return the path in the database of one of the files.

        Parameters
        ----------
        path : Path
            One of ``files``.
        """
        return relative_path(path, self.root)


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
    subject_is_right: bool = False,
    lab: Any = None,
    preferences: Preferences | None = None,
) -> PutPlan:
    """Check a folder and say what putting it would do; nothing changes.

    Parameters
    ----------
    folder : path
        A folder within one of ``local_paths``.
    rule : str, optional
        Upload rule; by default the one that recognises the files, else the one of the dataset's
        type, else ``none``.
    subject, session, dataset, dataset_type : str, optional
        Names where the path does not say them, or says them wrongly.
    session_datetime : datetime, optional
        Start of a new session where its name does not say it.
    experimenter : str, optional
        Lab member of a new session.
    subject_is_right : bool, optional
        Put it even if the path or the files name another subject of the lab.
    lab : Lab, optional
        Tables of another project.
    preferences : Preferences, optional
        By default the user's.

    Returns
    -------
    PutPlan
        Files, names and rule.

    Raises
    ------
    UploadError
        If the folder is outside the local paths, empty, put already or still being written, a
        name is missing or unknown, the files name another subject, or the rule is for another
        dataset type.
    LabdataError
        If the rule refuses the files.
    """
    preferences = preferences or load_preferences()
    folder = Path(folder).expanduser().absolute().resolve()
    root = containing_folder(folder, preferences)
    files = list_files(folder)
    look = look_first(folder, files)  # before the database is asked: that takes its moment too
    lab = lab or default_lab()
    refuse_archived(lab)
    check_role(lab, "put folders", ("experimenter", "admin"))
    names = _read_names(folder, root, preferences)
    key = _dataset_key(names, subject, session, dataset)
    kind = dataset_type or guess_dataset_type(key["dataset_name"])
    chosen, why = _choose_rule(rule, kind, files)
    known = _check(lab, key, chosen, folder, root, files)
    if not subject_is_right:
        check_same_animal(
            key["subject_name"],
            known,
            path_subject=names.subject_name,
            texts=chosen.said(folder),
            paths=[relative_path(path, root) for path in files],
        )
    began = session_datetime or _named_start(key, names, preferences)
    job = {
        **key,
        "project_name": known_value(lab.Project, "project_name", lab.project),
        "dataset_type": _find_type(lab, dataset_type, chosen, kind),
        "session_datetime": session_start(lab, key, began or chosen.recorded(folder)),
        "experimenter": known_value(lab.LabMember, "user_name", experimenter),
        "job_rule": chosen.name,
        **_handling(preferences),
    }
    inbox = absolute_folder("upload_path", preferences.upload_path or str(root))
    require_still(look)
    said = {"session_datetime": session_datetime, "experimenter": experimenter}
    notes = plan_notes(names, job, look)
    notes += kept_notes(lab, key, said | {"dataset_type": dataset_type})
    notes += inbox_notes(lab, job, inbox, root)
    size = sum(size_bytes for size_bytes, _ in look.states.values())
    return PutPlan(folder, root, inbox, files, size, chosen, job, look.states, why, notes)


def _choose_rule(
    said: str | None, kind: str | None, files: tuple[Path, ...]
) -> tuple[UploadRule, str]:
    """Return the rule that was said, that knows such files, or that is usual, and which of it."""
    if said:
        return find_rule(said), "said"
    guessed = guess_rule(files)
    if guessed:
        return guessed, "files"
    return find_rule("ephys" if kind == "ephys" else "none"), "dataset type"


def _find_type(lab: Any, said: str | None, rule: UploadRule, guessed: str | None) -> str | None:
    """Return the dataset's type; one that is said must be there, and be the rule's."""
    known_value(lab.DatasetType, "dataset_type", said)
    if said and rule.dataset_type not in (None, said):
        raise UploadError(
            f"Rule {rule.name!r} is for datasets of type {rule.dataset_type!r}, you say {said!r}.",
            hint=f"Leave -t {said} out, or name another rule with -r.",
        )
    kind = rule.dataset_type or guessed
    return known_value(lab.DatasetType, "dataset_type", kind)


def _read_names(folder: Path, root: Path, preferences: Preferences) -> PathNames:
    return read_path(
        relative_path(folder, root),
        preferences.path_rules,
        preferences.path_rules_session_date,
    )


def _dataset_key(
    names: PathNames, subject: str | None, session: str | None, dataset: str | None
) -> dict[str, str]:
    """Return the dataset's key; what the user says goes before what the path says."""
    return {
        "subject_name": check_name("subject_name", subject or names.subject_name, 64),
        "session_name": check_name("session_name", session or names.session_name, 64),
        "dataset_name": check_name("dataset_name", dataset or names.dataset_name, 128),
    }


def _check(
    lab: Any,
    key: dict[str, str],
    rule: UploadRule,
    folder: Path,
    root: Path,
    files: tuple[Path, ...],
) -> list[str]:
    """Refuse what cannot be put: its paths, its subject, what is there already, its content."""
    file_paths = [relative_path(path, root) for path in files]
    check_paths(file_paths)
    known = check_subject(lab, key["subject_name"])
    check_spelling(lab, key)
    check_new(lab, file_paths, root)
    rule.check_dataset(lab, key)
    rule.check(folder, files)
    return known


def _named_start(
    key: dict[str, str], names: PathNames, preferences: Preferences
) -> datetime | None:
    """Return the start that the session's name says, the user's name before the path's."""
    field, form = preferences.path_rules_session_date
    return parse_date(key[field], form) if field in key else names.session_datetime


def _handling(preferences: Preferences) -> dict[str, Any]:
    """Return the columns of a new job that say who will do it, and where the files will go."""
    storage = preferences.upload_storage or "data"
    if storage not in preferences.storage:
        known = ", ".join(preferences.storage) or "none"
        raise PreferenceError(
            f"upload_storage is {storage!r}, and there is no such store; there are: {known}.",
            hint=f"Correct it in {preferences.file}, or describe the store under storage there.",
        )
    return {
        "job_status": "ON SERVER",
        "job_waiting": 1,
        "job_host": preferences.upload_host or socket.gethostname(),
        "upload_storage": storage,
    }


def default_lab() -> Any:
    """Return the tables of the project in use."""
    from ..schema import default_lab

    return default_lab
