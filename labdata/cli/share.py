"""Copy subjects, sessions or datasets with their results from one project to another.

Shows what would be copied; --apply copies it, all or nothing. Raw files are not copied: both
projects refer to the same ones. Rows that are there already are left as they are, and one that is
there with other content stops the copy.

Examples:
  labdata share --from vision --to attention -a JC1
  labdata share --from vision --to attention -a JC1 -s 20260131_140500 --apply
"""

from __future__ import annotations

import argparse
from typing import Any

from ..counted import count_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .selection import add_selection

    parser.add_argument("--from", dest="source", metavar="PROJECT", help="the same as -p")
    parser.add_argument("--to", dest="target", required=True, metavar="PROJECT")
    add_selection(parser, required=True)
    parser.add_argument("--apply", action="store_true", help="copy; else only show the plan")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Plan, and copy if told to."""
    from ..schema.project_admin import plan_share
    from . import UsageError, write
    from .output import print_rows, show_count
    from .selection import check_names, check_subjects, chosen_lab, find_lab

    if options.source and options.project not in (None, options.source):
        raise UsageError("-p and --from name the same project; give one of them.")
    options.project = options.source or options.project
    source = chosen_lab(options)
    target = find_lab(options.target)
    check_subjects(source, options.subject)
    check_names(source, options)
    plan = plan_share(source, target, _choose(source, options))
    print_rows(plan.rows(), ("table", "new", "same", "different"), as_json=options.json)
    if options.apply:
        with show_count("copy", plan.n_new) as progress:
            n_rows = plan.apply(progress=progress)
        write(f"Copied {count_of(n_rows, 'row')} to {options.target}.", error=True)
    elif plan.n_different:
        write("Rows with other content are in the way; nothing can be copied.", error=True)
        return 1
    else:
        write("Nothing is copied yet: add --apply.", error=True)
    return 0


def _choose(lab: Any, options: argparse.Namespace) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows to begin with: datasets, sessions or subjects, as far as they are named."""
    from ..errors import QueryError
    from .selection import chosen_keys

    name = "Dataset" if options.dataset else "Session" if options.session else "Subject"
    table = getattr(lab, name)
    rows = (table & chosen_keys(options)).keys()
    if not rows:
        raise QueryError(
            "No session matches.", hint="`labdata sessions -a SUBJECT -p PROJECT` lists them."
        )
    return {name: [tuple(row[k] for k in table.primary_key) for row in rows]}
