"""The old database as it stands at one moment, read and never written.

One connection holds one transaction that is READ ONLY, with a snapshot made at its start: whatever
the lab does meanwhile, all tables fit together, and the server itself would refuse a write. Rows
are streamed, so that a table of any size is read in little memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pymysql

from ..database.raw_tables import RawTable, Row, quote, read_tables
from ..errors import DatabaseError
from .address import OldAddress
from .columns import Column, read_columns

#: How long a server may take to greet, s.
_ANSWER_S = 10
_DENIED, _NO_DATABASE, _DENIED_DATABASE, _NO_TABLE = 1045, 1049, 1044, 1146
#: Tables that every old database has.
_MARKS = frozenset({"lab_member", "project", "file", "analysis_file", "upload_job"})

Place = tuple[str, str]


class OldDatabase:
    """A database of labdata 0.1, open for reading; use :func:`open_old`.

    Attributes
    ----------
    address : OldAddress
        Where it is.
    projects : tuple of str or None
        Projects that have tables or are listed; None for the data without a project.
    other_schemas : list of str
        Schemas whose names begin like the database's, and that are of none of its projects.
    tables : dict
        Of :func:`~labdata.database.raw_tables.read_tables`, parents first.
    columns : dict
        Columns of each table, by schema and name.
    """

    def __init__(self, address: OldAddress, connection: Any) -> None:
        self.address = address
        self._connection = connection
        self._schemas = self._find_schemas()
        self._check()
        self.projects = self._find_projects()
        self.other_schemas = self._find_others()
        self.tables = read_tables(self, self.schemas())
        self.columns = read_columns(self, self.schemas())

    def query(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return a cursor with the rows of a SELECT.

        Parameters
        ----------
        sql : str
            The statement.
        values : sequence, optional
            What stands for ``%s``.

        Raises
        ------
        DatabaseError
            If the server refuses or the connection is lost.
        """
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql, tuple(values) or None)
        except (pymysql.MySQLError, OSError) as error:
            raise self._lost(error) from None
        return cursor

    def stream(self, table: RawTable, columns: Sequence[Column], where: str = "") -> Iterator[Row]:
        """Yield the rows of a table as they come, in the order of its primary key.

        Single-precision numbers are read as they are stored; the server's own text of them has
        six digits only. Read the stream to its end before anything else is asked: one that is left
        half-way is the end of the connection.

        Parameters
        ----------
        table : RawTable
            What to read.
        columns : sequence of Column
            What to read of it.
        where : str, optional
            A condition, of this program's own making.
        """
        shown = ", ".join(column.sql for column in columns)
        order = ", ".join(map(quote, table.key))
        sql = f"SELECT {shown} FROM {table.sql} {where} ORDER BY {order}"
        cursor = self._connection.cursor(pymysql.cursors.SSCursor)
        try:
            cursor.execute(sql)
            yield from cursor.fetchall_unbuffered()
        except GeneratorExit:
            _leave(cursor)
            raise
        except (pymysql.MySQLError, OSError) as error:
            raise self._lost(error) from None

    def count(self, table: RawTable, where: str = "") -> int:
        """Return the number of rows of a table.

        Parameters
        ----------
        table : RawTable
            The table.
        where : str, optional
            A condition, of this program's own making.
        """
        row = self.query(f"SELECT COUNT(*) FROM {table.sql} {where}").fetchone()
        return int(row[0])

    def schema_of(self, level: str, project: str | None) -> str:
        """Return the name of a schema by the old naming.

        Parameters
        ----------
        level : str
            ``global``, ``data``, ``computed`` or ``user``.
        project : str or None
            The project.
        """
        name = self.address.name
        base = f"{name}_{project}" if project else name
        return {"global": name, "data": base}.get(level, f"{base}_{level}")

    def literal(self, text: str) -> str:
        """Return a text as SQL writes it, quoted.

        Parameters
        ----------
        text : str
            For instance the name of a project.
        """
        return str(self._connection.escape(text))

    def schemas(self) -> list[str]:
        """Return the names of the schemas that are there, of all projects."""
        found = {schema for project in self.projects for schema in self.schemas_of(project)}
        return sorted({self.address.name} | found)

    def schemas_of(self, project: str | None) -> list[str]:
        """Return the names of a project's schemas that are there.

        Parameters
        ----------
        project : str or None
            The project; None for the data without one.
        """
        names = [self.schema_of(level, project) for level in ("data", "computed", "user")]
        return [name for name in names if name in self._schemas]

    def _find_schemas(self) -> dict[str, set[str]]:
        """Return the tables of every schema whose name begins like the database's."""
        name = self.address.name
        found: dict[str, set[str]] = {}
        for schema, table in self.query(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND (table_schema = %s OR table_schema LIKE %s)",
            (name, name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%") + "\\_%"),
        ):
            found.setdefault(schema, set()).add(table)
        return found

    def _check(self) -> None:
        """Refuse a database that is not an old labdata's."""
        there = self._schemas.get(self.address.name)
        where = self.address.describe()
        if there is None:
            raise DatabaseError(
                f"There is no database {where}, or {self.address.user} may not read it.",
                hint="Look at database.name in the old preference file; or name it at the end of "
                "the address.",
            )
        if "~labdata_version" in there:
            raise DatabaseError(
                f"The database {where} is of this labdata already; there is nothing to migrate.",
                hint="`labdata db dump` and `labdata db load` copy such a database.",
            )
        missing = _MARKS - there
        if missing:
            raise DatabaseError(
                f"The database {where} is none of labdata's: it has no table {min(missing)!r}.",
                hint="Look at database.name in the old preference file.",
            )

    def _find_projects(self) -> tuple[str | None, ...]:
        name = self.address.name
        found = {
            str(row[0]) for row in self.query(f"SELECT project_name FROM {quote(name)}.project")
        }
        for schema, tables in self._schemas.items():
            project = schema.removeprefix(f"{name}_")
            # a schema with people of its own is another lab's, whose name begins like this one's
            if schema != name and "subject" in tables and "lab_member" not in tables:
                found.add(project)
        without: list[str | None] = [None] if "subject" in self._schemas[name] else []
        return (*without, *sorted(found))

    def _find_others(self) -> list[str]:
        """Return schemas of no project; those of another lab on the same server are not ours."""
        name = self.address.name
        labs = [s for s, tables in self._schemas.items() if s != name and "lab_member" in tables]
        return [
            schema
            for schema in sorted(set(self._schemas) - set(self.schemas()))
            if not any(schema == lab or schema.startswith(f"{lab}_") for lab in labs)
        ]

    def _lost(self, error: Exception) -> DatabaseError:
        reason = error.args[-1] if error.args else type(error).__name__
        return DatabaseError(
            f"The old database {self.address.describe()} did not answer as it should: {reason}",
            hint="Nothing there was changed. Repeat the same command: what was copied stays.",
        )


def _leave(cursor: Any) -> None:
    """Leave a stream half-way: the driver would read a table of any size to its end."""
    if cursor._result is not None:
        cursor._result.unbuffered_active = False
        cursor._result.connection = None
        cursor._result = None


@contextmanager
def open_old(address: OldAddress) -> Iterator[OldDatabase]:
    """Open an old database for reading, as it stands at this moment.

    Parameters
    ----------
    address : OldAddress
        Where it is.

    Yields
    ------
    OldDatabase
        Open for reading.

    Raises
    ------
    DatabaseError
        If it cannot be reached, refuses the account, or is no old labdata's.
    """
    connection = _connect(address)
    try:
        with connection.cursor() as cursor:
            # a reader that waits for the other database must not be dropped
            cursor.execute("SET SESSION net_write_timeout = 86400")
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield OldDatabase(address, connection)
    finally:
        # a stream that was left half-way is cut off, not read to its end
        connection._force_close()


def _connect(address: OldAddress) -> Any:
    arguments: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password.get_secret_value(),
        "charset": "utf8mb4",
        "connect_timeout": _ANSWER_S,
        "read_timeout": _ANSWER_S,
        "max_allowed_packet": 1 << 30,
    }
    if address.use_tls:
        import ssl

        context = ssl.create_default_context()
        # as MySQL's own clients do by default: encrypted, without a check of the certificate
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        arguments["ssl"] = context
    else:
        arguments["ssl_disabled"] = True
    try:
        connection = pymysql.connect(**arguments)
    except (pymysql.MySQLError, OSError) as error:
        raise _explain(error, address) from None
    connection._read_timeout = None  # a query may take as long as it takes
    return connection


def _explain(error: Exception, address: OldAddress) -> DatabaseError:
    code = error.args[0] if error.args else None
    reason = error.args[-1] if error.args else type(error).__name__
    where = f"{address.host}:{address.port}"
    if code == _DENIED:
        return DatabaseError(
            f"The old database at {where} refused {address.user}: wrong user or password.",
            hint="Set LABDATA_MIGRATE_PASSWORD, or add --ask-password.",
        )
    if "SSL" in str(reason):
        return DatabaseError(
            f"The old database at {where} offers no encryption that can be used: {reason}",
            hint='Write "database.use_tls": false in the old preference file, or ?use_tls=false '
            "at the end of the address, if the way to it is safe.",
        )
    return DatabaseError(
        f"The old database at {where} cannot be reached: {reason}",
        hint="Is it up, and are host and port right?",
    )
