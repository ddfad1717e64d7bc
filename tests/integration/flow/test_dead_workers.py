"""A worker that dies lets its job go, one whose computer vanished too; none is begun for ever."""

from __future__ import annotations

import os
import signal
import threading
import time

import pymysql
import pytest

from labdata.database import claims, locks
from labdata.database.claims import claim_row
from labdata.database.connection import LabConnection
from labdata.database.datajoint_compat import dj
from labdata.database.locks import is_held, worker_lock
from labdata.database.teaching_errors import refused_class
from labdata.errors import DatabaseError, LabdataError, UploadError
from labdata.rules import putting, uploading
from labdata.rules.planning import plan_put
from labdata.rules.upload_queue import CLAIMABLE, cancel_upload, retry_failed
from labdata.rules.uploading import upload_job

PLACE = "JC1/20240305_100000/task"
WAIT_S = 20


def until(true):
    """Wait for the server, which notices a dead worker in its own time."""
    deadline = time.monotonic() + WAIT_S
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture
def job_id(lab_rig):
    return lab_rig.put(lab_rig.folder(PLACE, {"a.csv": b"1,2\n"}))


def lock_of(lab_rig, job_id):
    return f"job.{lab_rig.lab.UploadJob().database}.{job_id}"


@pytest.fixture
def die_once(lab_rig, job_id, run_child):
    """Return a callable that lets one worker of the job die."""

    def killed():
        uploading._Upload._find_sources = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        upload_job(job_id)

    def die():
        assert run_child(killed) == -signal.SIGKILL
        until(lambda: not is_held(lab_rig.lab.connection, lock_of(lab_rig, job_id)))

    return die


def test_a_job_whose_worker_died_once_says_so_and_is_done(lab_rig, job_id, die_once):
    die_once()
    assert upload_job(job_id).n_files == 1
    assert lab_rig.job(job_id)["job_log"].startswith("Begun again, as its worker died once.")


def test_a_job_that_kills_each_worker_fails_and_says_so(lab_rig, job_id, die_once, typed):
    """As one that needs more memory than there is: it would be begun, and killed, for ever."""
    for said in ("is gone; ", "is gone, the 2. that died; ", "is gone, the 3. that died; "):
        die_once()
        log = typed("upload", "--queue").out
        assert said in " ".join(log.split())
    assert "says what to do" in " ".join(log.split())
    with pytest.raises(LabdataError, match="died 3 times") as caught:
        upload_job(job_id)
    assert "memory" in caught.value.hint
    assert lab_rig.job(job_id)["job_status"] == "FAILED"
    assert "died 3 times" in typed("upload", job_id, code=1).err
    # whoever mended that lets it be tried again, and the deaths are forgotten
    typed("upload", job_id, "--retry")
    assert lab_rig.job(job_id)["job_status"] == "COMPLETED"
    assert "died" not in lab_rig.job(job_id)["job_log"]


def test_a_job_that_kills_each_worker_can_be_cancelled(lab_rig, job_id, die_once):
    for _ in range(3):
        die_once()
    cancel_upload(lab_rig.lab, job_id)
    assert lab_rig.job(job_id)["job_status"] == "CANCELLED"
    assert "Begun again" not in lab_rig.job(job_id)["job_log"]


def test_a_worker_that_could_not_say_that_the_database_was_away_did_not_die(
    lab_rig, job_id, monkeypatch
):
    """Store and database may be one computer that is started anew; the service lives."""
    real = claims.Claim.finish

    def away(self, status, *rest, **columns):
        raise refused_class(dj.errors.LostConnectionError)("It is away.", hint="Wait.")

    for _ in range(4):
        monkeypatch.setattr(claims.Claim, "finish", away)
        with pytest.raises(dj.errors.LostConnectionError):
            upload_job(job_id)
        monkeypatch.setattr(claims.Claim, "finish", real)
        assert lab_rig.job(job_id)["job_status"] == "WORKING"
    assert upload_job(job_id).n_files == 1


