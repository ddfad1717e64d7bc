"""``put`` guards against the wrong animal, finds the rule by the files, and serves many rigs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from labdata.errors import DatabaseError, RuleError, UploadError
from labdata.progress import ignore_progress
from labdata.rules import base, putting
from labdata.rules.putting import plan_put, put

SESSION = "20240305_100000"


def name_in_meta(folder, text):
    """Write what SpikeGLX was told into the metas of a run."""
    for meta in folder.rglob("*.meta"):
        lines = [x for x in meta.read_text().splitlines() if not x.startswith("userNotes=")]
        meta.write_text("\n".join([*lines, f"userNotes={text}", ""]))


def test_files_that_name_another_animal_are_not_put(lab_rig, small_run):
    folder = lab_rig.record(small_run.run_folder)
    name_in_meta(folder, "second day of JC2, left V1")
    before = lab_rig.state()
    with pytest.raises(UploadError, match=r"userNotes in .*meta says 'JC2', and this is put as"):
        lab_rig.put(folder)
    assert lab_rig.state() == before
    assert lab_rig.put(folder, subject_is_right=True)


def test_a_path_of_another_animal_is_not_put(lab_rig):
    folder = lab_rig.folder(f"JC2/{SESSION}/task", {"a.csv": b"1"})
    with pytest.raises(UploadError, match="path says 'JC2', you say 'JC1'"):
        lab_rig.put(folder, subject="JC1")
    job_id = lab_rig.put(folder, subject="JC1", subject_is_right=True)
    assert lab_rig.job(job_id)["subject_name"] == "JC1"


def test_a_file_named_after_another_animal_is_not_put(lab_rig):
    folder = lab_rig.folder(f"JC1/{SESSION}/task", {"JC2_log.csv": b"1", "a.csv": b"2"})
    before = lab_rig.state()
    with pytest.raises(UploadError, match=r"name 'JC2_log.csv' says 'JC2', and this is put as"):
        lab_rig.put(folder)
    assert lab_rig.state() == before
    assert lab_rig.put(folder, subject_is_right=True)


def test_the_rule_is_found_by_the_files_and_said(lab_rig, small_run):
    run = lab_rig.record(small_run.run_folder, f"JC1/{SESSION}/today")
    plan = plan_put(run)
    assert (plan.rule.name, plan.why_rule, plan.job["dataset_type"]) == ("ephys", "files", "ephys")
    assert plan_put(run, rule="none", dataset_type="ephys").why_rule == "said"
    other = plan_put(lab_rig.folder(f"JC1/{SESSION}/task", {"a.csv": b"1"}))
    assert (other.rule.name, other.why_rule) == ("none", "dataset type")


def test_two_rules_that_know_the_files_are_told(lab_rig, small_run, monkeypatch):
    run = lab_rig.record(small_run.run_folder)
    monkeypatch.setattr(base.find_rule("none").__class__, "recognises", lambda self, files: True)
    with pytest.raises(RuleError, match="several kinds: none, ephys") as caught:
        plan_put(run)
    assert "-r" in str(caught.value.hint)
    assert plan_put(run, rule="ephys")


def test_what_changed_since_the_plan_is_not_put(lab_rig):
    from labdata.rules.putting import put

    folder = lab_rig.folder(f"JC1/{SESSION}/task", {"a.csv": b"1", "b.csv": b"2"})
    plan = plan_put(folder)
    (folder / "a.csv").write_bytes(b"1 and more")
    before = lab_rig.counts()
    with pytest.raises(UploadError, match=r"a\.csv changed, appeared or vanished while"):
        put(plan)
    assert lab_rig.counts() == before
    assert [p for p in lab_rig.server.rglob("*") if p.is_file()] == []


@pytest.mark.slow
def test_why_it_is_not_put_is_told_also_if_the_database_is_away(lab_rig, monkeypatch):
    """Tidying up after it must not hide that the recording went on."""
    folder = lab_rig.folder("JC1/20240305_100000/task", {"a.bin": b"x", "b.bin": b"y"})
    plan = plan_put(folder)
    (folder / "b.bin").write_bytes(b"y and more")

    def away(*_, **__):
        raise DatabaseError("The database server cannot be reached.", hint="Is it up?")

    monkeypatch.setattr(putting, "server_lock", away)
    with pytest.raises(UploadError, match=r"b\.bin changed, appeared or vanished while"):
        put(plan)
    assert lab_rig.counts()["UploadJob"] == 0


def test_several_rigs_put_at_once(lab_rig):
    """Four processes, each with folders of its own, as four rigs into one inbox."""
    wanted, rigs = {}, []
    for rig in range(4):
        folders = []
        for number in range(3):
            content = os.urandom(200_000)
            place = f"JC1/2024030{rig + 1}_10000{number}/task"
            folders.append(lab_rig.folder(place, {"a.bin": content, f"{rig}.csv": b"1"}))
            wanted[f"{place}/a.bin"] = hashlib.sha256(content).hexdigest()
        command = [sys.executable, "-m", "labdata", "put", "--json", *map(str, folders)]
        rigs.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    for process in rigs:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    rows = (lab_rig.lab.UploadJob.AssignedFiles & 'src_path LIKE "%.bin"').fetch(as_dict=True)
    assert {row["src_path"]: row["src_sha256"] for row in rows} == wanted
    assert len({row["job_id"] for row in rows}) == 12
    for path, sha256 in wanted.items():
        assert hashlib.sha256((lab_rig.server / path).read_bytes()).hexdigest() == sha256


def test_a_put_that_comes_second_leaves_no_copies_in_the_inbox(lab_rig):
    """Another rig's, of one of the files with equal content, was registered meanwhile."""
    place = "JC1/20240305_100000/task"
    first = lab_rig.folder(place, {"a.bin": b"the same", "b.bin": b"only here"})
    other = lab_rig.home / "cache" / place
    other.mkdir(parents=True)
    (other / "a.bin").write_bytes(b"the same")
    plan = plan_put(first)
    number = put(plan_put(other))
    with pytest.raises(UploadError, match=f"put already, as upload job {number} "):
        put(plan)
    assert {path.name for path in (lab_rig.server / place).iterdir()} == {"a.bin"}
    assert {path.name for path in first.iterdir()} == {"a.bin", "b.bin"}


