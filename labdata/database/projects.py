"""Tables that are declared without a connection and belong to one project each.

A table is written once, as a class in :mod:`labdata.schema`, and registered by :func:`table`.
Those classes are the tables of the project in use. :class:`Lab` binds the same declarations to
another project by subclassing them, so that any number of projects live beside each other in one
process. Nothing touches the database until a table is first used; then the lab's schemas are
activated once for all tables, creating what is missing only when the lab is new.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeVar

from ..errors import DatabaseError
from .connection import LabConnection, connect
from .datajoint_compat import dj, quiet_notices
from .locks import server_lock
from .new_project import read_projects, warn_of_new_project
from .project_names import Level, schema_names
from .project_views import GUARDED, find_views, view_name
from .raw_tables import quote
from .schema_version import (
    CHANGES,
    CURRENT,
    MAKING,
    STEPS,
    UNFINISHED,
    UNMARKED,
    read_version,
    refuse_old_package,
    refuse_other,
    write_version,
)
from .server_defaults import set_defaults
from .tables import Computed, Imported, Lookup, Manual, Part, bound_class, parts_of, set_lab

__all__ = [
    "Computed",
    "Imported",
    "Lab",
    "Lookup",
    "Manual",
    "Part",
    "declared_tables",
    "default_lab",
    "find_version",
    "make_lab",
    "schema_names",
    "table",
]

_T = TypeVar("_T", bound=type)

#: The declarations, in the order in which their foreign keys need them.
_declared: list[tuple[type, Level]] = []


def table(level: Level) -> Any:
    """Register a class as a table of every lab.

    Parameters
    ----------
    level : {"global", "data", "computed"}
        The schema it lives in: shared by all projects, a project's data, a project's results.

    Returns
    -------
    callable
        A class decorator.
    """

    def register(cls: _T) -> _T:
        _declared.append((cls, level))
        default_lab.adopt(cls, level)
        return cls

    return register


class Lab:
    """All tables of one project, by name: ``lab.Session``, ``lab.SpikeSorting.Unit``.

    Parameters
    ----------
    project : str, optional
        The project; ``None`` takes the one of the preferences when the tables are first used.
    """

    def __init__(self, project: str | None = None) -> None:
        self._project = project
        self._tables: dict[str, Any] = {}
        self._levels: dict[str, Level] = {}
        self._lock = threading.RLock()
        self._state: Literal["new", "busy", "done"] = "new"
        self._connection: LabConnection | None = None
        self._may_be_made = False
        self._all_there = False  # while tables that are there are opened
        self._plugin_tables: dict[str, Any] = {}
        self._text_references: dict[str, Any] = {}  # of alike_rows, asked for once

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__.get("_tables", {})
        if name in own:
            return own[name]
        if not name.startswith("_") and self.__dict__.get("_state") != "busy":
            self.activate()  # only then it is known what plugins add
            if name in self._plugin_tables:
                return self._plugin_tables[name]
        raise AttributeError(f"The lab has no table {name!r}.")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._tables]

    def __repr__(self) -> str:
        return f"Lab(project={self._project!r}, {len(self._tables)} tables)"

    @property
    def tables(self) -> dict[str, Any]:
        """The master tables by name, parents first."""
        return dict(self._tables)

    def tables_and_parts(self) -> dict[str, Any]:
        """Return all tables by name, each with its parts after it: ``SpikeSorting.Unit``.

        Plugins' tables are among them once the lab is open.
        """
        found = {}
        for name, cls in {**self._tables, **self._plugin_tables}.items():
            found[name] = cls
            found.update({f"{name}.{part.__name__}": part for part in parts_of(cls)})
        return found

    @property
    def connection(self) -> LabConnection:
        """The connection that the tables use."""
        self.activate()
        assert self._connection is not None
        return self._connection

    @property
    def project(self) -> str | None:
        """The project these tables belong to; ``None`` for the lab's shared one."""
        self.activate()
        return self._project

    def adopt(self, cls: Any, level: Level) -> None:
        """Take a class as this lab's table of its name.

        Parameters
        ----------
        cls : type
            A table class with its parts.
        level : {"global", "data", "computed"}
            The schema it lives in.
        """
        set_lab(cls, self)
        self._tables[cls.__name__] = cls
        self._levels[cls.__name__] = level

    def activate(self) -> None:
        """Connect the tables to the database, at the first call.

        Raises
        ------
        DatabaseError
            If the database cannot be reached, or has no such project and may not get one.
        """
        if self._state == "done":
            return
        with self._lock:
            if self._state != "new":
                return  # done meanwhile, or called back while the tables are being declared
            self._state = "busy"
            try:
                connection = connect()
                self._bind(connection)
                self._connection = connection
                self._bind_plugins(connection)
                self._state = "done"
            finally:
                if self._state == "busy":
                    self._state = "new"

    def create(self) -> None:
        """Make the project's tables on a server; on an embedded database any first use does.

        Raises
        ------
        DatabaseError
            If the account may not make them.
        """
        self._may_be_made = True
        self.activate()

    def deactivate(self) -> None:
        """Forget the connection, so that the next use activates the tables anew."""
        with self._lock:
            for cls in (*self._tables.values(), *self._plugin_tables.values()):
                for one in (cls, *parts_of(cls)):
                    one.database = one._connection = one._heading = one._support = None
                    one._seen_as = None
            self._plugin_tables, self._text_references = {}, {}
            self._state, self._connection = "new", None

    def _bind(self, connection: LabConnection) -> None:
        preferences = connection._preferences
        if self is default_lab:
            self._project = preferences.project
        names = schema_names(preferences.name, self._project)
        present = _present_tables(connection, set(names.values()))
        self._look_through(names["global"], connection, present)
        version = self._version(connection, names, present, self._project)
        if version not in (None, MAKING):
            refuse_other(version, self._project)
            if self._is_complete(names, present):
                self._all_there = True
                try:
                    self._declare(connection, names, create=False)
                finally:
                    self._all_there = False
                return
        new = names["data"] not in present and self._project
        if self._project:
            self._refuse_other_case(connection, names["global"], present)
        if new and not connection.embedded and not self._may_be_made:
            raise DatabaseError(
                f"The database at {preferences.host} has no project {self._project!r}.",
                hint="Or your account has no role in it. Check database.project and "
                "LABDATA_DATABASE_PROJECT, or ask the lab's administrator for a role, or for "
                f"`labdata project create {self._project}`.",
            )
        others = read_projects(connection) if new and not self._may_be_made else []
        self._make(connection, names)
        if self._project and others:
            warn_of_new_project(self._project, others, in_use=self is default_lab)

    def _refuse_other_case(self, connection: LabConnection, base: str, present: Any) -> None:
        """Raise if another project's name is this one's but for the case of letters."""
        if "project" not in present.get(base, ()):
            return
        rows = connection.query(
            f"SELECT project_name FROM {quote(base)}.project WHERE project_name = %s",
            (self._project,),
        ).fetchall()
        if rows and rows[0][0] != self._project:
            raise DatabaseError(
                f"There is no project {self._project!r}, but {rows[0][0]!r}.",
                hint="Write it so: to the database names that differ by the case of letters only "
                "are one.",
            )

    def _bind_plugins(self, connection: LabConnection) -> None:
        from .plugin_tables import bind_plugin_tables

        schema = f"{schema_names(connection._preferences.name, self._project)['data']}_user"
        own = self is default_lab
        self._plugin_tables = bind_plugin_tables(self, connection, schema, own=own)

    def upgrade(self) -> list[str]:
        """Bring the tables to this labdata's version, step by step; killed, it can be repeated.

        Returns
        -------
        list of str
            What each step did; empty if there was nothing to do.

        Raises
        ------
        DatabaseError
            If the tables were made by a newer labdata, or the account may not change them.
        """
        with self._lock:
            self.deactivate()
            self._state = "busy"  # the tables do not open themselves meanwhile
            try:
                return self._upgrade(connect())
            finally:
                self.deactivate()

    def _upgrade(self, connection: LabConnection) -> list[str]:
        if self is default_lab:
            self._project = connection._preferences.project
        base = connection._preferences.name
        names = schema_names(base, self._project)
        present = _present_tables(connection, set(names.values()))
        version = self._version(connection, names, present, self._project)
        if version in (None, MAKING, CURRENT):
            return []
        if version in UNFINISHED or version > CURRENT:
            refuse_other(version, self._project)
        write_version(connection, base, self._project, version)
        for before in range(version, CURRENT):
            if before in CHANGES:
                CHANGES[before](connection, names)
            if before + 1 < CURRENT:
                write_version(connection, base, self._project, before + 1)
        self._make(connection, names)
        return [f"version {n} to {n + 1}: {STEPS[n]}" for n in range(version, CURRENT)]

    def _version(
        self,
        connection: LabConnection,
        names: dict[Level, str],
        present: dict[str, set[str]],
        project: str | None,
    ) -> int | None:
        """Return the version of a project's tables; None if there are none yet."""
        own = {
            cls.table_name
            for name, cls in self._tables.items()
            if self._levels[name] == "data" and cls.table_name in present.get(names["data"], ())
        }
        found = None
        if present.get(names["global"]):
            found = read_version(connection, names["global"], project)
        if found is None and own:
            refuse_old_package(names["data"], present[names["data"]])
            return UNMARKED
        return found

    def _is_complete(self, names: dict[Level, str], present: dict[str, set[str]]) -> bool:
        return all(
            one.table_name in present.get(names[self._levels[name]], ())
            for name, cls in self._tables.items()
            for one in (cls, *parts_of(cls))
        )

    def _make(self, connection: LabConnection, names: dict[Level, str]) -> None:
        """Make the schemas and tables that are missing."""
        try:
            with _make_alone(connection, names["global"]), quiet_notices():
                there = _present_tables(connection, set(names.values()))
                for name in sorted(set(names.values()) - set(there)):
                    # whatever the server's own default is: people have names of all languages
                    connection.query(f"CREATE DATABASE {quote(name)} CHARACTER SET utf8mb4")
                self._declare(connection, names, create=True)
                set_defaults(connection, self._tables.values())
                self._fill_lookups()
                self._register_project()
                if read_version(connection, names["global"], self._project) not in UNFINISHED:
                    write_version(connection, names["global"], self._project, CURRENT)
        except dj.errors.DataJointError as error:
            raise DatabaseError(
                f"The tables of {names['data']!r} could not be made: {error.args[0]}",
                hint="Is database.name right, and may your account make tables there? The lab's "
                "administrator can make them for you."
                + " Or name your project: -p PROJECT, or database.project."
                * (not self._project),
            ) from error

    def _look_through(
        self, base: str, connection: LabConnection, present: dict[str, set[str]]
    ) -> None:
        """Let the account of a project's member use the project's views of shared tables."""
        limited = find_views(connection, base, self._project, present)
        for name, cls in self.tables_and_parts().items():
            view = view_name(cls.table_name, self._project)
            cls._seen_as = f"`{base}`.`{view}`" if limited and name in GUARDED else None

    def _declare(self, connection: LabConnection, names: dict[Level, str], create: bool) -> None:
        schemas = {
            level: dj.Schema(
                name, connection=connection, create_schema=create, create_tables=create
            )
            for level, name in names.items()
        }
        if create and read_version(connection, names["global"], self._project) is None:
            write_version(connection, names["global"], self._project, MAKING)
        for name, cls in self._tables.items():
            schemas[self._levels[name]](cls, context=dict(self._tables))

    def _register_project(self) -> None:
        """Give a project that has just been made its row, which uploads refer to."""
        if self._project and "Project" in self._tables:
            row = {"project_name": self._project}
            self._tables["Project"].insert1(row, skip_duplicates=True)

    def _fill_lookups(self) -> None:
        for cls in self._tables.values():
            if issubclass(cls, Lookup) and cls.initial_rows and not len(cls()):
                names = cls.heading.names
                rows = [dict(zip(names, row, strict=True)) for row in cls.initial_rows]
                cls.insert(rows, skip_duplicates=True)