@pytest.mark.parametrize("code", [1053, 1205, 1213, 1927, 4031])
def test_a_job_that_the_database_held_up_waits_but_not_for_ever(
    lab_rig, job_id, monkeypatch, code
):
    """Others had the row for too long, or the server was ended in mid-work."""
    real = LabConnection._execute_query

    def refuse(self, cursor, query, *rest):
        if "FOR UPDATE" in query:
            error = pymysql.OperationalError(code, "as the server says it")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(cursor, "execute", lambda *_: (_ for _ in ()).throw(error))
                return real(self, cursor, query, *rest)
        return real(self, cursor, query, *rest)

    for status in ("WAITING", "WAITING", "FAILED"):  # a third time it is no chance any more
        with monkeypatch.context() as patch:
            patch.setattr(LabConnection, "_execute_query", refuse)
            with pytest.raises(DatabaseError) as caught:
                upload_job(job_id)
        assert caught.value.hint
        assert lab_rig.job(job_id)["job_status"] == status
        assert lab_rig.counts()["File"] == 0
    assert retry_failed(lab_rig.lab, [job_id]) == 1
    assert upload_job(job_id).n_files == 1


def test_one_that_was_given_back_is_no_death(lab_rig, job_id):
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt), claimed(lab_rig, job_id) as claim:
            assert claim.n_deaths == 0
            raise KeyboardInterrupt
    assert lab_rig.job(job_id)["job_status"] == "WAITING"


def claimed(lab_rig, job_id):
    return claim_row(lab_rig.lab.UploadJob, "job", job_id, states=CLAIMABLE)


def test_a_computer_that_vanished_loses_the_job_and_registers_nothing(
    lab_rig, job_id, monkeypatch
):
    """A stopped process is as silent as a computer without power: its connections stay open."""
    monkeypatch.setattr(locks, "_SILENCE_S", 1)
    said, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        real = uploading._Upload._register

        def stop_first(*args):
            os.write(here, b"s")
            os.kill(os.getpid(), signal.SIGSTOP)
            return real(*args)

        uploading._Upload._register = stop_first
        try:
            upload_job(job_id)
            os._exit(0)
        except UploadError as error:
            os._exit(7 if "taken over" in error.message else 1)
        finally:
            os._exit(2)
    assert os.read(said, 1) == b"s"
    result = until(lambda: upload_job(job_id))
    assert result.n_files == 1
    os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert lab_rig.job(job_id)["job_status"] == "COMPLETED"
    assert lab_rig.counts()["File"] == 1


def test_a_computer_that_vanished_while_it_registered_stops_nobody(lab_rig, job_id, monkeypatch):
    """It holds the lock of all who register, and the job's row, in a transaction."""
    monkeypatch.setattr(locks, "_SILENCE_S", 1)
    other = lab_rig.put(lab_rig.folder("JC2/20240305_100000/task", {"b.csv": b"3\n"}))
    said, here = os.pipe()
    pid = os.fork()
    if pid == 0:

        def stop(_):
            os.write(here, b"s")
            os.kill(os.getpid(), signal.SIGSTOP)

        uploading._Upload._insert_dataset = stop
        try:
            upload_job(job_id)
        except DatabaseError:
            os._exit(7)
        finally:
            os._exit(2)
    assert os.read(said, 1) == b"s"
    began = time.monotonic()
    assert upload_job(other).n_files == 1
    assert until(lambda: upload_job(job_id)).n_files == 1
    assert time.monotonic() - began < WAIT_S
    os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert lab_rig.counts()["File"] == 2
    silence = "SELECT @@SESSION.wait_timeout"
    assert lab_rig.lab.connection.query(silence).fetchone()[0] > 3600, "it was set back"


def test_a_rig_that_vanished_while_it_registered_stops_nobody(lab_rig, monkeypatch):
    """It holds the lock of all who put folders."""
    monkeypatch.setattr(locks, "_SILENCE_S", 1)
    plans = [
        plan_put(lab_rig.folder(f"{name}/20240305_110000/task", {"b.csv": b"3\n"}))
        for name in ("JC1", "JC2")
    ]
    said, here = os.pipe()
    pid = os.fork()
    if pid == 0:

        def stop(*_):
            os.write(here, b"s")
            os.kill(os.getpid(), signal.SIGSTOP)

        putting._check_there = stop
        try:
            putting.put(plans[0])
        except DatabaseError:
            os._exit(7)
        finally:
            os._exit(2)
    assert os.read(said, 1) == b"s"
    began = time.monotonic()
    assert putting.put(plans[1])
    assert time.monotonic() - began < WAIT_S
    os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert putting.put(plans[0])


def in_another_thread(work):
    """Connections are a thread's own."""
    done = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


