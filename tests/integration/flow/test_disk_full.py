"""A full disk, wherever a command writes: said with the room there is, and a rerun completes."""

from __future__ import annotations

import os
import re
import shutil

import pytest
from faults import KIB, MIB, all_is_right, refused, remount, small_disk, use_store

from labdata.cli import main
from labdata.errors import StoreError
from labdata.schema.fetching import fetch_planned, plan_fetch

SESSION = "20240305_100000"
PLACE = f"JC1/{SESSION}/task"
FILES = {"a.bin": os.urandom(100 * KIB), "b.bin": os.urandom(300 * KIB)}
FULL = r"No space left on device \(.* of .* now free on {}\)"

pytestmark = pytest.mark.usefixtures("own_lab_only")


def says_full(error, disk):
    assert re.search(FULL.format(re.escape(str(disk))), error.message), error.message
    assert "Free some space" in error.hint


def named(folder):
    """Files under their final names; nothing else may be left of an attempt."""
    found = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert not [name for name in found if "partial" in name]
    return found


def test_the_inbox_at_put(lab_rig, outcomes):
    folder = lab_rig.folder(PLACE, FILES)
    with small_disk(lab_rig.server, 256 * KIB):
        says_full(refused(lambda: lab_rig.put(folder), StoreError), lab_rig.server)
        assert named(lab_rig.server).items() <= FILES.items()
        assert named(folder) == FILES
        assert len(lab_rig.lab.UploadJob()) == 0
        remount(lab_rig.server, f"size={MIB}")
        lab_rig.upload(lab_rig.put(folder))
        assert named(lab_rig.server) == FILES
    all_is_right(lab_rig, 2)
    outcomes("put", "the inbox's disk is full", 1, "StoreError with the room", "completes")


def test_the_store_at_upload(lab_rig, outcomes):
    with small_disk(lab_rig.home / "disk", 256 * KIB) as disk:
        use_store(lab_rig, disk)
        job_id = lab_rig.put(lab_rig.folder(PLACE, FILES))
        error = refused(lambda: lab_rig.upload(job_id), StoreError)
        says_full(error, disk)
        assert named(disk) == {"a.bin": FILES["a.bin"]}
        assert named(lab_rig.server) == FILES
        assert len(lab_rig.lab.File()) == 0
        job = lab_rig.job(job_id)
        assert job["job_status"] == "FAILED" and "now free on" in job["job_log"]
        remount(disk, f"size={MIB}")
        assert main(["upload", str(job_id), "--retry"]) == 0
        all_is_right(lab_rig, 2)
    outcomes("upload", "the store's disk is full", 1, "FAILED with the room", "completes")


@pytest.mark.parametrize("size_bytes", [4 * KIB, 64 * KIB, 128 * KIB])
def test_the_scratch_disk_at_upload(lab_rig, small_run, size_bytes, outcomes):
    """Compressed files are written there first: from the first byte on, or in the midst."""
    job_id = lab_rig.put(lab_rig.record(small_run.run_folder))
    with small_disk(lab_rig.home / "scratch", size_bytes) as disk:
        error = refused(lambda: lab_rig.upload(job_id), StoreError)
        says_full(error, disk)
        assert list(disk.iterdir()) == []
        assert len(lab_rig.lab.File()) == len(lab_rig.lab.EphysRecording()) == 0
        assert lab_rig.job(job_id)["job_status"] == "FAILED"
        remount(disk, f"size={32 * MIB}")
        assert main(["upload", str(job_id), "--retry"]) == 0
    all_is_right(lab_rig, len(lab_rig.lab.File()))
    assert len(lab_rig.lab.EphysRecording()) == 1
    outcomes("upload", f"{size_bytes} B of scratch", 1, "FAILED with the room", "completes")


def test_a_scratch_folder_that_cannot_be_made(lab_rig, outcomes):
    job_id = lab_rig.put(lab_rig.folder(PLACE, FILES))
    with small_disk(lab_rig.home / "disk", MIB) as disk:
        lab_rig.prefer(scratch_path=str(disk / "scratch"))
        remount(disk, "ro")
        error = refused(lambda: lab_rig.upload(job_id), StoreError)
        assert f"the scratch folder {disk}" in error.message and "Read-only" in error.message
        remount(disk, "rw")
        assert main(["upload", str(job_id), "--retry"]) == 0
    all_is_right(lab_rig, 2)
    outcomes("upload", "scratch is read-only", 1, "FAILED, says the folder", "completes")


def test_the_local_folder_at_get(lab_rig, outcomes):
    folder = lab_rig.folder(PLACE, FILES)
    lab_rig.upload(lab_rig.put(folder))
    shutil.rmtree(folder)
    rows = lab_rig.lab.File.fetch(as_dict=True)
    with small_disk(lab_rig.home / "small", 256 * KIB) as disk:
        error = refused(lambda: fetch_planned(plan_fetch(rows, folders=[disk])), StoreError)
        says_full(error, disk)
        assert named(disk).items() <= FILES.items()
        assert "b.bin" not in named(disk)
        remount(disk, f"size={MIB}")
        fetch_planned(plan_fetch(rows, folders=[disk]))
        assert named(disk) == FILES
    all_is_right(lab_rig, 2)
    outcomes("get", "the local disk is full", 1, "StoreError with the room", "completes")
