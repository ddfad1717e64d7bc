"""Find objects in the stores that no file of the database refers to, and remove old ones.

Without an option it lists them, with bytes, and notes when each was first seen. --remove removes
those that were noted at least 14 days ago (--grace-days) and were garbage all the time; what an
unfinished upload may need is kept. If a database on another server shares a store, its files look
like garbage here: remove nothing then.

Examples:
  labdata garbage
  labdata garbage --remove
"""

from __future__ import annotations

import argparse

from ..counted import count_of, show_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from ..schema.garbage import GRACE_DAYS

    parser.add_argument("--remove", action="store_true", help="remove what is old enough")
    parser.add_argument(
        "--grace-days",
        type=float,
        default=GRACE_DAYS,
        metavar="N",
        help=f"days since it was first seen (default {GRACE_DAYS}, at least 1)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """List, or remove if told to."""
    from ..schema.garbage import find_garbage, remove_garbage
    from . import write
    from .output import print_rows, show_count
    from .selection import chosen_lab

    lab = chosen_lab(options)
    columns = ("storage", "object_path", "size_bytes", "state")
    if options.remove:
        with show_count("remove", None) as progress:
            removed = remove_garbage(lab, grace_days=options.grace_days, progress=progress)
        facts = ("storage", "object_path", "size_bytes")
        rows = [{name: getattr(one, name) for name in facts} for one in removed]
        empty = f"Nothing has been garbage for {options.grace_days:g} days."
        print_rows(rows, columns[:3], as_json=options.json, empty=empty)
        total = sum(one.size_bytes for one in removed)
        write(f"Removed {count_of(len(removed), 'object')}, {show_size(total)}.", error=True)
        return
    report = find_garbage(lab)
    print_rows(report.rows(), columns, as_json=options.json, empty="There is no garbage.")
    write(
        f"{len(report.objects)} of {count_of(report.n_objects, 'object')}, "
        f"{show_size(report.size_bytes)}. "
        "Nothing is removed.",
        error=True,
    )
    for name, reason in report.unread.items():
        write(f"Store {name} was not looked at: {reason}", error=True)
    if report.objects:
        write(
            f"`labdata garbage --remove` removes them {options.grace_days:g} days after they were "
            "first seen.",
            error=True,
        )
