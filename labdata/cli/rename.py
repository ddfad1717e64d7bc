"""Correct the name of a subject, session or dataset after its upload.

Shows what would change; --apply changes it: rows of all tables, paths of files, objects in the
stores. Other projects are left alone. Killed or interrupted, the same command goes on. The old
objects stay in the stores until `labdata garbage` removes them.

Examples:
  labdata rename -a JC1 --to JC11
  labdata rename -a JC1 -s 20260131_140500 --to 20260131_150500 --apply
  labdata rename -a JC1 -s 20260131_140500 -d ephys_g0 --to ephys_g1 --apply
  labdata rename --log
"""

from __future__ import annotations

import argparse
from typing import Any

from ..counted import count_of, show_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("-a", "--subject", help="subject, by its present name")
    parser.add_argument("-s", "--session", help="session: it is renamed, not the subject")
    parser.add_argument("-d", "--dataset", help="dataset: it is renamed, not the session")
    parser.add_argument("--to", metavar="NEW", help="the right name")
    parser.add_argument(
        "--keep-files", action="store_true", help="rename rows only; files keep their paths"
    )
    parser.add_argument("--apply", action="store_true", help="rename; else only show the plan")
    parser.add_argument("--log", action="store_true", help="show what was renamed, when, by whom")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Plan, and rename if told to."""
    from ..rules.renaming import plan_rename
    from . import UsageError, write
    from .output import show_progress
    from .selection import chosen_lab

    lab = chosen_lab(options)
    if options.log:
        _show_log(lab, options)
        return
    if not (options.subject and options.to):
        raise UsageError("Which name, and what is right? `labdata rename -a JC1 --to JC11`")
    given = {
        "subject_name": options.subject,
        "session_name": options.session,
        "dataset_name": options.dataset,
    }
    key = {name: value for name, value in given.items() if value}
    plan = plan_rename(lab, key, options.to, keep_files=options.keep_files)
    _show_plan(plan, as_json=options.json)
    if not options.apply:
        write("Nothing is renamed yet: add --apply.", error=True)
        return
    with show_progress("rename", plan.size_bytes) as (progress, _):
        n_rows = plan.apply(progress=progress)
    write(
        f"Renamed to {options.to} in {count_of(n_rows, 'row')}, "
        f"{count_of(len(plan.moves), 'file')}.",
        error=True,
    )
    if plan.moves:
        write("Their old objects are still stored: `labdata garbage` lists them.", error=True)


def _show_plan(plan: Any, *, as_json: bool) -> None:
    from . import write
    from .output import print_rows

    if as_json:
        facts = {
            "level": plan.level,
            "key": plan.key,
            "new_name": plan.new_name,
            "size_bytes": plan.size_bytes,
            "tables": plan.rows(),
            "files": plan.files(),
        }
        print_rows([facts], [], as_json=True)
        return
    print_rows(plan.rows(), ("table", "rows"))
    if plan.moves or plan.stays:
        write("")
        print_rows(plan.files(), ("file_path", "size_bytes", "becomes"))
    write(
        f"\n{count_of(plan.n_rows, 'row')} in {count_of(len(plan.tables), 'table')}; to get "
        f"another path: {count_of(len(plan.moves), 'file')} with {show_size(plan.size_bytes)}; to "
        f"keep theirs: {len(plan.stays)}."
    )


def _show_log(lab: Any, options: argparse.Namespace) -> None:
    from ..database.rename_log import read_renames
    from .output import print_rows

    rows = []
    for row in read_renames(lab.connection, lab.project):
        what = " ".join([row["level"], "/".join(row["key"].values())])
        state = row["ended"] or f"unfinished: rename it to {row['new_name']} again"
        rows.append(row | {"what": what, "state": state})
    columns = {
        "started": "started (UTC)",
        "who": "by",
        "what": "what",
        "new_name": "renamed to",
        "state": "ended (UTC)",
        "n_rows": "rows",
        "n_files": "files",
    }
    print_rows(rows, columns, as_json=options.json, empty="Nothing was renamed.")
