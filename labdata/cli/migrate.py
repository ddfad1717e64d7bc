"""Bring a database of labdata 0.1 here: every row and blob, copied and compared.

The old database is only read. Shows what would be copied; --apply copies it, and can be killed and
repeated; until it has ended nobody opens the projects that it fills. Files stay in their stores:
each is read there once and compared with its old checksum. What has no place here stops the
migration until you say that it may stay behind.

Examples:
  labdata migrate --from ~/old/labdata/user_preferences.json
  labdata migrate --from mysql://jc@lab-server:3306/labdata --ask-password
  labdata migrate --from ~/old/labdata/user_preferences.json --apply
  labdata migrate --from ~/old/labdata/user_preferences.json --leave-out Subject.tattoo --apply
  labdata migrate --verify-objects    files that were not verified yet
  labdata migrate --give-up           open what a migration that did not end had closed, as it is

Exit code 1 if something stands in the way, or a file is missing, changed or was not verified.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..counted import count_of, show_size

_PLAN_COLUMNS = ("project", "table", "rows", "new", "same", "different", "unfit", "size")
_FINDING_COLUMNS = {
    "project": "project",
    "where": "where",
    "what": "what",
    "n_rows": "rows",
    "example": "for instance",
    "advice": "what to do",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--from",
        dest="source",
        metavar="OLD",
        help="the old user_preferences.json, or mysql://user@host:port/name",
    )
    parser.add_argument("--apply", action="store_true", help="copy; else only show the plan")
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="TABLE[.COLUMN]",
        help="what stays behind; may be given several times",
    )
    parser.add_argument("--ask-password", action="store_true", help="of the old database")
    objects = parser.add_mutually_exclusive_group()
    objects.add_argument(
        "--no-verify-objects", action="store_true", help="do not read the files in their stores"
    )
    objects.add_argument(
        "--verify-objects", action="store_true", help="only verify files that were not yet"
    )
    objects.add_argument(
        "--give-up", action="store_true", help="open the projects of a migration that did not end"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Plan, copy if told to, and verify the files."""
    from . import UsageError

    if options.give_up:
        return _give_up()
    if options.source is None:
        if not options.verify_objects:
            raise UsageError("From where? `labdata migrate --from OLD_PREFERENCE_FILE`")
        return _verify(options, {})
    if options.verify_objects:
        raise UsageError("--verify-objects looks at what is here already; leave out --from.")
    return _migrate(options)


def _give_up() -> int:
    from ..migration import finish_migration
    from . import write

    closed = [project or "the data without a project" for project in finish_migration()]
    if closed:
        write(f"Open again, with the rows that had come: {', '.join(closed)}.")
    else:
        write("No migration is unfinished.")
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from pydantic import SecretStr

    from ..migration import open_old, plan_migration, read_address
    from . import write
    from .selection import say_place

    asked = SecretStr(_ask_password()) if options.ask_password else None
    address = read_address(options.source, password=asked)
    with open_old(address) as old:
        if not options.json:
            say_place(whole=True)
        with _show_rows(f"read {address.describe()}", None) as progress:
            plan = plan_migration(
                old, project=options.project, leave_out=options.leave_out, progress=progress
            )
        if not options.json:
            _print_plan(plan)
        if plan.blocking or not options.apply:
            return _end_of_plan(plan, options)
        with _show_rows("copy", plan.n_rows) as progress:
            result = plan.apply(progress=progress)
    done = vars(result)
    write(
        f"Came: {count_of(result.n_inserted, 'row')}; here already: {result.n_same}; of "
        f"{count_of(result.n_tables, 'table')}. Every row and {count_of(result.n_blobs, 'array')} "
        "were read back and are equal.",
        error=True,
    )
    if options.no_verify_objects:
        write("The files in the stores were not verified: `labdata migrate --verify-objects` "
              "does it.", error=True)  # fmt: skip
        if options.json:
            _print_json(plan, done, None)
        return 0
    return _verify(options, {"plan": plan, "done": done})


def _end_of_plan(plan: Any, options: argparse.Namespace) -> int:
    from . import write

    if options.json:
        _print_json(plan, None, None)
    if plan.blocking:
        write("Nothing was copied: settle what stands in the way first.", error=True)
        return 1
    write("Nothing is copied yet: add --apply.", error=True)
    return 0


def _verify(options: argparse.Namespace, before: dict[str, Any]) -> int:
    from ..migration import verify_objects
    from ..migration.objects import unverified_bytes
    from ..schema import default_lab
    from . import write
    from .output import print_rows, show_progress

    total = unverified_bytes(default_lab)
    with show_progress("verify files", total) as (progress, _):
        report = verify_objects(default_lab, progress=progress)
    if options.json:
        _print_json(before.get("plan"), before.get("done"), report)
    elif report.rows():
        print_rows(report.rows(), ("state", "object"))
    without = f", {report.n_without_md5} by size only" if report.n_without_md5 else ""
    write(
        f"Files verified where they are: {report.n_verified} ({show_size(report.n_bytes)}"
        f"{without}); missing {len(report.missing)}, changed {len(report.changed)}, "
        f"not verified {len(report.unreachable)}.",
        error=True,
    )
    if not report.ok:
        write("Restore what is missing or changed from a copy, and describe the stores in your",
              error=True)  # fmt: skip
        write("  preference file; then: labdata migrate --verify-objects", error=True)
    return 0 if report.ok else 1


def _print_plan(plan: Any) -> None:
    from . import write
    from .output import print_rows

    print_rows(plan.rows(), _PLAN_COLUMNS, empty="The old database has no rows.")
    made = [project or "data without a project" for project in plan.new_projects]
    if made:
        write(f"Made here by --apply: {', '.join(made)}.")
    for title, blocks in (("In the way:", True), ("To know:", False)):
        rows = [vars(one) for one in plan.findings if one.blocks is blocks]
        if rows:
            write(f"\n{title}")
            print_rows(rows, _FINDING_COLUMNS)


def _print_json(plan: Any, done: dict[str, Any] | None, report: Any) -> None:
    import json

    from . import write

    content: dict[str, Any] = {}
    if plan is not None:
        content = {
            "projects": plan.projects,
            "new_projects": plan.new_projects,
            "tables": plan.rows(),
            "findings": [vars(one) for one in plan.findings],
        }
    content["copied"] = done
    content["objects"] = None if report is None else vars(report)
    write(json.dumps(content, indent=2, default=str))


def _ask_password() -> str:
    import getpass

    return getpass.getpass("Password of the old database: ")


@contextmanager
def _show_rows(title: str, total: int | None) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of rows while the block runs, with the bytes, their rate and the time left."""
    import sys
    import time

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from .output import in_notebook

    terminal = Console() if in_notebook.get() else Console(file=sys.stderr)
    columns = (
        *(TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn()),
        *(TextColumn("rows  {task.fields[bytes]}"), TimeRemainingColumn()),
    )
    shown = terminal.is_terminal or terminal.is_jupyter
    start, n_bytes = time.monotonic(), 0
    with Progress(*columns, console=terminal, transient=True, disable=not shown) as bar:
        task = bar.add_task(title, total=total, bytes="")

        def advance(rows: int, more_bytes: int) -> None:
            nonlocal n_bytes
            n_bytes += more_bytes
            rate = n_bytes / max(time.monotonic() - start, 1e-3)
            text = f"{show_size(n_bytes)}  {show_size(int(rate))}/s"
            bar.update(task, advance=rows, bytes=text)

        yield advance
