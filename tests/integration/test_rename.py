"""A wrong name is corrected in every row that holds it, and in nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labdata.database.row_copy import table_names
from labdata.rules.renaming import plan_rename
from labdata.schema import default_lab
from labdata.schema.project_admin import create_project
from labdata.testing import insert_dataset, insert_streams, insert_unit

pytestmark = pytest.mark.database

SESSION = "20250601_100000"
KEY = {"subject_name": "JC1", "session_name": SESSION, "dataset_name": "ephys_g0"}
TIMES = np.array([0, 5, 299_999, 2**40])


def fill(lab: Any) -> None:
    """JC1 with two sessions, a dataset on the clock of another, a sorting with links; JC2."""
    key = insert_dataset(lab)
    task = insert_dataset(lab, dataset="task")
    insert_dataset(lab, session="20250602_100000")
    insert_dataset(lab, "JC2")
    insert_streams(lab, key)
    insert_streams(lab, task)
    unit = insert_unit(lab, key, spike_times=TIMES)
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


@pytest.fixture(params=["embedded_lab", pytest.param("server_lab", marks=pytest.mark.server)])
def labs(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Two projects with equal subjects."""
    request.getfixturevalue(request.param)
    vision, attention = create_project(default_lab, "vision"), create_project(default_lab, "att")
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
    for (schema, table), name in table_names(lab).items():
        rows = lab.connection.query(f"SELECT * FROM `{schema}`.`{table}`").fetchall()
        columns = [
            c[0]
            for c in lab.connection.query(
                "SELECT column_name FROM information_schema.columns WHERE table_schema=%s AND "
                "table_name=%s ORDER BY ordinal_position",
                (schema, table),
            )
        ]
        if name == "UploadJob":
            rows = [r for r in rows if r[columns.index("project_name")] == lab.project]
        if substitute:
            rows = [
                tuple(substitute(dict(zip(columns, row, strict=True))).values()) for row in rows
            ]
        found[name] = sorted(rows, key=repr)
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
