"""List, make, describe and archive projects; delete an empty one.

Examples:
  labdata project list
  labdata project create vision --description "Visual cortex" --contact couto
  labdata project describe vision
  labdata project archive vision      reads as before, takes no new data
  labdata project reopen vision
  labdata project delete visoin --apply    one made by a slip: only if no row is in it
"""

from __future__ import annotations

import argparse
from typing import Any

_COLUMNS = {
    "project_name": "project",
    "state": "state",
    "subjects": "subjects",
    "sessions": "sessions",
    "datasets": "datasets",
    "project_contact": "contact",
    "project_startdate": "start",
    "project_enddate": "end",
    "project_description": "description",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    parser.add_argument(
        "verb",
        nargs="?",
        default="list",
        choices=["list", "create", "describe", "archive", "reopen", "delete"],
    )
    parser.add_argument("name", nargs="?", help="name of the project")
    parser.add_argument("--description", default="", help="of a new project")
    parser.add_argument("--contact", metavar="MEMBER", help="lab member to ask about it")
    parser.add_argument("--apply", action="store_true", help="delete: do it; else only say what")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Do what the verb says."""
    from ..schema import project_admin as admin
    from . import UsageError, write
    from .output import print_rows
    from .selection import chosen_lab

    if options.verb != "list" and not options.name:
        raise UsageError(f"Which project? `labdata project {options.verb} NAME`")
    lab = chosen_lab(options)
    if options.verb == "create":
        admin.create_project(
            lab, options.name, description=options.description, contact=options.contact
        )
        write(f"Made the project {options.name}. Use it with -p {options.name}.")
    elif options.verb in ("archive", "reopen"):
        admin.archive_project(lab, options.name, reopen=options.verb == "reopen")
        write(f"The project {options.name} is {_done(options.verb)}.")
    elif options.verb == "delete":
        _delete(lab, options)
    elif options.verb == "describe":
        _print_facts(admin.describe_project(lab, options.name), as_json=options.json)
    else:
        rows = admin.list_projects(lab)
        empty = "There are no projects: all data live together."
        print_rows(rows, _COLUMNS, as_json=options.json, empty=empty)


def _delete(lab: Any, options: argparse.Namespace) -> None:
    from ..counted import count_of
    from ..database.project_removal import refuse_rows
    from ..schema import project_admin as admin
    from . import write
    from .output import print_rows

    plan = admin.plan_project_removal(lab, options.name)
    if options.json:
        facts = {"project": plan.project, "schemas": plan.schemas, "n_tables": plan.n_tables}
        print_rows([{**facts, "rows": plan.rows}], [], as_json=True)
    refuse_rows(plan.project, plan.rows)
    what = f"the project {plan.project}: {count_of(plan.n_tables, 'table')} without rows"
    if not options.apply:
        write(f"To delete: {what}.\nNothing is deleted yet: add --apply.", error=True)
        return
    admin.remove_project(plan)
    write(f"Deleted {what}.", error=True)


def _done(verb: str) -> str:
    return "open again" if verb == "reopen" else "archived: read only"


def _print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    from .output import print_rows, show, show_heading

    if as_json:
        print_rows([facts], [], as_json=True)
        return
    facts = facts | {"members": ", ".join(facts["members"]) or None}
    rows = [
        {"fact": show_heading(k.removeprefix("project_")), "value": show(v)}
        for k, v in facts.items()
    ]
    print_rows(rows, {"fact": "project", "value": facts["project_name"]})
