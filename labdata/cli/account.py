"""Database accounts of lab members, with a role in each project: reader, experimenter, analyst,
admin.

A reader sees a project's data and results. An experimenter also puts, uploads and corrects data;
an analyst makes results; an admin may do all in the project, delete and give roles. What touches
all projects stays with the lab's administrator: making and archiving projects, other paths for
files, garbage, dumps. Every member sees the names and addresses of all lab members.

Examples:
  labdata account create kim -p vision --role reader     shows the password, once
  labdata account create kim --write kim.json            a preference file, ready to use
  labdata account grant kim -p vision --role experimenter --dry-run
  labdata account grant kim --role reader                in the project in use, or in none
  labdata account list
  labdata account revoke kim -p vision
  labdata account reset-password kim
  labdata account delete kim
"""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

_VERBS = ("list", "show", "create", "grant", "revoke", "reset-password", "delete")
_COLUMNS = {"user_name": "member", "account": "account", "state": "state", "roles": "roles"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    parser.add_argument("verb", nargs="?", default="list", choices=_VERBS)
    parser.add_argument("name", nargs="?", help="the lab member, which is the account's name too")
    parser.add_argument("--role", help="reader, experimenter, analyst or admin")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write a preference file, print no password"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show the SQL")
    parser.add_argument("--json", action="store_true", help="print JSON (list, show)")


def run(options: argparse.Namespace) -> None:
    """Do what the verb says."""
    from ..database import accounts
    from . import UsageError
    from .selection import chosen_lab

    _check_usage(options, UsageError)
    lab = chosen_lab(options)
    accounts.check_server(lab)
    if options.verb in ("list", "show"):
        _print_accounts(lab, options)
    elif options.verb in ("create", "reset-password"):
        _give_password(lab, options)
    else:
        _change(lab, options)


def _check_usage(options: argparse.Namespace, wrong: type[Exception]) -> None:
    verb, name = options.verb, options.name
    if verb != "list" and not name:
        raise wrong(f"Which lab member? `labdata account {verb} NAME`")
    if verb == "grant" and not options.role:
        raise wrong(f"Which role? `labdata account grant {name} -p PROJECT --role ROLE`")
    if options.role and verb not in ("create", "grant"):
        raise wrong(f"--role is for create and grant, not for {verb}.")
    if verb == "create" and options.project and not options.role:
        raise wrong("Which role in the project? Give --role ROLE too.")
    if options.write and verb not in ("create", "reset-password"):
        raise wrong(f"--write is for create and reset-password, not for {verb}.")


def _give_password(lab: Any, options: argparse.Namespace) -> None:
    """Make an account or a new password, and hand the password over in one place."""
    from ..database import accounts
    from ..database.new_passwords import make_password, write_member_preferences
    from ..database.rights import check_role
    from ..database.statements import show_statements
    from . import write

    name, password = options.name, make_password()
    undo = []
    if options.verb == "create":
        role = check_role(options.role) if options.role else None
        plan = accounts.plan_create(lab, name, password)
        plan += accounts.plan_grant(lab, name, role, is_new=True) if role else []
        undo = accounts.plan_undo(name)
    else:
        plan = accounts.plan_reset(lab, name, password)
    if options.dry_run:
        write(show_statements(plan))
        return
    _check_way_out(options)
    if options.write:
        write_member_preferences(lab, name, password, options.write, lab.project)
    with ExitStack() as on_failure:
        if options.write:
            on_failure.callback(options.write.unlink)
        deed = "make accounts" if options.verb == "create" else "give new passwords"
        accounts.apply_plan(lab, plan, undo=undo, deed=deed, command=_as_typed(lab, options))
        on_failure.pop_all()
    done = "Made the account" if options.verb == "create" else "Gave a new password to"
    write(f"{done} {name}.")
    if options.write:
        write(f"Its preferences with the password are in {options.write}; give it to {name} only.")
    else:
        write(f"password: {password.get_secret_value()}")
        write("It is not shown again. It goes into LABDATA_DATABASE_PASS or the keyring.")


def _check_way_out(options: argparse.Namespace) -> None:
    """Refuse to print a password to where it stays: a file, a pipe, a notebook."""
    from ..errors import DatabaseError

    if options.write and options.write.exists():
        raise DatabaseError(f"{options.write} is there already.", hint="Name a new file.")
    if not options.write and not sys.stdout.isatty():
        raise DatabaseError(
            "The password would be kept where this output goes.",
            hint="Use a terminal, or --write FILE.",
        )


def _change(lab: Any, options: argparse.Namespace) -> None:
    from ..database import accounts
    from ..database.rights import check_role
    from ..database.statements import show_statements
    from . import write

    name, project = options.name, _place(lab.project)
    if options.verb == "grant":
        role = check_role(options.role)
        plan, done = accounts.plan_grant(lab, name, role), f"{name} is {role} in {project}."
    elif options.verb == "revoke":
        plan, done = accounts.plan_revoke(lab, name), f"{name} has no rights in {project}."
    else:
        plan = accounts.plan_delete(lab, name)
        done = f"The account {name} is gone; the lab member stays, as one who has left."
    if options.dry_run:
        write(show_statements(plan))
        return
    deed = {
        "grant": f"give the role {options.role} in {project}",
        "revoke": f"take roles in {project}",
        "delete": "delete accounts, which are those of all projects",
    }[options.verb]
    accounts.apply_plan(lab, plan, deed=deed, command=_as_typed(lab, options))
    if options.verb == "revoke":
        accounts.check_revoked(lab, name)
    write(done)


def _print_accounts(lab: Any, options: argparse.Namespace) -> None:
    from ..database.known_accounts import list_accounts
    from ..errors import QueryError
    from .output import print_rows, write_quietly

    rows = list_accounts(lab)
    if options.verb == "show":
        rows = [row for row in rows if row["user_name"] == options.name]
        if not rows:
            raise QueryError(
                f"There is no lab member {options.name!r}.",
                hint="`labdata account list` shows them.",
            )
    if options.project:
        rows = [
            row for row in rows if options.project in (*row["projects"], *(row["roles"] or ()))
        ]
    unseen = [row["user_name"] for row in rows if row["roles"] is None]
    if not options.json:
        rows = [
            row | {"account": row["account"] or "not seen", "roles": _in_words(row)}
            for row in rows
        ]
    empty = "There are no lab members. `labdata account create NAME` adds one."
    print_rows(rows, _COLUMNS, as_json=options.json, empty=empty)
    if unseen and not options.json:
        name = unseen[0] if len(unseen) == 1 else ""
        line = f"labdata account show {name}" if name else "labdata account list"
        write_quietly(
            "Which roles others have, the server shows to the lab's administrator only. "
            f"Ask them to run `{line}`."
        )


def _in_words(row: dict[str, Any]) -> str:
    """Return a member's roles by project; where they are not seen, whose member it is."""
    if row["roles"] is None:
        return "; ".join(f"{name}: member" for name in row["projects"])
    return "; ".join(f"{_place(name)}: {', '.join(roles)}" for name, roles in row["roles"].items())


def _as_typed(lab: Any, options: argparse.Namespace) -> str:
    """Return the command line that does the same wherever it is run."""
    words = ["labdata", "account", options.verb, options.name]
    if lab.project and (options.role or options.verb == "revoke"):
        words += ["-p", lab.project]
    words += ["--role", options.role] if options.role else []
    if options.verb in ("create", "reset-password"):
        words += ["--write", f"{options.name}.json"]
    return shlex.join(words)


def _place(project: str | None) -> str:
    return project or "the data of no project"
