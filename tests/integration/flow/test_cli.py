"""Commands on a lab with data, as a user types and reads them."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from labdata.database.locks import worker_lock

SESSION = "20240305_100000"
FILES = {"a.csv": b"1,2\n" * 1000, "b.bin": bytes(range(256)) * 40}


@pytest.fixture
def full(lab_rig, small_run):
    """JC1 has an ephys and a task dataset, JC2 one of another member."""
    lab = lab_rig.lab
    lab.LabMember.insert1({"user_name": "Maria"})
    lab.connection.query(
        f"UPDATE {lab.Subject.full_table_name} SET user_name='Maria' WHERE subject_name='JC2'"
    )
    for folder in (
        lab_rig.record(small_run.run_folder),
        lab_rig.folder(f"JC1/{SESSION}/task", FILES),
        lab_rig.folder("JC2/20240306_100000/task", FILES),
    ):
        lab_rig.upload(lab_rig.put(folder))
    return lab_rig


def test_the_way_from_a_folder_to_the_database(lab_rig, small_run, typed, told):
    folder = lab_rig.record(small_run.run_folder)
    before = lab_rig.state()
    (planned,) = told("put", folder, "-r", "ephys", "--dry-run")
    assert lab_rig.state() == before
    (row,) = told("put", folder, "-r", "ephys")
    assert row == planned | {"job": row["job"]}
    assert row["size"] == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    (queued,) = told("upload", "--queue")
    assert (queued["job_id"], queued["job_status"]) == (row["job"], "ON SERVER")
    assert (queued["files"], queued["size"]) == (row["files"], row["size"])
    assert "ON SERVER" in typed("upload", "--queue").out
    (uploaded,) = told("upload")
    assert uploaded["job"] == row["job"]
    assert typed("upload").out == "Nothing to upload.\n"
    assert told("upload", "--queue")[0]["job_status"] == "COMPLETED"
    (session,) = told("sessions", "-a", "JC1")
    assert (session["dataset_name"], session["probes"]) == ("ephys_g0", 1)


def test_subjects(full, told, typed):
    def names(*options):
        return [row["subject_name"] for row in told("subjects", *options)]

    assert names() == ["JC1", "JC2"]
    assert names("-u", "couto") == names("-u", "COUTO") == ["JC1"]
    assert names("-u", "maria") == ["JC2"]
    assert names("-f", "jc") == names("-f", "C") == ["JC1", "JC2"]
    assert names("-f", "c2") == ["JC2"]
    assert names("-f", "%") == names("-f", "_") == names("-f", "' OR 1=1 -- ") == []
    first = told("subjects")[0]
    assert (first["sessions"], first["last_session"]) == (1, "2024-03-05T10:00:00")
    assert "There are no such subjects." in typed("subjects", "-u", "nobody").out


def test_sessions_and_their_sizes(full, told, typed):
    def bytes_of(*parts):
        return sum(p.stat().st_size for p in full.store.joinpath(*parts).rglob("*") if p.is_file())

    rows = told("sessions", "-a", "JC1", "--include-size")
    assert [(r["dataset_name"], r["size"]) for r in rows] == [
        ("ephys_g0", bytes_of("JC1", SESSION, "ephys_g0")),
        ("task", bytes_of("JC1", SESSION, "task")),
    ]
    assert [r["files"] for r in rows] == [5, 2]
    assert len(told("sessions", "-a", "JC1", "JC2")) == len(told("sessions")) == 3
    assert "2 datasets, " in typed("sessions", "-a", "JC1", "--include-size").out
    assert "Did you mean 'JC1'?" in typed("sessions", "-a", "JC11", code=1).err


def test_get_restores_verified_files(full, told, tmp_path):
    cache = full.home / "cache"
    full.prefer(local_paths=[str(cache)])
    rows = told("get", "-a", "JC1", "-s", SESSION, "-d", "task")
    assert {Path(r["local_path"]).relative_to(cache).as_posix() for r in rows} == {
        f"JC1/{SESSION}/task/{name}" for name in FILES
    }
    assert all(
        Path(r["local_path"]).read_bytes() == FILES[Path(r["local_path"]).name] for r in rows
    )
    assert len(list(cache.rglob("*.*"))) == 2


def test_fault_12_get_takes_the_datasets_and_all_the_sessions_asked_for(full, told):
    def paths(*line):
        return {r["file_path"] for r in told("get", "--dry-run", *line)}

    task = paths("-a", "JC1", "-d", "task")
    assert {p.split("/")[2] for p in task} == {"task"}
    both = paths("-a", "JC1", "JC2", "-s", SESSION, "20240306_100000", "-d", "task")
    assert both == task | paths("-a", "JC2")
    assert len(both) == 4
    assert not list((full.home / "cache").rglob("*.*"))


def test_get_refuses_a_damaged_object(full, typed):
    cache = full.home / "cache"
    full.prefer(local_paths=[str(cache)])
    path = full.store / "JC1" / SESSION / "task" / "b.bin"
    content = bytearray(path.read_bytes())
    content[77] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    said = typed("get", "-a", "JC1", "-s", SESSION, "-d", "task", code=1).err
    assert "b.bin" in said
    assert hashlib.sha256(FILES["b.bin"]).hexdigest() in said
    assert not list(cache.rglob("b.bin"))


def test_get_verifies_what_is_here_already(full, typed):
    cache = full.home / "cache"
    full.prefer(local_paths=[str(cache)])
    line = ("get", "-a", "JC1", "-s", SESSION, "-d", "task")
    typed(*line)
    copy = cache / "JC1" / SESSION / "task" / "b.bin"
    content = bytearray(copy.read_bytes())
    content[7] ^= 1
    copy.write_bytes(content)
    said = typed(*line, code=1).err
    assert str(copy) in said and "differs from what was recorded" in said
    assert copy.read_bytes() == content  # it may be the user's own work
    copy.unlink()
    typed(*line)
    assert copy.read_bytes() == FILES["b.bin"]


def test_get_makes_no_folder_where_a_disk_should_be(full, typed, tmp_path):
    missing = tmp_path / "mnt" / "disk"
    full.prefer(local_paths=[str(missing)])
    said = typed("get", "-a", "JC1", "-s", SESSION, "-d", "task", code=1).err
    assert str(missing) in said and "Mount" in said
    assert not missing.parent.exists()


def test_get_of_a_wrong_name_among_several_fetches_nothing(full, typed):
    cache = full.home / "cache"
    full.prefer(local_paths=[str(cache)])
    said = typed("get", "-a", "JC1", "-s", SESSION, "20240305_10000", code=1).err
    assert "'20240305_10000'" in said and f"Did you mean '{SESSION}'?" in said
    assert "'tusk'" in typed("get", "-a", "JC1", "-d", "tusk", code=1).err
    assert not list(cache.rglob("*.*"))


def test_get_says_what_is_missing(full, typed):
    assert "no session 'x'" in typed("get", "-a", "JC1", "-s", "x", code=1).err
    assert "Did you mean" in typed("get", "-a", "JC3", code=1).err


def test_put_of_a_wrong_folder_is_one_error(lab_rig, typed, tmp_path):
    said = typed("put", tmp_path, code=1)
    assert said.out == ""
    place, message, hint = said.err.splitlines()
    assert place.endswith(" on this computer")
    assert message.startswith("labdata: ") and str(tmp_path) in message
    assert hint.startswith("  ")


def test_put_checks_every_folder_before_it_copies_one(lab_rig, typed, tmp_path):
    good = lab_rig.folder("JC1/20240306_100000/task", {"log.csv": b"1"})
    before = lab_rig.state()
    assert "not inside a local path" in typed("put", good, tmp_path, code=1).err
    assert lab_rig.state() == before


def test_put_lists_what_it_registered_before_a_later_folder_failed(lab_rig, typed, told):
    good = lab_rig.folder("JC1/20240306_100000/task", {"log.csv": b"1"})
    said = typed("put", good, good, code=1)
    assert "put already" in said.err
    (job,) = told("upload", "--queue")
    assert said.out.splitlines()[-1].split()[:2] == [str(job["job_id"]), "JC1"]


def test_a_start_with_a_time_zone_is_refused_as_its_zone_would_be_lost(lab_rig, typed):
    folder = lab_rig.folder("JC1/free/task", {"log.csv": b"1"})
    before = lab_rig.state()
    for zone in ("Z", "+02:00"):
        said = typed("put", folder, "--session-datetime", f"2026-01-01T00:00:00{zone}", code=1)
        assert "time zone" in said.err
    assert lab_rig.state() == before
    typed("put", folder, "--session-datetime", "2026-01-01T00:00:00")


def test_an_unknown_subject_beside_a_known_one_is_an_error(full, typed):
    assert "no subject 'JC3'" in typed("sessions", "-a", "JC1", "JC3", code=1).err


def test_run_makes_no_task_where_one_of_the_sessions_is_wrong(full, typed, told):
    line = ("run", "spikeinterface", "-a", "JC1", "-s", SESSION, "20990101_000000")
    assert "20990101_000000" in typed(*line, "--submit-only", code=1).err
    assert told("run", "--queue") == []


def test_a_put_that_was_wrong_is_taken_back_and_the_folder_put_anew(lab_rig, typed, told):
    folder = lab_rig.folder(f"JC1/{SESSION}/task", FILES)
    wrong = lab_rig.put(folder)
    before = lab_rig.state()[1:]
    assert f"`labdata upload {wrong} --cancel`" in typed("put", folder, code=1).err
    (row,) = told("upload", wrong, "--cancel")
    assert (row["job_status"], row["job_log"]) == (
        "CANCELLED",
        "cancelled; before it was ON SERVER",
    )
    assert lab_rig.state()[1:] == before, "no file is touched"
    assert told("upload", wrong, "--cancel")[0]["job_log"] == row["job_log"]
    assert told("upload") == told("upload", "--retry") == []
    assert "was cancelled" in typed("upload", wrong, code=1).err
    assert "same content" not in typed("put", folder).err
    (done,) = told("upload")
    assert done["job"] != wrong
    assert "is done" in typed("upload", done["job"], "--cancel", code=1).err
    assert "no upload job 99" in typed("upload", "99", "--cancel", code=1).err
    assert "jobs that are named" in typed("upload", "--cancel", code=1).err
    assert {p["job_status"] for p in told("upload", "--queue")} == {"CANCELLED", "COMPLETED"}


def test_a_job_that_is_being_uploaded_is_not_cancelled(lab_rig, typed):
    job_id = lab_rig.put(lab_rig.folder(f"JC1/{SESSION}/task", FILES))
    table = lab_rig.lab.UploadJob
    table.update1({"job_id": job_id, "job_status": "WORKING"})
    connection, said = lab_rig.lab.connection, []
    with worker_lock(connection, f"job.{table().database}.{job_id}") as alone:
        assert alone

        def cancel():  # connections are per thread
            said.append(typed("upload", job_id, "--cancel", code=1).err)

        thread = threading.Thread(target=cancel)
        thread.start()
        thread.join()
    assert "is being uploaded" in said[0]
    assert lab_rig.job(job_id)["job_status"] == "WORKING"
    typed("upload", job_id, "--cancel")  # its worker is gone
    assert lab_rig.job(job_id)["job_status"] == "CANCELLED"


def test_upload_of_a_failed_job_and_its_repair(lab_rig, typed, told):
    job_id = lab_rig.put(lab_rig.folder(f"JC1/{SESSION}/task", FILES))
    other = lab_rig.put(lab_rig.folder("JC2/20240306_100000/task", FILES))
    copy = lab_rig.server / f"JC1/{SESSION}/task/b.bin"
    copy.write_bytes(b"damaged")
    lab_rig.prefer(local_paths=[str(lab_rig.home / "cache")])  # the rig is another computer
    said = typed("upload", code=1)
    assert f"upload job {job_id} failed" in said.err
    assert "--retry" in said.err
    jobs = {row["job_id"]: row for row in told("upload", "--queue")}
    assert jobs[job_id]["job_status"] == "FAILED"
    assert "b.bin differs" in jobs[job_id]["job_log"]
    assert jobs[other]["job_status"] == "COMPLETED"  # one that fails does not stop the others
    again = typed("upload", job_id, "--retry", code=1)
    assert again.out == "", "that there was nothing to upload would be wrong"
    nothing = typed("upload").out
    assert "Nothing to upload. 1 job failed before" in nothing and "--retry" in nothing
    before = typed("upload", job_id, code=1).err
    assert f"\nlabdata: Upload job {job_id} failed before: " in before
    assert before.count("--retry") == 1, "the log's own advice is enough"
    copy.write_bytes(FILES["b.bin"])
    assert [row["job"] for row in told("upload", "--reset-failed")] == [job_id]
    assert f"upload job {job_id} was uploaded before." in typed("upload", job_id).err
    assert "\nlabdata: There is no upload job 99." in typed("upload", "99", code=1).err
    assert "no upload job 99" in typed("upload", "--queue", "99", code=1).err


def test_retry_takes_only_what_failed(lab_rig, typed, told):
    """What merely waits may be another's, put a moment ago."""
    failed = lab_rig.put(lab_rig.folder(f"JC1/{SESSION}/task", FILES))
    lab_rig.lab.UploadJob.update1({"job_id": failed, "job_status": "FAILED", "job_waiting": 0})
    waits = lab_rig.put(lab_rig.folder("JC2/20240306_100000/task", FILES))
    assert [row["job"] for row in told("upload", "--retry")] == [failed]
    assert lab_rig.job(waits)["job_status"] == "ON SERVER"
    assert "No job has failed." in typed("upload", "--retry").out
    assert lab_rig.job(waits)["job_status"] == "ON SERVER"
    assert [row["job"] for row in told("upload")] == [waits]


