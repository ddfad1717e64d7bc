"""What a person should know of a put that is right by every rule and may still not be meant.

A folder copied to another animal or session by mistake is a recording that counts twice, and once
for the wrong animal. Equal small files are common (settings, empty logs), so only the largest file
of a folder is looked for. A second folder of one dataset adds to it. A session that is said may be
another than the path's, and a file that was written just before may be written on. All are notes
and no refusals: they may be meant.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..stores.os_errors import explain_os_errors
from .names import PathNames
from .quiet import FRESH_S, FirstLook


def plan_notes(names: PathNames, job: Mapping[str, Any], look: FirstLook) -> tuple[str, ...]:
    """Return what is notable about a folder before it is put, a sentence each.

    Parameters
    ----------
    names : PathNames
        What its path says.
    job : mapping
        The UploadJob row to be.
    look : FirstLook
        Its files.

    Returns
    -------
    tuple of str
        Names that differ from the path's, a dataset without a type, a file written just now.
    """
    notes = []
    # of another subject that the lab has, the guard asks; one that it has not may be meant, too
    for name in ("subject_name", "session_name", "dataset_name"):
        said = getattr(names, name)
        if said not in (None, job[name]):
            notes.append(f"The path says {name} {said!r}; it is put as {job[name]!r}, as said.")
    if job["dataset_type"] is None:
        notes.append(
            f"Nothing says of which type dataset {job['dataset_name']!r} is, so `labdata get -t` "
            "will not find it; -t TYPE says it."
        )
    age_s = time.time() - look.youngest_s
    if 0 <= age_s < FRESH_S:
        path = max(look.states, key=lambda path: look.states[path][1])
        notes.append(
            f"{path.name} was written to {age_s:.0f} s ago. If its program has not ended, what it "
            "writes from now on is not put."
        )
    return tuple(notes)


def kept_notes(lab: Any, key: Mapping[str, str], said: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what was said of a session or dataset that is there already, and stays as it is.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        subject_name, session_name, dataset_name.
    said : mapping
        What the user said, by column of Session or Dataset; None if nothing.

    Returns
    -------
    tuple of str
        A sentence for each value that the database has otherwise.
    """
    notes = []
    for table, what in ((lab.Session, "session_name"), (lab.Dataset, "dataset_name")):
        for row in (table & {k: key[k] for k in table.primary_key}).fetch(as_dict=True):
            notes += [
                f"{what} {key[what]!r} is there already, with {name} {row[name]}, which stays: "
                f"{value} is not used."
                for name, value in said.items()
                if value is not None and name in row and row[name] != value
            ]
    return tuple(notes)


def inbox_notes(lab: Any, job: Mapping[str, Any], inbox: Path, root: Path) -> tuple[str, ...]:
    """Return whether the inbox looks as if its disk were not mounted on this computer.

    What is put then fills the disk below, and the server never gets it.

    Parameters
    ----------
    lab : Lab
        The tables.
    job : mapping
        The UploadJob row to be.
    inbox, root : Path
        Where the files go, and the local path that they are in.

    Returns
    -------
    tuple of str
        A sentence if the inbox is empty and jobs wait for files that were put in it.
    """
    with explain_os_errors("look into", inbox):
        if inbox == root or not inbox.is_dir() or any(inbox.iterdir()):
            return ()
    same = {name: job[name] for name in ("project_name", "job_host")}
    done = 'COALESCE(job_status, "") IN ("COMPLETED", "CANCELLED")'
    waiting = (lab.UploadJob & same & f"NOT {done}").fetch("job_id")
    if not len(waiting):
        return ()
    return (
        f"The inbox {inbox} is empty, and upload job {waiting[0]} waits for files in it. Is the "
        "server's folder mounted here? If not, what is put now does not reach the server.",
    )


def find_notes(lab: Any, job_id: int) -> list[str]:
    """Return what is notable about an upload job, a sentence each.

    Parameters
    ----------
    lab : Lab
        The tables; jobs of projects that the account does not see are not found.
    job_id : int
        A job that was just put.

    Returns
    -------
    list of str
        Where its largest file was put before under another name, which other jobs put files of
        its dataset, and which say that its session began at another time.
    """
    found = (_same_content(lab, job_id), _same_dataset(lab, job_id), _other_start(lab, job_id))
    return [note for note in found if note]


def _same_content(lab: Any, job_id: int) -> str:
    jobs, files = lab.UploadJob.full_table_name, lab.UploadJob.AssignedFiles.full_table_name
    largest = lab.connection.query(
        f"SELECT src_path, src_sha256 FROM {files} WHERE job_id = %s AND src_size > 0 "
        "ORDER BY src_size DESC, src_path LIMIT 1",
        (job_id,),
    ).fetchone()
    if largest is None:
        return ""
    path, sha256 = largest
    found = lab.connection.query(
        "SELECT a.src_path, j.job_id, j.subject_name, j.session_name, j.dataset_name "
        f"FROM {files} a JOIN {jobs} j USING (job_id) "
        "WHERE a.src_sha256 = %s AND j.job_id <> %s "
        "AND COALESCE(j.job_status, '') <> 'CANCELLED' ORDER BY j.job_id LIMIT 1",
        (sha256, job_id),
    ).fetchone()
    if found is None:
        return ""
    other, other_job, *dataset = found
    return (
        f"{path} has the same content as {other}, which was put as upload job {other_job} of "
        f"{'/'.join(dataset)}. Is it the right animal and session?"
    )


def _same_dataset(lab: Any, job_id: int) -> str:
    names = ("subject_name", "session_name", "dataset_name")
    job = (lab.UploadJob & {"job_id": job_id}).fetch1()
    key = {name: job[name] for name in names}
    jobs = lab.UploadJob & key & {"project_name": job["project_name"]}
    states = zip(*jobs.fetch("job_id", "job_status"), strict=True)
    numbers = [number for number, state in states if number != job_id and state != "CANCELLED"]
    if not numbers:
        return ""
    by = f"upload job{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
    return f"Dataset {'/'.join(key.values())} has files of {by}, too; these are added to it."


def _other_start(lab: Any, job_id: int) -> str:
    """Of two folders of a new session that wait, the one that is uploaded first makes it."""
    job = (lab.UploadJob & {"job_id": job_id}).fetch1()
    if job["session_datetime"] is None:
        return ""
    session = {name: job[name] for name in ("subject_name", "session_name", "project_name")}
    others = lab.UploadJob & session & 'COALESCE(job_status, "") <> "CANCELLED"'
    for number, start in zip(*others.fetch("job_id", "session_datetime"), strict=True):
        if start not in (None, job["session_datetime"]):
            return (
                f"This says that session {job['session_name']} began at "
                f"{job['session_datetime']}, upload job {number} says {start}: the one that is "
                f"uploaded first counts. If one is wrong, `labdata upload NUMBER --cancel` takes "
                "it back."
            )
    return ""
