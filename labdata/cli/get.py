"""Fetch the files of a session to this computer, into the first local path.

Files that are on a local path already are not fetched again. All are compared with the checksums
that were recorded.

Examples:
  labdata get -a JC1 -s 20260131_140500
  labdata get -a JC1 -s 20260131_140500 -d ephys_g0 --dry-run
"""

from __future__ import annotations

import argparse

from ..counted import count_of
from .selection import add_selection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_selection(parser, required=True)
    parser.add_argument("--dry-run", action="store_true", help="only list the files")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Fetch the files."""
    from ..errors import QueryError
    from .output import print_rows, show_progress
    from .selection import check_datasets, check_subjects, chosen_keys, chosen_lab

    lab = chosen_lab(options)
    check_subjects(lab, options.subject)
    check_datasets(lab, options)
    query = lab.File & (lab.Dataset.DataFiles & chosen_keys(options)).proj()
    rows = query.fetch("file_path", "storage", "file_size", as_dict=True)
    if not rows:
        raise QueryError(
            "No files match.", hint="`labdata sessions -a SUBJECT --include-size` lists them."
        )
    listed = [{**row, "size": row["file_size"]} for row in rows]
    if not options.dry_run:
        total = sum(row["file_size"] for row in rows)
        with show_progress(f"get {count_of(len(rows), 'file')}", total) as (progress, _):
            paths = query.get(download=True, verify=True, progress=progress)
        for row, path in zip(listed, paths, strict=True):
            row["local_path"] = str(path)
    columns = ("file_path", "storage", "size") + (() if options.dry_run else ("local_path",))
    print_rows(listed, columns, as_json=options.json)
