"""``put``: everything arrives and is registered, or nothing is changed."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time

import pytest

from labdata.errors import IntegrityError, LabdataError, UploadError
from labdata.rules import putting
from labdata.rules.putting import plan_put, put
from labdata.testing import write_spikeglx_run

FILES = {"a.csv": b"1,2\n", "deep er/Größe 1.tif": b"\0" * 5000, "c.bin": os.urandom(70_000)}
PLAIN = "JC1/20240305_100000/task"


def files_of(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_put_registers_the_hash_of_every_file_and_the_inbox_is_equal(lab_rig, small_run):
    folder = lab_rig.record(small_run.run_folder)
    job_id = lab_rig.put(folder)
    wanted = {f"JC1/20240305_100000/ephys_g0/{k}": v for k, v in files_of(folder).items()}
    rows = (lab_rig.lab.UploadJob.AssignedFiles & {"job_id": job_id}).fetch(as_dict=True)
    assert {r["src_path"]: r["src_sha256"] for r in rows} == wanted
    assert {r["src_path"]: r["src_size"] for r in rows} == {
        p: (lab_rig.rig / p).stat().st_size for p in wanted
    }
    assert files_of(lab_rig.server) == wanted
    job = lab_rig.job(job_id)
    assert (job["job_status"], job["job_waiting"], job["job_rule"]) == ("ON SERVER", 1, "ephys")
    assert (job["subject_name"], job["session_name"]) == ("JC1", "20240305_100000")
    assert (job["dataset_name"], job["dataset_type"]) == ("ephys_g0", "ephys")
    assert job["session_datetime"].isoformat() == "2024-03-05T10:00:00"
    assert job["project_name"] is None
    assert len(lab_rig.lab.Session()) == 0  # made by the upload, with the rest


def test_a_plan_changes_nothing(lab_rig, small_run):
    folder = lab_rig.record(small_run.run_folder)
    before = lab_rig.state()
    plan = plan_put(folder)
    assert plan.size_bytes == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert lab_rig.state() == before


def test_names_with_spaces_and_accents_arrive_as_they_are(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    lab_rig.put(folder)
    assert files_of(lab_rig.server / PLAIN) == files_of(folder)
    paths = set(lab_rig.lab.UploadJob.AssignedFiles.fetch("src_path"))
    assert f"{PLAIN}/deep er/Größe 1.tif" in paths


def test_without_an_inbox_the_local_path_is_the_inbox(lab_rig):
    lab_rig.prefer(upload_path=None)
    folder = lab_rig.folder(PLAIN, FILES)
    before = files_of(lab_rig.rig)
    lab_rig.put(folder)
    assert files_of(lab_rig.rig) == before
    assert files_of(lab_rig.server) == {}
    assert len(lab_rig.lab.UploadJob.AssignedFiles()) == 3


# --- refusals ------------------------------------------------------------------------------------


def refused(rig, folder, *words, **options):
    """Put is refused by one clear error, and nothing has changed."""
    before = rig.state()
    with pytest.raises(LabdataError) as caught:
        rig.put(folder, **options)
    said = str(caught.value)
    assert all(word in said for word in words), said
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert rig.state() == before
    return said


def bands(folder, pattern):
    return sorted(folder.rglob(pattern))[0]


def test_a_cut_binary_is_refused(lab_rig, small_run):
    folder = lab_rig.record(small_run.run_folder)
    path = bands(folder, "*.ap.bin")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    refused(lab_rig, folder, path.name)


@pytest.mark.parametrize("missing", ["*.ap.bin", "*.ap.meta", "*.nidq.meta"])
def test_half_a_pair_is_refused(lab_rig, small_run, missing):
    folder = lab_rig.record(small_run.run_folder)
    path = bands(folder, missing)
    path.unlink()
    refused(lab_rig, folder, path.name)


def test_an_unknown_subject_is_refused_and_the_nearest_named(lab_rig, small_run):
    folder = lab_rig.record(small_run.run_folder, "JC11/20240305_100000/ephys_g0")
    refused(lab_rig, folder, "'JC11'", "Did you mean 'JC1'?")
    lower = lab_rig.folder("jc1/20240305_100000/task", FILES)
    refused(lab_rig, lower, "'jc1'")


def test_a_folder_outside_the_local_paths_is_refused(lab_rig, tmp_path):
    folder = tmp_path / "elsewhere" / PLAIN
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    refused(lab_rig, folder, str(folder), str(lab_rig.rig))
    refused(lab_rig, lab_rig.rig, "a local path itself", "SUBJECT/SESSION/DATASET")


def test_what_is_no_folder_is_refused(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    refused(lab_rig, folder / "a.csv", "not a folder")
    refused(lab_rig, folder / "nothing", "There is no", "spelled")


def test_an_empty_folder_is_refused(lab_rig):
    folder = lab_rig.rig / PLAIN
    folder.mkdir(parents=True)
    (folder / ".DS_Store").write_bytes(b"x")
    refused(lab_rig, folder, "holds no files")


@pytest.mark.parametrize("to_folder", [False, True])
def test_a_link_inside_is_refused(lab_rig, tmp_path, to_folder):
    folder = lab_rig.folder(PLAIN, FILES)
    target = tmp_path / "outside"
    target.mkdir() if to_folder else target.write_bytes(b"1")
    (folder / "link").symlink_to(target)
    refused(lab_rig, folder, "link")


def test_a_pipe_inside_is_refused(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    os.mkfifo(folder / "pipe")
    refused(lab_rig, folder, "pipe is neither a file nor a folder")


def test_the_same_folder_twice_is_refused(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    job_id = lab_rig.put(folder)
    refused(lab_rig, folder, f"upload job {job_id}", "ON SERVER")
    lab_rig.upload(job_id)
    refused(lab_rig, folder, f"upload job {job_id}", "COMPLETED")


def test_runs_that_are_not_of_one_recording_are_refused(lab_rig, small_run, tmp_path):
    folder = lab_rig.record(small_run.run_folder)
    write_spikeglx_run(folder, run_name="other", duration_s=1.0, n_channels=4, n_units=1)
    refused(lab_rig, folder, "different numbers of channels", "ephys_g0_t0", "other_g0_t0")


def test_ephys_without_a_run_is_refused(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    refused(lab_rig, folder, "no SpikeGLX run", rule="ephys")


def test_a_session_that_is_no_date_needs_its_start(lab_rig):
    folder = lab_rig.folder("JC1/monday/task", FILES)
    refused(lab_rig, folder, "'monday'", "--session-datetime")
    refused(lab_rig, lab_rig.folder("JC1/20241345_990000/task", FILES), "--session-datetime")


def test_a_session_given_by_hand_is_read_as_a_date_too(lab_rig):
    folder = lab_rig.folder("incoming/today/task", FILES)
    plan = plan_put(folder, subject="JC1", session="20240305_100000")
    assert plan.job["session_datetime"].isoformat() == "2024-03-05T10:00:00"
    refused(lab_rig, folder, "'monday'", subject="JC1", session="monday")


def test_the_meta_says_when_a_session_started_if_its_name_does_not(lab_rig, small_run):
    folder = lab_rig.record(small_run.run_folder, "JC1/monday/ephys_g0")
    assert plan_put(folder).job["session_datetime"].isoformat() == "2024-03-05T10:00:00"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rule": "ephyz"}, ("'ephyz'", "ephys")),
        ({"experimenter": "nobody"}, ("'nobody'", "couto")),
        ({"dataset_type": "ephyss"}, ("'ephyss'", "ephys")),
        ({"subject": "../JC1"}, ("subject_name", "'../JC1'")),
        ({"session": "a/b"}, ("session_name", "'a/b'")),
        ({"dataset": "x" * 200}, ("dataset_name", "128")),
        ({"dataset": "task "}, ("dataset_name", "'task '")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_unknown_words_are_refused(lab_rig, options, words):
    refused(lab_rig, lab_rig.folder(PLAIN, FILES), *words, **options)


def test_a_path_that_does_not_say_the_dataset_is_refused(lab_rig):
    refused(lab_rig, lab_rig.folder("JC1/20240305_100000", FILES), "dataset_name", "-d")


def test_a_store_that_is_not_described_is_refused(lab_rig):
    lab_rig.prefer(upload_storage="dta")
    refused(lab_rig, lab_rig.folder(PLAIN, FILES), "upload_storage is 'dta'", "there are: data")


def test_paths_that_cannot_be_stored_are_refused_before_copying(lab_rig):
    refused(lab_rig, lab_rig.folder(f"{PLAIN}_1", {"a\\b": b"1"}), "backslash")
    refused(lab_rig, lab_rig.folder(f"{PLAIN}_2", {"a\nb": b"1"}), "control character")
    refused(lab_rig, lab_rig.folder(f"{PLAIN}_3", {f"{'x' * 200}/{'y' * 200}": b"1"}), "390")
    refused(lab_rig, lab_rig.folder(f"{PLAIN}_4", {"a": b"1", "A": b"2"}), "only in case")
    refused(lab_rig, lab_rig.folder(f"{PLAIN}_5", {"é": b"1", "e": b"2"}), "accents")


def test_a_database_that_is_down_is_one_error(lab_rig, monkeypatch):
    folder = lab_rig.folder(PLAIN, FILES)
    from labdata.database.connection import reset_connection

    before = files_of(lab_rig.server)
    reset_connection()
    lab_rig.lab.deactivate()
    with monkeypatch.context() as away:
        away.setenv("LABDATA_DATABASE_HOST", "127.0.0.1")
        away.setenv("LABDATA_DATABASE_PORT", "1")
        away.setenv("LABDATA_DATABASE_USER", "nobody")
        away.setenv("LABDATA_DATABASE_PASS", "x")
        with pytest.raises(LabdataError, match=r"127\.0\.0\.1:1"):
            lab_rig.put(folder)
    assert files_of(lab_rig.server) == before
    reset_connection()


def test_a_typo_in_the_preferences_is_one_error(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    lab_rig.lab.activate()
    lab_rig.prefer(upload_pth="/x")
    refused(lab_rig, folder, "upload_pth", "upload_path")


def test_an_inbox_that_is_not_mounted_is_an_error_and_not_made(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    lab_rig.prefer(upload_path=str(lab_rig.home / "mount"))
    refused(lab_rig, folder, "mount")
    assert not (lab_rig.home / "mount").exists()


def test_other_content_in_the_inbox_is_never_overwritten(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    there = lab_rig.server / PLAIN / "c.bin"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"someone else's")
    refused(lab_rig, folder, "c.bin", "other content")


def test_fault_41_a_copy_of_a_killed_put_whose_source_changed_is_named(
    lab_rig, monkeypatch, run_child
):
    folder = lab_rig.folder(PLAIN, FILES)

    def work():
        putting.require_same = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        lab_rig.put(folder)

    assert run_child(work) == -signal.SIGKILL
    (folder / "c.bin").write_bytes(b"recorded again")
    copy = lab_rig.server / PLAIN / "c.bin"
    with pytest.raises(IntegrityError) as caught:
        lab_rig.put(folder)
    assert str(copy) in str(caught.value)
    assert str(folder / "c.bin") in str(caught.value)
    assert "remove it" in caught.value.hint
    # the way out that the error names
    copy.unlink()
    lab_rig.put(folder)
    assert files_of(lab_rig.server / PLAIN) == files_of(folder)


# --- while somebody writes -----------------------------------------------------------------------


def test_a_run_that_is_being_written_is_refused(lab_rig, small_run):
    folder = lab_rig.record(small_run.run_folder)
    path, stop = bands(folder, "*.ap.bin"), threading.Event()

    def acquire():
        while not stop.wait(0.05):
            with path.open("ab") as file:
                file.write(b"\0" * 18)

    writer = threading.Thread(target=acquire)
    counts, inbox = lab_rig.counts(), files_of(lab_rig.server)
    writer.start()
    try:
        with pytest.raises(LabdataError, match=r"ap\.bin"):
            lab_rig.put(folder)
    finally:
        stop.set()
        writer.join()
    assert (lab_rig.counts(), files_of(lab_rig.server)) == (counts, inbox)


@pytest.mark.parametrize("name", ["a.csv", "c.bin", "new"])
@pytest.mark.parametrize("remount", [False, True])
def test_a_file_that_grows_after_its_own_copy_is_seen(lab_rig, monkeypatch, name, remount):
    """The first file copied is whole when it is read, and changes while the last one is."""
    folder = lab_rig.folder(PLAIN, FILES)
    if remount:
        lab_rig.prefer(upload_path=None)
    plan = plan_put(folder)
    hashing = "hash_file" if remount else "copy_hashed"
    real, calls = getattr(putting, hashing), []

    def slow(path, *args, **options):
        calls.append(path)
        result = real(path, *args, **options)
        if len(calls) == 3:
            with (folder / name).open("ab") as file:
                file.write(b"more")
        return result

    monkeypatch.setattr(putting, hashing, slow)
    counts, inbox = lab_rig.counts(), files_of(lab_rig.server)
    with pytest.raises(UploadError, match=name):
        put(plan)
    assert (lab_rig.counts(), files_of(lab_rig.server)) == (counts, inbox)
    monkeypatch.setattr(putting, hashing, real)
    job_id = lab_rig.put(folder)  # at rest, it is taken as it now is
    rows = (lab_rig.lab.UploadJob.AssignedFiles & {"job_id": job_id}).fetch(as_dict=True)
    assert {r["src_path"].removeprefix(f"{PLAIN}/"): r["src_sha256"] for r in rows} == files_of(
        folder
    )


def test_fault_41_a_source_that_changes_during_its_copy_is_refused(lab_rig):
    folder = lab_rig.folder(PLAIN, FILES)
    plan = plan_put(folder)
    before = (lab_rig.counts(), files_of(lab_rig.server))

    def meddle(_):
        with (folder / "c.bin").open("r+b") as file:
            file.write(os.urandom(10))
        time.sleep(0.002)

    with pytest.raises(LabdataError, match="changed"):
        put(plan, progress=meddle)
    assert (lab_rig.counts(), files_of(lab_rig.server)) == before


# --- killed, and two at once ---------------------------------------------------------------------


@pytest.mark.parametrize("step", ["first copy", "in the middle of a copy", "all copies"])
def test_put_killed_and_repeated_ends_in_the_same_state(lab_rig, monkeypatch, step, run_child):
    folder = lab_rig.folder(PLAIN, FILES)
    plan = plan_put(folder)
    real = putting.copy_hashed

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def copy(path, *args, **options):
        if step == "in the middle of a copy":
            options["progress"] = die
        result = real(path, *args, **options)
        if step == "first copy":
            die()
        return result

    def work():
        putting.copy_hashed = copy
        if step == "all copies":
            putting.require_same = die
        put(plan)

    assert run_child(work) == -signal.SIGKILL
    assert len(lab_rig.lab.UploadJob()) == 0
    job_id = lab_rig.put(folder)
    whole = {k: v for k, v in files_of(lab_rig.server / PLAIN).items() if "partial" not in k}
    assert whole == files_of(folder)
    assert len(lab_rig.lab.UploadJob()) == 1
    assert len(lab_rig.lab.UploadJob.AssignedFiles & {"job_id": job_id}) == 3
    assert lab_rig.upload(job_id).n_files == 3


def test_of_two_puts_of_one_folder_one_registers_it(lab_rig, run_child):
    folder = lab_rig.folder(PLAIN, FILES)
    plan = plan_put(folder)
    gate = lab_rig.home / "gate"

    def work():
        while not gate.exists():
            time.sleep(0.001)
        try:
            put(plan)
        except UploadError as error:
            assert "put already" in str(error)
            os._exit(3)

    children = [threading.Thread(target=lambda: codes.append(run_child(work))) for _ in range(3)]
    codes: list[int] = []
    for child in children:
        child.start()
    time.sleep(0.3)
    gate.touch()
    for child in children:
        child.join()
    assert sorted(codes) == [0, 3, 3]
    assert len(lab_rig.lab.UploadJob()) == 1
    assert len(lab_rig.lab.UploadJob.AssignedFiles()) == 3
    assert files_of(lab_rig.server / PLAIN) == files_of(folder)


# --- projects ------------------------------------------------------------------------------------


def test_a_job_belongs_to_the_project_it_was_put_with(lab_rig):
    lab = lab_rig.project("P")
    lab_rig.add_subjects("JC1", lab=lab)
    folder = lab_rig.folder(PLAIN, FILES)
    assert lab.Project.fetch("project_name").tolist() == ["P"]
    job_id = lab_rig.put(folder, lab=lab)
    assert lab_rig.job(job_id)["project_name"] == "P"


def test_the_data_stay_where_they_are(lab_rig, small_run):
    folder = lab_rig.record(small_run.run_folder)
    before = files_of(folder)
    lab_rig.upload(lab_rig.put(folder))
    assert files_of(folder) == before
