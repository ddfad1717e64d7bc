"""The database server killed around a COMMIT, and connections lost at every statement.

Whether a COMMIT whose answer never came was done, nobody can tell at once; a rerun finds out.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from effects import counted_statements
from faults import all_is_right, refused

from labdata.database.embedded import EmbeddedDatabase
from labdata.database.locks import server_lock
from labdata.errors import DatabaseError, UploadError
from labdata.rules.putting import plan_put, put
from labdata.rules.upload_queue import retry_failed
from labdata.rules.uploading import upload_job

FILES = {"a.csv": b"1,2\n", "deep/b.bin": os.urandom(7000)}

pytestmark = [pytest.mark.usefixtures("own_lab_only"), pytest.mark.slow]


@pytest.fixture(scope="module")
def own_server(own_program, tmp_path_factory):
    """A database server that only these tests use, and may kill."""
    folder = tmp_path_factory.mktemp("own")
    yield folder
    EmbeddedDatabase(folder).stop()


@pytest.fixture(scope="module")
def own_rig(own_server, rig_maker, tmp_path_factory):
    with rig_maker(tmp_path_factory.mktemp("home"), own_server) as rig:
        rig.add_subjects("JC1")
        yield rig


class Days:
    """A dataset a moment, so that none disturbs the next."""

    def __init__(self):
        self.n = 0

    def __call__(self):
        self.n += 1
        return f"JC1/2024{1 + self.n // 28:02d}{1 + self.n % 28:02d}_100000/task"


new_place = Days()


def connection():
    """The connection that the lab's tables use."""
    from labdata.schema import default_lab

    return default_lab.connection


def kill_server():
    """SIGKILL, as the system does to a server that takes too much memory."""
    database = connection().embedded
    pid = int((database.folder / "pid").read_text())
    assert str(database.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while database._is_held():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lose_connection():
    """End this thread's connection from another one, as an administrator or a router does."""
    import pymysql

    lost = connection()
    with pymysql.connect(**lost._arguments()) as other, other.cursor() as cursor:
        cursor.execute(f"KILL CONNECTION {lost.connection_id}")


def put_once(rig, place, folder):
    """Put it, whether or not that was done before; exactly one job may come of it."""
    try:
        put(plan_put(folder))
    except UploadError as error:
        assert "was put already, as upload job" in error.message
    (job_id,) = set(
        (rig.lab.UploadJob.AssignedFiles & f'src_path LIKE "{place}/%"').fetch("job_id")
    )
    rows = rig.lab.UploadJob.AssignedFiles & {"job_id": job_id}
    assert len(rows) == len(FILES)
    return int(job_id)


def upload_until_done(rig, job_id, place):
    deadline = time.monotonic() + 20
    while rig.job(job_id)["job_status"] != "COMPLETED":
        assert time.monotonic() < deadline
        retry_failed(rig.lab, [job_id])
        upload_job(job_id)
        time.sleep(0.01)
    here = f'file_path LIKE "{place}/%"'
    assert len(rig.lab.File & here) == len(rig.lab.Dataset.DataFiles & here) == len(FILES)


def statements_of(work):
    with counted_statements(None, None) as seen:
        work()
    return list(seen)


def at_moments(work_of, fault, outcomes_of, wanted):
    """Do the work with the fault before and after each statement wanted; return the moments."""
    names = statements_of(work_of())
    chosen = [n for n, name in enumerate(names) if wanted(name)]
    assert chosen, names
    for number in chosen:
        for after in (False, True):
            work = work_of()
            told = None
            with counted_statements(number, fault, after=after) as seen:
                try:
                    work()
                except DatabaseError as error:
                    assert error.hint, error.message
                    told = error
                except UploadError as error:
                    told = error
            assert len(seen) > number
            assert not connection().in_transaction
            outcomes_of(names[number], after, told)
    return 2 * len(chosen)


FAULTS = {
    "kill -9 of the server": (kill_server, lambda name: name == "COMMIT"),
    "connection lost": (lose_connection, lambda name: True),
}


@pytest.mark.parametrize("kind", list(FAULTS))
def test_put(own_rig, kind, outcomes):
    fault, wanted = FAULTS[kind]
    given = {}

    def work_of():
        place = new_place()
        folder = own_rig.folder(place, FILES)
        plan = plan_put(folder)
        given.update(place=place, folder=folder)
        return lambda: put(plan)

    def after_fault(name, after, told):
        assert told or name != "COMMIT" or after is False, name
        job_id = put_once(own_rig, given["place"], given["folder"])
        upload_until_done(own_rig, job_id, given["place"])

    n_moments = at_moments(work_of, fault, after_fault, wanted)
    for place in list_waiting(own_rig):
        own_rig.upload(place)
    all_is_right(own_rig, len(own_rig.lab.File()))
    outcomes("put", kind, n_moments, "DatabaseError, or done", "one job, completes")


@pytest.mark.parametrize("kind", list(FAULTS))
def test_upload(own_rig, kind, outcomes):
    fault, wanted = FAULTS[kind]
    given = {}

    def work_of():
        place = new_place()
        job_id = own_rig.put(own_rig.folder(place, FILES))
        given.update(place=place, job_id=job_id)
        return lambda: upload_job(job_id)

    def after_fault(name, after, told):
        here = f'file_path LIKE "{given["place"]}/%"'
        done = own_rig.job(given["job_id"])["job_status"] == "COMPLETED"
        assert len(own_rig.lab.File & here) == done * len(FILES)
        upload_until_done(own_rig, given["job_id"], given["place"])

    n_moments = at_moments(work_of, fault, after_fault, wanted)
    all_is_right(own_rig, len(own_rig.lab.File()))
    outcomes("upload", kind, n_moments, "all rows or none", "one set, completes")


def list_waiting(rig):
    jobs = rig.lab.UploadJob & 'job_status = "ON SERVER"'
    return [int(number) for number in jobs.fetch("job_id")]


def test_a_server_that_stays_away_leaves_no_open_transaction(own_rig, monkeypatch):
    """What follows in the same notebook must not be told of a transaction that is gone."""
    place = new_place()
    folder = own_rig.folder(place, FILES)
    plan = plan_put(folder)
    database = type(connection().embedded)
    real = database.start

    def stays_away(self, **options):
        raise DatabaseError("It does not start.", hint="Start it.")

    def fault():
        kill_server()
        monkeypatch.setattr(database, "start", stays_away)

    names = statements_of(lambda: put(plan_put(own_rig.folder(new_place(), FILES))))
    with counted_statements(names.index("COMMIT"), fault, after=False):
        assert "does not" in refused(lambda: put(plan), DatabaseError).message
    monkeypatch.setattr(database, "start", real)
    assert not connection().in_transaction
    upload_until_done(own_rig, put_once(own_rig, place, folder), place)


def test_a_lock_that_went_with_its_connection_is_missed(own_rig):
    """A new connection is made without a word; what rests on the lock must not go on."""
    busy = UploadError("busy", hint="Wait.")
    with server_lock(connection(), "test.lost", timeout_s=1, refused=busy) as require_held:
        require_held()
        lose_connection()
        with pytest.raises(DatabaseError, match="lost and made again"):
            require_held()
    # and it is free again
    with server_lock(connection(), "test.lost", timeout_s=1, refused=busy) as require_held:
        require_held()
