"""What a put says of names, types and files that may not be meant, before anything is copied."""

from __future__ import annotations

import os
from datetime import datetime

import pytest

from labdata.errors import UploadError
from labdata.rules.planning import plan_put

SESSION = "20240305_100000"
OTHER = "20240306_100000"


def make(rig, name="task", content=None, *, age_s=3600.0):
    folder = rig.folder(f"JC1/{SESSION}/{name}", content or {"a.csv": b"123"})
    for path in folder.rglob("*"):
        then = path.stat().st_mtime - age_s
        os.utime(path, (then, then))
    return folder


def test_what_is_as_the_path_says_needs_no_word(lab_rig):
    assert plan_put(make(lab_rig), lab=lab_rig.lab).notes == ()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"session": OTHER}, f"path says session_name {SESSION!r}; it is put as {OTHER!r}"),
        ({"dataset": "task_b"}, "path says dataset_name 'task'; it is put as 'task_b'"),
    ],
)
def test_a_name_that_is_not_the_paths_is_told(lab_rig, said, words):
    (note,) = plan_put(make(lab_rig), lab=lab_rig.lab, **said).notes
    assert words in note


def test_an_animal_that_the_lab_has_not_yet_is_told(lab_rig):
    """The path says it, and what is said may be left from the command before."""
    folder = lab_rig.folder(f"JC9/{SESSION}/task", {"a.csv": b"123"})
    notes = plan_put(folder, subject="JC1", lab=lab_rig.lab).notes
    assert "The path says subject_name 'JC9'; it is put as 'JC1', as said." in notes


def test_a_dataset_without_a_type_is_told(lab_rig):
    folder = make(lab_rig, "video")
    (note,) = plan_put(folder, lab=lab_rig.lab).notes
    assert "type dataset 'video' is" in note and "-t TYPE" in note
    assert plan_put(folder, lab=lab_rig.lab, dataset_type="task-training").notes == ()


def test_a_file_that_was_written_just_now_is_told(lab_rig):
    (note,) = plan_put(make(lab_rig, age_s=10), lab=lab_rig.lab).notes
    assert note.startswith("a.csv was written to 1") and "not put" in note


def test_the_command_says_it_also_before(lab_rig, typed):
    folder = make(lab_rig, "video", age_s=5)
    said = typed("put", str(folder), "--dry-run", "-s", OTHER).err
    assert OTHER in said and "-t TYPE" in said and "s ago" in said


@pytest.mark.parametrize("rule", [None, "ephys"])
def test_a_type_that_the_rule_has_not_is_refused(lab_rig, small_run, typed, rule):
    folder = lab_rig.record(small_run.run_folder)
    before = lab_rig.state()
    with pytest.raises(UploadError, match="'nonsense' is no dataset_type"):
        plan_put(folder, rule=rule, dataset_type="nonsense", lab=lab_rig.lab)
    with pytest.raises(UploadError, match="'ephys' is for datasets of type 'ephys', you say 'im"):
        plan_put(folder, rule=rule, dataset_type="imaging-2p", lab=lab_rig.lab)
    assert "is no dataset_type" in typed("put", str(folder), "-t", "x", "--dry-run", code=1).err
    assert lab_rig.state() == before
    plan = plan_put(folder, rule=rule, dataset_type="ephys", lab=lab_rig.lab)
    assert plan.job["dataset_type"] == "ephys"


def test_a_second_put_says_what_changed_and_what_is_new(lab_rig):
    folder = make(lab_rig, content={"a.csv": b"123", "b.csv": b"1"})
    number = lab_rig.put(folder)
    with pytest.raises(UploadError) as caught:
        lab_rig.put(folder)
    assert "bytes now" not in caught.value.message and "beside it" not in caught.value.message
    (folder / "b.csv").write_bytes(b"1234")  # not the first of the files
    (folder / "c.csv").write_bytes(b"5")
    with pytest.raises(UploadError) as caught:
        lab_rig.put(folder)
    path = f"JC1/{SESSION}/task"
    assert f"{path}/b.csv has 4 bytes now, 1 when it was put." in caught.value.message
    assert f"1 file beside it was not put then: {path}/c.csv." in caught.value.message
    assert f"`labdata upload {number} --cancel` takes it back" in caught.value.hint


