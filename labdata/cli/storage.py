"""Say what takes the room: number of files and bytes, of raw data and of results.

The sizes are those that the database recorded; `labdata verify` compares them with the stores. An
administrator sees all projects, or with -p one of them. A file that several groups share is
counted once, in a row "(several)"; one that nothing refers to is in "(not referred to)".

Examples:
  labdata storage
  labdata storage --by project
  labdata storage --by subject -p vision
  labdata storage --by age -a JC1 JC2
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--by",
        default="store",
        choices=["store", "project", "subject", "type", "age"],
        help="what is summed (default store); age is that of the original",
    )
    parser.add_argument("-a", "--subject", nargs="+", metavar="SUBJECT", help="only of these")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Print the sums, the largest first, and the total."""
    from ..database.own_roles import is_limited
    from ..schema import default_lab
    from ..schema.storage_use import sum_storage
    from . import write
    from .output import print_rows
    from .selection import check_subjects, find_lab, say_place

    lab = find_lab(options.project) if options.project else default_lab
    one = bool(options.project or options.subject)
    if not options.json:
        say_place(options.project, whole=not one and not is_limited(lab))
    check_subjects(lab, options.subject)
    projects = [lab.project] if one else None
    use = sum_storage(lab, by=options.by, subjects=options.subject, projects=projects)
    rows = use.rows()
    columns = list(rows[0]) if rows else []
    print_rows(rows, columns, as_json=options.json, empty="There are no files.")
    if rows and not options.json:
        write(use.summary())