def lose(connection, number):
    """End a connection from another one."""
    with pymysql.connect(**connection._arguments()) as other, other.cursor() as cursor:
        cursor.execute(f"KILL CONNECTION {int(number)}")


def test_work_may_be_silent_for_longer_than_its_lock(lab_rig, monkeypatch):
    monkeypatch.setattr(locks, "_SILENCE_S", 1)
    monkeypatch.setattr(locks, "_WORD_S", 0.2)
    connection = lab_rig.lab.connection
    with worker_lock(connection, "test.long") as alone:
        assert alone
        time.sleep(2.5)  # nothing is said over the block's own connection
        assert is_held(connection, "test.long")

        def second():
            with worker_lock(connection, "test.long") as also:
                return bool(also)

        assert in_another_thread(second) is False
    assert not is_held(connection, "test.long")


def test_a_lock_whose_connection_was_ended_is_taken_again(lab_rig, monkeypatch):
    """As by a router or an administrator: the worker lives, so its row stays its own."""
    monkeypatch.setattr(locks, "_WORD_S", 0.2)
    connection = lab_rig.lab.connection
    holder = "SELECT IS_USED_LOCK('labdata.test.lost')"
    with worker_lock(connection, "test.lost") as lock:
        lock.require_held()
        number = connection.query(holder).fetchone()[0]
        assert number != connection.connection_id
        lose(connection, number)
        again = until(lambda: connection.query(holder).fetchone()[0] not in (None, number))
        assert again
        with pytest.raises(DatabaseError, match="kept others away was lost"):
            lock.require_held()  # somebody may have had it meanwhile
    assert not is_held(connection, "test.lost")


def test_after_a_restart_of_the_database_a_living_worker_keeps_its_job(
    lab_rig, job_id, monkeypatch
):
    """A server that began anew has no locks: the free one of a row does not tell a dead worker."""
    monkeypatch.setattr(locks, "_WORD_S", 2)
    monkeypatch.setattr(locks, "GRACE_S", 5)
    monkeypatch.setattr(locks, "_YOUNG_S", 1_000_000)
    connection = lab_rig.lab.connection
    with claimed(lab_rig, job_id) as claim:
        number = connection.query(
            "SELECT IS_USED_LOCK(%s)", (f"labdata.{lock_of(lab_rig, job_id)}",)
        )
        lose(connection, number.fetchone()[0])

        def taken():
            with claimed(lab_rig, job_id) as other:
                return other

        assert in_another_thread(taken) is None
        assert claim.is_held()
        assert claim.finish("WAITING")


def test_after_a_restart_of_the_database_the_job_of_a_dead_worker_is_done(
    lab_rig, job_id, die_once, monkeypatch, caplog
):
    die_once()
    monkeypatch.setattr(locks, "GRACE_S", 1)
    for youth_s, waits in ((1_000_000, True), (0, False)):
        monkeypatch.setattr(locks, "_YOUNG_S", youth_s)
        caplog.clear()
        began = time.monotonic()
        with claimed(lab_rig, job_id) as claim:
            assert claim
        assert (time.monotonic() - began >= 1) == waits
        assert ("to say that it lives" in caplog.text) == waits


def test_the_end_of_a_process_does_not_wait_for_a_worker_in_a_daemon_thread(
    lab_rig, job_id, run_child
):
    """As a notebook's kernel that is ended in mid-work; the server then lets go of the lock."""

    def work_in_background():
        begun = threading.Event()

        def work():
            with worker_lock(lab_rig.lab.connection, "test.daemon"):
                begun.set()
                time.sleep(60)

        threading.Thread(target=work, daemon=True).start()
        assert begun.wait(WAIT_S)
        threading._shutdown()  # what the interpreter does first when it ends

    began = time.monotonic()
    assert run_child(work_in_background) == 0
    assert time.monotonic() - began < WAIT_S
    until(lambda: not is_held(lab_rig.lab.connection, "test.daemon"))


def test_a_lock_leaves_no_thread_and_no_connection_behind(lab_rig):
    connection = lab_rig.lab.connection
    count = "SELECT COUNT(*) FROM information_schema.processlist"
    threads, before = threading.active_count(), connection.query(count).fetchone()[0]
    for _ in range(3):
        with worker_lock(connection, "test.none") as alone:
            assert alone
    with pytest.raises(KeyError), worker_lock(connection, "test.none"):
        raise KeyError
    assert threading.active_count() == threads
    until(lambda: connection.query(count).fetchone()[0] <= before)