def make_lab(project: str | None) -> Lab:
    """Return the tables of a project, beside those of any other project in this process.

    Parameters
    ----------
    project : str or None
        Its name; None for the data without one.
    """
    lab = Lab(project)
    for cls, level in _declared:
        lab.adopt(bound_class(cls), level)
    return lab


def declared_tables() -> list[tuple[Any, Level]]:
    """Return every table with its level and after it its parts; plugins' are not among them."""
    return [(one, level) for cls, level in _declared for one in (cls, *parts_of(cls))]


def find_version(connection: LabConnection, project: str | None) -> int | None:
    """Return the version of a project's tables, without opening them; None if there are none.

    Parameters
    ----------
    connection : LabConnection
        To the database.
    project : str or None
        The project.

    Raises
    ------
    DatabaseError
        If its tables were made by labdata 0.1, or it cannot be the name of a project.
    """
    names = schema_names(connection._preferences.name, project)
    present = _present_tables(connection, set(names.values()))
    return default_lab._version(connection, names, present, project)


def _present_tables(connection: LabConnection, schemas: set[str]) -> dict[str, set[str]]:
    marks = ", ".join(["%s"] * len(schemas))
    rows = connection.query(
        "SELECT s.schema_name, t.table_name FROM information_schema.schemata s "
        "LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name "
        f"WHERE s.schema_name IN ({marks})",
        tuple(schemas),
    )
    present: dict[str, set[str]] = {}
    for schema, name in rows:
        present.setdefault(schema, set()).add(name)
    return present


def _make_alone(connection: LabConnection, name: str) -> AbstractContextManager[object]:
    """Hold the server's lock on making a lab, so that first users at once make one."""
    return server_lock(
        connection,
        f"make.{name}",
        timeout_s=120,
        refused=DatabaseError(
            "Another process has been making the lab's tables for two minutes.",
            hint="Try again when it has ended.",
        ),
    )


default_lab = Lab()
