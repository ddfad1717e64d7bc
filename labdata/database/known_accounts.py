"""Which accounts the server has, and which roles its grants amount to.

Nothing else writes down who may do what: the server's own grants decide, and are read back here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import DatabaseError, QueryError
from ..nearest import nearest
from .project_views import MEMBERS
from .rights import Role, grant_pattern, own_schemas

#: Accounts may come from any computer; what they are let in by is the password over TLS.
HOST = "%"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
#: The privilege in a project's schemas that tells a role from the others.
_TELLING: dict[Role, tuple[int, str]] = {
    "reader": (0, "SELECT"),
    "experimenter": (0, "INSERT"),
    "analyst": (1, "INSERT"),
    "admin": (1, "CREATE"),
}


@dataclass(frozen=True)
class KnownAccounts:
    """What the server tells this account of others' accounts.

    Attributes
    ----------
    names : frozenset of str or None
        Accounts there are; ``None`` if this account may not see others.
    powerful : frozenset of str
        Those with rights on the whole server, which labdata leaves alone.
    roles : dict
        Account to project (None: the data of no project) to its roles.
    """

    names: frozenset[str] | None
    powerful: frozenset[str]
    roles: dict[str, dict[str | None, list[Role]]]


def check_name(name: str) -> str:
    """Return the name of an account, or refuse one that is not fit to be one.

    Parameters
    ----------
    name : str
        As typed.

    Raises
    ------
    QueryError
        If it has other than letters, digits, ``_``, ``.`` and ``-``, or more than 32 of them.
    """
    if not _NAME.fullmatch(name):
        raise QueryError(
            f"{name!r} cannot be the name of an account.",
            hint="Use up to 32 letters, digits, _ . and -, with a letter first.",
        )
    return name


def read_accounts(lab: Any) -> KnownAccounts:
    """Return the accounts that the server shows, with their roles by project.

    Parameters
    ----------
    lab : Lab
        Tables of any project.
    """
    query = lab.connection.query
    powers: dict[str, set[str]] = {}
    for account, privilege in query(
        "SELECT grantee, privilege_type FROM information_schema.user_privileges"
    ):
        powers.setdefault(_account_name(account), set()).add(privilege)
    base = lab.File.database
    held: dict[str, set[tuple[str, str]]] = {}
    for account, schema, privilege, is_whole in query(
        "SELECT grantee, table_schema, privilege_type, 1 "
        "FROM information_schema.schema_privileges "
        # an analyst's rights on results are by table, as all on data where there is no project
        "UNION SELECT grantee, table_schema, privilege_type, 0 "
        "FROM information_schema.table_privileges "
        "WHERE table_name = %s OR (table_name = %s AND table_schema = %s)",
        (lab.ComputeTask.table_name, lab.Subject.table_name, base),
    ):
        place = schema if is_whole else grant_pattern(schema)
        held.setdefault(_account_name(account), set()).add((place, privilege))
    projects = [None, *sorted(map(str, lab.Project.fetch("project_name")))]
    roles = {
        account: {p: found for p in projects if (found := _roles(base, p, rights))}
        for account, rights in held.items()
    }
    return KnownAccounts(
        names=frozenset(powers) if len(powers) > 1 else None,
        powerful=frozenset(name for name, found in powers.items() if found != {"USAGE"}),
        roles=roles,
    )


def list_accounts(lab: Any) -> list[dict[str, Any]]:
    """Return the lab members with their accounts and roles; no secret is among it.

    Parameters
    ----------
    lab : Lab
        Tables of any project.

    Returns
    -------
    list of dict
        user_name; account, "yes" or "no", None where this account may not see it; state,
        "active" or "left"; projects, whose member it is; roles, project ("" for none) to list of
        roles, None where this account may not see them.
    """
    known = read_accounts(lab)
    own = _own_name(lab)
    members = lab.tables_and_parts()[MEMBERS]
    projects: dict[str, list[str]] = {}
    for row in members.fetch("user_name", "project_name", as_dict=True):
        projects.setdefault(str(row["user_name"]), []).append(str(row["project_name"]))
    rows: list[dict[str, Any]] = []
    for member in lab.LabMember.fetch("user_name", "is_active", as_dict=True):
        name = str(member["user_name"])
        seen = None if known.names is None else name in known.names
        if name == own:
            seen = True
        of_project = {p or "": r for p, r in known.roles.get(name, {}).items()}
        rows.append(
            {
                "user_name": name,
                "account": {True: "yes", False: "no", None: None}[seen],
                "state": "active" if member["is_active"] else "left",
                "projects": projects.get(name, []),
                "roles": None if seen is None else of_project,
            }
        )
    return rows


def check_account(lab: Any, name: str) -> KnownAccounts:
    """Return what is known of the accounts if one of them is a lab member's that may be changed.

    Parameters
    ----------
    lab : Lab
        Tables of any project.
    name : str
        The lab member.

    Raises
    ------
    DatabaseError
        If there is no such account, or it is one of the whole server, or this very one.
    QueryError
        If the name is not fit, or no lab member's.
    """
    check_name(name)
    known = read_accounts(lab)
    if known.names is not None and name not in known.names:
        raise DatabaseError(
            f"There is no account {name!r}.", hint=f"`labdata account create {name}` makes one."
        )
    if name in known.powerful or name == _own_name(lab):
        whose = "your own" if name not in known.powerful else "an account of the whole server"
        raise DatabaseError(
            f"{name!r} is {whose}; labdata changes the accounts of lab members only.",
            hint="`labdata account list` shows them.",
        )
    if not (lab.LabMember & {"user_name": name}):
        if known.names is None:  # whether it is an account is not known
            near = nearest(name, map(str, lab.LabMember.fetch("user_name")))
            raise QueryError(
                f"There is no lab member {name!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else "`labdata account` lists them.",
            )
        raise QueryError(
            f"{name!r} is an account, but no lab member.", hint="Add them to LabMember first."
        )
    return known


def _own_name(lab: Any) -> str:
    """Return the name of this very account."""
    ((own,),) = lab.connection.query("SELECT CURRENT_USER()")
    return str(own).rpartition("@")[0]


def _account_name(grantee: str) -> str:
    """Return ``kim`` of ``'kim'@'%'``; others than those for any host by their whole name."""
    name, _, host = grantee.rpartition("@")
    return name.strip("'") if host == f"'{HOST}'" else grantee


def _roles(base: str, project: str | None, held: set[tuple[str, str]]) -> list[Role]:
    schemas = own_schemas(base, project)
    return [
        role
        for role, (index, privilege) in _TELLING.items()
        if (grant_pattern(schemas[index]), privilege) in held
    ]
