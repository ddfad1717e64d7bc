"""A wrong name is corrected in every row that holds it, and in nothing else."""

from __future__ import annotations

import getpass
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from lab_rows import dataset_of, insert_sorted_dataset, read_rows

from labdata.cli import main
from labdata.database import key_change
from labdata.database.rename_log import read_renames
from labdata.errors import DatabaseError, QueryError, UploadError
from labdata.rules import renaming
from labdata.rules.renaming import plan_rename
from labdata.schema import default_lab
from labdata.testing import insert_dataset, insert_streams

pytestmark = pytest.mark.database

SESSION = "20250601_100000"
KEY = {"subject_name": "JC1", "session_name": SESSION, "dataset_name": "ephys_g0"}
TIMES = np.array([0, 5, 299_999, 2**40])


def fill(lab: Any) -> None:
    """JC1 with two sessions, a dataset on the clock of another, a sorting with links; JC2."""
    unit = insert_sorted_dataset(lab, TIMES)
    key = dataset_of(unit)
    task = insert_dataset(lab, dataset="task")
    insert_dataset(lab, session="20250602_100000")
    insert_dataset(lab, "JC2")
    insert_streams(lab, task)
    clock = {"clock_dataset": "task", "clock_stream": "nidq", "clock_stream_event": "7"}
    lab.StreamSync.insert1({**key, "stream_name": "imec0", "event_name": "6", **clock})
    sorting = {k: unit[k] for k in (*key, "probe_num", "parameter_set_num")}
    link = {"linked_session_name": "20250602_100000", "linked_dataset_session": "ephys_g0"}
    lab.SpikeSorting.LinkedDatasets.insert1({**sorting, **link})
    lab.SpikeSorting.LinkedDatasets.insert1(
        {**sorting, "linked_session_name": SESSION, "linked_dataset_session": "task"}
    )
    lab.ComputeTask.insert1({**key, "task_name": "spikeinterface"})
    lab.ComputeTask.insert1({"task_name": "of nothing"})
    job = {"job_status": "COMPLETED", "project_name": lab.project}
    lab.UploadJob.insert1({**key, **job})
    lab.Weighing.insert1(
        {"subject_name": "JC1", "weighing_datetime": "2025-06-01", "weight": 20.5}
    )


@pytest.fixture
def labs(two_projects) -> tuple[Any, Any]:
    """Two projects with equal subjects."""
    vision, attention = two_projects
    fill(vision)
    fill(attention)
    return vision, attention


@pytest.fixture
def lab(embedded_lab) -> Any:
    """One lab without projects."""
    fill(default_lab)
    return default_lab


def rows_of(lab: Any, substitute: Any = None) -> dict[str, list[tuple]]:
    """Every row of a project's tables as the server keeps it; of shared ones those of its own."""
    found = {}
    for name, rows in read_rows(lab).items():
        own = [r for r in rows if name != "UploadJob" or r["project_name"] == lab.project]
        kept = [tuple((substitute(row) if substitute else row).values()) for row in own]
        found[name] = sorted(kept, key=repr)
    return found


def changed_subject(row: dict) -> dict:
    if row.get("subject_name") == "JC1":
        row["subject_name"] = "JC11"
    return row


def changed_session(row: dict) -> dict:
    if row.get("subject_name") == "JC1":
        for column in ("session_name", "linked_session_name"):
            if row.get(column) == SESSION:
                row[column] = "S2"
    return row


def changed_dataset(row: dict) -> dict:
    if row.get("subject_name") == "JC1":
        pairs = [("session_name", "dataset_name"), ("session_name", "clock_dataset")]
        pairs += [("linked_session_name", "linked_dataset_session")]
        old = dict(row)
        for session, dataset in pairs:
            if old.get(session) == SESSION and old.get(dataset) == "task":
                row[dataset] = "T2"
    return row


CASES = {
    "subject": ({"subject_name": "JC1"}, "JC11", changed_subject),
    "session": ({"subject_name": "JC1", "session_name": SESSION}, "S2", changed_session),
    "dataset": ({**KEY, "dataset_name": "task"}, "T2", changed_dataset),
}


@pytest.mark.parametrize("case", CASES)
def test_every_row_is_equal_but_for_the_name(labs, case) -> None:
    vision, attention = labs
    key, to, substitute = CASES[case]
    expected, others = rows_of(vision, substitute), rows_of(attention)
    before = rows_of(vision)
    plan = plan_rename(vision, key, to)
    assert rows_of(vision) == before
    assert plan.apply() == plan.n_rows
    after = rows_of(vision)
    assert after == expected != before
    assert rows_of(attention) == others
    n_differ = sum(len(set(map(repr, after[t])) - set(map(repr, before[t]))) for t in after)
    assert n_differ == plan.n_rows


