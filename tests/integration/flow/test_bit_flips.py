"""One flipped bit, on any of the disks: never registered, and found before it is relied on.

Neither size nor time of a file tell (``flip`` keeps both). A bit that flips on the rig before the
first byte is read cannot be known; what is registered is then what was read, in all places.
"""

from __future__ import annotations

import os
import shutil

import pytest
from faults import all_is_right, findings, refused
from verify_lab import flip, repair, sha

from labdata.cli import main
from labdata.errors import IntegrityError, LabdataError, UploadError
from labdata.formats import spikeglx
from labdata.formats.zarr_band import compress_band, open_zarr_band
from labdata.rules import ephys, putting
from labdata.rules.cleaning import clean, plan_clean
from labdata.rules.upload_queue import retry_failed
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.schema.files import open_ranges

PLACE = "JC1/20240305_100000/task"
FILES = {"a.bin": os.urandom(70_000), "b.bin": os.urandom(9000)}

pytestmark = pytest.mark.usefixtures("own_lab_only")


def elsewhere(rig):
    """Let the rig be another computer than the one that uploads."""
    rig.prefer(local_paths=[str(rig.home / "cache")])


def failed(rig, job_id):
    assert rig.job(job_id)["job_status"] == "FAILED"
    assert len(rig.lab.File()) == len(rig.lab.Dataset()) == 0


def test_the_source_after_the_plan(lab_rig, outcomes):
    """Its time tells, as of any write; the copies that were made are taken back."""
    folder = lab_rig.folder(PLACE, FILES)
    plan = putting.plan_put(folder)
    right = (folder / "b.bin").read_bytes()
    flip(folder / "b.bin")
    os.utime(folder / "b.bin")
    assert "changed" in refused(lambda: putting.put(plan), UploadError).message
    assert not [p for p in lab_rig.server.rglob("*") if p.is_file()]
    (folder / "b.bin").write_bytes(right)
    lab_rig.upload(lab_rig.put(folder))
    all_is_right(lab_rig, 2)
    outcomes("put", "bit flipped in the source after the plan", 1, "UploadError", "completes")


def test_the_source_once_it_was_copied(lab_rig, monkeypatch, outcomes):
    """The copy is what counts; clean keeps the other, as it is not what was recorded."""
    folder = lab_rig.folder(PLACE, FILES)
    real = putting.copy_hashed

    def copy_then_flip(source, copy, **options):
        found = real(source, copy, **options)
        flip(source) if source.name == "a.bin" else None
        return found

    monkeypatch.setattr(putting, "copy_hashed", copy_then_flip)
    lab_rig.upload(lab_rig.put(folder))
    row = (lab_rig.lab.File & f'file_path = "{PLACE}/a.bin"').fetch1()
    assert row["file_sha256"] == sha(FILES["a.bin"])
    kept = {one.path: one.kept for one in clean(plan_clean()) if one.kept}
    assert kept == {folder / "a.bin": "differs from what was recorded"}
    all_is_right(lab_rig, 2)
    outcomes("put", "bit flipped in the source once copied", 1, "right; clean keeps it", "-")


@pytest.mark.parametrize("name", list(FILES))
def test_the_inbox_before_the_upload(lab_rig, name, outcomes):
    job_id = lab_rig.put(lab_rig.folder(PLACE, FILES))
    elsewhere(lab_rig)
    flip(lab_rig.server / PLACE / name)
    error = refused(lambda: lab_rig.upload(job_id), IntegrityError)
    assert f"{name} differs from what was put" in error.message
    assert f"`labdata upload {job_id} --retry`" in error.hint
    failed(lab_rig, job_id)
    stored = {p.name: p.read_bytes() for p in lab_rig.store.rglob("*") if p.is_file()}
    assert stored.items() <= FILES.items() - {(name, FILES[name])}
    (lab_rig.server / PLACE / name).write_bytes(FILES[name])
    assert main(["upload", str(job_id), "--retry"]) == 0
    all_is_right(lab_rig, 2)
    outcomes("upload", f"bit flipped in the inbox ({name})", 1, "FAILED", "completes")


def test_the_inbox_after_it_was_verified(lab_rig, monkeypatch, outcomes):
    from labdata.rules.plain import PlainRule

    job_id = lab_rig.put(lab_rig.folder(PLACE, FILES))
    real, path = PlainRule.apply, lab_rig.server / PLACE / "b.bin"
    monkeypatch.setattr(PlainRule, "apply", lambda *a: flip(path) and real(*a))
    lab_rig.upload(job_id)  # from the rig's own folder, as both are on one computer
    assert "Read from" in lab_rig.job(job_id)["job_log"]
    all_is_right(lab_rig, 2)
    outcomes("upload", "bit flipped in the inbox at the last moment", 1, "right", "-")