def test_after_the_upload_it_says_how_what_is_there_now_can_be_kept(lab_rig):
    folder = make(lab_rig)
    lab_rig.upload(lab_rig.put(folder))
    (folder / "a.csv").write_bytes(b"12345")
    (folder / "c.csv").write_bytes(b"5")
    with pytest.raises(UploadError) as caught:
        lab_rig.put(folder)
    assert "rename its folder" in caught.value.hint
    assert "a folder of their own" in caught.value.hint
    assert "--cancel" not in caught.value.hint


def test_what_is_said_of_a_session_that_is_there_is_not_dropped_without_a_word(lab_rig):
    """Its start and its animal's times stand in the database: whoever said others should know."""
    first, second = datetime(2026, 1, 1, 10), datetime(2026, 1, 1, 15)
    lab = lab_rig.lab
    folder = lab_rig.folder("JC1/first/task", {"a.bin": b"x"})
    lab_rig.upload(lab_rig.put(folder, session_datetime=first, dataset_type="task-training"))
    for name in ("task", "other"):
        more = lab_rig.folder(f"JC1/first/{name}/more", {"b.bin": b"xx"})
        said = {"session": "first", "dataset": name, "dataset_type": "imaging-2p", "lab": lab}
        notes = plan_put(more, session_datetime=second, **said).notes
        kept = [note for note in notes if "which stays" in note]
        start = f"session_datetime {first}, which stays: {second} is not used."
        kind = "dataset_type task-training, which stays: imaging-2p is not used."
        assert [start in note or kind in note for note in kept] == [True] * len(kept)
        assert len(kept) == (2 if name == "task" else 1)
        assert not [n for n in plan_put(more, **said).notes if "datetime" in n]
    (start,) = lab.Session.fetch("session_datetime")
    assert start == first


def test_two_folders_of_a_new_session_that_began_at_two_times_are_told(lab_rig, typed):
    folders = [lab_rig.folder(f"JC1/first/{n}", {"a.bin": n.encode()}) for n in ("t1", "t2", "t3")]
    one = lab_rig.put(folders[0], session_datetime=datetime(2026, 1, 1, 10))
    said = typed("put", folders[1], "--session-datetime", "2026-01-01T15:00:00").err
    words = f"began at 2026-01-01 15:00:00, upload job {one} says 2026-01-01 10:00:00"
    assert words in " ".join(said.split())
    typed("upload", one + 1, "--cancel")
    assert "began" not in typed("put", folders[2], "--session-datetime", "2026-01-01T10:00:00").err


def test_an_inbox_that_is_empty_though_jobs_wait_for_it_is_told(lab_rig, typed):
    """Its share is not mounted: put would fill the disk below, and the server never gets it."""
    mounted, empty = lab_rig.server, lab_rig.home / "mnt"
    empty.mkdir()
    folders = [lab_rig.folder(f"JC1/{SESSION}/{n}", {"a.bin": n.encode()}) for n in "abcd"]
    number = lab_rig.put(folders[0])

    def said(folder, inbox):
        lab_rig.prefer(upload_path=str(inbox))
        return " ".join(typed("put", folder, "--dry-run").err.split())

    note = f"The inbox {empty} is empty, and upload job {number} waits"
    assert note in said(folders[1], empty)
    assert "The inbox" not in said(folders[1], mounted)
    assert "The inbox" not in said(folders[1], lab_rig.rig), "the rig is the server"
    lab_rig.prefer(upload_path=str(mounted))
    lab_rig.upload(number)
    assert "The inbox" not in said(folders[1], empty), "all is done, and it was cleaned"