def test_advice_of_a_log_ends_with_what_it_was_for(lab_rig, typed, told):
    job_id = lab_rig.put(lab_rig.folder(f"JC1/{SESSION}/task", FILES))
    log = "b.bin differs.\nPut the original in its place and `labdata upload 1 --retry`."
    row = {"job_id": job_id, "job_status": "FAILED", "job_log": log, "job_waiting": 0}
    lab_rig.lab.UploadJob.update1(row)
    (row,) = told("upload", job_id, "--cancel")
    assert row["job_log"] == "cancelled; before it was FAILED: b.bin differs."


def test_what_was_read_elsewhere_is_noted_without_advice(lab_rig, told):
    job_id = lab_rig.put(lab_rig.folder(f"JC1/{SESSION}/task", FILES))
    (lab_rig.server / f"JC1/{SESSION}/task/b.bin").write_bytes(b"damaged")
    assert [row["job"] for row in told("upload")] == [job_id]  # the rig has it, too
    log = lab_rig.job(job_id)["job_log"]
    assert "instead" in log and "differs from what was put" in log
    assert "--retry" not in log and "original" not in log


def test_a_job_that_another_worker_has_is_said_so(lab_rig, typed):
    job_id = lab_rig.put(lab_rig.folder(f"JC1/{SESSION}/task", FILES))
    table, said = lab_rig.lab.UploadJob, []
    table.update1({"job_id": job_id, "job_status": "WORKING"})
    with worker_lock(lab_rig.lab.connection, f"job.{table().database}.{job_id}") as alone:
        assert alone
        thread = threading.Thread(target=lambda: said.append(typed("upload", job_id).err))
        thread.start()
        thread.join()
    assert f"upload job {job_id} is being uploaded by another worker" in said[0]