@pytest.mark.parametrize("when", ["before the events", "before compressing", "before comparing"])
def test_the_recording_while_its_rule_reads_it(lab_rig, small_run, monkeypatch, when, outcomes):
    """A digital line flipped after the band was hashed would be an event that never was."""
    job_id = lab_rig.put(lab_rig.record(small_run.run_folder))
    (path,) = lab_rig.server.rglob("*.ap.bin")
    right = path.read_bytes()
    module, name = {
        "before the events": (spikeglx.runs, "read_digital_events"),
        "before compressing": (ephys, "compress_band"),
        "before comparing": (ephys, "verify_band"),
    }[when]
    real = getattr(module, name)

    def flip_first(source, *rest, **options):
        if source == path:
            flip(path, byte=len(right) - 2)  # the last word is that of the digital lines
        return real(source, *rest, **options)

    monkeypatch.setattr(module, name, flip_first)
    refused(lambda: lab_rig.upload(job_id), IntegrityError)
    failed(lab_rig, job_id)
    monkeypatch.setattr(module, name, real)
    path.write_bytes(right)
    retry_failed(lab_rig.lab, [job_id])
    lab_rig.upload(job_id)
    all_is_right(lab_rig, len(lab_rig.lab.File()))
    outcomes("upload", f"bit flipped in the recording {when}", 1, "FAILED", "completes")


@pytest.mark.parametrize("when", ["before it is compared", "before it is stored"])
def test_the_compressed_file(lab_rig, small_run, monkeypatch, when, outcomes):
    """Stored with a checksum of the damaged content, it would be right for ever."""
    job_id = lab_rig.put(lab_rig.record(small_run.run_folder))
    real = ephys.verify_band

    def flipped(raw, stored):
        if when == "before it is compared":
            flip(stored, byte=stored.stat().st_size // 2)
        real(raw, stored)
        if when == "before it is stored":
            flip(stored, byte=stored.stat().st_size // 2)

    monkeypatch.setattr(ephys, "verify_band", flipped)
    refused(lambda: lab_rig.upload(job_id), IntegrityError)
    failed(lab_rig, job_id)
    assert not list(lab_rig.store.rglob("*.zarr.zip"))
    monkeypatch.setattr(ephys, "verify_band", real)
    retry_failed(lab_rig.lab, [job_id])
    lab_rig.upload(job_id)
    all_is_right(lab_rig, len(lab_rig.lab.File()))
    outcomes("upload", f"bit flipped in the compressed file {when}", 1, "FAILED", "completes")


def test_the_store_after_the_upload(lab_rig, outcomes):
    """Only a repair mends it, from any copy; until then nobody is given it, or cleans on it."""
    folder = lab_rig.folder(PLACE, FILES)
    lab_rig.upload(lab_rig.put(folder))
    damaged = lab_rig.store / PLACE / "a.bin"
    flip(damaged)
    assert findings(lab_rig) == [("content", f"{PLACE}/a.bin")]
    kept = {one.path: one.kept for one in clean(plan_clean()) if one.kept}
    assert set(kept) == {folder / "a.bin", lab_rig.server / PLACE / "a.bin"}
    (why,) = set(kept.values())
    assert why.startswith("the store has other content under its path; `labdata verify --everyth")
    rows = (lab_rig.lab.File & f'file_path = "{PLACE}/a.bin"').fetch(as_dict=True)
    cache = lab_rig.home / "cache"
    error = refused(lambda: fetch_planned(plan_fetch(rows, folders=[cache])), IntegrityError)
    assert "do not use it" in error.hint
    assert not [p for p in cache.rglob("*") if p.is_file()]
    shutil.rmtree(folder)  # the inbox's is the last
    repair(lab_rig)
    (beside,) = damaged.parent.glob("a.bin.damaged-*")
    beside.unlink()
    all_is_right(lab_rig, 2)
    (path,) = fetch_planned(plan_fetch(rows, folders=[cache]))
    assert path.read_bytes() == FILES["a.bin"]
    outcomes("get, clean, verify", "bit flipped in the store", 1, "refused; found", "by repair")


def test_a_recording_read_in_place(lab_rig, small_run, outcomes):
    """Each chunk has a checksum, so reading the damaged one raises."""
    folder = lab_rig.record(small_run.run_folder)
    lab_rig.upload(lab_rig.put(folder))
    shutil.rmtree(folder)
    (stored,) = lab_rig.store.rglob("*.ap.zarr.zip")
    flip(stored, byte=stored.stat().st_size // 2)
    row = (lab_rig.lab.File & 'file_path LIKE "%.zarr.zip"').fetch1()
    with pytest.raises(LabdataError, match="damaged"):
        _ = open_zarr_band(open_ranges(row)).samples[:]
    (original,) = [one for one in clean(plan_clean()) if one.path.name.endswith(".ap.bin")]
    assert original.kept
    # only a repair mends it: from the original, which gives the same file to the last bit
    assert findings(lab_rig) == [("content", row["file_path"])]
    shutil.copytree(lab_rig.store, lab_rig.rig, dirs_exist_ok=True)  # for the meta
    again = lab_rig.rig / row["file_path"]
    shutil.copy(original.path, again.parent)
    again.unlink()
    compress_band(again.parent / original.path.name, again)
    repair(lab_rig)
    assert findings(lab_rig) == []
    outcomes("open, clean", "bit flipped in a stored recording", 1, "refused", "by repair")
