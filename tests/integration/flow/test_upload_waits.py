"""A store that is away holds uploads up and fails none: they go on when it is back."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from faults import local_stores, use_store
from s3_proxy import Reply, run_proxy
from seaweed import ACCESS_KEY, SECRET_KEY

from labdata.database import claims
from labdata.errors import StoreAwayError, StoreError
from labdata.rules.base import find_rule
from labdata.rules.upload_worker import upload_jobs, watch_jobs
from labdata.schema import files
from labdata.stores.s3.settings import S3Settings

PLACE = "JC1/20240305_100000/task"


def show(job_id):
    return nullcontext((lambda n_bytes: None, lambda n_bytes: None))


@pytest.fixture
def disk(lab_rig):
    """Return the folder of the store."""
    folder = lab_rig.home / "disk"
    folder.mkdir()
    use_store(lab_rig, folder)
    return folder


@pytest.fixture
def told(lab_rig, disk, tmp_path):
    """Return what somebody was told of failures."""
    path = tmp_path / "told.json"
    program = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    command = [sys.executable, "-c", program, str(path)]
    lab_rig.prefer(on_failure={"command": command}, storage=local_stores(lab_rig, disk))
    return lambda: (
        [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    )


def test_of_a_disk_that_is_not_there_nothing_has_to_be_said_again(lab_rig, disk, typed, told):
    jobs = [lab_rig.put(lab_rig.folder(f"{PLACE}{n}", {"a.bin": b"%d" % n})) for n in range(3)]
    disk.rename(lab_rig.home / "away")
    said = typed("upload", code=1).err
    assert f"upload job {jobs[0]} waits: The store's folder {disk} is not there." in said
    assert said.count("waits") == 3 and "Mount its disk" in said
    assert [one["job_id"] for one in told()] == jobs[:1], "told once, of the first"
    queue = json.loads(typed("upload", "--queue", "--json").out)
    assert {row["job_status"] for row in queue} == {"WAITING"}
    assert all("is not there" in row["job_log"] for row in queue)
    (lab_rig.home / "away").rename(disk)
    typed("upload")
    assert set(lab_rig.lab.UploadJob.fetch("job_status")) == {"COMPLETED"}


def test_it_is_asked_before_hours_of_work(lab_rig, disk, monkeypatch):
    class Never(find_rule("none").__class__):
        def apply(self, context):
            raise AssertionError("the rule was applied")

    monkeypatch.setattr("labdata.rules.uploading.find_rule", lambda name: Never())
    job_id = lab_rig.put(lab_rig.folder(PLACE, {"a.bin": b"1"}))
    disk.rename(lab_rig.home / "away")
    with pytest.raises(StoreAwayError, match="is not there"):
        lab_rig.upload(job_id)


def test_an_inbox_that_is_not_mounted_is_waited_for(lab_rig):
    job_id = lab_rig.put(lab_rig.folder(PLACE, {"a.bin": b"1"}))
    shutil.rmtree(lab_rig.rig / "JC1")  # the rig is another computer
    lab_rig.server.rename(lab_rig.home / "away")
    with pytest.raises(StoreAwayError, match=f"The inbox {lab_rig.server} is empty or not there"):
        lab_rig.upload(job_id)
    assert lab_rig.job(job_id)["job_status"] == "WAITING"
    (lab_rig.home / "away").rename(lab_rig.server)
    assert lab_rig.upload(job_id).n_files == 1


def test_so_is_an_empty_mount_point_of_it(lab_rig):
    job_id = lab_rig.put(lab_rig.folder(PLACE, {"a.bin": b"1"}))
    shutil.rmtree(lab_rig.rig / "JC1")
    lab_rig.server.rename(lab_rig.home / "away")
    lab_rig.server.mkdir()
    with pytest.raises(StoreAwayError, match="its disk is probably not mounted"):
        lab_rig.upload(job_id)
    assert lab_rig.job(job_id)["job_status"] == "WAITING"
    lab_rig.server.rmdir()
    (lab_rig.home / "away").rename(lab_rig.server)
    assert lab_rig.upload(job_id).n_files == 1


@pytest.mark.parametrize("part", ["server", "disk"])
def test_a_mount_that_died_is_waited_for(lab_rig, disk, monkeypatch, part):
    """Its folder answers ENOTCONN, to every question."""
    job_id = lab_rig.put(lab_rig.folder(PLACE, {"a.bin": b"1"}))
    shutil.rmtree(lab_rig.rig / "JC1")
    dead, real = {"server": lab_rig.server, "disk": disk}[part], Path.stat

    def stat(path, **options):
        if path.is_relative_to(dead):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", str(path))
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        (outcome,) = upload_jobs(lab_rig.lab, [job_id], show=show)
    assert outcome.waits and "not connected" in outcome.problem.message
    assert lab_rig.job(job_id)["job_status"] == "WAITING"
    assert lab_rig.upload(job_id).n_files == 1


def test_staging_of_a_living_worker_stays_though_its_claim_is_not_seen(lab_rig, monkeypatch):
    """An account of one project sees no claims of another's; the lock is seen by all."""
    lab, ours, theirs = (
        lab_rig.lab,
        *(lab_rig.put(lab_rig.folder(f"{PLACE}{n}", {"a.bin": b"%d" % n})) for n in range(2)),
    )
    scratch = lab_rig.home / "scratch"
    scratch.mkdir(exist_ok=True)
    names = f"labdata-job-{lab.UploadJob.database}-"
    staging = scratch / f"{names}{theirs}-{'0' * 32}"
    staging.mkdir()
    held = [staging.name]
    monkeypatch.setattr("labdata.scratch.has_worker", lambda *row: row[2] == theirs and bool(held))
    lab_rig.upload(ours)
    assert staging.is_dir()
    held.clear()
    lab_rig.upload(theirs)
    assert not staging.exists()


