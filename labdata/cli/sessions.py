"""List the sessions of subjects, a line a dataset.

Examples:
  labdata sessions -a JC1
  labdata sessions -a JC1 JC2 --include-size
"""

from __future__ import annotations

import argparse
from typing import Any

_MOST_UPLOADS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("-a", "--subject", nargs="+", metavar="SUBJECT", help="subjects")
    parser.add_argument("--include-size", action="store_true", help="files and bytes a dataset")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Print the sessions."""
    from . import write
    from .output import print_rows, show_size
    from .selection import check_subjects, chosen_lab

    lab = chosen_lab(options)
    check_subjects(lab, options.subject)
    rows = find_sessions(lab, options.subject, with_size=options.include_size)
    columns = ["subject_name", "session_name", "dataset_name", "dataset_type", "probes", "sorted"]
    columns += ["files", "size"] if options.include_size else []
    columns.append("session_datetime")
    print_rows(rows, columns, as_json=options.json, empty="There are no sessions.")
    if options.include_size and not options.json and rows:
        total = sum(int(row["size"]) for row in rows)
        noun = "dataset" if len(rows) == 1 else "datasets"
        write(f"{len(rows)} {noun}, {show_size(total)}")
    if not options.json:
        for line in _describe_uploads(lab, options.subject):
            write(line)


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
    """
    key = "subject_name, session_name, dataset_name"
    size_columns, size_join = "", ""
    where, values = "", ()
    if subjects:
        where = f"WHERE n.subject_name IN ({', '.join(['%s'] * len(subjects))})"
        values = tuple(subjects)
    inner = where.replace("n.", "df.")
    if with_size:
        size_columns = ", COALESCE(z.files, 0) AS files, COALESCE(z.size, 0) AS size"
        size_join = (
            f"LEFT JOIN (SELECT {key}, COUNT(*) AS files, CAST(SUM(file_size) AS SIGNED) AS size "
            f"FROM {lab.Dataset.DataFiles.full_table_name} df "
            f"JOIN {lab.File.full_table_name} USING (file_path, storage) {inner} "
            f"GROUP BY {key}) z "
            f"USING ({key}) "
        )
        values = values * 2
    probes = lab.EphysRecording.full_table_name
    sortings = lab.SpikeSorting.full_table_name
    cursor = lab.connection.query(
        "SELECT n.subject_name, n.session_name, n.session_datetime, n.experimenter, "
        "d.dataset_name, d.dataset_type, e.n_probes AS probes, "
        f"(SELECT COUNT(DISTINCT s.probe_num) FROM {sortings} s WHERE "
        "s.subject_name = d.subject_name AND s.session_name = d.session_name AND "
        f"s.dataset_name = d.dataset_name) AS sorted{size_columns} "
        f"FROM {lab.Session.full_table_name} n "
        f"LEFT JOIN {lab.Dataset.full_table_name} d USING (subject_name, session_name) "
        f"LEFT JOIN {probes} e USING ({key}) {size_join}{where} "
        "ORDER BY n.subject_name, n.session_datetime, d.dataset_name",
        values,
        as_dict=True,
    )
    return list(cursor.fetchall())
