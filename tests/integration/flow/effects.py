"""Everything that a process does to the world, numbered, so that it can be killed at each.

Files are made, forced to disk, named and removed by few functions of ``os``, rows change by
statements and objects of buckets by requests; nothing else outlives a process.
:func:`counted_effects` ends it by SIGKILL right before or after the n-th of these, so that no
moment between two effects is left untried.
"""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from labdata.database.connection import LabConnection
from labdata.database.datajoint_compat import dj

#: Functions of ``os`` that change what is on the disk, or force it there.
_OF_OS = ("fsync", "link", "rename", "replace", "unlink", "rmdir", "mkdir", "utime", "truncate")
Gate = Callable[[str, bool], None]
_CHANGES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "COMMIT", "START", "ROLLBACK", "SELECT GET")


class Effects:
    """Counts effects, and ends the process at one of them.

    Parameters
    ----------
    at : int or None
        Number of the effect, from 0; None only counts.
    after : bool
        Whether to end the process after it, and not before.
    gate : callable, optional
        Told the name of all that is done, reads too, before and after it; it may wait.
    """

    def __init__(self, at: int | None, after: bool, gate: Gate | None = None) -> None:
        self.at, self.after, self.names = at, after, []
        self.gate = gate
        self._lock = threading.Lock()

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is counted."""

        def counted(*args: Any, **options: Any) -> Any:
            return self.do(name, lambda: real(*args, **options))

        return counted

    def do(self, name: str, work: Callable[[], Any]) -> Any:
        """Do something that is counted."""
        return self.look(name, lambda: self._count(name, work))

    def look(self, name: str, work: Callable[[], Any]) -> Any:
        """Do something that changes nothing; others may act before and after it."""
        if self.gate is None:
            return work()
        self.gate(name, False)
        done = work()
        self.gate(name, True)
        return done

    def _count(self, name: str, work: Callable[[], Any]) -> Any:
        with self._lock:
            number = len(self.names)
            self.names.append(name)
        if number == self.at and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return work()
        finally:  # also one that was refused, as a folder that is there already
            if number == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def counted_effects(
    at: int | None = None, *, after: bool = False, gate: Gate | None = None
) -> Iterator[Effects]:
    """Count what the block does to disk and database, or end the process on the way."""
    from botocore.httpsession import URLLib3Session

    effects, sent = Effects(at, after, gate), URLLib3Session.send
    execute, opened = LabConnection._execute_query, io.open
    real = {name: getattr(os, name) for name in _OF_OS}

    def statement(self: Any, cursor: Any, query: str, *args: Any) -> Any:
        if query.lstrip().upper().startswith(_CHANGES):
            words = " ".join(query.split()[:3])
            return effects.do(words, lambda: execute(self, cursor, query, *args))
        return effects.look("SELECT", lambda: execute(self, cursor, query, *args))

    def open_counted(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if set(mode) & set("wxa"):
            return effects.do("open", lambda: opened(file, mode, *args, **options))
        return effects.look("read", lambda: opened(file, mode, *args, **options))

    def send(self: Any, request: Any) -> Any:
        if request.method in ("PUT", "POST", "DELETE"):
            words = f"{request.method} {_kind_of(request.url)}".strip()
            return effects.do(words, lambda: sent(self, request))
        return sent(self, request)

    try:
        URLLib3Session.send = send  # type: ignore[method-assign]
        for name in _OF_OS:
            setattr(os, name, effects.wrap(name, real[name]))
        io.open = open_counted  # type: ignore[assignment]
        LabConnection._execute_query = statement  # type: ignore[method-assign]
        yield effects
    finally:
        for name in _OF_OS:
            setattr(os, name, real[name])
        io.open = opened
        URLLib3Session.send = sent  # type: ignore[method-assign]
        LabConnection._execute_query = execute  # type: ignore[method-assign]


def _kind_of(url: str) -> str:
    """Return what a request to a bucket is about: a part, an upload, something beside it."""
    words = [word for word in ("partNumber", "uploads", "uploadId") if word in url]
    return "beside" if ".labdata-partial-" in url else " ".join(words[:1])


@contextmanager
def counted_statements(
    at: int | None, fault: Callable[[], None] | None, *, after: bool = False
) -> Iterator[list[str]]:
    """Count the statements of this thread that change something, and do something at one of them.

    Parameters
    ----------
    at : int or None
        Number of the statement, from 0; None only counts.
    fault : callable or None
        What to do then.
    after : bool, optional
        Whether the statement was done before, though its answer does not arrive.

    Yields
    ------
    list of str
        Their first words.
    """
    execute, thread, names = LabConnection._execute_query, threading.get_ident(), []

    def statement(self: Any, cursor: Any, query: str, *args: Any) -> Any:
        if threading.get_ident() != thread or not query.lstrip().upper().startswith(_CHANGES):
            return execute(self, cursor, query, *args)
        number = len(names)
        names.append(" ".join(query.split()[:3]))
        if number == at and fault:
            if after:
                execute(self, cursor, query, *args)
            fault()
            if after:
                raise dj.errors.LostConnectionError("Server connection lost.")
        return execute(self, cursor, query, *args)

    try:
        LabConnection._execute_query = statement  # type: ignore[method-assign]
        yield names
    finally:
        LabConnection._execute_query = execute  # type: ignore[method-assign]