def test_a_row_is_one_line_to_a_pipe(lab_rig, typed):
    folder = lab_rig.folder(f"JC1/{SESSION}/{'task_' * 12}", dict.fromkeys(("a.bin",), b"1"))
    lab_rig.upload(lab_rig.put(folder))
    (lab_rig.store / folder.relative_to(lab_rig.rig) / "a.bin").unlink()
    lines = [x for x in typed("clean", "--list").out.splitlines() if "a.bin" in x]
    assert len(lines) == 2  # the rig's and the inbox's
    assert all("missing in the store; `labdata verify" in line for line in lines)


def test_a_project_has_its_own_subjects_jobs_and_sessions(lab_rig, typed, told):
    lab = lab_rig.project("P")
    lab_rig.add_subjects("PX1", lab=lab)
    assert [r["subject_name"] for r in told("subjects", "-p", "P")] == ["PX1"]
    assert [r["subject_name"] for r in told("subjects")] == ["JC1", "JC2"]
    folder = lab_rig.folder(f"PX1/{SESSION}/task", FILES)
    assert "'PX1'" in typed("put", folder, code=1).err
    (row,) = told("put", folder, "-p", "P")
    assert told("upload", "--queue") == []
    assert told("upload") == []
    said = typed("upload", row["job"], code=1).err
    assert "project 'P'" in said and "-p P" in said
    assert [r["job"] for r in told("upload", "-p", "P")] == [row["job"]]
    assert told("sessions") == []
    assert [r["subject_name"] for r in told("sessions", "-p", "P")] == ["PX1"]


