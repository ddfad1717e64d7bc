"""A plan names exactly what disappears; whatever goes wrong, nothing does."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from lab_rows import dataset_of, insert_file, insert_sorted_dataset, read_rows

from labdata.cli import main
from labdata.database import row_delete
from labdata.errors import DatabaseError, QueryError
from labdata.schema import default_lab
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database

SESSION = {"subject_name": "JC1", "session_name": "20250601_100000"}


def fill(lab: Any) -> dict:
    """JC1 with a sorted session and a finished upload, a second session, and JC2."""
    key = dataset_of(insert_sorted_dataset(lab, np.arange(5)))
    other = insert_dataset(lab, session="20250602_100000")
    insert_dataset(lab, "JC2")
    insert_file(lab, key, "JC1/a.bin", 7)
    shared = insert_file(lab, key, "JC1/shared.bin", 100)
    lab.Dataset.DataFiles.insert1({**other, **shared})
    job = {"job_status": "COMPLETED", "project_name": lab.project}
    lab.UploadJob.insert1({**key, **job})
    (number,) = lab.UploadJob.fetch("job_id", limit=1, order_by="job_id DESC")
    source = {"src_path": "JC1/raw.bin", "src_datetime": "2025-06-01", "src_size": 9}
    lab.UploadJob.AssignedFiles.insert1({"job_id": number, **source})
    row = {"file_path": "JC1/raw.bin", "file_datetime": "2025-06-01", "file_size": 9}
    lab.ProcessedFile.insert1(row)
    lab.UploadJob.insert1({**other, **job, "job_status": "WAITING"})
    lab.ComputeTask.insert1({**key, "task_name": "spikeinterface", "task_status": "COMPLETED"})
    return key


def rows_of(lab: Any) -> dict[str, set[tuple]]:
    return {name: {tuple(r.values()) for r in rows} for name, rows in read_rows(lab).items()}


@pytest.fixture
def labs(two_projects) -> tuple[Any, Any]:
    vision, attention = two_projects
    fill(vision)
    insert_dataset(attention)
    return vision, attention


@pytest.fixture
def lab(embedded_lab) -> Any:
    fill(default_lab)
    return default_lab


def test_what_the_plan_counts_is_what_disappears(labs) -> None:
    vision, attention = labs
    before, others = rows_of(vision), rows_of(attention)
    plan = vision.Session.delete_plan(SESSION)
    assert rows_of(vision) == before
    assert plan.apply() == plan.n_rows
    after = rows_of(vision)
    gone = {name: len(before[name] - after[name]) for name in before if before[name] - after[name]}
    assert gone == {row["table"]: row["rows"] for row in plan.rows()}
    assert not any(after[name] - before[name] for name in after)
    assert gone["File"] == gone["UploadJob"] == gone["ProcessedFile"] == gone["ComputeTask"] == 1
    assert (plan.n_files, plan.size_bytes) == (1, 7)
    left = rows_of(attention)
    shared = ("File", "UploadJob", "UploadJob.AssignedFiles", "ProcessedFile")
    assert {n: r for n, r in left.items() if n not in shared} == {
        n: r for n, r in others.items() if n not in shared
    }
    assert len(vision.Session & SESSION) == 0 and len(attention.Session & SESSION) == 1


def test_the_same_rows_as_datajoints_own_cascade(lab) -> None:
    key = {**SESSION, "probe_num": 0, "parameter_set_num": 5}
    before = rows_of(lab)
    plan = lab.SpikeSorting.delete_plan(key)
    assert rows_of(lab) == before
    (lab.SpikeSorting & key).delete(prompt=False)
    after = rows_of(lab)
    gone = {name: len(before[name] - after[name]) for name in before if before[name] - after[name]}
    assert gone == {row["table"]: row["rows"] for row in plan.rows()}


def test_rows_of_other_people_are_named(lab) -> None:
    lab.LabMember.insert([{"user_name": "ada"}, {"user_name": "bea"}])
    lab.Session.update1({**SESSION, "experimenter": "ada"})
    weighing = {"subject_name": "JC1", "weighing_datetime": "2025-06-01"}
    lab.Weighing.insert1({**weighing, "weight": 20.0})
    restriction = {"water_restriction_start_date": "2025-06-01", "user_name": "bea"}
    lab.WaterRestriction.insert1({**weighing, **restriction})
    assert lab.Subject.delete_plan({"subject_name": "JC2"}).others == {}
    (lab.UploadJob & {"job_status": "WAITING"}).delete(prompt=False)
    of_others = {
        r["table"]: (r["of_others"], r["whose"])
        for r in lab.Subject.delete_plan({"subject_name": "JC1"}).rows()
    }
    assert of_others["Subject"] == (0, "")
    assert of_others["Session"] == (1, "ada 1")
    assert of_others["DatasetEvents"] == (2, "ada 2")
    assert of_others["Dataset"] == (1, "ada 1")
    assert of_others["Weighing"] == (0, "")
    assert of_others["WaterRestriction"] == (1, "bea 1")


def test_a_failure_in_the_middle_leaves_all(lab, monkeypatch) -> None:
    plan = lab.Session.delete_plan(SESSION)
    before, real, calls = rows_of(lab), row_delete._delete, []

    def fail(connection, table, keys):
        calls.append(table.name)
        if len(calls) == 6:
            raise DatabaseError("The disk of the database is full.")
        real(connection, table, keys)

    monkeypatch.setattr(row_delete, "_delete", fail)
    with pytest.raises(DatabaseError, match="full"):
        plan.apply()
    assert rows_of(lab) == before


def test_what_came_or_went_since_the_plan_stops_it(lab) -> None:
    plan = lab.Session.delete_plan(SESSION)
    insert_dataset(lab, dataset="task")
    before = rows_of(lab)
    with pytest.raises(DatabaseError, match="since the plan"):
        plan.apply()
    assert rows_of(lab) == before
    plan = lab.Session.delete_plan(SESSION)
    assert plan.apply() == plan.n_rows
    with pytest.raises(DatabaseError, match="since the plan"):
        plan.apply()


def test_working_and_waiting_jobs_stop_it(lab) -> None:
    with pytest.raises(DatabaseError, match="is WAITING"):
        lab.Subject.delete_plan({"subject_name": "JC1"})
    lab.UploadJob.insert1({**SESSION, "dataset_name": "new", "job_status": "ON SERVER"})
    with pytest.raises(DatabaseError, match="is ON SERVER"):  # of a dataset that is yet to come
        lab.Session.delete_plan(SESSION)
    (lab.UploadJob & {"dataset_name": "new"}).delete(prompt=False)
    plan = lab.Session.delete_plan(SESSION)
    number = lab.ComputeTask.fetch1("job_id")
    lab.ComputeTask.update1({"job_id": number, "task_status": "WORKING"})
    before = rows_of(lab)
    for attempt in (plan.apply, lambda: lab.Session.delete_plan(SESSION)):
        with pytest.raises(DatabaseError, match=f"Task {number} works"):
            attempt()
    assert rows_of(lab) == before


def test_a_key_that_selects_nothing_or_has_a_wrong_name_is_an_error(lab) -> None:
    before = rows_of(lab)
    with pytest.raises(QueryError, match="No row"):
        lab.Session.delete_plan({"subject_name": "JC9"})
    with pytest.raises(QueryError, match="no column 'subjct_name'"):
        lab.Session.delete_plan({"subjct_name": "JC1"})
    assert rows_of(lab) == before


def test_rows_of_a_table_nobody_declared_go_too(lab) -> None:
    """A plugin's table in another schema that refers to Session."""
    schema = f"{lab.connection._preferences.name}_user"
    lab.connection.query(f"CREATE DATABASE `{schema}`")
    lab.connection.query(
        f"CREATE TABLE `{schema}`.`lick` (subject_name varchar(64), session_name varchar(64), "
        "lick int, PRIMARY KEY (subject_name, session_name, lick), FOREIGN KEY "
        f"(subject_name, session_name) REFERENCES {lab.Session.full_table_name} "
        "(subject_name, session_name) ON UPDATE CASCADE ON DELETE RESTRICT) "
    )
    lab.connection.query(
        f"INSERT INTO `{schema}`.`lick` VALUES ('JC1', '20250601_100000', 1), "
        "('JC2', '20250601_100000', 2)"
    )
    plan = lab.Session.delete_plan(SESSION)
    assert {"table": f"{schema}.lick", "rows": 1, "of_others": 0, "whose": ""} in plan.rows()
    plan.apply()
    assert lab.connection.query(f"SELECT lick FROM `{schema}`.`lick`").fetchall() == ((2,),)


