"""What is missing or damaged put back from a verified copy, killed wherever it is."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from verify_lab import (
    CONTENT,
    FOLDER,
    check,
    facts,
    flip,
    kept,
    path_of,
    put_copy,
    repair,
    second_store,
    stored_content,
)

from labdata.database.locks import worker_lock
from labdata.errors import DatabaseError, StoreError
from labdata.schema import repairing
from labdata.schema.repairing import plan_repair, repair_planned
from labdata.stores import LocalStore


@pytest.mark.parametrize("place", ["local", "inbox", "store"])
@pytest.mark.parametrize("fault", ["missing", "size", "content"])
def test_an_object_is_put_back_from_a_copy(stored, place, fault):
    folder = {"local": stored.home / "cache", "inbox": stored.server}.get(place)
    copy = put_copy(folder or second_store(stored), "6.bin")
    path, damaged = path_of(stored, "6.bin"), {}
    if fault == "missing":
        path.unlink()
    elif fault == "size":
        os.truncate(path, 100)
        damaged = {"6.bin.damaged-20260301": CONTENT["6.bin"][:100]}
    else:
        damaged = {"6.bin.damaged-20260301": flip(path)}
    report = check(stored, everything=True)
    (finding,) = report.findings
    assert finding.kind == fault
    assert finding.copies == (str(copy) if folder else "store mirror",)
    told = []
    (done,) = repair_planned(stored.lab, plan_repair(stored.lab, report), progress=told.append)
    assert (done.state, sum(told)) == ("restored", len(CONTENT["6.bin"]))
    assert finding.copies[0] in done.message
    assert stored_content(stored) == CONTENT
    assert kept(stored) == damaged
    assert copy.read_bytes() == CONTENT["6.bin"]
    assert path.stat().st_nlink == 1, "the copy and the object are two files"
    after = check(stored, everything=True)
    assert facts(after) == []
    assert after.orphans.n_objects == len(damaged) + (place == "store")
    assert list((stored.home / "scratch").glob("*")) == []


def test_what_is_damaged_twice_on_a_day_is_kept_twice(stored):
    put_copy(stored.rig, "6.bin")
    first = flip(path_of(stored, "6.bin"), 1)
    assert repair(stored)[0].state == "restored"
    second = flip(path_of(stored, "6.bin"), 2)
    assert repair(stored)[0].state == "restored"
    third = CONTENT["6.bin"][:5]
    path_of(stored, "6.bin").write_bytes(third)
    assert repair(stored)[0].state == "restored"
    assert list(kept(stored).values()) == [first, second, third]
    assert stored_content(stored) == CONTENT


def test_a_damaged_copy_is_never_used(stored):
    damaged = flip(path_of(stored, "6.bin"))
    wrong = bytearray(CONTENT["6.bin"])
    wrong[0] ^= 1
    put_copy(stored.rig, "6.bin", bytes(wrong))
    put_copy(second_store(stored), "6.bin", damaged)
    before = stored.state()
    (done,) = repair(stored)
    assert (done.state, done.finding.copies) == ("no copy", ())
    assert stored.state() == before
    # the right one is found behind the wrong ones
    put_copy(stored.server, "6.bin")
    (done,) = repair(stored)
    assert done.state == "restored"
    assert stored_content(stored) == CONTENT


def test_a_copy_that_goes_bad_after_the_plan_is_not_used(stored, monkeypatch):
    copy = put_copy(stored.rig, "6.bin")
    damaged = flip(path_of(stored, "6.bin"))
    report = check(stored, everything=True)
    plan = plan_repair(stored.lab, report)
    flip(copy)
    (done,) = repair_planned(stored.lab, plan)
    assert done.state == "no copy"
    copy.write_bytes(CONTENT["6.bin"])
    real = repairing._keep

    def keep(*args):
        flip(copy)  # at the last moment
        return real(*args)

    monkeypatch.setattr(repairing, "_keep", keep)
    (done,) = repair_planned(stored.lab, plan)
    assert done.state == "refused" and str(copy) in done.message
    assert path_of(stored, "6.bin").read_bytes() == damaged


def test_where_the_store_cannot_be_written_the_damaged_object_is_still_there(stored, monkeypatch):
    put_copy(stored.rig, "6.bin")
    damaged = flip(path_of(stored, "6.bin"))

    def full(*args, **options):
        raise StoreError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put", full)
        (done,) = repair(stored)
    assert (done.state, done.message) == ("refused", "The disk is full.")
    assert stored_content(stored) == CONTENT | {"6.bin": damaged}
    assert list(kept(stored).values()) == [damaged]
    assert repair(stored)[0].state == "restored"
    assert list(kept(stored).values()) == [damaged]


def test_one_that_cannot_be_put_back_does_not_stop_the_others(stored):
    for name in ("1.bin", "6.bin", "8.bin"):
        path_of(stored, name).unlink()
    put_copy(stored.rig, "1.bin")
    put_copy(stored.rig, "8.bin")
    states = {done.finding.file_path.rpartition("/")[2]: done.state for done in repair(stored)}
    assert states == {"1.bin": "restored", "6.bin": "no copy", "8.bin": "restored"}


def test_a_row_that_changed_after_the_plan_is_left_alone(stored):
    put_copy(stored.rig, "6.bin")
    path_of(stored, "6.bin").unlink()
    plan = plan_repair(stored.lab, check(stored))
    stored.lab.connection.query(
        f"UPDATE {stored.lab.File.full_table_name} SET file_size=1 WHERE file_path=%s",
        (f"{FOLDER}/6.bin",),
    )
    (done,) = repair_planned(stored.lab, plan)
    assert done.state == "refused" and "changed" in done.message
    assert not path_of(stored, "6.bin").exists()


def test_two_do_not_repair_at_once(stored):
    put_copy(stored.rig, "6.bin")
    path_of(stored, "6.bin").unlink()
    plan = plan_repair(stored.lab, check(stored))
    base = stored.lab.connection._preferences.name

    refused = []

    def other():
        with pytest.raises(DatabaseError, match="Somebody") as caught:
            repair_planned(stored.lab, plan)
        refused.append(caught.value)

    with worker_lock(stored.lab.connection, f"objects.{base}") as alone:
        assert alone
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1 and not path_of(stored, "6.bin").exists()
    assert repair_planned(stored.lab, plan)[0].state == "restored"
    assert repair_planned(stored.lab, plan)[0].state == "right"


STEPS = ["find_copies", "copy", "verify_file", "delete", "put", "stat"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_and_repeated_the_object_is_right(
    stored, step, moment, run_child, monkeypatch
):
    put_copy(stored.rig, "6.bin")
    damaged = flip(path_of(stored, "6.bin"))
    plan = plan_repair(stored.lab, check(stored, everything=True))
    on_store = step in ("copy", "delete", "put", "stat")
    holder = LocalStore if on_store else repairing
    real = getattr(holder, step)
    put = []

    def kill(*args, **options):
        # of the looks at the object, the last one, after it was put
        now = step != "stat" or put
        if now and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **options)
        if step == "find_copies":
            result = iter(list(result))
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def note_put(*args, real=LocalStore.put, **options):
        put.append(True)
        return real(*args, **options)

    def work():
        if step != "put":
            monkeypatch.setattr(LocalStore, "put", note_put)
        monkeypatch.setattr(holder, step, kill)
        repair_planned(stored.lab, plan)

    assert run_child(work) == -signal.SIGKILL
    # whatever was done, what was damaged is still somewhere, and nothing else was touched
    left = stored_content(stored)
    assert damaged in (left.get("6.bin"), *kept(stored).values())
    assert left.get("6.bin") in (None, damaged, CONTENT["6.bin"])
    assert left | {"6.bin": b""} == CONTENT | {"6.bin": b""}
    was_right = left.get("6.bin") == CONTENT["6.bin"]
    assert [done.state for done in repair(stored)] == ([] if was_right else ["restored"])
    assert stored_content(stored) == CONTENT
    assert list(kept(stored).values()) == [damaged]
    assert facts(check(stored, everything=True)) == []


def test_what_the_store_reads_back_is_compared(stored, monkeypatch):
    put_copy(stored.rig, "6.bin")
    path_of(stored, "6.bin").unlink()
    plan = plan_repair(stored.lab, check(stored))
    real = LocalStore.put

    def put(self, source, object_path, **options):
        info = real(self, source, object_path, **options)
        flip(path_of(stored, "6.bin"))
        return info

    monkeypatch.setattr(LocalStore, "put", put)
    (done,) = repair_planned(stored.lab, plan)
    assert done.state == "refused" and "reads back something else" in done.message
