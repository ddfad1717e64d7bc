"""Commands at the same time, each in a process of its own, switched where the test says.

Interleavings are made, not waited for. A process stops at a point that is named by what it is
about to do, or has just done (its second ``link``, the ``COMMIT``); the next one runs until it
stops, ends, or waits for a lock that another holds; then those that stopped go on, in their order.
So a sequence that fails does so again. Whether a process waits is asked of the database server,
which has all the locks that commands wait for.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import botocore.httpsession  # noqa: F401  (or each process would import it again)
from effects import counted_effects

from labdata.database.connection import LabConnection
from labdata.errors import LabdataError
from labdata.schema import fetching, verifying

#: How a name begins, which of such names counting from 0, and whether to stop after it.
Pause = tuple[str, int, bool]
Kill = tuple[int, bool]
DONE, REFUSED, KILLED = "done", "refused", "killed"
RUNS, STOPPED, WAITS = "runs", "stopped", "waits"
#: All are ways to give a file its name: a program that took another would stop there, too.
_SAME = {"rename": "link", "replace": "link"}
_ASK_S, _HANGS_S = 0.02, 60.0


class Process:
    """A piece of work in a forked process, which begins when it is told to go on.

    Parameters
    ----------
    lab : Lab
        Its connection is made anew in the process.
    work : callable
        What to do; its result is sent as JSON.
    pause : Pause, optional
        Where to stop.
    kill : Kill, optional
        At which effect it is killed; see :func:`effects.counted_effects`.
    """

    def __init__(
        self, lab: Any, work: Callable[[], Any], pause: Pause | None, kill: Kill | None
    ) -> None:
        self.lab, self.work, self.pause, self.kill = lab, work, pause, kill
        self.end, self.value, self.said = "", None, ""
        self.numbers: list[int] = []  # of its connections; the first is the command's own
        self._from_child, told = os.pipe()
        go, self._to_child = os.pipe()
        self.state = STOPPED
        self.pid = os.fork()
        if self.pid == 0:
            self._be_child(told, go)
        os.close(told)
        os.close(go)
        self._text = b""

    def go_on(self) -> None:
        """Let it run from where it stopped."""
        with suppress(BrokenPipeError):  # another thread of it was killed meanwhile
            os.write(self._to_child, b"g")
        self.state = RUNS

    def wait(self) -> None:
        """Wait until it stops, ends, or waits for another."""
        deadline = time.monotonic() + _HANGS_S
        while not self.end:
            if select.select([self._from_child], [], [], _ASK_S)[0]:
                self._text += (got := os.read(self._from_child, 65536))
                *lines, self._text = self._text.split(b"\n")
                for line in lines:
                    self._hear(*json.loads(line))
                if not got:
                    self._bury()
                if self.state == STOPPED:
                    return
            elif self._is_waiting():
                self.state = WAITS
                return
            assert time.monotonic() < deadline, "hangs"

    def _hear(self, what: str, value: Any) -> None:
        if what == "number":
            self.numbers.append(value)
        elif what == STOPPED:
            self.state = STOPPED
        else:
            self._told = (what, *value)

    _told: tuple[Any, ...] = (KILLED, None, "killed")

    def _bury(self) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._from_child)
        os.close(self._to_child)
        assert code in (0, -signal.SIGKILL), code
        # one killed at its very end may have told that it was done
        told = (KILLED, None, "killed") if code else self._told
        self.end, self.value, self.said = told
        for number in self.numbers:
            while self._rows("SELECT 1 FROM information_schema.processlist WHERE id = %s", number):
                pass  # its locks and its transaction end when the server sees it gone

    def _is_waiting(self) -> bool:
        return bool(self.numbers) and bool(
            self._rows(
                "SELECT 1 FROM information_schema.processlist "
                "WHERE id = %s AND state = 'User lock'",
                self.numbers[0],
            )
            or self._rows(
                "SELECT 1 FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = %s "
                "AND trx_state = 'LOCK WAIT'",
                self.numbers[0],
            )
        )

    def _rows(self, query: str, number: int) -> Sequence[Any]:
        return self.lab.connection.query(query, (number,)).fetchall()  # type: ignore[no-any-return]

    # -- in the process -----------------------------------------------------------------------

    def _be_child(self, told: int, go: int) -> None:
        def tell(what: str, value: Any) -> None:
            os.write(told, json.dumps([what, value]).encode() + b"\n")

        def gate(name: str, after: bool) -> None:
            if threading.current_thread().name == "labdata-progress":
                return  # the work would go on without it
            name = _SAME.get(name, name)
            if self.pause and name.startswith(self.pause[0]) and after == self.pause[2]:
                seen.append(name)
                if len(seen) == self.pause[1] + 1:
                    tell(STOPPED, name)
                    os.read(go, 1)

        seen: list[str] = []
        fetching.N_WORKERS = verifying.N_WORKERS = 1  # one file after the other, to stop at one
        code = 1
        try:
            connect = LabConnection.connect

            def connect_and_tell(connection: LabConnection) -> None:
                connect(connection)
                tell("number", connection.connection_id)

            LabConnection.connect = connect_and_tell  # type: ignore[method-assign]
            self.lab.connection.query("DO 1")  # the first of this process
            os.read(go, 1)
            at, after = self.kill or (None, False)
            try:
                with counted_effects(at, after=after, gate=gate):
                    value = self.work()
                tell(DONE, (value, ""))
            except LabdataError as error:
                assert error.hint is not None, error
                tell(REFUSED, (type(error).__name__, str(error)))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)


def run_at_once(processes: Sequence[Process]) -> None:
    """Run each until it stops, waits or ends, then let those that stopped go on, to the end."""
    try:
        for process in processes:
            process.go_on()
            process.wait()
        while any(not process.end for process in processes):
            for process in processes:
                if process.state == STOPPED and not process.end:
                    process.go_on()
                process.wait()
    finally:  # of a test that failed nothing may go on by itself, or wait for ever
        for process in processes:
            if not process.end:
                os.kill(process.pid, signal.SIGKILL)
                os.waitpid(process.pid, 0)
