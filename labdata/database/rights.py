"""What each role may do in a project, as privileges of the database server.

Rights are given by schema where they hold for all tables of it, present and to come, and by table
in the shared schema, where every project's rows are. By table, too, are an analyst's rights to
write results: entries of a log of curation are added and read only, by columns, so that none can
name another account than its own; what is granted on a schema no table of it can be kept from.
Nobody but a project's admin deletes data or
makes tables; the recorded checksums of files cannot be changed by any role. What touches all
projects is no role's but the lab's administrator's: making and archiving projects, other paths for
files, garbage, dumps.

Names and addresses of lab members are seen by every member, in whichever project. They are one
table that subjects, sessions and notes refer to, from which a form offers the experimenters; a
laboratory's people know each other, and what is kept apart between projects are their data. Who
must not know them gets no account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import QueryError
from .hidden_tables import ARCHIVED, RELEASED, RENAMES, hidden_view
from .project_views import GUARDED, LETTING_GO, MEMBERS, view_name
from .raw_tables import quote
from .server_defaults import given_columns

Role = Literal["reader", "experimenter", "analyst", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

_READ = ("SELECT",)
_CHANGE = ("INSERT", "UPDATE", "DELETE")
_CORRECT = ("SELECT", "INSERT", "UPDATE")
_WRITE = (*_CORRECT, "DELETE")
_SHAPE = (*_WRITE, "CREATE", "ALTER", "INDEX", "REFERENCES")
GRANT_OPTION = "GRANT OPTION"

#: Role -> privileges in the schemas of data, of results and of plugins.
_SCHEMAS: dict[Role, tuple[tuple[str, ...], ...]] = {
    "reader": (_READ, _READ, _READ),
    "experimenter": (_CORRECT, _READ, _READ),
    "analyst": (_READ, _READ, _WRITE),
    "admin": (_SHAPE, _SHAPE, (*_SHAPE, "DROP")),
}
#: Role -> what else than reading it may do with the project's rows of a shared table.
_VIEWS: dict[Role, dict[str, tuple[str, ...]]] = {
    "reader": {},
    "experimenter": {
        "File": ("INSERT",),
        "ProcessedFile": ("INSERT",),
        "UploadJob": ("INSERT", "UPDATE"),
        "UploadJob.AssignedFiles": ("INSERT",),
    },
    "analyst": {"AnalysisFile": ("INSERT",)},
    "admin": {
        "File": ("INSERT", "DELETE"),
        "AnalysisFile": ("INSERT", "DELETE"),
        "ProcessedFile": ("INSERT", "DELETE"),
        "UploadJob": ("INSERT", "UPDATE", "DELETE"),
        "UploadJob.AssignedFiles": ("INSERT", "DELETE"),
    },
}
#: Logs among the results: an analyst adds entries, and changes none, nor what the server fills.
APPEND_ONLY = ("UnitCuration",)
#: Shared choices to which a project's admin may add: a new strain, a new rig.
_ADDED_BY_ADMINS = ("Species", "Strain", "SetupLocation", "Setup")


@dataclass(frozen=True)
class Right:
    """Privileges on one schema or table.

    Attributes
    ----------
    schema : str
        The schema.
    table : str or None
        A table or view; ``None`` for all tables of the schema.
    privileges : tuple of str
        For instance ``("SELECT", "INSERT")``; ``GRANT OPTION`` may be the last.
    """

    schema: str
    table: str | None
    privileges: tuple[str, ...]

    @property
    def place(self) -> str:
        """What GRANT and REVOKE call it.

        ``_`` and ``%`` stand for any characters in the name of a schema in a GRANT on a whole
        schema, and only there; without a backslash a right on ``lab_a_b`` is one on ``lab_axb``.
        """
        if self.table is not None:
            return f"{quote(self.schema)}.{quote(self.table)}"
        return f"{quote(grant_pattern(self.schema))}.*"

    @property
    def granted(self) -> str:
        """The text of what to grant, with a place for the account."""
        names = ", ".join(p for p in self.privileges if p != GRANT_OPTION)
        more = " WITH GRANT OPTION" * (GRANT_OPTION in self.privileges)
        return f"GRANT {names} ON {self.place} TO %s@%s{more}"

    @property
    def revoked(self) -> list[str]:
        """The texts that revoke it, one a privilege, with a place for the account.

        MySQL takes nothing away where one privilege of several was never granted.
        """
        return [f"REVOKE {name} ON {self.place} FROM %s@%s" for name in self.privileges]


def grant_pattern(schema: str) -> str:
    r"""Return a schema's name as the server keeps it in a grant: ``lab\_vision``.

    Parameters
    ----------
    schema : str
        The schema.
    """
    return schema.replace("_", r"\_").replace("%", r"\%")


def check_role(role: str) -> Role:
    """Return a role, or refuse another word.

    Parameters
    ----------
    role : str
        As typed.

    Raises
    ------
    QueryError
        If there is no such role.
    """
    for known in ROLES:
        if role == known:
            return known
    raise QueryError(f"There is no role {role!r}.", hint=f"The roles are {', '.join(ROLES)}.")


def own_schemas(base: str, project: str | None) -> tuple[str, str, str]:
    """Return the names of a project's schemas: data, results, plugins.

    Parameters
    ----------
    base : str
        The shared schema.
    project : str or None
        The project; without one, data are in the shared schema.
    """
    data = f"{base}_{project}" if project else base
    return data, f"{data}_computed", f"{data}_user"


def project_rights(lab: Any, role: Role) -> list[Right]:
    """Return what a role may do with a project's own tables and its rows of shared ones.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    role : str
        One of :data:`ROLES`.
    """
    base, project = lab.File.database, lab.project
    more = (GRANT_OPTION,) if role == "admin" else ()
    rights = []
    for schema, privileges in zip(own_schemas(base, project), _SCHEMAS[role], strict=True):
        if schema != base:
            rights.append(Right(schema, None, (*privileges, *more)))
            continue
        # a right on the whole shared schema would be one on the files of all projects
        privileges = tuple(p for p in privileges if p in (*_WRITE, "REFERENCES"))
        names = _tables_of(lab, "data").values()
        rights += [Right(base, name, (*privileges, *more)) for name in names]
    tables = lab.tables_and_parts()
    for name in GUARDED:
        view = view_name(tables[name].table_name, project)
        rights.append(Right(base, view, ("SELECT", *_VIEWS[role].get(name, ()), *more)))
    log = ("SELECT", "INSERT", "UPDATE") if role == "admin" else ("SELECT",)
    rights.append(Right(base, hidden_view(RENAMES, project), (*log, *more)))
    if role == "admin":
        going = view_name(LETTING_GO, project)
        rights.append(Right(base, going, ("INSERT", *more)))
        rights.append(Right(base, hidden_view(RELEASED, project), ("SELECT", "DELETE", *more)))
    if role == "analyst":
        rights += [_right_of_analyst(lab, name) for name in _tables_of(lab, "computed")]
        rights = together([*rights, *(Right(*p, _WRITE) for p in _results_among_data(lab))])
    if role == "admin" and project:
        view = view_name(tables[MEMBERS].table_name, project)
        rights.append(Right(base, view, ("SELECT", "INSERT", "DELETE", *more)))
    return rights


def former_rights(lab: Any, role: Role) -> list[Right]:
    """Return what earlier versions of labdata gave to a role, and this one does not.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    role : str
        One of :data:`ROLES`.
    """
    if role != "analyst":
        return []
    return [Right(own_schemas(lab.File.database, lab.project)[1], None, _CHANGE)]


def shared_rights(lab: Any, roles: Iterable[Role]) -> list[Right]:
    """Return what the holder of some roles may do with the tables that all projects share.

    REFERENCES shows what a table is made of, and none of its rows.

    Parameters
    ----------
    lab : Lab
        Tables of any project.
    roles : iterable of str
        The roles, in whichever projects.
    """
    base, roles = lab.File.database, set(roles)
    if not roles:
        return []
    admin = "admin" in roles
    hidden = ("~lineage", "~labdata_version", ARCHIVED)
    rights = [Right(base, name, ("SELECT", *(GRANT_OPTION,) * admin)) for name in hidden]
    for name, table in _tables_of(lab, "global").items():
        privileges: tuple[str, ...] = ("REFERENCES",) if name in GUARDED else ("SELECT",)
        if admin:
            added = ("INSERT",) if name in _ADDED_BY_ADMINS else ()
            privileges = (*dict.fromkeys((*privileges, *added, "REFERENCES")), GRANT_OPTION)
        rights.append(Right(base, table, privileges))
    return rights


def _tables_of(lab: Any, level: str) -> dict[str, str]:
    """Return the tables of a level: names of the classes and in the database."""
    return {
        name: cls.table_name
        for name, cls in lab.tables_and_parts().items()
        if lab._levels.get(name.partition(".")[0]) == level
    }


def _right_of_analyst(lab: Any, name: str) -> Right:
    """Return what an analyst may do in a table of results."""
    table = lab.tables_and_parts()[name]
    place = own_schemas(lab.File.database, lab.project)[1], table.table_name
    if name not in APPEND_ONLY:
        return Right(*place, _CHANGE)
    return Right(*place, (f"INSERT ({', '.join(map(quote, given_columns(table)))})",))


def _results_among_data(lab: Any) -> list[tuple[str, str]]:
    """Return the tables in the schema of data that analyses fill, with their parts."""
    from .projects import Computed

    return [
        (cls.database, cls.table_name)
        for name, cls in lab.tables_and_parts().items()
        if issubclass(lab.tables[name.partition(".")[0]], Computed)
        and lab._levels[name.partition(".")[0]] == "data"
    ]


def together(rights: Iterable[Right]) -> list[Right]:
    """Return one right a place, with all privileges of the given ones.

    Parameters
    ----------
    rights : iterable of Right
        Any number for a place.
    """
    merged: dict[tuple[str, str | None], dict[str, None]] = {}
    for right in rights:
        found = merged.setdefault((right.schema, right.table), {})
        found |= dict.fromkeys(right.privileges)
    return [Right(*place, _grant_option_last(names)) for place, names in merged.items()]


def without(rights: list[Right], kept: list[Right]) -> list[Right]:
    """Return rights less the privileges of others.

    Parameters
    ----------
    rights, kept : list of Right
        One a place each.
    """
    left = []
    stay = {(r.schema, r.table): set(r.privileges) for r in kept}
    for right in rights:
        names = [p for p in right.privileges if p not in stay.get((right.schema, right.table), ())]
        if names:
            left.append(Right(right.schema, right.table, _grant_option_last(names)))
    return left


def _grant_option_last(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: name == GRANT_OPTION))
