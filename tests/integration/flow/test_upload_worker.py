"""The upload service: many workers, each job once; how far it is; failures told; told to end."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from labdata.database import claims
from labdata.errors import DatabaseError
from labdata.preferences import load_preferences
from labdata.rules import job_progress
from labdata.rules.base import find_rule
from labdata.rules.upload_worker import upload_jobs, watch_jobs

SESSION = "20240305_1000"


def show(job_id):
    from contextlib import nullcontext

    return nullcontext((lambda n_bytes: None, lambda n_bytes: None))


def put_some(rig, number, size_bytes=50_000):
    return [
        rig.put(rig.folder(f"JC1/{SESSION}{n:02d}/task", {"a.bin": os.urandom(size_bytes)}))
        for n in range(number)
    ]


def wait_until(true, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


def states(rig):
    return list(rig.lab.UploadJob.fetch("job_status"))


@pytest.mark.slow
def test_fault_01_of_many_workers_each_job_has_one(lab_rig):
    """Five processes over twelve jobs: each is uploaded once, by one of them."""
    jobs = put_some(lab_rig, 12)
    command = [sys.executable, "-m", "labdata", "upload", "--json"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(5)]
    done = []
    for worker in workers:
        out, _ = worker.communicate(timeout=180)
        assert worker.returncode == 0
        done += [row["job"] for row in json.loads(out)]
    assert sorted(done) == jobs
    assert states(lab_rig) == ["COMPLETED"] * 12
    assert len(lab_rig.lab.File()) == len(lab_rig.lab.Dataset.DataFiles()) == 12


@pytest.mark.slow
def test_a_service_uploads_what_comes_and_ends_when_told(lab_rig, tmp_path):
    printed = tmp_path / "out"
    command = [sys.executable, "-m", "labdata", "upload", "--watch", "--every", "0.2"]
    with printed.open("w") as file:
        service = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE, text=True)
    try:
        put_some(lab_rig, 2)
        wait_until(lambda: states(lab_rig) == ["COMPLETED"] * 2)
        lab_rig.put(lab_rig.folder("JC2/20240306_100000/task", {"a.bin": b"later"}))
        wait_until(lambda: states(lab_rig) == ["COMPLETED"] * 3)
        wait_until(lambda: "JC2" in printed.read_text())
    finally:
        service.send_signal(signal.SIGTERM)
        _, err = service.communicate(timeout=60)
    out = printed.read_text()
    assert out.count("JC1") == 2 and out.count("JC2") == 1
    assert "Traceback" not in err
    assert "Watching for uploads every 0.2 s" in err


def test_one_that_fails_does_not_stop_the_service_and_is_told(lab_rig, tmp_path):
    first, second = put_some(lab_rig, 2)
    (lab_rig.server / f"JC1/{SESSION}00/task/a.bin").write_bytes(b"damaged")
    told = tmp_path / "told.json"
    program = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    lab_rig.prefer(
        local_paths=[str(lab_rig.home / "cache")],  # the rig is another computer
        on_failure={"command": [sys.executable, "-c", program, str(told)]},
    )
    outcomes = list(upload_jobs(lab_rig.lab, [first, second], show=show))
    assert [bool(o.problem) for o in outcomes] == [True, False]
    assert outcomes[1].result.n_files == 1
    (line,) = told.read_text().splitlines()
    facts = json.loads(line)
    assert facts["job_id"] == first
    assert "a.bin differs from what was put" in facts["problem"]


def test_a_database_that_goes_away_is_waited_for(lab_rig, monkeypatch, caplog):
    from labdata.rules import upload_worker

    put_some(lab_rig, 1)
    stop, calls = threading.Event(), []
    real = upload_worker.claimable_jobs

    def claimable(lab, **options):
        calls.append(1)
        if len(calls) < 4:
            raise DatabaseError("The database does not answer.")
        return real(lab, **options)

    monkeypatch.setattr(upload_worker, "claimable_jobs", claimable)
    for outcome in watch_jobs(lab_rig.lab, show=show, stop=stop, poll_s=0.01):
        assert outcome.result
        stop.set()
    assert states(lab_rig) == ["COMPLETED"]
    said = [r.message for r in caplog.records if "database is" in r.message]
    assert len(said) == 2, said
    assert "is away" in said[0] and "is back" in said[1]


def test_the_queue_says_how_far_a_job_is(lab_rig, monkeypatch):
    (job_id,) = put_some(lab_rig, 1, size_bytes=2_000_000)
    monkeypatch.setattr(job_progress, "EVERY_S", 0.05)
    seen = []

    class Slow(find_rule("none").__class__):
        reads_files = True

        def apply(self, context):
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                log = lab_rig.job(job_id)["job_log"]
                if log and "%" in log:
                    seen.append(log)
                    break
                time.sleep(0.05)
            return super().apply(context)

    monkeypatch.setattr("labdata.rules.uploading.find_rule", lambda name: Slow())
    assert lab_rig.upload(job_id)
    (line,) = seen
    assert line.startswith("33 % of 5.7 MiB of work, ")
    assert "/s, " in line and " left (" in line and "UTC" in line
    assert lab_rig.job(job_id)["job_log"] == ""


def test_it_says_so_again_once_the_database_is_back(lab_rig, monkeypatch):
    """Else a job of hours would look as if it hung since the restart."""
    (job_id,) = put_some(lab_rig, 1)
    monkeypatch.setattr(job_progress, "EVERY_S", 0.02)
    real, lines = claims.Claim.note, []

    def note(self, text):
        lines.append(text)
        if len(lines) == 1:
            raise DatabaseError("The connection to the database was lost.")
        real(self, text)

    class Slow(find_rule("none").__class__):
        def apply(self, context):
            wait_until(lambda: "UTC" in (lab_rig.job(job_id)["job_log"] or ""), 20)
            return super().apply(context)

    monkeypatch.setattr(claims.Claim, "note", note)
    monkeypatch.setattr("labdata.rules.uploading.find_rule", lambda name: Slow())
    assert lab_rig.upload(job_id)


def test_a_preference_file_that_is_being_edited_ends_no_service(lab_rig):
    put_some(lab_rig, 1)
    file, stop = lab_rig.home / "labdata" / "user_preferences.json", threading.Event()
    outcomes = watch_jobs(
        lab_rig.lab, show=show, stop=stop, poll_s=0.01, preferences=load_preferences()
    )
    file.write_text(file.read_text()[:40])
    for outcome in outcomes:
        assert outcome.result
        stop.set()
    assert states(lab_rig) == ["COMPLETED"]


def test_nor_does_a_telling_that_goes_wrong(lab_rig):
    """The address of a mail server's port; a program whose words are not UTF-8."""
    first, second = put_some(lab_rig, 2)
    (lab_rig.server / f"JC1/{SESSION}00/task/a.bin").write_bytes(b"damaged")
    program = "import sys; sys.stderr.buffer.write(b'f\\xfcr'); sys.exit(1)"
    lab_rig.prefer(
        local_paths=[str(lab_rig.home / "cache")],  # the rig is another computer
        on_failure={"command": [sys.executable, "-c", program]},
    )
    stop, seen = threading.Event(), []
    for outcome in watch_jobs(lab_rig.lab, show=show, stop=stop, poll_s=0.01):
        seen.append(outcome.job_id)
        if second in seen:
            stop.set()
    assert seen == [first, second] and states(lab_rig) == ["FAILED", "COMPLETED"]


