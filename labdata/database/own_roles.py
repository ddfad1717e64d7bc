"""Which roles one has oneself, which a deed takes, and who can give it.

The server decides at each statement. What is asked here is asked before long work begins, such as
copying a folder that could not be registered afterwards, and when an error is put into words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import DatabaseError
from .rights import ROLES, Role, project_rights, shared_rights

if TYPE_CHECKING:
    from .projects import Lab


def is_limited(lab: Lab) -> bool:
    """Return whether this account has roles in projects, rather than rights on the whole lab.

    Parameters
    ----------
    lab : Lab
        The tables.
    """
    lab.activate()
    return lab.File._seen_as is not None


def own_roles(lab: Lab) -> list[Role]:
    """Return the roles of this account in the project, as the server's grants amount to.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    """
    from .known_accounts import read_accounts

    ((account,),) = lab.connection.query("SELECT CURRENT_USER()")
    return read_accounts(lab).roles.get(account.rpartition("@")[0], {}).get(lab.project, [])


def roles_that_may(lab: Lab, table: Any, privilege: str) -> list[Role]:
    """Return the roles that hold a privilege on a table.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    table : type
        One of them.
    privilege : str
        For instance ``INSERT``.
    """
    name = (table._seen_as or f"`{table.table_name}`").split("`")[-2]
    return [
        role
        for role in ROLES
        if any(
            right.schema == table.database
            and right.table in (None, name)
            and any(own.split(" (")[0] == privilege for own in right.privileges)
            for right in [*project_rights(lab, role), *shared_rights(lab, [role])]
        )
    ]


def has_role(lab: Lab, needed: Sequence[Role]) -> bool:
    """Return whether this account has one of some roles, or rights on the whole lab.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    needed : sequence of str
        Roles, each of which is enough.
    """
    return not is_limited(lab) or bool(set(own_roles(lab)) & set(needed))


def check_role(lab: Lab, deed: str, needed: Sequence[Role]) -> None:
    """Raise if this account has none of the roles that a deed takes.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    deed : str
        ``put folders``.
    needed : sequence of str
        Roles, each of which is enough; none if only the lab's administrator may.

    Raises
    ------
    DatabaseError
        Which names the role one has, the one that is needed, and who gives it.
    """
    if not is_limited(lab):
        return
    roles = own_roles(lab)
    # rights given by hand may amount to no role; then the server alone decides
    if roles and not set(roles) & set(needed):
        message, hint = explain_role(lab, deed, needed)
        raise DatabaseError(message, hint=hint)


def explain_role(lab: Lab, deed: str, needed: Sequence[Role]) -> tuple[str, str]:
    """Return what to say, and what to do, where a role does not allow something.

    Parameters
    ----------
    lab, deed, needed
        As of :func:`check_role`.
    """
    user = lab.connection.conn_info["user"]
    roles = own_roles(lab)  # each but the reader's is told by what it may do beside others
    told = ["admin"] if "admin" in roles else [r for r in roles if r != "reader"] or roles
    own = " and ".join(told) or "no role"
    where = f"project {lab.project!r}" if lab.project else "the data of no project"
    project = f"-p {lab.project} " if lab.project else ""
    takes = " or ".join(needed) or "the lab's administrator"
    message = f"{user} has the role {own} in {where}; to {deed} takes {takes}."
    message = message.replace("the role no role", "no role")
    if not needed:
        return message, "Nothing was changed. Ask the lab's administrator to do it."
    return (
        message,
        "Nothing was changed. An admin of the project or the lab's administrator gives the role: "
        f"`labdata account grant {user} {project}--role {needed[0]}`",
    )
