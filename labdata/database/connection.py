"""One connection object a process, with one real connection a thread.

DataJoint shares its connection between threads, which mixes up their results; here the parts of
the object that hold a conversation with the server are kept a thread (and renewed after a fork),
while schemas and dependencies stay shared. It speaks to the embedded server through its unix
socket and to a lab's server through pymysql, with TLS unless the preference file says otherwise.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pymysql

from ..errors import DatabaseError
from ..preferences import DatabasePreferences, labdata_folder, load_preferences
from .datajoint_compat import dj, install_mends
from .embedded import USER, EmbeddedDatabase
from .query_errors import explain_query, lost_error

#: How long a server may take to greet and to answer to the password, s.
_ANSWER_S = 10
_DENIED, _INSECURE = 1045, 3159
_SQL_MODE = (
    "NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY"
)


class _ThreadState(threading.local):
    """What belongs to one thread of one process."""

    pid: int
    conn: Any = None
    in_transaction: bool = False
    is_closed: bool = True

    def __init__(self) -> None:
        self.pid = os.getpid()


def _per_thread(name: str) -> property:
    def get(self: LabConnection) -> Any:
        return getattr(self._thread_state(), name)

    def set_(self: LabConnection, value: Any) -> None:
        setattr(self._thread_state(), name, value)

    return property(get, set_)


class LabConnection(dj.Connection):  # type: ignore[misc]
    """A DataJoint connection to the lab's database, safe to use from several threads.

    Parameters
    ----------
    preferences : DatabasePreferences
        Where the database is; without a host the embedded one is started.
    """

    _in_transaction = _per_thread("in_transaction")
    _is_closed = _per_thread("is_closed")

    def __init__(self, preferences: DatabasePreferences) -> None:
        self._preferences = preferences
        self._local = _ThreadState()
        self.embedded = None if preferences.host else embedded_database()
        user, password = self._credentials()
        host = preferences.host or "localhost"
        self._config = dj.config
        self.conn_info = {
            "host": host,
            "port": preferences.port,
            "user": user,
            "passwd": password,
            "ssl_input": preferences.use_tls,
            "database_name": None,
        }
        self._query_cache = None
        self.adapter = dj.connection.get_adapter("mysql")
        self.schemas: dict[str, Any] = {}
        self.schemas_with_lineage: set[str] = set()
        self.dependencies = dj.connection.Dependencies(self)
        self.connect()

    def _thread_state(self) -> _ThreadState:
        if self._local.pid != os.getpid():
            # after a fork the parent's socket must be neither used nor closed
            self._local = _ThreadState()
        return self._local

    @property
    def _conn(self) -> Any:
        state = self._thread_state()
        if state.conn is None:
            self.connect()
        return state.conn

    @_conn.setter
    def _conn(self, value: Any) -> None:
        self._thread_state().conn = value

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has a transaction open.

        DataJoint's own version forgets the transaction when the connection is lost; what follows
        would then be written on a new connection, each statement for itself.
        """
        return bool(self._in_transaction)

    @property
    @contextmanager
    def transaction(self) -> Iterator[LabConnection]:
        """A block of statements that all happen or none, on this thread's connection.

        Raises
        ------
        DatabaseError
            If one is open already. DataJoint's own version ends the outer one in that case.
        """
        if self.in_transaction:
            raise DatabaseError(
                "A transaction is open already in this thread.",
                hint="Leave its block first, or do all in one.",
            )
        self.start_transaction()
        try:
            yield self
            self.commit_transaction()
        except BaseException:
            if self.in_transaction:  # if the server is gone, it has rolled it back
                with suppress(dj.errors.LostConnectionError, DatabaseError):
                    self.cancel_transaction()
            raise
        finally:
            self._in_transaction = False  # or nothing could be written after a lost connection

    def commit_transaction(self) -> None:
        """Complete the open transaction.

        Raises
        ------
        DatabaseError
            If the server went away meanwhile: nobody can tell then whether it was completed.
        """
        try:
            super().commit_transaction()
        except dj.errors.LostConnectionError as error:
            raise lost_error(
                error,
                "The connection to the database was lost as the changes were being completed: "
                "they were all made, or none of them.",
                "Is the server up? `labdata doctor` tries it. Then repeat the command; what was "
                "done is found to be done.",
            ) from None

    def query(self, query: str, args: Any = (), **options: Any) -> Any:
        """Execute a statement; see DataJoint's own version.

        Parameters
        ----------
        query : str
            The statement.
        args : sequence, optional
            Its parameters.
        **options
            Of DataJoint's own version.

        Returns
        -------
        cursor
            With the answer.

        Raises
        ------
        DatabaseError
            If the connection was lost and could not be made again, or a transaction with it.
        """
        try:
            return super().query(query, args, **options)
        except dj.errors.LostConnectionError as error:
            raise lost_error(error) from None

    @property
    def connection_id(self) -> int:
        """The server's number of this thread's connection."""
        return int(self._conn.thread_id())

    def connect(self) -> None:
        """Connect this thread, starting the embedded server if need be.

        Raises
        ------
        DatabaseError
            If the server cannot be reached, refuses the account, or offers no TLS.
        """
        if self.embedded:
            self.embedded.start()
        try:
            connection = pymysql.connect(**self._arguments(), read_timeout=_ANSWER_S)
        except (pymysql.MySQLError, OSError) as error:
            raise self._explain(error) from None
        # whoever is silent at the greeting is no database; a query may take as long as it takes
        connection._read_timeout = None
        self._conn = connection
        self._is_closed = False

    def close_thread(self) -> None:
        """End this thread's connection, if it has one; the others', and this object, stay."""
        if self._thread_state().conn is not None:
            self.close()
            self._thread_state().conn = None

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "user": self.conn_info["user"],
            "password": self.conn_info["passwd"],
            "charset": "utf8mb4",
            "sql_mode": _SQL_MODE,
            "autocommit": True,
            "max_allowed_packet": 1 << 30,
        }
        if self.embedded:
            return arguments | {"unix_socket": str(self.embedded.socket), "ssl_disabled": True}
        arguments |= {"host": self.conn_info["host"], "port": self.conn_info["port"]}
        arguments["connect_timeout"] = _ANSWER_S
        if not self._preferences.use_tls:
            return arguments | {"ssl_disabled": True}
        import ssl

        context = ssl.create_default_context()
        # as MySQL's own clients do by default: encrypted, without a check of the certificate
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return arguments | {"ssl": context}

    def _credentials(self) -> tuple[str, str]:
        if self.embedded:
            self.embedded.start()
            return USER, self.embedded.password()
        given = self._preferences.password
        password = given.get_secret_value() if given else None
        user = self._preferences.user
        if user is None:
            raise DatabaseError(
                f"No user is given for the database server {self._preferences.host}.",
                hint="Set database.user in the preference file, or LABDATA_DATABASE_USER.",
            )
        if password is None:
            raise DatabaseError(
                f"No password is given for {user} at {self._preferences.host}.",
                hint="Set LABDATA_DATABASE_PASS, store it with `keyring set labdata "
                "database.password`, or write database.password to the preference file.",
            )
        return user, password

    def _explain(self, error: Exception) -> DatabaseError:
        if self.embedded:
            return DatabaseError(
                f"The database in {self.embedded.folder} does not answer: {error}",
                hint=f"Its log is {self.embedded.log}.",
            )
        code = error.args[0] if error.args else None
        reason = error.args[-1] if error.args else type(error).__name__
        where = f"{self.conn_info['host']}:{self.conn_info['port']}"
        if code == _DENIED:
            hint = (
                "Check database.user and the password; `labdata doctor` says where each came from."
            )
            if not self._preferences.use_tls:
                hint += " Or the server insists on TLS, and database.use_tls is false."
            return DatabaseError(
                f"{where} refused {self.conn_info['user']}: wrong user or password.", hint=hint
            )
        if code == _INSECURE or "insecure transport" in str(error):
            return DatabaseError(
                f"{where} accepts TLS only, and database.use_tls is false.",
                hint='Set "database.use_tls": true in the preference file.',
            )
        if "SSL" in str(error):
            return DatabaseError(
                f"{where} offers no usable TLS: {reason}",
                hint='Ask for TLS on the server, or set "database.use_tls": false if the way to '
                "it is safe.",
            )
        return DatabaseError(
            f"The database server {where} cannot be reached: {reason}",
            hint="Is it up, and are database.host and database.port right? An empty host means "
            "the embedded database.",
        )

    def _execute_query(self, cursor: Any, query: str, args: Any, suppress_warnings: bool) -> None:
        # DataJoint's own version changes the process's warning filters, which is not thread-safe
        try:
            cursor.execute(query, args)
        except pymysql.MySQLError as error:
            told = dj.connection.translate_query_error(error, query, self.adapter)
            told = explain_query(told)
            if isinstance(told, dj.errors.LostConnectionError):
                # the next one is another; what this one held must not wait for its last reference
                with suppress(pymysql.MySQLError, OSError):
                    cursor.connection.close()
            raise told from None


def embedded_database() -> EmbeddedDatabase:
    """Return the user's embedded database, running or not.

    Its folder is ``database`` in the labdata folder, or ``LABDATA_DATABASE_FOLDER``.
    """
    chosen = os.environ.get("LABDATA_DATABASE_FOLDER")
    folder = Path(chosen).expanduser().absolute() if chosen else labdata_folder() / "database"
    return EmbeddedDatabase(folder)


_lock = threading.RLock()
_current: LabConnection | None = None


def connect() -> LabConnection:
    """Return this process's connection to the lab's database, made at the first call.

    Raises
    ------
    DatabaseError
        If the database cannot be reached or started.
    PreferenceError
        If the preferences are wrong.
    """
    global _current
    with _lock:
        if _current is None:
            install_mends()
            _current = LabConnection(load_preferences().database)
            if dj.instance._singleton_connection is None:
                dj.instance._singleton_connection = _current
        return _current


def reset_connection() -> None:
    """Forget the connection, so that the next use reads the preferences again."""
    global _current
    with _lock:
        if _current is not None:
            if dj.instance._singleton_connection is _current:
                dj.instance._singleton_connection = None
            _current.close_thread()
        _current = None