def test_a_put_that_is_refused_leaves_the_copy_that_another_has_found(lab_rig, monkeypatch):
    """One of a project that this account does not see: its job will need the copy."""
    place = "JC1/20240305_100000/task"
    first = lab_rig.folder(place, {"a.bin": b"the same", "b.bin": b"only here"})
    other = lab_rig.home / "cache" / place
    other.mkdir(parents=True)
    (other / "a.bin").write_bytes(b"the same")
    plan, unseen = plan_put(first), plan_put(other)
    modified_ns = (first / "a.bin").stat().st_mtime_ns

    def find_copies(*_):
        for path in unseen.files:
            putting._bring(unseen, path, {}, ignore_progress)
        raise UploadError("This project's own reason.")

    monkeypatch.setattr(putting, "require_same", find_copies)
    with pytest.raises(UploadError, match="own reason"):
        put(plan)
    (left,) = (lab_rig.server / place).iterdir()
    assert left.name == "a.bin"
    assert left.stat().st_mtime_ns == modified_ns


def test_a_folder_that_was_put_under_another_name_is_told(lab_rig, typed):
    """A copy for the wrong animal: what is equal in small files says nothing."""
    big, small = os.urandom(5000), b"setting=1\n"
    first = lab_rig.folder("JC1/20240305_100000/task", {"a.bin": big, "s.ini": small, "0": b""})
    assert "same content" not in typed("put", first).err
    copy = lab_rig.folder("JC2/20240306_100000/task", {"b.bin": big, "0": b""})
    said = typed("put", copy).err
    assert (
        "JC2/20240306_100000/task/b.bin has the same content as JC1/20240305_100000/task/a.bin, "
        "which was put as upload job 1 of JC1/20240305_100000/task." in said
    )
    other = lab_rig.folder("JC2/20240307_100000/task", {"c.bin": big[::-1], "s.ini": small})
    assert "same content" not in typed("put", other).err
    empty = lab_rig.folder("JC2/20240308_100000/task", {"1": b""})
    assert "same content" not in typed("put", empty).err


def test_files_that_are_added_to_a_dataset_are_told(lab_rig, typed):
    place = "JC1/20240305_100000"
    typed("put", lab_rig.folder(f"{place}/task", {"a.bin": b"1"}))
    other = lab_rig.folder(f"{place}/more", {"b.bin": b"2"})
    said = typed("put", other, "-d", "task").err
    assert f"Dataset {place}/task has files of upload job 1, too; these are added to it." in said
    typed("upload", "2", "--cancel")
    said = typed("put", other, "-d", "task2").err
    assert "are added" not in said
