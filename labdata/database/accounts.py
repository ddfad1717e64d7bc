"""Database accounts of lab members: planned as SQL, shown, then applied.

The roles that a member has are not written down anywhere but in the server's own grants, which
alone decide; they are read back from there. Statements work on MariaDB and MySQL alike. Passwords
travel to the server over TLS only, and are in no text that is shown or logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pymysql
from pydantic import SecretStr

from ..errors import DatabaseError, QueryError
from .datajoint_compat import dj
from .known_accounts import HOST, check_account, check_name, read_accounts
from .project_views import MEMBERS, make_views, view_name
from .raw_tables import quote
from .rights import (
    ROLES,
    Role,
    former_rights,
    project_rights,
    shared_rights,
    together,
    without,
)
from .statements import Statement, show_statements

#: "There is no such grant": for a schema, for a table.
_NOT_GRANTED = (1141, 1147)
#: Refused for want of a right: on a schema, table or column, on the server, or to give rights.
_DENIED = (1044, 1142, 1143, 1227, 1410)


def check_server(lab: Any) -> None:
    """Refuse a database that has no accounts, or a way to it that others can read.

    Parameters
    ----------
    lab : Lab
        Tables of any project.

    Raises
    ------
    DatabaseError
        If it is embedded, or TLS is off.
    """
    connection = lab.connection
    if connection.embedded:
        raise DatabaseError(
            "This is your own database on this computer; only you use it, so it has no accounts.",
            hint="Accounts are for a lab's server: set database.host in the preference file.",
        )
    if not connection._preferences.use_tls:
        raise DatabaseError(
            "The way to the server is not encrypted, and passwords would travel on it.",
            hint='Set "database.use_tls": true in the preference file.',
        )


def plan_create(lab: Any, name: str, password: SecretStr) -> list[Statement]:
    """Plan an account without any rights, and the member's row where there is none.

    Parameters
    ----------
    lab : Lab
        Tables of any project.
    name : str
        The lab member.
    password : SecretStr
        A new one.

    Returns
    -------
    list of Statement
        What is to be run, in order.

    Raises
    ------
    DatabaseError
        If there is such an account.
    QueryError
        If the name is not fit, or a member has it with other capitals.
    """
    check_name(name)
    known = read_accounts(lab)
    if name in (known.names or ()):
        raise DatabaseError(
            f"There is an account {name!r} already.",
            hint=f"`labdata account grant {name} -p PROJECT --role ROLE` gives it rights, "
            f"`labdata account reset-password {name}` a new password.",
        )
    similar = [str(n) for n in (lab.LabMember & {"user_name": name}).fetch("user_name")]
    if similar and name not in similar:
        raise QueryError(
            f"The lab member is {similar[0]!r}, not {name!r}.",
            hint=f"`labdata account create {similar[0]}`",
        )
    return [
        Statement(
            "CREATE USER %s@%s IDENTIFIED BY %s REQUIRE SSL", (name, HOST, password)
        ),
        Statement(
            f"INSERT INTO {_shared(lab, 'LabMember')} (user_name) VALUES (%s) "
            "ON DUPLICATE KEY UPDATE is_active = 1",
            (name,),
        ),
    ]  # fmt: skip


def plan_undo(name: str) -> list[Statement]:
    """Return what takes an account back of which not all could be made.

    Parameters
    ----------
    name : str
        The lab member.
    """
    return [Statement("DROP USER %s@%s", (name, HOST))]


def plan_grant(lab: Any, name: str, role: Role, *, is_new: bool = False) -> list[Statement]:
    """Plan to give a member a role in a project, beside those that they have.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    name : str
        The lab member.
    role : str
        One of ``ROLES``.
    is_new : bool, optional
        The account is made by the same plan.

    Returns
    -------
    list of Statement
        What is to be run, in order.

    Raises
    ------
    DatabaseError
        If there is no such account, or it is one of the server's own.
    """
    held: list[Role] | None = []
    if not is_new:
        known = check_account(lab, name)
        unseen = known.names is None
        held = None if unseen else known.roles.get(name, {}).get(lab.project, [])
    # who sees the project's views only has no right to renew them, and they are there
    views = make_views(lab) if lab.File._seen_as is None else []
    return [
        *views,
        *_role_statements(lab, name, role, held),
        *_members(lab, name, "INSERT IGNORE INTO {} (project_name, user_name) VALUES (%s, %s)"),
    ]


def _role_statements(
    lab: Any, name: str, role: Role, held: Sequence[Role] | None
) -> list[Statement]:
    """Return what gives a role, and takes what it gave in earlier versions.

    An admin of the project has those rights by that role; they stay, also where it is not known
    (None) which roles the account has.
    """
    rights = [*project_rights(lab, role), *shared_rights(lab, [role])]
    former = [] if held is None or "admin" in held else former_rights(lab, role)
    account = (name, HOST)
    return [
        *(Statement(right.granted, account) for right in rights),
        *(Statement(text, account, _NOT_GRANTED) for right in former for text in right.revoked),
    ]


def plan_renewal(lab: Any) -> dict[str, list[Statement]]:
    """Plan to give all accounts anew what their roles in a project are in this version of labdata.

    Parameters
    ----------
    lab : Lab
        Tables of the project.

    Returns
    -------
    dict of str to list of Statement
        By lab member, of those who have a role in it; none if this account sees no others.
    """
    known = read_accounts(lab)
    plans = {}
    for name, roles in known.roles.items():
        held = roles.get(lab.project, [])
        if known.names is None or name in known.powerful or name not in known.names or not held:
            continue
        # each role has a reader's rights, so that every account counts as a reader too
        plans[name] = [s for role in held for s in _role_statements(lab, name, role, held)]
    return plans


def plan_revoke(lab: Any, name: str) -> list[Statement]:
    """Plan to take all rights in a project from a member; those in others stay.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    name : str
        The lab member.

    Returns
    -------
    list of Statement
        What is to be run, in order.

    Raises
    ------
    DatabaseError
        If there is no such account, or it is one of the server's own.
    """
    known = check_account(lab, name)
    account = (name, HOST)
    taken = together(right for role in ROLES for right in project_rights(lab, role))
    if known.names is not None:
        elsewhere = known.roles.get(name, {})
        kept = [r for project, roles in elsewhere.items() if project != lab.project for r in roles]
        taken += without(shared_rights(lab, ROLES), shared_rights(lab, kept))
    return [
        *(Statement(text, account, _NOT_GRANTED) for right in taken for text in right.revoked),
        *_members(lab, name, "DELETE FROM {} WHERE project_name = %s AND user_name = %s"),
    ]


def check_revoked(lab: Any, name: str) -> None:
    """Look at the server's grants after a revocation; what it did not say is not believed.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    name : str
        The lab member.

    Raises
    ------
    DatabaseError
        If the account still has a role in the project.
    """
    kept = read_accounts(lab).roles.get(name, {}).get(lab.project)
    if kept:
        raise DatabaseError(
            f"{name} still has the rights of {', '.join(kept)} in "
            f"{lab.project or 'the data of no project'}.",
            hint=f"The server's administrator sees where from: SHOW GRANTS FOR '{name}'@'{HOST}'",
        )


def plan_reset(lab: Any, name: str, password: SecretStr) -> list[Statement]:
    """Plan a new password, and that the account is let in over TLS only.

    Parameters
    ----------
    lab : Lab
        Tables of any project.
    name : str
        The lab member.
    password : SecretStr
        A new one.

    Returns
    -------
    list of Statement
        What is to be run, in order.

    Raises
    ------
    DatabaseError
        If there is no such account, or it is one of the server's own.
    """
    check_account(lab, name)
    text = "ALTER USER %s@%s IDENTIFIED BY %s REQUIRE SSL"
    return [Statement(text, (name, HOST, password))]


def plan_delete(lab: Any, name: str) -> list[Statement]:
    """Plan to remove an account; the member stays, marked as having left, as data refer to them.

    Parameters
    ----------
    lab : Lab
        Tables of any project.
    name : str
        The lab member.

    Returns
    -------
    list of Statement
        What is to be run, in order.

    Raises
    ------
    DatabaseError
        If there is no such account, it is one of the server's own, or projects' views were made
        by it and would end with it.
    """
    check_account(lab, name)
    ((n_views,),) = lab.connection.query(
        "SELECT COUNT(*) FROM information_schema.views WHERE definer = %s", (f"{name}@{HOST}",)
    )
    if n_views:
        raise DatabaseError(
            f"{name!r} made {n_views} views through which members see their projects' files.",
            hint="Another administrator renews them by `labdata account grant` in each project.",
        )
    return [
        Statement("DROP USER %s@%s", (name, HOST)),
        Statement(f"DELETE FROM {_shared(lab, MEMBERS)} WHERE user_name = %s", (name,)),
        Statement(
            f"UPDATE {_shared(lab, 'LabMember')} SET is_active = 0 WHERE user_name = %s", (name,)
        ),
    ]


def apply_plan(
    lab: Any,
    plan: Sequence[Statement],
    *,
    undo: Sequence[Statement] = (),
    deed: str = "change accounts",
    command: str = "",
) -> None:
    """Run the statements of a plan, in order.

    Parameters
    ----------
    lab : Lab
        Tables of any project.
    plan : sequence of Statement
        What to run.
    undo : sequence of Statement, optional
        Run if a statement after the first fails, so that no half-made account stays.
    deed : str, optional
        What the plan does, in words.
    command : str, optional
        What the lab's administrator is to run if this account may not.

    Raises
    ------
    DatabaseError
        If this account may not do it, with the command for someone who may, or the server refuses
        it; with the SQL of what ran before and was not taken back.
    """
    connection = lab.connection
    ((mode, version),) = connection.query("SELECT @@SESSION.sql_mode, VERSION()")
    if "MariaDB" in version:  # whose GRANT otherwise makes an account without a password
        connection.query("SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_CREATE_USER')")
    done = 0
    try:
        for statement in plan:
            _run(connection, statement)
            done += 1
    except (pymysql.MySQLError, dj.errors.DataJointError) as error:
        user = connection.conn_info["user"]
        ran = () if undo else plan[:done]
        raise _explain(error, user, deed=deed, command=command, ran=ran) from None
    finally:
        if 0 < done < len(plan):
            for statement in undo:
                statement.run(connection)
        with suppress(dj.errors.LostConnectionError):
            connection.query("SET SESSION sql_mode = %s", (mode,))


def _run(connection: Any, statement: Statement) -> None:
    try:
        statement.run(connection)
    except (pymysql.MySQLError, dj.errors.DataJointError) as error:
        if not (error.args and error.args[0] in statement.may_fail_with):
            raise


def _explain(
    error: Exception, user: str, *, deed: str, command: str, ran: Sequence[Statement]
) -> DatabaseError:
    """Return what to say of a refusal, and who can do it instead."""
    reason = str(error.args[1] if len(error.args) > 1 else error)
    denied = isinstance(error, dj.errors.AccessError) or (
        bool(error.args) and error.args[0] in _DENIED
    )
    done = f" This was done before:\n{show_statements(ran)}" if ran else " Nothing was changed."
    ask = "Ask the lab's administrator"
    if command:
        ask += f" to run `{command}` (with --dry-run it shows the SQL)"
    if denied:
        return DatabaseError(f"The account {user} may not {deed}.", hint=f"{ask}.{done}")
    return DatabaseError(f"The server refused to {deed}: {reason}", hint=f"{ask}.{done}")


def _shared(lab: Any, name: str) -> str:
    table = lab.tables_and_parts()[name]
    return f"{quote(table.database)}.{quote(table.table_name)}"


def _members(lab: Any, name: str, sql: str) -> list[Statement]:
    """Return the statement on the members of a project, of which no project has none."""
    if not lab.project:
        return []
    table = lab.tables_and_parts()[MEMBERS]
    view = f"{quote(table.database)}.{quote(view_name(table.table_name, lab.project))}"
    return [Statement(sql.format(view), (lab.project, name))]