def test_the_log_tells_who_when_from_and_to(labs, capsys) -> None:
    vision, attention = labs
    plan_rename(vision, {"subject_name": "JC1"}, "JC11").apply()
    plan_rename(vision, {**KEY, "subject_name": "JC11"}, "ephys_g7").apply()
    assert read_renames(attention.connection, "attention") == []
    second, first = read_renames(vision.connection, "vision")
    assert (first["level"], first["old_name"], first["new_name"]) == ("subject", "JC1", "JC11")
    assert (second["key"], second["new_name"]) == ({**KEY, "subject_name": "JC11"}, "ephys_g7")
    user = vision.connection._preferences.user if vision.connection._preferences.host else None
    assert first["who"].startswith(f"{user or getpass.getuser()}@")
    now = datetime.now(UTC).replace(tzinfo=None)
    assert timedelta(0) <= now - first["started"] < timedelta(minutes=5)
    assert first["started"] <= first["ended"]
    assert main(["rename", "-p", "vision", "--log"]) == 0
    shown = capsys.readouterr().out
    assert "subject JC1 " in shown and "JC11" in shown and "ephys_g7" in shown
    with pytest.raises(QueryError, match="no subject 'JC1'") as caught:
        plan_rename(vision, {"subject_name": "JC1"}, "JC11")
    assert "renamed it to 'JC11'" in caught.value.hint


WRONG = {
    "no such subject": ({"subject_name": "JC3"}, "X", QueryError, "no subject 'JC3'"),
    "no such session": (
        {"subject_name": "JC1", "session_name": "x"}, "X", QueryError, "no session"),
    "no such dataset": ({**KEY, "dataset_name": "x"}, "X", QueryError, "no dataset"),
    "dataset without session": (
        {"subject_name": "JC1", "dataset_name": "task"}, "X", QueryError, "is named with"),
    "nothing": ({}, "X", QueryError, "is named with"),
    "taken": ({"subject_name": "JC1"}, "JC2", DatabaseError, "'JC2' already"),
    "taken in other letters": ({"subject_name": "JC1"}, "jc2", DatabaseError, "'jc2' already"),
    "taken session": (
        {"subject_name": "JC1", "session_name": SESSION},
        "20250602_100000", DatabaseError, "There is a session"),
    "taken dataset": (KEY, "task", DatabaseError, "There is a dataset"),
    "the same": ({"subject_name": "JC1"}, "JC1", DatabaseError, "named 'JC1' already"),
    "a path": ({"subject_name": "JC1"}, "../JC2", UploadError, "not usable"),
    "empty": ({"subject_name": "JC1"}, "", UploadError, "does not say"),
    "a blank at the end": ({"subject_name": "JC1"}, "JC11 ", UploadError, "not usable"),
    "quotes": ({"subject_name": "JC1"}, "JC1'; --", UploadError, "not usable"),
    "long": ({"subject_name": "JC1"}, "x" * 65, UploadError, "at most 64"),
}  # fmt: skip


def test_wrong_inputs_are_one_error_each_and_change_nothing(lab, capsys) -> None:
    before = rows_of(lab)
    for case, (key, to, error, message) in WRONG.items():
        with pytest.raises(error) as caught:
            plan_rename(lab, key, to)
        assert re.search(message, str(caught.value)), case
        assert caught.value.hint, case
    assert rows_of(lab) == before
    assert main(["rename", "-a", "JC1"]) == 2
    assert main(["rename", "-a", "JC3", "--to", "JC4", "--apply"]) == 1
    assert "Did you mean" in capsys.readouterr().err
    assert main(["rename", "-a", "zebra", "--to", "JC4"]) == 1
    assert "`labdata subjects` lists them" in capsys.readouterr().err
    assert main(["rename", "-a", "JC1", "-s", "zebra", "--to", "JC4"]) == 1
    assert "`labdata sessions -a JC1` lists them" in capsys.readouterr().err
    assert rows_of(lab) == before


