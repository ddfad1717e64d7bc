"""Making, listing, describing and archiving projects.

An archived project is one whose end date has come: it is read as before, and takes no new data or
tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from ..database.archived import has_ended, note_archived, refuse_archived
from ..database.datajoint_compat import dj
from ..database.own_roles import check_role
from ..database.project_removal import ProjectRemoval, plan_removal
from ..database.projects import Lab, schema_names
from ..database.row_copy import CopyPlan, plan_copy
from ..errors import DatabaseError, QueryError
from ..nearest import nearest

#: Tasks belong to the project that runs them.
NOT_SHARED = ("ComputeTask",)


def create_project(
    lab: Lab, name: str, *, description: str = "", contact: str | None = None
) -> Lab:
    """Make a project: its tables and its row.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database.
    name : str
        Of the new project.
    description : str, optional
        What it is about, up to 500 characters.
    contact : str, optional
        The lab member to ask.

    Returns
    -------
    Lab
        Its tables.

    Raises
    ------
    DatabaseError
        If there is such a project, or the account may not make one.
    QueryError
        If there is no such lab member.
    """
    from . import load_project_schema

    check_role(lab, "make a project", ())
    # looked up by the server, to whom Vision is vision
    there = (lab.Project & {"project_name": name}).fetch("project_name")
    if len(there):
        raise DatabaseError(
            f"There is a project {there[0]!r} already.",
            hint="`labdata project list` shows the projects.",
        )
    if contact is not None and not (lab.LabMember & {"user_name": contact}):
        known = ", ".join(sorted(lab.LabMember.fetch("user_name")))
        raise QueryError(
            f"There is no lab member {contact!r}.", hint=f"There are: {known or 'none'}."
        )
    made = load_project_schema(name)
    made.create()
    row = {
        "project_name": name,
        "project_description": description,
        "project_startdate": date.today(),
        "project_contact": contact,
    }
    made.Project.update1(row)  # the tables brought their project's row with them
    return made


def list_projects(lab: Lab) -> list[dict[str, Any]]:
    """Return the projects with the number of their subjects, sessions and datasets.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database.

    Returns
    -------
    list of dict
        A row a project, by name; the numbers are None where the account may not look.
    """
    rows: list[dict[str, Any]] = lab.Project.fetch(as_dict=True, order_by="project_name")
    base = lab.connection._preferences.name
    for row in rows:
        schema = schema_names(base, row["project_name"])["data"]
        row |= _count(lab.connection, schema)
        row["state"] = "archived" if has_ended(row["project_enddate"]) else "open"
    return rows


def describe_project(lab: Lab, name: str) -> dict[str, Any]:
    """Return what is known about one project, its members included.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database.
    name : str
        The project.

    Raises
    ------
    QueryError
        If there is none, with the nearest name.
    """
    rows = {row["project_name"]: row for row in list_projects(lab)}
    _check_known(name, rows)
    members = (lab.Project.User & {"project_name": name}).fetch("user_name")
    return rows[name] | {"members": sorted(members)}


def archive_project(lab: Lab, name: str, *, reopen: bool = False) -> None:
    """End a project, or take it up again; no data are touched.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database.
    name : str
        The project.
    reopen : bool, optional
        Take it up again.

    Raises
    ------
    QueryError
        If there is none, with the nearest name.
    """
    _check_known(name, lab.Project.fetch("project_name"))
    check_role(lab, "archive or reopen a project", ())
    end = None if reopen else date.today()
    note_archived(lab.connection, name, reopened=reopen)
    lab.Project.update1({"project_name": name, "project_enddate": end})


def plan_project_removal(lab: Lab, name: str) -> ProjectRemoval:
    """Plan to remove an empty project, with its tables.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database.
    name : str
        The project.

    Returns
    -------
    ProjectRemoval
        Its ``rows`` are in the way. :func:`remove_project` removes it.

    Raises
    ------
    QueryError
        If there is none, with the nearest name.
    DatabaseError
        If the account may not.
    """
    _check_known(name, lab.Project.fetch("project_name"))
    check_role(lab, "delete a project", ())
    return plan_removal(lab.connection, name)


def remove_project(plan: ProjectRemoval) -> None:
    """Remove an empty project; its tables in this process are forgotten.

    Parameters
    ----------
    plan : ProjectRemoval
        Of :func:`plan_project_removal`.

    Raises
    ------
    DatabaseError
        If it has rows; nothing is removed then.
    """
    from . import _labs, default_lab

    plan.apply()
    in_use = default_lab._project == plan.project
    for lab in (_labs.pop(plan.project, None), default_lab if in_use else None):
        if lab is not None:
            lab.deactivate()


def plan_share(
    source: Lab, target: Lab, chosen: Mapping[str, Collection[tuple[Any, ...]]]
) -> CopyPlan:
    """Plan to copy sessions with their data and results to another project.

    Parameters
    ----------
    source, target : Lab
        From which project, to which.
    chosen : mapping
        Table name to primary keys: ``{"Session": [("JC1", "20240305_100000")]}``.

    Returns
    -------
    CopyPlan
        Nothing is done before its ``apply``. Raw files are not copied: both projects refer to
        the same ones.

    Raises
    ------
    DatabaseError
        If both are the same project, or the target is archived.
    """
    if source.project == target.project:
        raise DatabaseError(f"Both are the project {source.project!r}.", hint="Name another.")
    refuse_archived(target)
    check_role(target, "share into it", ("admin",))
    return plan_copy(source, target, chosen, leave_out=NOT_SHARED)


def _count(connection: Any, schema: str) -> dict[str, int | None]:
    numbers: dict[str, int | None] = {}
    for table in ("subject", "session", "dataset"):
        try:
            query = f"SELECT COUNT(*) FROM `{schema}`.`{table}`"
            numbers[f"{table}s"] = int(connection.query(query).fetchone()[0])
        except dj.errors.DataJointError:  # no right to look
            numbers[f"{table}s"] = None
    return numbers


def _check_known(name: str, known: Collection[str]) -> None:

    if name in known:
        return
    near = nearest(name, known)
    raise QueryError(
        f"There is no project {name!r}.",
        hint=f"Did you mean {near[0]!r}?" if near else "`labdata project list` shows them.",
    )