def test_a_project_that_does_not_exist_is_not_made(lab_rig, typed):
    lab_rig.project("vision").Subject()
    schemas = lab_rig.lab.connection.query("SHOW DATABASES").fetchall()
    for line in (["subjects"], ["sessions", "-a", "JC1"], ["upload"], ["run", "--queue"]):
        said = typed(*line, "-p", "visoin", code=1).err
        assert "no project 'visoin'" in said
        assert "Did you mean 'vision'?" in said
    assert lab_rig.lab.connection.query("SHOW DATABASES").fetchall() == schemas


def test_sessions_name_the_uploads_that_they_do_not_show_yet(lab_rig, typed, told):
    job_id = lab_rig.put(lab_rig.folder(f"JC1/{SESSION}/task", FILES))
    other = lab_rig.put(lab_rig.folder("JC2/20240306_100000/task", FILES))
    said = typed("sessions", "-a", "JC1").out
    assert f"Upload {job_id} of JC1/{SESSION}/task waits." in said
    assert f"Upload {other} " not in said
    assert f"Upload {other} of JC2/20240306_100000/task waits." in typed("sessions").out
    assert told("sessions", "-a", "JC1") == []
    lab_rig.upload(job_id)
    assert "Upload" not in typed("sessions", "-a", "JC1").out


