"""Stores compared with the database: what is found, and when; what is said of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
import time
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verify_lab import (
    CONTENT,
    DAY,
    FOLDER,
    SESSION,
    SIZE_BYTES,
    check,
    day_of,
    facts,
    flip,
    kept,
    path_of,
    put_copy,
    repair,
    sha,
    stored_content,
)

from labdata.cli import main
from labdata.errors import QueryError
from labdata.schema.repairing import plan_repair, repair_planned
from labdata.schema.verify_note import read_note
from labdata.schema.verify_plan import DAYS, part_of, plan_verify
from labdata.stores import LocalStore

# --- what is found ----------------------------------------------------------------------


def test_nothing_is_wrong_and_all_is_counted(stored):
    report = check(stored, everything=True)
    assert facts(report) == []
    assert (report.n_objects, report.size_bytes) == (14, SIZE_BYTES + 5)
    assert (report.n_read, report.read_bytes) == (14, SIZE_BYTES + 5)
    assert (report.orphans.n_objects, report.orphans.unknown) == (0, "")
    told = []
    check(stored, everything=True, progress=told.append)
    assert sum(told) == SIZE_BYTES + 5


@given(st.text(max_size=20), st.text(max_size=60), st.integers(1, 400), st.dates())
def test_a_file_is_in_exactly_one_part_and_its_day_comes(storage, path, days, first):
    first = min(first, date.max - timedelta(days=days))
    part = part_of(storage, path, days)
    assert 0 <= part < days
    read_on = [n for n in range(days) if (first.toordinal() + n) % days == part]
    assert len(read_on) == 1


def test_parts_are_even_and_stay_what_they_are():
    counts = [0] * 30
    for n in range(30_000):
        counts[part_of("data", f"JC{n % 7}/{n}/a.bin", 30)] += 1
    assert min(counts) > 850 and max(counts) < 1150  # five standard deviations of 1000
    # written down: another hash would read some files twice in a round and others never
    assert part_of("data", "JC1/a.bin", 30) == int(sha(b"data\0JC1/a.bin")[:16], 16) % 30


def test_daily_runs_read_each_file_once_in_a_round(stored):
    read = []
    for n in range(7):
        plan = plan_verify(stored.lab, days=7, today=DAY + timedelta(days=n))
        read += [file.file_path for file in plan.due]
        report = check(stored, days=7, today=DAY + timedelta(days=n))
        assert (report.n_read, report.read_bytes) == (len(plan.due), plan.read_bytes)
        assert report.full_round_by == DAY + timedelta(days=n + 6)
    assert sorted(read) == sorted([*(f"{FOLDER}/{name}" for name in CONTENT), "JC1/model.bin"])


def test_a_flipped_bit_is_found_by_the_day_its_part_comes(stored):
    damaged = flip(path_of(stored, "5.bin"))
    expected = [("data", f"{FOLDER}/5.bin", "content", sha(CONTENT["5.bin"]), sha(damaged))]
    days = [DAY + timedelta(days=n) for n in range(DAYS)]
    found = {day: facts(check(stored, today=day)) for day in days}
    # and from then on each day: it is not forgotten
    assert [day for day in days if found[day]] == [d for d in days if d >= day_of("5.bin")]
    assert all(found[day] == expected for day in days if found[day])
    assert facts(check(stored, everything=True)) == expected


def test_what_is_missing_or_cut_is_found_every_day(stored):
    path_of(stored, "1.bin").unlink()
    os.truncate(path_of(stored, "2.bin"), 77)
    result = stored.home / "labdata" / "storage" / "analysis" / "JC1" / "model.bin"
    result.write_bytes(b"longer than it was")
    for day in (DAY, DAY + timedelta(days=13)):
        assert sorted(facts(check(stored, today=day)), key=str) == [
            ("analysis", "JC1/model.bin", "size", 5, 18),
            ("data", f"{FOLDER}/1.bin", "missing", len(CONTENT["1.bin"]), None),
            ("data", f"{FOLDER}/2.bin", "size", len(CONTENT["2.bin"]), 77),
        ]


def test_rows_are_not_asked_for_one_by_one(stored, monkeypatch):
    asked = []
    real = LocalStore.stat

    def stat(self, path, **options):
        asked.append((path, options.get("verify", False)))
        return real(self, path, **options)

    monkeypatch.setattr(LocalStore, "stat", stat)
    plan = plan_verify(stored.lab, today=DAY)
    check(stored)
    assert sorted(asked) == sorted((file.file_path, True) for file in plan.due)


def test_a_store_that_is_away_is_not_missing_its_files(stored, tmp_path):
    away = tmp_path / "disk"
    stored.prefer(
        storage={
            "data": {"protocol": "local", "path": str(away)},
            "analysis": {
                "protocol": "local",
                "path": str(stored.home / "labdata" / "storage" / "analysis"),
            },
        }
    )
    report = check(stored, everything=True)
    ((storage, path, kind, n_files, reason),) = facts(report)
    assert (storage, path, kind, n_files) == ("data", "", "unreadable", len(CONTENT))
    assert str(away) in reason
    assert (report.n_objects, report.n_read) == (1, 1)  # the other store was compared
    away.mkdir()  # the mount point of a disk that is not mounted
    ((_, path, kind, n_files, reason),) = facts(check(stored))
    assert (path, kind, n_files) == ("", "unreadable", len(CONTENT))
    assert "mounted" in reason


def test_a_store_that_the_preferences_do_not_have_is_told(stored):
    row = {"file_path": "JC1/old.bin", "storage": "attic", "file_size": 9}
    stored.lab.File.insert1({**row, "file_datetime": "2026-01-01"})
    ((storage, path, kind, n_files, reason),) = facts(check(stored))
    assert (storage, path, kind, n_files) == ("attic", "", "unreadable", 1)
    assert "attic" in reason
    assert facts(check(stored, stores=["data"])) == []
    with pytest.raises(QueryError, match="'dat'") as caught:
        check(stored, stores=["dat"])
    assert "'data'" in caught.value.hint


@pytest.mark.parametrize("path", ["../rig/secret.bin", "JC1/../../x", "/etc/hostname"])
def test_a_path_that_leaves_the_store_is_told_and_never_followed(stored, path, monkeypatch):
    (stored.rig / "secret.bin").write_bytes(b"secret")
    row = {"file_path": path, "storage": "data", "file_size": 6, "file_sha256": sha(b"secret")}
    stored.lab.File.insert1({**row, "file_datetime": "2026-01-01"})
    report = check(stored, everything=True)
    ((storage, found, kind, recorded, reason),) = facts(report)
    assert (storage, found, kind, recorded) == ("data", path, "unreadable", 6)
    assert "object path" in reason
    assert report.findings[0].copies == ()
    before = stored.state()
    (done,) = repair_planned(stored.lab, plan_repair(stored.lab, report))
    assert done.state == "refused"
    assert stored.state() == before


def test_a_link_in_the_store_is_no_object(stored):
    path = path_of(stored, "1.bin")
    path.rename(stored.rig / "1.bin")
    path.symlink_to(stored.rig / "1.bin")
    ((_, _, kind, _, reason),) = facts(check(stored))
    assert kind == "unreadable" and "symbolic link" in reason


def test_an_object_without_a_file_is_counted_and_no_finding(stored, typed):
    left = stored.store / "JC9" / "left.bin"
    left.parent.mkdir()
    left.write_bytes(b"1234567")
    report = check(stored)
    assert (facts(report), report.orphans.n_objects, report.orphans.size_bytes) == ([], 1, 7)
    said = typed("verify").out
    assert "1 object with 7 B that no file refers to: `labdata garbage` lists them." in said


def test_a_file_of_an_older_lab_is_compared_by_its_md5(stored):
    table = stored.lab.File.full_table_name
    for name in ("3.bin", "4.bin"):
        stored.lab.connection.query(
            f"UPDATE {table} SET file_sha256=NULL, file_md5=%s WHERE file_path=%s",
            (hashlib.md5(CONTENT[name]).hexdigest(), f"{FOLDER}/{name}"),
        )
    assert facts(check(stored, everything=True)) == []
    damaged = flip(path_of(stored, "4.bin"))
    recorded, found = (hashlib.md5(c).hexdigest() for c in (CONTENT["4.bin"], damaged))
    assert facts(check(stored, everything=True)) == [
        ("data", f"{FOLDER}/4.bin", "content", recorded, found)
    ]
    copy = stored.rig / FOLDER / "4.bin"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT["4.bin"])
    (done,) = repair(stored)
    assert done.state == "restored"
    assert path_of(stored, "4.bin").read_bytes() == CONTENT["4.bin"]


def test_a_file_without_a_checksum_is_said_to_be_one(stored):
    table = stored.lab.File.full_table_name
    stored.lab.connection.query(
        f"UPDATE {table} SET file_sha256=NULL WHERE file_path=%s", (f"{FOLDER}/3.bin",)
    )
    report = check(stored, everything=True)
    assert (report.n_read, report.n_without_checksum) == (13, 1)
    assert any("1 file" in line and "checksum" in line for line in report.notes())


def test_few_are_read_at_once_and_an_interruption_ends_it(stored, monkeypatch):
    lock, running, most, begun = threading.Lock(), [0], [0], []
    real = LocalStore.stat

    def slow(self, path, **options):
        with lock:
            begun.append(path)
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.03)
        try:
            return real(self, path, **options)
        finally:
            with lock:
                running[0] -= 1

    monkeypatch.setattr(LocalStore, "stat", slow)
    assert check(stored, everything=True).ok
    assert (most[0], len(begun)) == (3, 14)
    begun.clear()

    def stop(n_bytes):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(stored, everything=True, progress=stop)


def test_what_vanishes_after_the_listing_is_not_called_missing(stored, monkeypatch):
    real = LocalStore.list

    def vanish(self, folder=""):
        found = list(real(self, folder))
        shutil.rmtree(stored.store / "JC1", ignore_errors=True)  # a disk that is pulled out
        return iter(found)

    monkeypatch.setattr(LocalStore, "list", vanish)
    report = check(stored, everything=True, stores=["data"])
    assert {finding.kind for finding in report.findings} == {"unreadable"}
    assert len(report.findings) == len(CONTENT)


@pytest.mark.parametrize("days", [0, -3])
def test_days_are_at_least_one(stored, days):
    with pytest.raises(QueryError, match=str(days)):
        check(stored, days=days)


# --- the commands ----------------------------------------------------------------------


def test_the_command_says_repairs_only_with_apply_and_ends_with_its_code(stored, typed):
    size = f"14 objects, {SIZE_BYTES / 1024:.1f} KiB"
    out = typed("verify", "--everything").out
    last = f"14 of them read ({SIZE_BYTES / 1024:.1f} KiB), everything."
    assert out == f"Nothing is wrong. {size}: all compared by size; {last}\n"
    copy = put_copy(stored.rig, "6.bin")
    damaged = flip(path_of(stored, "6.bin"))
    path_of(stored, "1.bin").unlink()
    before = stored.state()
    for line in (["verify", "--everything"], ["verify", "--everything", "--repair"]):
        out = typed(*line, code=1).out
        assert f"{FOLDER}/6.bin" in out and str(copy) in out and "missing" in out
        assert out.splitlines()[-1].startswith("2 findings. 14 objects")
        assert stored.state() == before
    assert "Nothing is put back yet: add --apply." in out
    out = typed("verify", "--everything", "--repair", "--apply", code=1).out
    assert f"data: {FOLDER}/6.bin: restored: from {copy}" in out
    assert f"kept as {FOLDER}/6.bin.damaged-" in out
    assert "NO COPY IS LEFT" in out
    assert stored_content(stored) == {k: v for k, v in CONTENT.items() if k != "1.bin"}
    assert list(kept(stored).values()) == [damaged]
    put_copy(stored.rig, "1.bin")
    typed("verify", "--repair", "--apply")  # all of it is mended
    assert stored_content(stored) == CONTENT
    assert "--repair" in typed("verify", "--apply", code=2).err


def test_machines_get_numbers(stored, capsys):
    path_of(stored, "1.bin").unlink()
    os.truncate(path_of(stored, "2.bin"), 77)
    put_copy(stored.rig, "2.bin")
    assert main(["verify", "--everything", "--repair", "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert content["findings"] == [
        {
            "storage": "data",
            "file_path": f"{FOLDER}/1.bin",
            "kind": "missing",
            "recorded": len(CONTENT["1.bin"]),
            "found": None,
            "copies": [],
        },
        {
            "storage": "data",
            "file_path": f"{FOLDER}/2.bin",
            "kind": "size",
            "recorded": len(CONTENT["2.bin"]),
            "found": 77,
            "copies": [str(stored.rig / FOLDER / "2.bin")],
        },
    ]
    numbers = (content["ok"], content["n_objects"], content["size_bytes"], content["n_read"])
    assert numbers == (False, 14, SIZE_BYTES + 5, 12)
    assert [r["state"] for r in content["repairs"]] == ["no copy", "planned"]


def test_of_what_is_lost_all_that_is_known_is_said(stored):
    path_of(stored, "1.bin").unlink()
    (stored.home / "labdata" / "storage" / "analysis" / "JC1" / "model.bin").unlink()
    (stored.home / "labdata" / "storage" / "analysis" / "other").write_bytes(b"")
    job = stored.job(1)
    put_copy(stored.rig, "1.bin", b"\0" * len(CONTENT["1.bin"]))
    said = {done.finding.storage: done.message for done in repair(stored)}
    assert "NO COPY IS LEFT" in said["data"]
    for word in (
        "Upload job 1 ",
        job["job_host"],
        f"JC1/{SESSION}/task",
        f"rig: {FOLDER}/1.bin (",
    ):
        assert word in said["data"]
    assert f"{job['job_endtime']:%Y-%m-%d}" in said["data"]
    assert "analysis" in said["analysis"] and "run again" in said["analysis"]


# --- the doctor ----------------------------------------------------------------------


def test_the_doctor_tells_of_the_last_run(stored, typed, capsys):
    def examine():
        code = main(["doctor", "--json"])
        checks = json.loads(capsys.readouterr().out)["checks"]
        (check,) = [c for c in checks if c["name"] == "verify"]
        return code, check

    assert examine()[1]["state"] == "absent"
    typed("verify")
    code, told = examine()
    assert (code, told["state"]) == (0, "ok")
    path_of(stored, "1.bin").unlink()
    typed("verify", code=1)
    code, told = examine()
    assert (code, told["state"]) == (1, "failed") and "1 finding" in told["message"]
    # a run of another store does not take it back
    typed("verify", "--store", "analysis")
    assert examine()[1]["state"] == "failed"
    put_copy(stored.rig, "1.bin")
    typed("verify", "--repair", "--apply")
    assert examine()[1]["state"] == "ok"


@pytest.mark.parametrize(("age_days", "state"), [(14, "ok"), (15, "failed")])
def test_the_doctor_tells_of_a_run_that_is_due(stored, capsys, age_days, state):
    check(stored, days=7, today=date.today() - timedelta(days=age_days))
    main(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    (told,) = [c for c in checks if c["name"] == "verify"]
    assert told["state"] == state


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}', "\0", '{"flow": []}'])
def test_a_note_that_cannot_be_read_is_none(stored, content):
    base = stored.lab.connection._preferences.name
    (stored.home / "labdata" / "verify.json").write_text(content.replace("flow", base))
    assert read_note(base) == {}
    check(stored)
    assert set(read_note(base)) == {"data", "analysis"}


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_waits_for_no_file_to_be_read_to_its_end(stored):
    """Three files of 100 GB in hand would take hours."""
    size_bytes = 400 * 1024**2
    table = stored.lab.File.full_table_name
    query = f"UPDATE {table} SET file_size=%s WHERE file_path=%s"
    for name in ("1.bin", "2.bin", "3.bin", "4.bin"):
        os.truncate(path_of(stored, name), size_bytes)
        stored.lab.connection.query(query, (size_bytes, f"{FOLDER}/{name}"))
    told, unpressed = [], threading.Lock()

    def press_keys(n_bytes):
        told.append(n_bytes)
        time.sleep(0.02)
        if sum(told) > 10 * 1024**2 and unpressed.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        check(stored, everything=True, progress=press_keys)
    assert sum(told) < size_bytes / 2