@pytest.fixture
def bucket(lab_rig, seaweed, monkeypatch, request):
    """Keep objects in a bucket that is reached through a proxy."""
    quick = lambda **given: S3Settings(**given, attempts=1, connect_timeout_s=2.0)  # noqa: E731
    monkeypatch.setattr(files, "S3Settings", quick)
    with run_proxy(seaweed.port) as proxy:
        place = {"protocol": "s3", "endpoint": proxy.endpoint, "bucket": "tests"}
        keys = {
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "folder": f"waits-{os.urandom(4).hex()}",
        }
        lab_rig.prefer(storage={"data": place | keys})
        yield proxy


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(0), "the connection was cut"),
        (Reply(503, body=b"<Error><Code>SlowDown</Code></Error>"), "has a fault (503)"),
        (Reply(503), "has a fault (503)"),
        (Reply(502, body=b"<html>Bad Gateway</html>"), "has a fault (502)"),
    ],
)
def test_a_server_that_does_not_answer_now(lab_rig, bucket, reply, words):
    job_id = lab_rig.put(lab_rig.folder(PLACE, {"a.bin": os.urandom(100)}))
    bucket.before.append(lambda request: reply)
    (outcome,) = upload_jobs(lab_rig.lab, [job_id], show=show)
    assert outcome.waits and words in outcome.problem.message
    assert lab_rig.job(job_id)["job_status"] == "WAITING"
    bucket.reset()
    assert lab_rig.upload(job_id).n_files == 1


@pytest.mark.parametrize("status", [501, 507])
def test_what_waiting_does_not_mend_fails(lab_rig, bucket, status):
    """A full server answers questions, and refuses what took hours to compress."""
    job_id = lab_rig.put(lab_rig.folder(PLACE, {"a.bin": os.urandom(100)}))
    body = b"<Error><Code>OfTheServer</Code></Error>"
    bucket.before.append(lambda r: Reply(status, body=body) if r.method == "PUT" else None)
    (outcome,) = upload_jobs(lab_rig.lab, [job_id], show=show)
    assert not outcome.waits
    assert lab_rig.job(job_id)["job_status"] == "FAILED"


def test_a_wrong_key_is_not_waited_for(lab_rig, seaweed):
    keys = {"access_key": ACCESS_KEY, "secret_key": "wrong" * 8}
    place = {"protocol": "s3", "endpoint": seaweed.endpoint, "bucket": "tests"}
    lab_rig.prefer(storage={"data": place | keys})
    job_id = lab_rig.put(lab_rig.folder(PLACE, {"a.bin": b"1"}))
    with pytest.raises(StoreError, match="secret key is wrong"):
        lab_rig.upload(job_id)
    assert lab_rig.job(job_id)["job_status"] == "FAILED"


def test_the_service_says_it_once_and_asks_less_and_less_often(lab_rig, disk, told, monkeypatch):
    """Not each of two jobs every poll; when the store is back both are done."""
    from labdata.rules import upload_worker

    jobs = [lab_rig.put(lab_rig.folder(f"{PLACE}{n}", {"a.bin": b"%d" % n})) for n in range(2)]
    away = lab_rig.home / "away"
    disk.rename(away)
    tried, real = [], upload_worker.upload_job

    def upload(job_id, **options):
        tried.append((time.monotonic(), job_id))
        if len(tried) == 8:
            away.rename(disk)
        return real(job_id, **options)

    monkeypatch.setattr(upload_worker, "upload_job", upload)
    stop, seen = threading.Event(), []
    for outcome in watch_jobs(lab_rig.lab, show=show, stop=stop, poll_s=0.05):
        seen.append((outcome.job_id, outcome.waits))
        if sum(not waits for _, waits in seen) == 2:
            stop.set()
    assert sorted(seen[:2]) == [(job, True) for job in jobs], "each is said to wait once"
    assert sorted(seen[2:]) == [(job, False) for job in jobs]
    first = [at for at, job in tried if job == jobs[0]]
    pauses = [after - before for before, after in itertools.pairwise(first)]
    assert pauses[1] > 1.5 * 0.05 and pauses[2] > 3 * 0.05
    assert len(told()) == 1


def test_the_queue_knows_a_job_whose_worker_was_killed(lab_rig, typed):
    job_id = lab_rig.put(lab_rig.folder(PLACE, {"a.bin": b"1"}))
    program = (
        "import os, signal, sys\n"
        "from labdata.database.claims import claim_row\n"
        "from labdata.schema import default_lab as lab\n"
        "with claim_row(lab.UploadJob, 'job', int(sys.argv[1]), states=('ON SERVER',)) as claim:\n"
        "    claim.note('56 % of 1 GiB of work')\n"
        "    print('ready', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(job_id)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout.readline() == "ready\n"
        (row,) = json.loads(typed("upload", "--queue", "--json").out)
        assert row["job_log"] == "56 % of 1 GiB of work"
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    deadline = time.monotonic() + 30
    while claims.has_worker(lab_rig.lab.UploadJob, "job", job_id):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (row,) = json.loads(typed("upload", "--queue", "--json").out)
    assert row["job_log"] == (
        f"Its worker is gone; `labdata upload {job_id}` begins it again. "
        "Its last word: 56 % of 1 GiB of work"
    )
    assert lab_rig.upload(job_id).n_files == 1
