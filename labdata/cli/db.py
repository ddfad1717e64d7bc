"""Look after the database: its version, dumps, and backups of the embedded one.

A dump is the whole lab's database in one SQLite file: all projects, every row and blob. Files of
recordings are not in it; they stay in their stores. Loading leaves equal rows alone, stops at rows
with other content before anything is changed, and compares every row at the end. Until then nobody
opens the projects that it fills; killed, it is repeated.

Examples:
  labdata db status                  version of the tables, and the last backup
  labdata db upgrade                 bring tables and rights of accounts to this labdata's version
  labdata db dump lab.sqlite
  labdata db load lab.sqlite         into the database of the preference file
  labdata db load --give-up          open what a load that did not end had closed, as it is
  labdata db backup                  a dump in ~/labdata/backups, on a rotation
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..counted import count_of, show_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    parser.add_argument(
        "verb",
        nargs="?",
        default="status",
        choices=["status", "upgrade", "dump", "load", "backup"],
    )
    parser.add_argument("file", nargs="?", type=Path, help="of a dump")
    parser.add_argument(
        "--without-jobs", action="store_true", help="load no uploads, tasks, renames that were"
    )
    parser.add_argument(
        "--give-up", action="store_true", help="load: open what was half loaded, as it is"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Do what the verb says."""
    from . import UsageError
    from .selection import say_place

    if options.give_up and options.verb != "load":
        raise UsageError("--give-up goes with load: `labdata db load --give-up`")
    if options.verb in ("dump", "load") and options.file is None and not options.give_up:
        raise UsageError(f"Which file? `labdata db {options.verb} FILE`")
    if not options.json and options.verb != "load":
        say_place(whole=True)
    {
        "status": _show_status,
        "upgrade": _upgrade,
        "dump": _dump,
        "load": _load,
        "backup": _backup,
    }[options.verb](options)


def backup_folder() -> Path:
    """Return where backups are kept."""
    from ..preferences import labdata_folder

    return labdata_folder() / "backups"


def _show_status(options: argparse.Namespace) -> None:
    from ..database.backups import list_backups
    from ..database.connection import connect
    from ..database.lab_dump import list_all_projects
    from ..database.schema_version import CURRENT, LOADING, MOVING, read_version
    from .output import print_rows, show

    connection = connect()
    base = connection._preferences.name
    project = options.project or connection._preferences.project
    version = read_version(connection, base, project)
    unfinished = {MOVING: "a migration has not ended", LOADING: "a load has not ended"}
    backups = list_backups(backup_folder())
    facts = {
        "version": unfinished.get(version or 0, version) or "not recorded",
        "version_of_labdata": CURRENT,
        "projects": ", ".join(p for p in list_all_projects(connection) if p) or "none",
        "last_backup": backups[0][1] if backups else "none: `labdata db backup`",
    }
    if not connection.embedded and not backups:
        facts["last_backup"] = "the server's administrator makes them"
    if options.json:
        print_rows([facts], [], as_json=True)
        return
    rows = [{"fact": key.replace("_", " "), "value": show(value)} for key, value in facts.items()]
    print_rows(rows, {"fact": "database", "value": base})


def _upgrade(options: argparse.Namespace) -> None:
    from ..database.connection import connect
    from ..database.lab_dump import list_all_projects
    from ..schema import default_lab, load_project_schema
    from . import write

    labs = {connect()._preferences.project: default_lab}
    for project in list_all_projects(connect()):
        if project:
            labs.setdefault(project, load_project_schema(project))
    done = {project: lab.upgrade() for project, lab in labs.items()}
    for project, steps in done.items():
        for step in steps:
            write(f"{project or 'data without a project'}: {step}")
    if not any(done.values()):
        write("The tables are up to date.")
    if not connect().embedded:
        _renew_rights(list(labs.values()))


def _renew_rights(labs: list[Any]) -> None:
    """Give the accounts what their roles are in this version, as for tables that are new."""
    from ..database.accounts import apply_plan, plan_renewal
    from ..database.known_accounts import read_accounts
    from ..database.own_roles import is_limited
    from . import write

    if is_limited(labs[0]):  # a member, who does not see the rights of others
        return
    if read_accounts(labs[0]).names is None:
        user = labs[0].connection.conn_info["user"]
        write(
            f"No account's rights were renewed: {user} does not see other accounts. Let the "
            f"server's administrator run GRANT SELECT ON mysql.* TO '{user}'@'%', then repeat "
            "`labdata db upgrade`; or give each role anew by `labdata account grant`.",
            error=True,
        )
        return
    names = set()
    for lab in labs:
        lab.activate()
        for name, plan in plan_renewal(lab).items():
            apply_plan(lab, plan, deed="renew rights", command="labdata db upgrade")
            names.add(name)
    if names:
        write(f"The rights of {count_of(len(names), 'account')} are those of this version.")


def _dump(options: argparse.Namespace) -> None:
    from ..database.connection import connect
    from ..database.lab_dump import dump_lab
    from . import write
    from .output import print_rows, show_count

    with show_count("dump", None) as progress:
        tables = dump_lab(connect(), options.file, progress=progress)
    if options.json:
        print_rows([vars(table) for table in tables], [], as_json=True)
    else:
        print_rows(_by_project(tables), ("project", "tables", "rows"))
    size = show_size(options.file.stat().st_size)
    n_rows = sum(table.n_rows for table in tables)
    write(
        f"{count_of(n_rows, 'row')}, {size}, in {options.file}. Recordings are not in it.",
        error=True,
    )


def _by_project(tables: list[Any]) -> list[dict[str, Any]]:
    found: dict[str, list[int]] = {}
    for table in tables:
        if table.n_rows:
            found.setdefault(table.project or "shared, or without one", []).append(table.n_rows)
    return [
        {"project": project, "tables": len(n_rows), "rows": sum(n_rows)}
        for project, n_rows in found.items()
    ]


def _load(options: argparse.Namespace) -> None:
    from ..database.lab_load import load_lab
    from ..database.schema_version import LOADING, opening_unfinished
    from . import write
    from .output import print_rows, show_count
    from .selection import chosen_lab

    if options.give_up:
        _give_up()
        return
    with opening_unfinished(LOADING):  # one that was killed is gone on with
        lab = chosen_lab(options)
    with show_count("load", None) as progress:
        counts = load_lab(lab, options.file, without_jobs=options.without_jobs, progress=progress)
    print_rows([counts], list(counts), as_json=options.json)
    write("Every row of the dump is in the database, compared byte by byte.", error=True)


def _give_up() -> None:
    from ..database.connection import connect
    from ..database.schema_version import LOADING
    from ..database.unfinished import give_up
    from . import write

    closed = [project or "the data without a project" for project in give_up(connect(), LOADING)]
    if closed:
        write(f"Open again, with the rows that had come: {', '.join(closed)}.")
    else:
        write("No dump is half loaded.")


def _backup(options: argparse.Namespace) -> None:
    from datetime import datetime

    from ..database.backups import make_backup
    from ..database.connection import connect
    from . import write
    from .output import show_count

    with show_count("back up", None) as progress:
        file, removed = make_backup(
            connect(), backup_folder(), now=datetime.now(), progress=progress
        )
    write(f"Wrote {file}")
    for path in removed:
        write(f"Removed {path}")