@pytest.mark.parametrize("kind", ["upload", "task"])
def test_what_is_being_worked_on_is_not_renamed(lab, kind) -> None:
    table, prefix = (lab.UploadJob, "job") if kind == "upload" else (lab.ComputeTask, "task")
    plan = plan_rename(lab, {"subject_name": "JC1"}, "JC11")
    number = int((table & {"subject_name": "JC1"}).fetch1("job_id"))
    table.update1({"job_id": number, f"{prefix}_status": "WORKING"})
    before = rows_of(lab)
    for attempt in (plan.apply, lambda: plan_rename(lab, {"subject_name": "JC1"}, "JC11")):
        with pytest.raises(DatabaseError, match=f"{number} works on these data"):
            attempt()
    # one that begins after the first look is seen by the second, within the transaction
    table.update1({"job_id": number, f"{prefix}_status": "COMPLETED"})
    with pytest.MonkeyPatch.context() as patch:

        def begin(*_) -> None:
            table.update1({"job_id": number, f"{prefix}_status": "WORKING"})

        patch.setattr(renaming.RenamePlan, "_copy_objects", begin)
        with pytest.raises(DatabaseError, match=f"{number} works on these data"):
            plan.apply()
    assert rows_of(lab) == before
    assert plan_rename(lab, {"subject_name": "JC2"}, "JC22").apply() == 3


def test_a_failure_in_the_middle_leaves_all(lab, monkeypatch) -> None:
    plan = plan_rename(lab, {"subject_name": "JC1"}, "JC11")
    before, real, calls = rows_of(lab), key_change.count_rows, []

    def fail(*given):
        calls.append(given)
        if len(calls) == 60:
            raise DatabaseError("The disk of the database is full.")
        return real(*given)

    monkeypatch.setattr(key_change, "count_rows", fail)
    with pytest.raises(DatabaseError, match="full"):
        plan.apply()
    assert rows_of(lab) == before


def test_a_name_taken_since_the_plan_stops_it(lab) -> None:
    plan = plan_rename(lab, {"subject_name": "JC1"}, "JC11")
    insert_dataset(lab, "JC11")
    before = rows_of(lab)
    with pytest.raises(DatabaseError, match="taken"):
        plan.apply()
    assert rows_of(lab) == before


def test_letters_of_another_case(lab) -> None:
    plan_rename(lab, {"subject_name": "jc1"}, "Jc1").apply()
    for name, table in lab.tables_and_parts().items():
        if "subject_name" in table.heading.names:
            assert "JC1" not in set(table().fetch("subject_name")), name
    assert set(lab.Subject.fetch("subject_name")) == {"Jc1", "JC2"}
    times = (lab.SpikeSorting.Unit & {"subject_name": "Jc1"}).fetch1("spike_times")
    np.testing.assert_array_equal(times, TIMES)


def test_a_plugins_tables_follow(lab) -> None:
    """Tables of another schema: one with a foreign key, one with columns of these names."""
    schema = f"{lab.connection._preferences.name}_user"
    query = lab.connection.query
    query(f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb4")
    query(
        f"CREATE TABLE `{schema}`.`lick` (who varchar(64), s varchar(64), lick int, "
        f"PRIMARY KEY (who, s, lick), FOREIGN KEY (who, s) REFERENCES "
        f"{lab.Session.full_table_name} (subject_name, session_name) "
        "ON UPDATE CASCADE ON DELETE RESTRICT)"
    )
    query(
        f"CREATE TABLE `{schema}`.`loose` (n int PRIMARY KEY, subject_name varchar(64), "
        "session_name varchar(64))"
    )
    query(f"INSERT INTO `{schema}`.`lick` VALUES ('JC1', '{SESSION}', 1), ('JC2', '{SESSION}', 2)")
    query(f"INSERT INTO `{schema}`.`loose` VALUES (1, 'JC1', '{SESSION}'), (2, 'JC1', 'other')")
    key = {"subject_name": "JC1", "session_name": SESSION}
    plan = plan_rename(lab, key, "S2")
    assert {f"{schema}.lick", f"{schema}.loose"} <= {t.name for t in plan.tables}
    plan.apply()
    assert set(query(f"SELECT * FROM `{schema}`.`lick`")) == {
        ("JC1", "S2", 1),
        ("JC2", SESSION, 2),
    }
    assert set(query(f"SELECT * FROM `{schema}`.`loose`")) == {
        (1, "JC1", "S2"),
        (2, "JC1", "other"),
    }


def test_the_command_shows_and_only_then_renames(lab, capsys) -> None:
    line = ["rename", "-a", "JC1", "-s", SESSION, "--to", "S2"]
    before = rows_of(lab)
    assert main(line) == 0
    shown = capsys.readouterr()
    assert "SpikeSorting.LinkedDatasets" in shown.out and "Nothing is renamed yet" in shown.err
    assert main([*line, "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert {"table": "StreamSync", "rows": 1} in facts["tables"]
    assert rows_of(lab) == before
    assert main([*line, "--apply"]) == 0
    assert rows_of(lab)["Session"] != before["Session"]
    assert "Renamed to S2" in capsys.readouterr().err