def test_interrupted_the_service_gives_the_job_back(lab_rig, monkeypatch):
    (job_id,) = put_some(lab_rig, 1)

    class Interrupted(find_rule("none").__class__):
        def apply(self, context):
            raise KeyboardInterrupt

    monkeypatch.setattr("labdata.rules.uploading.find_rule", lambda name: Interrupted())
    with pytest.raises(KeyboardInterrupt):
        list(watch_jobs(lab_rig.lab, show=show, stop=threading.Event(), poll_s=0.01))
    assert lab_rig.job(job_id)["job_status"] == "WAITING"


def test_a_fault_of_a_rule_stops_neither_the_others_nor_the_telling(lab_rig, monkeypatch):
    """A plugin's rule may raise anything."""
    first, second = put_some(lab_rig, 2)
    told, real = [], find_rule("none").__class__
    monkeypatch.setattr(
        "labdata.rules.upload_worker.tell_failure", lambda _, text, facts: told.append(text)
    )

    class Broken(real):
        def apply(self, context):
            if context.key["session_name"].endswith("00"):
                raise ValueError("of the plugin")
            return super().apply(context)

    monkeypatch.setattr("labdata.rules.uploading.find_rule", lambda name: Broken())
    outcomes = list(upload_jobs(lab_rig.lab, [first, second], show=show))
    assert "ValueError: of the plugin" in outcomes[0].problem.message
    assert outcomes[1].result.n_files == 1
    assert states(lab_rig) == ["FAILED", "COMPLETED"]
    assert len(told) == 1 and "ValueError: of the plugin" in told[0]
    # whoever asks for it again, or mistypes a number, need not be told by mail
    again, typo = upload_jobs(lab_rig.lab, [first, second + 99], show=show)
    assert not again.was_begun and not typo.was_begun and len(told) == 1


