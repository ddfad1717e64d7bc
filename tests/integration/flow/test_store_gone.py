"""A store that goes away while a file is on its way to it, or is not there when it should be."""

from __future__ import annotations

import contextlib
import os
import shutil

import pytest
from faults import MIB, all_is_right, findings, refused, remount, small_disk, unmount, use_store

from labdata.errors import LabdataError, StoreAwayError, StoreError
from labdata.rules.cleaning import clean, plan_clean
from labdata.rules.upload_queue import retry_failed
from labdata.stores import checksums

PLACE = "JC1/20240305_100000/task"
FILES = {"a.bin": os.urandom(3000), "b.bin": os.urandom(9000)}

pytestmark = pytest.mark.usefixtures("own_lab_only")


class AfterWrite:
    """A writer that something happens to in the midst of its first block."""

    def __init__(self, writer, fault):
        self.writer, self.fault = writer, fault

    def write(self, block):
        self.writer.write(block[:1000])
        self.writer.flush()
        if self.fault:
            fault, self.fault = self.fault, None
            fault()
        self.writer.write(block[1000:])

    def __getattr__(self, name):
        return getattr(self.writer, name)


@pytest.fixture
def at_block(monkeypatch):
    """Do something when the first bytes of the n-th file have been written to the store."""

    def arrange(number, fault):
        real, seen = checksums.partial_file, []

        @contextlib.contextmanager
        def partial_file(folder):
            with real(folder) as (writer, path):
                seen.append(path)
                yield (AfterWrite(writer, fault) if len(seen) == number else writer), path

        monkeypatch.setattr(checksums, "partial_file", partial_file)

    return arrange


def put_and_retry(rig, job_id):
    retry_failed(rig.lab, [job_id])
    rig.upload(job_id)
    all_is_right(rig, len(FILES))


def nothing_registered(rig, job_id, state="FAILED"):
    assert len(rig.lab.File()) == len(rig.lab.Dataset()) == 0
    assert rig.job(job_id)["job_status"] == state
    assert {p.name: p.read_bytes() for p in (rig.server / PLACE).iterdir()} == FILES


@pytest.mark.parametrize("file_number", [1, 2])
def test_the_folder_is_moved_away_in_mid_file(lab_rig, at_block, file_number, outcomes):
    store, away = lab_rig.home / "store", lab_rig.home / "away"
    store.mkdir()
    use_store(lab_rig, store)
    job_id = lab_rig.put(lab_rig.folder(PLACE, FILES))
    at_block(file_number, lambda: store.rename(away))
    error = refused(lambda: lab_rig.upload(job_id), StoreError)
    assert str(store) in error.message
    assert not store.exists()  # it is not made anew on whatever disk is below
    nothing_registered(lab_rig, job_id, "WAITING")
    refused(lambda: lab_rig.upload(job_id), StoreAwayError)
    assert not store.exists()
    for left in away.rglob(".labdata-partial-*"):
        left.unlink()  # `labdata garbage` does after a day
    away.rename(store)
    lab_rig.upload(job_id)
    all_is_right(lab_rig, len(FILES))
    outcomes("upload", f"store moved away in file {file_number}", 1, "WAITING", "completes")


@pytest.mark.parametrize("file_number", [1, 2])
def test_the_disk_becomes_read_only_in_mid_file(lab_rig, at_block, file_number, outcomes):
    with small_disk(lab_rig.home / "disk", MIB) as disk:
        use_store(lab_rig, disk)
        job_id = lab_rig.put(lab_rig.folder(PLACE, FILES))
        names = []

        def fault():
            names.extend(p.name for p in (disk / PLACE).iterdir())
            remount_ro(disk)

        at_block(file_number, fault)
        error = refused(lambda: lab_rig.upload(job_id), StoreError)
        assert "Read-only file system" in error.message and "read-only" in error.hint
        nothing_registered(lab_rig, job_id)
        remount(disk, "rw")
        put_and_retry(lab_rig, job_id)
    outcomes("upload", f"store read-only in file {file_number}", 1, "FAILED", "completes")


def remount_ro(disk):
    """As the kernel does after an error of the disk: also while a file is open for writing."""
    from faults import mount

    if not mount("-o", "remount,ro", disk):  # it is busy: cover it by a view that is read-only
        assert mount("--bind", disk, disk)
        assert mount("-o", "remount,ro,bind", disk)


def test_the_disk_is_pulled_in_mid_file(lab_rig, at_block, outcomes):
    """What is left is an empty mount point, which looks like a store that is new."""
    with small_disk(lab_rig.home / "disk", MIB) as disk:
        use_store(lab_rig, disk)
        job_id = lab_rig.put(lab_rig.folder(PLACE, FILES))
        at_block(2, lambda: unmount(disk))
        error = refused(lambda: lab_rig.upload(job_id), StoreError)
        assert str(disk) in error.message
        nothing_registered(lab_rig, job_id)
        assert list(disk.iterdir()) == []
    with small_disk(lab_rig.home / "disk", MIB) as disk:
        put_and_retry(lab_rig, job_id)
    outcomes("upload", "store's disk pulled in mid-file", 1, "FAILED", "completes")


def test_an_empty_mount_point_takes_no_uploads(lab_rig, outcomes):
    store, hidden = lab_rig.home / "store", lab_rig.home / "hidden"
    store.mkdir()
    use_store(lab_rig, store)
    lab_rig.upload(lab_rig.put(lab_rig.folder(PLACE, FILES)))
    other = {"c.bin": b"c"}
    job_id = lab_rig.put(lab_rig.folder("JC2/20240306_100000/task", other))
    store.rename(hidden)
    store.mkdir()
    error = refused(lambda: lab_rig.upload(job_id), StoreAwayError)
    assert "is empty, and the database has 2 of its files" in error.message
    assert "Mount it" in error.hint and f"touch '{store}" in error.hint
    assert list(store.iterdir()) == []
    assert lab_rig.job(job_id)["job_status"] == "WAITING"
    assert findings(lab_rig) == [("unreadable", "")]
    kept = clean(plan_clean())
    assert all(one.kept for one in kept) and len(kept) == 6
    store.rmdir()
    hidden.rename(store)
    lab_rig.upload(job_id)
    all_is_right(lab_rig, 3)
    outcomes("upload", "the store's disk is not mounted", 1, "WAITING, says so", "completes")


def test_a_store_that_begins_anew_can_be_said_to(lab_rig):
    store = lab_rig.home / "store"
    store.mkdir()
    use_store(lab_rig, store)
    lab_rig.upload(lab_rig.put(lab_rig.folder(PLACE, FILES)))
    shutil.rmtree(store)
    store.mkdir()
    job_id = lab_rig.put(lab_rig.folder("JC2/20240306_100000/task", {"c.bin": b"c"}))
    with pytest.raises(LabdataError, match="is empty"):
        lab_rig.upload(job_id)
    (store / ".labdata-store").touch()
    retry_failed(lab_rig.lab, [job_id])
    lab_rig.upload(job_id)
    # only a repair mends what is gone
    assert sorted(findings(lab_rig)) == [("missing", f"{PLACE}/{n}") for n in sorted(FILES)]
    from verify_lab import repair

    repair(lab_rig)
    assert findings(lab_rig) == []
