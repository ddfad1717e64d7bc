"""Locks between processes that their holder's death releases: on a file, and on the server."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pymysql

from ..errors import DatabaseError, LabdataError
from .datajoint_compat import dj

logger = logging.getLogger(__name__)

#: After so long without a word from the computer that holds it, the server drops a worker's lock.
_SILENCE_S = 300
#: Between two words of a worker to the server.
_WORD_S = 5.0
#: Within so long, all who live have their locks again on a server that began anew.
GRACE_S = 12.0
#: A server that runs for less may have begun to answer just now: before, it may recover for long.
_YOUNG_S = 3600
#: How long the end of a block waits for its lock to be released, which a dead network can hinder.
_LEAVE_S = 10.0


@contextmanager
def hold_lock(path: Path, *, timeout_s: float = 120.0) -> Iterator[None]:
    """Hold an exclusive lock on a file while the block runs.

    The kernel releases the lock when its holder ends, however it ends, so a killed process leaves
    nothing to clean up.

    Parameters
    ----------
    path : Path
        The lock file, made if missing and never removed.
    timeout_s : float, optional
        How long to wait for another holder.

    Raises
    ------
    DatabaseError
        If another process holds it for longer.
    """
    import fcntl

    deadline = time.monotonic() + timeout_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        f"Another process has held {path} for {timeout_s:.0f} s.",
                        hint="Wait for it, or end it if it hangs.",
                    ) from None
                time.sleep(0.02)
        yield


@contextmanager
def worker_lock(connection: Any, name: str) -> Iterator[WorkerLock]:
    """Hold a named lock of the database server while the block runs; it is not waited for.

    It is held over a connection of its own, whose thread gives the server word now and then. So it
    is dropped at once when the worker ends, however it ends, and a few minutes after its computer
    vanished. The block's own connection may be silent for as long as the work takes, up to 30
    days; a server would end it after hours.

    Parameters
    ----------
    connection : LabConnection
        The connection whose thread works.
    name : str
        Name of the lock, unique in the server.

    Yields
    ------
    WorkerLock
        True if the lock was free.
    """
    connection.query("SET SESSION wait_timeout = 2592000")
    lock = WorkerLock(connection, _on_server(name))
    taken: Future[None] = Future()
    # a daemon: whatever ends the process ends it, too, and the server then drops the lock
    thread = threading.Thread(target=lock._hold, args=(taken,), name="labdata-lock", daemon=True)
    thread.start()
    try:
        taken.result()
        yield lock
    finally:
        lock._ended.set()
        thread.join(_LEAVE_S)


class WorkerLock:
    """A lock that another thread holds for the one that works; true if it was free.

    A connection that was lost is made again, and the lock taken again, but others may have had it
    meanwhile: what depends on it asks :meth:`require_held`, or has a claim's token.

    Parameters
    ----------
    connection : LabConnection
        To the server.
    name : str
        Name of the lock on the server.
    """

    def __init__(self, connection: Any, name: str) -> None:
        self._connection, self._name = connection, name
        self._holder: int | None = None  # number of the first connection that held it
        self._was_lost = False
        self._ended = threading.Event()

    def __bool__(self) -> bool:
        return self._holder is not None

    def require_held(self) -> None:
        """Raise if the lock was not held all the time.

        Raises
        ------
        DatabaseError
            If the connection that held it was lost.
        """
        ask = self._connection.query("SELECT IS_USED_LOCK(%s)", (self._name,))
        if self._was_lost or ask.fetchone()[0] != self._holder:
            raise DatabaseError(
                "The connection to the database that kept others away was lost; nothing more was "
                "changed.",
                hint="Repeat the command.",
            )

    def _hold(self, taken: Future[None]) -> None:
        """Take the lock and keep it until the end; what the thread of the lock does."""
        try:
            self._take()
        except BaseException as error:  # it is raised where the lock is asked for
            taken.set_exception(error)
        else:
            taken.set_result(None)
            self._keep()
        self._leave()

    def _take(self) -> None:
        ask = self._connection.query
        ask("SET SESSION wait_timeout = %s", (_SILENCE_S,))
        if ask("SELECT IS_USED_LOCK(%s) <=> CONNECTION_ID()", (self._name,)).fetchone()[0] == 1:
            return
        self._was_lost = self._holder is not None
        if ask("SELECT GET_LOCK(%s, 0)", (self._name,)).fetchone()[0] == 1 and not self:
            self._holder = self._connection.connection_id

    def _keep(self) -> None:
        while self and not self._ended.wait(_WORD_S):
            try:
                self._take()
            except (DatabaseError, dj.errors.DataJointError, pymysql.MySQLError, OSError) as lost:
                logger.debug("The lock %s is not held: %s", self._name, lost)

    def _leave(self) -> None:
        with suppress(DatabaseError, dj.errors.DataJointError, pymysql.MySQLError, OSError):
            self._connection.query("SELECT RELEASE_LOCK(%s)", (self._name,))  # only an own one
        self._connection.close_thread()


@contextmanager
def server_lock(
    connection: Any,
    name: str,
    *,
    timeout_s: int,
    refused: LabdataError,
    may_be_silent: bool = True,
) -> Iterator[Callable[[], None]]:
    """Hold a named lock of the database server while the block runs.

    A connection that is lost and made again has lost the lock, too. What depends on the lock asks
    within its transaction, which ends with the connection.

    Parameters
    ----------
    connection : LabConnection
        The connection whose thread holds it.
    name : str
        Name of the lock, unique in the server.
    timeout_s : int
        How long to wait for another holder.
    refused : LabdataError
        What is raised then.
    may_be_silent : bool, optional
        Whether the block may do something else for long. If not, the server ends a connection
        that says nothing for some minutes, and with it the lock and the transaction: its computer
        has vanished, which the network notices after hours only.

    Yields
    ------
    callable
        Raises DatabaseError if the lock is not held any more.
    """
    silence = nullcontext() if may_be_silent else _ended_if_silent(connection)
    with _named_lock(connection, name, timeout_s) as taken, silence:
        if not taken:
            raise refused

        def require_held() -> None:
            answer = connection.query(
                "SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", (_on_server(name),)
            )
            if answer.fetchone()[0] != 1:
                raise DatabaseError(
                    "The connection to the database was lost and made again; nothing was "
                    "registered.",
                    hint="Repeat the command.",
                )

        yield require_held


@contextmanager
def _ended_if_silent(connection: Any) -> Iterator[None]:
    """Let the server end this thread's connection if it is silent within the block."""
    before = connection.query("SELECT @@SESSION.wait_timeout").fetchone()[0]
    connection.query("SET SESSION wait_timeout = %s", (_SILENCE_S,))
    try:
        yield
    finally:
        with suppress(dj.errors.LostConnectionError, DatabaseError):
            connection.query("SET SESSION wait_timeout = %s", (before,))


