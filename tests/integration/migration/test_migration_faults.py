"""What may go wrong in a migration: each fault is named, and nothing is lost by it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datajoint import blob
from old_servers import checksums, findings, migrate, run

from labdata.cli import main
from labdata.database.connection import LabConnection, reset_connection
from labdata.migration import open_old, plan_migration
from labdata.preferences import load_preferences
from labdata.schema import default_lab

pytestmark = [pytest.mark.database, pytest.mark.server]


def add_object(old: Any, path: str, content: bytes, *, md5: str | None = None) -> None:
    md5 = md5 or hashlib.md5(content).hexdigest()
    row = (path, "data", "2025-06-01 10:00:00", len(content), md5)
    old.sql("INSERT INTO file VALUES (%s, %s, %s, %s, %s)", *row)
    target = Path(load_preferences().storage["data"].path, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def add_line(old: Any, stream: str, event: str, times: Any, values: Any = None) -> None:
    key = ("JC1", "s1", "ephys", stream)
    old.sql("INSERT IGNORE INTO _dataset_events VALUES (%s, %s, %s, %s, NULL)", *key)
    packed = [None if one is None else blob.pack(one) for one in (times, values)]
    old.sql("INSERT INTO _dataset_events__digital VALUES (%s,%s,%s,%s,%s,%s,%s)",
            *key, event, *packed)  # fmt: skip


def test_a_plan_writes_nothing_on_either_side(old, mariadb_server) -> None:
    before = checksums(mariadb_server.admin, old.name)
    assert run(old) == 0
    assert len(default_lab.Subject()) == 0
    assert checksums(mariadb_server.admin, old.name) == before


def test_the_old_database_refuses_a_write_of_ours(old) -> None:
    from labdata.errors import DatabaseError

    with open_old(old.address) as opened, pytest.raises(DatabaseError, match="READ ONLY"):
        opened.query("DELETE FROM `labtestsmall`.weighing")
    with open_old(old.address) as opened, pytest.raises(DatabaseError, match="READ ONLY"):
        opened.query("CREATE TABLE `labtestsmall`.x (a int)")
    assert old.sql("SELECT COUNT(*) FROM weighing") == [(1,)]


def test_a_number_of_single_precision_is_what_was_typed(old) -> None:
    old.sql("INSERT INTO weighing VALUES ('JC2', '2025-05-01', 123456.79)")
    assert run(old, "--apply") == 0
    # the server's own text of the second is 123457
    assert list(default_lab.Weighing.fetch("weight")) == [23.4, float(str(np.float32(123456.79)))]
    assert (default_lab.Species & "species_name='mouse'").fetch1("species_description") == (
        "as the old lab describes it"  # our own default gives way to the lab's word
    )


def test_a_row_with_other_content_is_named_and_nothing_is_copied(old, capsys) -> None:
    assert run(old, "--apply") == 0
    default_lab.Subject.update1({"subject_name": "JC1", "subject_sex": "M"})
    old.sql("INSERT INTO weighing VALUES ('JC1', '2025-05-02', 24)")
    found = findings(old)["Subject"]
    assert (found.n_rows, found.example, found.blocks) == (1, "JC1", True)
    assert run(old, "--apply") == 1
    assert len(default_lab.Weighing()) == 1
    assert (default_lab.Subject & "subject_name='JC1'").fetch1("subject_sex") == "M"
    assert "In the way" in capsys.readouterr().out


def test_a_table_that_is_here_anyway_can_stay_behind(old) -> None:
    assert run(old, "--apply") == 0
    default_lab.Subject.update1({"subject_name": "JC1", "subject_sex": "M"})
    old.sql("INSERT INTO weighing VALUES ('JC1', '2025-05-02', 24)")
    assert run(old, "--apply", "--leave-out", "Subject") == 0
    assert len(default_lab.Weighing()) == 2
    assert (default_lab.Subject & "subject_name='JC1'").fetch1("subject_sex") == "M"


def test_a_long_table_that_stays_behind_does_not_break_the_reading(old) -> None:
    many = [f"('JC1', '2026-01-01' + INTERVAL {n} MINUTE, 20)" for n in range(1200)]
    old.sql(f"INSERT INTO weighing VALUES {', '.join(many)}")
    found = findings(old, leave_out=["Weighing"])
    assert (found["Weighing"].n_rows, found["Weighing"].blocks) == (1201, False)
    assert run(old, "--apply", "--leave-out", "Weighing") == 0
    assert len(default_lab.Subject()) == 2


def test_schemas_and_projects_that_are_not_read_are_named(old) -> None:
    old.sql("INSERT INTO project VALUES ('hidden', '')")
    old.sql(f"CREATE DATABASE {old.name}_odd")
    old.sql(f"CREATE TABLE {old.name}_odd.x (a int)")
    old.sql(f"CREATE DATABASE {old.name}_lab2")
    old.sql(f"CREATE TABLE {old.name}_lab2.lab_member (a int)")
    found = findings(old)
    assert set(found) == {"project hidden", f"{old.name}_odd"}
    assert not any(one.blocks for one in found.values())


def test_a_second_migration_at_the_same_time_waits_its_turn(old, monkeypatch, capsys) -> None:
    from labdata.database import unfinished
    from labdata.database.locks import server_lock
    from labdata.errors import DatabaseError

    monkeypatch.setattr(unfinished, "WAIT_S", 0)
    name = f"fill.{load_preferences().database.name}"
    with LabConnection(load_preferences().database).transaction as other:  # noqa: SIM117
        with server_lock(other, name, timeout_s=0, refused=DatabaseError("no")):
            assert run(old, "--apply") == 1
    assert "Another migration" in capsys.readouterr().err
    assert len(default_lab.Subject()) == 0


def test_a_name_that_differs_by_case_is_a_different_row(old) -> None:
    assert run(old, "--apply") == 0
    old.sql("SET foreign_key_checks = 0")
    old.sql("UPDATE subject SET subject_name = 'jc2' WHERE subject_name = 'JC2'")
    assert findings(old)["Subject"].example == "jc2"


def test_an_unknown_column_stops_until_it_is_left_out(old) -> None:
    old.sql("ALTER TABLE subject ADD tattoo varchar(10)")
    assert findings(old) == {}  # nobody has one
    old.sql("UPDATE subject SET tattoo = 'star' WHERE subject_name = 'JC2'")
    found = findings(old)["Subject.tattoo"]
    assert (found.n_rows, found.blocks) == (1, True)
    assert run(old, "--apply") == 1
    assert len(default_lab.Subject()) == 0
    assert run(old, "--apply", "--leave-out", "Subject.tattoo") == 0
    assert len(default_lab.Subject()) == 2


def test_a_plugins_table_stops_until_it_is_left_out(old, capsys) -> None:
    old.sql(f"CREATE DATABASE {old.name}_user")
    old.sql(f"CREATE TABLE {old.name}_user.licks (n int PRIMARY KEY)")
    assert findings(old) == {}  # it has no rows
    old.sql(f"INSERT INTO {old.name}_user.licks VALUES (1), (2)")
    found = findings(old)[f"{old.name}_user.licks"]
    assert (found.n_rows, found.blocks) == (2, True)
    assert run(old, "--apply") == 1
    assert run(old, "--apply", "--leave-out", "licks") == 0
    assert "left out, as told" in capsys.readouterr().out


def test_a_table_that_others_refer_to_is_not_left_out_alone(old) -> None:
    found = findings(old, leave_out=["Subject"])
    assert found["Weighing"].blocks
    assert "refers to Subject" in found["Weighing"].what
    assert run(old, "--leave-out", "Subjects") == 1  # a word that is no table


def test_values_that_do_not_fit_are_counted_and_named(old) -> None:
    old.sql("SET sql_mode = ''")
    old.sql("INSERT INTO file VALUES ('a', 'data', '2025-01-01', 10.5, NULL)")
    old.sql("INSERT INTO file VALUES ('b', 'data', '0000-00-00', 10, NULL)")
    old.sql("ALTER TABLE dataset MODIFY dataset_name varchar(200)")
    old.sql("INSERT INTO dataset VALUES ('JC1', 's1', %s, NULL)", "d" * 150)
    add_line(old, "nidq", "1", np.arange(3.0))
    old.sql("UPDATE _dataset_events__digital SET event_values = 'no blob'")
    found = findings(old)
    assert {name for name, one in found.items() if one.blocks} == {
        "File.file_size",
        "File.file_datetime",
        "Dataset.dataset_name",
        "DatasetEvents.Digital.event_values",
    }
    assert found["File.file_size"].example == "a/data"
    assert run(old, "--apply") == 1
    assert len(default_lab.Subject()) == 0


def test_numbers_of_jobs_that_are_taken_are_said(old) -> None:
    old.sql("INSERT INTO upload_job VALUES (7, 1, 'WAITING', 'rig', NULL, NULL)")
    default_lab.UploadJob.insert1({"job_id": 7, "job_status": "COMPLETED", "job_waiting": 0})
    with open_old(old.address) as opened:
        (found,) = plan_migration(opened).blocking
    assert (found.where, found.example) == ("UploadJob", "7")
    assert "of these numbers" in found.what
    assert run(old, "--apply", "--leave-out", "UploadJob") == 0
    assert default_lab.UploadJob.fetch1("job_status") == "COMPLETED"


def test_a_waiting_upload_is_not_taken_up_here(old) -> None:
    old.sql("INSERT INTO upload_job VALUES (7, 1, 'WAITING', 'rig', 'hm', NULL)")
    assert run(old, "--apply") == 0
    job = default_lab.UploadJob.fetch1()
    assert (job["job_status"], job["job_waiting"]) == ("CANCELLED", 0)
    assert job["job_log"].endswith("where it was WAITING.\nhm")


def line(event: str) -> dict[str, Any]:
    return dict((default_lab.DatasetEvents.Digital & {"event_name": event}).fetch1())


def test_samples_without_a_rate_never_pass_for_seconds(old) -> None:
    add_line(old, "imec0", "file0_sync_onsets", np.array([30000, 60000], "uint64"))
    add_line(old, "nidq", "2", np.array([0.5, 1.5]), np.array([1, 0], "uint8"))
    add_line(old, "imec1", "6", np.array([0.5, 1.5]))
    found = findings(old)["DatasetEvents.Digital"]
    assert not found.blocks
    assert run(old, "--apply") == 0
    onsets = line("file0_sync_onsets")
    assert onsets["event_timestamps"] is None
    np.testing.assert_array_equal(onsets["event_samples"], [30000, 60000])
    edges = line("2")
    assert (edges["event_values"].dtype, edges["event_samples"]) == (np.int8, None)
    assert list(np.diff(edges["event_values"])) == [-1]
    np.testing.assert_array_equal(line("6")["event_timestamps"], [0.5, 1.5])


def test_changed_and_missing_objects_are_listed_and_their_rows_come(old, capsys) -> None:
    add_object(old, "right.bin", b"right" * 1000)
    add_object(old, "changed.bin", b"changed", md5="0" * 32)
    old.sql("INSERT INTO file VALUES ('gone.bin', 'data', '2025-01-01', 5, NULL)")
    old.sql("INSERT INTO file VALUES ('far.bin', 'cloud', '2025-01-01', 5, NULL)")
    assert run(old, "--apply", "--json") == 1
    report = json.loads(capsys.readouterr().out)["objects"]
    assert report["n_verified"] == 1
    assert report["missing"] == ["data: gone.bin"]
    assert [one.split(" ")[1] for one in report["changed"]] == ["changed.bin"]
    assert [one.split(" ")[1] for one in report["unreachable"]] == ["far.bin"]
    sums = dict(zip(*default_lab.File.fetch("file_path", "file_sha256"), strict=True))
    assert sums.pop("right.bin") == hashlib.sha256(b"right" * 1000).hexdigest()
    assert sums == {"changed.bin": None, "gone.bin": None, "far.bin": None}
    store = Path(load_preferences().storage["data"].path)
    assert (store / "changed.bin").read_bytes() == b"changed"


def test_objects_can_be_verified_later_and_once(old, capsys) -> None:
    add_object(old, "a.bin", b"a")
    assert run(old, "--apply", "--no-verify-objects") == 0
    assert "were not verified" in capsys.readouterr().err
    assert default_lab.File.fetch1("file_sha256") is None
    assert main(["migrate", "--verify-objects", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"]["n_verified"] == 1
    Path(load_preferences().storage["data"].path, "a.bin").unlink()  # it is not read again
    assert main(["migrate", "--verify-objects", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"]["n_verified"] == 0


def test_a_row_that_reads_back_differently_undoes_its_piece(old, monkeypatch) -> None:
    from labdata.migration import copying

    real = copying.load
    broken = {"name": "weight"}
    monkeypatch.setattr(
        copying, "load", lambda c, raw: 1.0 if c.name == broken["name"] else real(c, raw)
    )
    assert run(old, "--apply", "--no-verify-objects") == 1
    assert len(default_lab.Weighing()) == 0
    broken["name"] = ""
    assert run(old, "--apply", "--no-verify-objects") == 0
    assert len(default_lab.Weighing()) == 1


def test_a_number_that_would_be_refused_today_comes_as_it_is(old) -> None:
    old.sql("INSERT INTO weighing VALUES ('JC1', '2019-01-01', -4)")
    assert run(old, "--apply", "--no-verify-objects") == 0
    assert -4.0 in default_lab.Weighing.fetch("weight")


@pytest.mark.slow
def test_killed_at_any_moment_a_repetition_completes_it(old) -> None:
    for number in range(3000):
        old.sql("INSERT INTO weighing VALUES ('JC1', '2026-01-01' + INTERVAL %s MINUTE, %s)",
                number, number / 7)  # fmt: skip
    for number in range(30):
        add_line(old, "nidq", str(number), np.arange(5000.0) + number)
    password = old.address.password.get_secret_value()
    environment = {**os.environ, "LABDATA_MIGRATE_PASSWORD": password}
    command = [sys.executable, "-m", "labdata", "migrate", "--from", old.text, "--apply"]
    n_killed = 0
    default_lab.activate()  # the tables are there: it is the copying that is killed
    for delay_s in (0.0, 0.01, 0.02, 0.05, 0.1):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        before = len(default_lab.Weighing())
        deadline = time.monotonic() + 60
        while process.poll() is None and len(default_lab.Weighing()) == before:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        n_killed += process.wait() == -signal.SIGKILL
    assert n_killed >= 1
    assert run(old, "--apply") == 0
    times, weights = default_lab.Weighing.fetch("weighing_datetime", "weight")
    assert len(times) == 3001
    assert set(weights) == {23.4, *(float(str(np.float32(n / 7))) for n in range(3000))}
    for number in range(30):
        np.testing.assert_array_equal(
            line(str(number))["event_timestamps"], np.arange(5000.0) + number
        )


@pytest.mark.parametrize("way_out", [["--apply"], ["--give-up"]])
def test_nobody_takes_a_part_for_the_whole(old, monkeypatch, capsys, way_out: list[str]) -> None:
    from labdata.migration import copying

    real, n_copied = copying.TableCopy.copy, []

    def stop_after_subjects(self: Any, piece: Any) -> Any:
        if self.pair.name == "Weighing":
            raise KeyboardInterrupt
        n_copied.append(self.pair.name)
        return real(self, piece)

    with monkeypatch.context() as patch:
        patch.setattr(copying.TableCopy, "copy", stop_after_subjects)
        assert run(old, "--apply") == 130
    assert "Subject" in n_copied
    default_lab.deactivate()  # as another process begins
    capsys.readouterr()
    assert main(["subjects"]) == 1
    said = capsys.readouterr().err
    assert "it is not whole yet" in said and "labdata migrate" in said
    assert main(["db", "upgrade"]) == 1
    assert main(["db", "status"]) == 0
    assert "has not ended" in capsys.readouterr().out
    assert (run(old, *way_out) if way_out == ["--apply"] else main(["migrate", *way_out])) == 0
    default_lab.deactivate()
    assert main(["subjects"]) == 0
    assert len(default_lab.Weighing()) == (way_out == ["--apply"])


def test_a_whole_migration_does_not_open_what_another_left_half_filled(old) -> None:
    from labdata.database.schema_version import CURRENT, MOVING, read_version
    from labdata.migration.unfinished import finish_migration, mark_unfinished
    from labdata.schema.project_admin import create_project

    create_project(default_lab, "half")
    connection, base = default_lab.connection, load_preferences().database.name
    mark_unfinished(["half"])
    assert run(old, "--apply") == 0
    assert read_version(connection, base, None) == CURRENT
    assert read_version(connection, base, "half") == MOVING
    assert finish_migration() == ["half"]


def test_wrong_inputs_are_said_in_one_line_each(old, tmp_path, capsys, monkeypatch) -> None:
    password = old.address.password.get_secret_value()
    other = old.text.removesuffix(old.name)
    (tmp_path / "no.json").write_text("{")
    (tmp_path / "token.json").write_text(
        json.dumps(
            {
                "database": {
                    "database.host": "h",
                    "database.user": "u",
                    "database.password": "encrypted:xyz",
                }
            }
        )
    )
    old.sql(f"CREATE DATABASE {old.name}_none")
    old.sql(f"CREATE TABLE {old.name}_none.x (a int)")
    old.sql(f"CREATE DATABASE {old.name}_new")
    old.sql(f"CREATE TABLE {old.name}_new.`~labdata_version` (a int)")
    for source, given, message in (
        (str(tmp_path / "nothing.json"), password, "There is no file"),
        (str(tmp_path / "no.json"), password, "is not valid JSON"),
        (str(tmp_path / "token.json"), "", "is encrypted"),
        ("http://host/labdata", password, "is no address of a database"),
        (f"mysql://scientist@127.0.0.1:1/{old.name}", password, "cannot be reached"),
        (old.text, "wrong", "wrong user or password"),
        (old.text, "", "has no password"),
        (f"{other}labtestnowhere", password, "There is no database"),
        (f"{other}{old.name}_none", password, "is none of labdata's"),
        (f"{other}{old.name}_new", password, "of this labdata already"),
    ):
        assert migrate(source, given) == 1, source
        error = capsys.readouterr().err
        assert message in error
        assert len(error.strip().splitlines()) == 2, error  # what, and what to do
        assert not given or given not in error.replace("wrong user", "")
    assert run(old, "-p", "visoin") == 1
    assert main(["migrate"]) == 2


def test_an_old_database_is_never_taken_for_ours(
    small_lab, make_server_lab, mariadb_server, tmp_path, capsys
) -> None:
    small_lab.sql("CREATE TABLE `~log` (a int)")
    before = checksums(mariadb_server.admin, small_lab.name)
    with make_server_lab(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABDATA_DATABASE", small_lab.name)
        reset_connection()
        assert run(small_lab, "--apply") == 1
        assert "made by labdata 0.1" in capsys.readouterr().err
        reset_connection()
    assert checksums(mariadb_server.admin, small_lab.name) == before