def test_the_command_shows_and_only_then_deletes(lab, capsys) -> None:
    line = ["delete", "-a", "JC1", "-s", "20250601_100000"]
    before = rows_of(lab)
    assert main(line) == 0
    shown = capsys.readouterr()
    assert "DatasetEvents.Digital" in shown.out and "1 file with 7 B" in shown.out
    assert "Nothing is deleted yet" in shown.err
    assert main([*line, "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert (facts["files"], facts["size_bytes"]) == (1, 7)
    for wrong in (
        ["-s", "nosuch"],
        ["-s", "20250601_100000", "-d", "nosuch"],
        ["--table", "SpikeSort"],
        ["--table", "LabMember"],
    ):
        assert main(["delete", "-a", "JC1", *wrong, "--apply"]) == 1
    assert rows_of(lab) == before
    assert "SpikeSorting" in capsys.readouterr().err
    assert main(["delete", "-a", "JC1", "-s", "20250601_1000", "--apply"]) == 1
    assert "Did you mean '20250601_100000'?" in capsys.readouterr().err
    assert main([*line, "--table", "SpikeSorting", "--apply"]) == 0
    assert (len(lab.SpikeSorting()), len(lab.Session & SESSION)) == (0, 1)
    assert main([*line, "--apply"]) == 0
    assert len(lab.Session & SESSION) == 0