def test_run_works_on_everything_only_when_told_to(lab_rig, typed):
    assert "-a SUBJECT" in typed("run", "spikeinterface", code=2).err
    assert "one of them" in typed("run", "spikeinterface", "--all", "-a", "JC1", code=2).err
    assert "No dataset" in typed("run", "spikeinterface", "--all", code=1).err


def test_a_database_that_is_down_is_one_error(lab_rig, typed, monkeypatch):
    from labdata.database.connection import reset_connection

    reset_connection()
    lab_rig.lab.deactivate()
    for name, value in (("HOST", "127.0.0.1"), ("PORT", "1"), ("USER", "x"), ("PASS", "x")):
        monkeypatch.setenv(f"LABDATA_DATABASE_{name}", value)
    said = typed("subjects", code=1).err.splitlines()
    assert len(said) == 3
    assert said[0].endswith(" at 127.0.0.1")
    assert "127.0.0.1:1" in said[1]


def test_folders_without_files_are_not_left_out_in_silence(lab_rig, typed):
    folder = lab_rig.folder(f"JC1/{SESSION}/task", FILES)
    (folder / "video" / "cam0").mkdir(parents=True)
    said = typed("put", folder, "--dry-run").err
    assert f"2 empty folders in {folder} not put: video, video/cam0" in said
