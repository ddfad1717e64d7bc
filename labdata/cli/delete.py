"""Delete subjects, sessions or datasets, or rows of one table, with all that depends on them.

Shows what would be deleted: rows by table, those of other people, files and bytes; --apply deletes
the rows, all or nothing. Raw files stay in their stores: `labdata garbage` lists those that no row
refers to any more, and removes them later if it is told to.

Examples:
  labdata delete -a JC1 -s 20260131_140500
  labdata delete -a JC1 -s 20260131_140500 -d ephys_g0 --apply
  labdata delete -a JC1 --table SpikeSorting
"""

from __future__ import annotations

import argparse
from typing import Any

from ..counted import count_of, show_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .selection import add_selection

    add_selection(parser, required=True)
    parser.add_argument("--table", metavar="NAME", help="only rows of this table, as SpikeSorting")
    parser.add_argument("--apply", action="store_true", help="delete; else only show the plan")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Plan, and delete if told to."""
    from . import write
    from .output import print_rows, show_count
    from .selection import check_names, check_subjects, chosen_keys, chosen_lab

    lab = chosen_lab(options)
    check_subjects(lab, options.subject)
    check_names(lab, options)
    plan = _table(lab, options)().delete_plan(chosen_keys(options))
    if options.json:
        facts = {"files": plan.n_files, "size_bytes": plan.size_bytes, "others": plan.others}
        print_rows([{**facts, "tables": plan.rows()}], [], as_json=True)
    else:
        print_rows(plan.rows(), ("table", "rows", "of_others", "whose"))
        write(
            f"\n{count_of(plan.n_rows, 'row')} in {count_of(len(plan.tables), 'table')}, "
            f"{sum(plan.others.values())} of other people; {count_of(plan.n_files, 'file')} with "
            f"{show_size(plan.size_bytes)}."
        )
    if not options.apply:
        write("Nothing is deleted yet: add --apply.", error=True)
        return
    with show_count("delete", plan.n_rows) as progress:
        n_rows = plan.apply(progress=progress)
    write(f"Deleted {count_of(n_rows, 'row')}.", error=True)
    if plan.n_files:
        write("The files' objects are still stored: `labdata garbage` lists them.", error=True)


def _table(lab: Any, options: argparse.Namespace) -> Any:
    """Return the table to begin with."""
    from ..errors import QueryError

    tables = lab.tables_and_parts()
    level = "Dataset" if options.dataset else "Session" if options.session else "Subject"
    name = options.table or level
    if name not in tables:
        from ..nearest import nearest

        near = nearest(name, tables)
        raise QueryError(
            f"There is no table {name!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else "Write it as SpikeSorting.Unit.",
        )
    table = tables[name]
    missing = {"subject_name"} | ({"session_name"} if options.session else set())
    missing |= {"dataset_name"} if options.dataset else set()
    missing -= set(table.heading.names)
    if missing:
        # a name that a table does not have would select all of its rows
        raise QueryError(
            f"{name} has no {sorted(missing)[0]}, so its rows cannot be chosen by it.",
            hint="Choose another table, or leave that option out.",
        )
    return table