def is_young(connection: Any) -> bool:
    """Return whether a free lock may be that of a worker who lives, as the server began anew.

    Such a server has no locks until their holders have taken them again, :data:`GRACE_S` after it
    has begun to answer. When that was it does not tell, only when it was started.

    Parameters
    ----------
    connection : LabConnection
        To the server.
    """
    row = connection.query("SHOW GLOBAL STATUS LIKE 'Uptime'").fetchone()
    return int(row[1]) < _YOUNG_S


def is_held(connection: Any, name: str) -> bool:
    """Return whether somebody holds a named lock of the database server.

    Parameters
    ----------
    connection : LabConnection
        To the server.
    name : str
        As given to :func:`worker_lock` or :func:`server_lock`.
    """
    answer = connection.query("SELECT IS_USED_LOCK(%s)", (_on_server(name),)).fetchone()
    return answer[0] is not None


def _on_server(name: str) -> str:
    """Return a lock's name as the server has it: at most 64 characters."""
    name = f"labdata.{name}"
    return name if len(name) <= 64 else f"labdata.{hashlib.sha256(name.encode()).hexdigest()[:40]}"


@contextmanager
def _named_lock(connection: Any, name: str, timeout_s: int) -> Iterator[bool]:
    name = _on_server(name)
    answer = connection.query("SELECT GET_LOCK(%s, %s)", (name, timeout_s)).fetchone()
    taken = answer[0] == 1
    try:
        yield taken
    finally:
        if taken:
            # a server that went away has dropped it; that must not hide how the block ended
            with suppress(dj.errors.LostConnectionError, DatabaseError):
                connection.query("SELECT RELEASE_LOCK(%s)", (name,))
