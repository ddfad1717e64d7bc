"""Damage that was found once stays found: read in each run, by a repair, and red in the doctor."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from verify_lab import CONTENT, DAY, FOLDER, check, day_of, facts, flip, kept, path_of, put_copy

from labdata.cli import main
from labdata.errors import ArchivedObjectError
from labdata.schema import verifying
from labdata.schema.repairing import plan_repair, repair_planned
from labdata.schema.verify_note import read_note
from labdata.schema.verify_plan import plan_verify
from labdata.schema.verifying import verify_planned

NAME = "5.bin"
PATH = f"{FOLDER}/{NAME}"


@pytest.fixture
def other_days(stored):
    """Two days on whose part the file is not."""
    days = (DAY + timedelta(days=n) for n in range(30))
    return [day for day in days if day != day_of(NAME)][:2]


def wrong(report):
    return [(f.storage, f.file_path, f.kind) for f in report.findings]


def noted(rig):
    return read_note(rig.lab.connection._preferences.name)["data"]


def told_by_doctor(capsys):
    code = main(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    return code, next(c for c in checks if c["name"] == "verify")


def test_found_by_reading_everything_it_is_found_the_next_two_nights(stored, other_days):
    flip(path_of(stored, NAME))
    found = facts(check(stored, everything=True, today=other_days[0]))
    assert [fact[:3] for fact in found] == [("data", PATH, "content")]
    for night in other_days:
        report = check(stored, today=night)
        assert facts(report) == found
        assert (noted(stored).n_findings, noted(stored).damaged) == (1, frozenset({PATH}))


def test_the_doctor_stays_red_and_a_plain_repair_mends_it(stored, typed, capsys):
    flip(path_of(stored, NAME))
    typed("verify", "--everything", code=1)
    night = typed("verify", code=1)
    assert "1 because an earlier run found damage" in night.err and "1 finding" in night.out
    code, told = told_by_doctor(capsys)
    assert (code, told["state"]) == (1, "failed") and "1 finding" in told["message"]
    put_copy(stored.rig, NAME)
    assert "restore" in typed("verify", "--repair", code=1).out
    typed("verify", "--repair", "--apply")
    assert path_of(stored, NAME).read_bytes() == CONTENT[NAME] and kept(stored)
    assert told_by_doctor(capsys)[1]["state"] == "ok"
    assert noted(stored).damaged == frozenset()
    assert "Nothing is wrong" in typed("verify").out


def test_what_is_right_again_is_said_once_and_forgotten(stored, other_days):
    flip(path_of(stored, NAME))
    check(stored, everything=True)
    flip(path_of(stored, NAME))  # the same bit: a disk or cable that was mended
    report = check(stored, today=other_days[0])
    assert (facts(report), report.n_right_again) == ([], 1)
    assert any("read again, and right" in line for line in report.notes())
    assert (noted(stored).n_findings, noted(stored).damaged) == (0, frozenset())
    assert check(stored, today=other_days[1]).n_right_again == 0


def test_a_store_that_is_away_for_a_night_forgets_nothing(stored, other_days):
    flip(path_of(stored, NAME))
    check(stored, everything=True)
    away = stored.store.with_name("away")
    stored.store.rename(away)
    assert wrong(check(stored, today=other_days[0])) == [("data", "", "unreadable")]
    away.rename(stored.store)
    assert wrong(check(stored, today=other_days[1])) == [("data", PATH, "content")]


def test_a_run_of_another_store_forgets_nothing(stored, other_days):
    flip(path_of(stored, NAME))
    check(stored, everything=True)
    assert check(stored, stores=["analysis"], today=other_days[0]).ok
    assert wrong(check(stored, today=other_days[1])) == [("data", PATH, "content")]


def test_damage_that_went_missing_and_came_back_is_read(stored, other_days):
    damaged = flip(path_of(stored, NAME))
    check(stored, everything=True)
    path_of(stored, NAME).unlink()
    assert wrong(check(stored, today=other_days[0])) == [("data", PATH, "missing")]
    path_of(stored, NAME).write_bytes(damaged)
    assert wrong(check(stored, today=other_days[1])) == [("data", PATH, "content")]


def test_damage_in_cold_storage_stays_a_finding(stored, other_days, monkeypatch):
    flip(path_of(stored, NAME))
    check(stored, everything=True)

    def cold(store, file, *args):
        raise ArchivedObjectError(f"{file.file_path} is archived.")

    monkeypatch.setattr(verifying, "hash_object", cold)
    report = check(stored, today=other_days[0])
    assert wrong(report) == [("data", PATH, "unreadable")]
    assert "cold storage now" in report.findings[0].say()
    (repair,) = plan_repair(stored.lab, report).repairs
    assert repair.state == "refused"
    monkeypatch.undo()
    assert wrong(check(stored, today=other_days[1])) == [("data", PATH, "content")]


def test_a_file_whose_row_is_gone_is_no_damage(stored, other_days):
    flip(path_of(stored, NAME))
    check(stored, everything=True)
    with stored.lab.connection.transaction:
        (stored.lab.Dataset.DataFiles & {"file_path": PATH}).delete_quick()
        (stored.lab.File & {"file_path": PATH}).delete_quick()
    assert check(stored, today=other_days[0]).ok
    assert noted(stored).damaged == frozenset()


def test_a_run_that_ends_after_another_keeps_what_that_found(stored, other_days):
    plan = plan_verify(stored.lab, today=other_days[0])
    flip(path_of(stored, NAME))
    check(stored, everything=True)  # begun and ended while the first was planned
    assert verify_planned(stored.lab, plan).ok, "it has not read it"
    assert (noted(stored).n_findings, noted(stored).damaged) == (1, frozenset({PATH}))
    assert wrong(check(stored, today=other_days[1])) == [("data", PATH, "content")]


def test_a_run_that_is_interrupted_keeps_what_it_found(stored, other_days, monkeypatch):
    flip(path_of(stored, NAME))
    hashed = verifying.hash_object

    def hash_until_then(store, file, *args):
        if noted(stored).damaged:
            raise KeyboardInterrupt
        return hashed(store, file, *args)

    check(stored, today=other_days[0])
    monkeypatch.setattr(verifying, "hash_object", hash_until_then)
    with pytest.raises(KeyboardInterrupt):
        check(stored, everything=True)
    monkeypatch.undo()
    assert (noted(stored).n_findings, noted(stored).damaged) == (1, frozenset({PATH}))
    assert wrong(check(stored, today=other_days[1])) == [("data", PATH, "content")]
    assert noted(stored).n_findings == 1


def test_a_first_run_that_is_interrupted_is_no_run(stored, monkeypatch, capsys):
    flip(path_of(stored, NAME))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(verifying, "note_report", interrupt)
    with pytest.raises(KeyboardInterrupt):
        check(stored, everything=True)
    assert noted(stored).damaged == frozenset({PATH})
    code, told = told_by_doctor(capsys)
    assert (code, told["state"]) == (1, "failed") and "1 finding" in told["message"]


def test_a_note_of_before_is_read(stored):
    """One that has no list of damaged files yet."""
    base = stored.lab.connection._preferences.name
    note = {base: {"data": {"day": "2026-03-01", "days": 30, "n_findings": 2}}}
    (stored.home / "labdata" / "verify.json").write_text(json.dumps(note))
    assert (noted(stored).n_findings, noted(stored).damaged) == (2, frozenset())


def test_repaired_by_python_it_leaves_the_note(stored, other_days):
    flip(path_of(stored, NAME))
    check(stored, everything=True)
    put_copy(stored.rig, NAME)
    report = check(stored, today=other_days[0])
    (done,) = repair_planned(stored.lab, plan_repair(stored.lab, report))
    assert done.state == "restored"
    assert (noted(stored).n_findings, noted(stored).damaged) == (0, frozenset())