def test_a_failure_is_kept_whatever_bytes_a_name_in_it_has(lab_rig, monkeypatch):
    """Else the job stayed WORKING, and the third time it was said to have run out of memory."""
    (job_id,) = put_some(lab_rig, 1)

    class Broken(find_rule("none").__class__):
        def apply(self, context):
            raise ValueError("cannot read " + os.fsdecode(b"donn\xe9es"))

    monkeypatch.setattr("labdata.rules.uploading.find_rule", lambda name: Broken())
    with monkeypatch.context() as patch:
        # what is logged would go with the test's report, which takes UTF-8 only
        patch.setattr(logging.getLogger("labdata.rules.upload_worker"), "disabled", True)
        (outcome,) = upload_jobs(lab_rig.lab, [job_id], show=show)
    assert "ValueError: cannot read donn" in outcome.problem.message
    job = lab_rig.job(job_id)
    assert job["job_status"] == "FAILED"
    assert job["job_log"] == "ValueError: cannot read donn\\udce9es"


def test_a_project_that_is_archived_meanwhile_is_no_failure_of_each_job(lab_rig, monkeypatch):
    from labdata.rules import upload_worker

    put_some(lab_rig, 2)
    told, polls, stop = [], [], threading.Event()
    monkeypatch.setattr(upload_worker, "tell_failure", lambda *given: told.append(given))

    def refuse(lab):
        polls.append(1)
        if len(polls) == 4:
            stop.set()
        raise DatabaseError("Project vision is archived.")

    monkeypatch.setattr("labdata.rules.uploading.check_may_upload", refuse)
    assert not list(watch_jobs(lab_rig.lab, show=show, stop=stop, poll_s=0.01))
    assert told == [] and set(states(lab_rig)) == {"ON SERVER"}


def test_of_each_store_that_is_away_is_told_once(lab_rig):
    from labdata.rules.upload_worker import _Waiting

    waiting = _Waiting(first_pause_s=0.01)
    assert waiting.add(1, "old", took_s=0.0)
    assert not waiting.add(2, "old", took_s=0.0)
    assert waiting.add(3, "new", took_s=100.0)
    time.sleep(0.05)
    assert waiting.is_due(1) and not waiting.is_due(3), "no sooner than the attempt took"
    waiting.keep([3])  # 1 and 2 were done, or cancelled
    assert waiting.add(4, "old", took_s=0.0) and not waiting.add(5, "new", took_s=0.0)
