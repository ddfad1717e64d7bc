"""List the sessions of subjects, a line a dataset.

Examples:
  labdata sessions -a JC1
  labdata sessions -a JC1 JC2 --include-size
  labdata sessions                   the latest of all subjects; all of them with --all, or into
                                     a file or another program
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..counted import show_size

if TYPE_CHECKING:
    from ..access.session_rows import SessionRow

#: Sessions of all subjects that a screen or a notebook's page is given unless it asks for more.
_MOST_SESSIONS = 200
_MOST_UPLOADS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("-a", "--subject", nargs="+", metavar="SUBJECT", help="subjects")
    parser.add_argument("--include-size", action="store_true", help="files and bytes a dataset")
    parser.add_argument("--all", action="store_true", help="all sessions, however many")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Print the sessions."""
    from . import write
    from .output import print_rows
    from .selection import check_subjects, chosen_lab

    lab = chosen_lab(options)
    check_subjects(lab, options.subject)
    most = _MOST_SESSIONS if _is_for_a_reader(options) else None
    rows, n_listed = list_sessions(lab, options.subject, options.include_size, latest=most)
    columns = ["subject_name", "session_name", "dataset_name", "dataset_type", "probes", "sorted"]
    columns += ["files", "size"] if options.include_size else []
    columns.append("session_datetime")
    print_rows(rows, columns, as_json=options.json, empty="There are no sessions.")
    if options.include_size and not options.json and rows:
        total = sum(int(row["size"]) for row in rows)
        noun = "dataset" if len(rows) == 1 else "datasets"
        write(f"{len(rows)} {noun}, {show_size(total)}")
    if most and n_listed == most:
        _say_what_is_left_out(lab, most)
    if not options.json:
        for line in _describe_uploads(lab, options.subject):
            write(line)


def _is_for_a_reader(options: argparse.Namespace) -> bool:
    """Whether the listing is of the whole lab and goes to a person, who cannot read all of it."""
    from .output import in_notebook

    shown = sys.stdout.isatty() or in_notebook.get()
    return shown and not (options.subject or options.all or options.json)


def _say_what_is_left_out(lab: Any, n_listed: int) -> None:
    from ..access.sessions import count_sessions
    from . import write

    total = count_sessions(lab)
    if total > n_listed:
        write(
            f"These are the latest {n_listed} of {total} sessions. `labdata sessions --all` lists "
            "all, `labdata sessions -a SUBJECT` those of a subject."
        )


def _describe_uploads(lab: Any, subjects: list[str] | None) -> list[str]:
    """Say which uploads of these subjects have not ended well: their datasets are not listed."""
    states = {"WAITING": "waits", "ON SERVER": "waits", "WORKING": "runs", "FAILED": "failed"}
    jobs = (
        lab.UploadJob
        & [{"job_status": state} for state in states]
        & ([{"subject_name": name} for name in subjects] if subjects else "1")
        & {"project_name": lab.project}
    ).fetch("job_id", "job_status", "subject_name", "session_name", "dataset_name", as_dict=True)
    lines = []
    for job in jobs[:_MOST_UPLOADS]:
        dataset = "/".join(job[k] or "?" for k in ("subject_name", "session_name", "dataset_name"))
        lines.append(f"Upload {job['job_id']} of {dataset} {states[job['job_status']]}.")
    if len(jobs) > _MOST_UPLOADS:
        lines.append(f"And {len(jobs) - _MOST_UPLOADS} more.")
    if jobs:
        lines.append("`labdata upload --queue` says more.")
    return lines


def find_sessions(
    lab: Any, subjects: list[str] | None, *, with_size: bool = False
) -> list[dict[str, Any]]:
    """Return datasets with their session, probes and sortings, by one query.

    Parameters
    ----------
    lab : Lab
        The tables.
    subjects : list of str or None
        Subjects; all by default.
    with_size : bool, optional
        Also the number of files and their bytes.

    Returns
    -------
    list of dict
        A row a dataset, and one for a session without any, by subject and start.
    """
    return list_sessions(lab, subjects, with_size)[0]


def list_sessions(
    lab: Any, subjects: list[str] | None, with_size: bool, *, latest: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of :func:`find_sessions` and of how many sessions they are, by one query.

    Parameters
    ----------
    lab : Lab
        The tables.
    subjects : list of str or None
        Subjects; all by default.
    with_size : bool
        Also the number of files and their bytes.
    latest : int, optional
        Most sessions, the latest; by default all.

    Returns
    -------
    rows : list of dict
        By subject and start.
    n_sessions : int
        Sessions among them.
    """
    from ..access.sessions import find_sessions_page

    page = find_sessions_page(
        lab,
        subject=subjects or None,
        order_by="start" if latest else "subject",
        descending=latest is not None,
        limit=latest,
        with_size=with_size,
    )
    sessions = sorted(page.sessions, key=_place) if latest else page.sessions
    return [row for session in sessions for row in _rows(session, with_size)], len(sessions)


def _place(session: SessionRow) -> tuple[str, datetime, str]:
    return session.subject, session.start, session.session


def _rows(session: SessionRow, with_size: bool) -> list[dict[str, Any]]:
    own = {
        "subject_name": session.subject,
        "session_name": session.session,
        "session_datetime": session.start,
        "experimenter": session.experimenter,
    }
    rows = []
    for dataset in session.datasets or [None]:
        row = {
            **own,
            "dataset_name": dataset.name if dataset else None,
            "dataset_type": dataset.dataset_type if dataset else None,
            "probes": dataset.n_probes if dataset else None,
            "sorted": dataset.n_sorted if dataset else 0,
        }
        if with_size:
            row["files"] = dataset.n_files if dataset else 0
            row["size"] = dataset.size_bytes if dataset else 0
        rows.append(row)
    return rows
