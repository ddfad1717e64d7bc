"""A lab of the published labdata 0.1, migrated, against what was typed into it."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from old_servers import OLD_NAME, checksums, migrate, writes

from labdata.database.connection import connect
from labdata.preferences import load_preferences
from labdata.schema import default_lab, load_project_schema

pytestmark = [pytest.mark.slow, pytest.mark.database, pytest.mark.server]


def put_objects(published: Any) -> None:
    """Stand in for the old stores: their objects are where our preferences look for them."""
    stores = load_preferences().storage
    for folder in published.folders.values():
        for name in ("data", "analysis"):
            shutil.copytree(folder / "objects" / name, stores[name].path, dirs_exist_ok=True)


#: Table -> what each of its rows has to hold here.
CHANGED: dict[str, dict[str, Any]] = {
    "SpikeSorting.MergedUnit": {
        "spike_times": np.array([7, 9]),
        "spike_amplitudes": np.array([0.7, 0.9]),
    },
    "FixedBrainTransformParameters": {"rotate": [90.0, 0.0, 0.5]},
    "Watering": {"water_volume": 612350.0},
}


def expected(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return what a row that was typed has to be here; written without the migration's code."""
    row = row | CHANGED.get(table, {})
    if table == "DatasetEvents.Digital":
        row |= settled_events(row)
    if table == "SpikeSorting.Unit":
        row["spike_times"] = row["spike_times"].astype("int64")
    if table in ("SpikeSorting", "SpikeSorting.Waveforms", "UnitMetrics"):
        row |= placed_channels(table, row)
    for name in ("parameters_dict", "task_parameters", "additional_params"):
        if name in row and table != "CellSegmentationParams":  # whose text is no JSON
            row[name] = json.loads(row[name])
    if table == "ProbeConfiguration":
        row["channel_shank"] = row["channel_shank"].astype("int64")
    if table in ("UploadJob", "ComputeTask"):
        row |= settled_job(table, row)
    return row


def settled_events(row: dict[str, Any]) -> dict[str, Any]:
    if row["stream_name"] == "nidq":
        return {"event_values": row["event_values"].astype("int8"), "event_samples": None}
    samples = row["event_timestamps"].astype("int64")
    times = samples.astype("float64") / 30000.123456789012
    return {"event_timestamps": times, "event_samples": samples, "event_values": None}


def settled_job(table: str, row: dict[str, Any]) -> dict[str, Any]:
    prefix = "job" if table == "UploadJob" else "task"
    state = row[f"{prefix}_status"]
    found: dict[str, Any] = {f"{prefix}_waiting": 0}
    if state in ("ON SERVER", "WORKING", "CANCELED"):
        found[f"{prefix}_status"] = "CANCELLED"
    if state == "ON SERVER":
        found["job_log"] = "Migrated from labdata 0.1, where it was ON SERVER.\nlog"
    return found


def placed_channels(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return the channels of parameter set 2, which sorted channels 6, 2 and 4 of eight."""
    if row["parameter_set_num"] == 1:
        return {}
    return {
        "SpikeSorting": {"sorting_channel_indices": np.array([6, 2, 4])},
        "SpikeSorting.Waveforms": {"waveform_channels": np.array([6, 4])},
        "UnitMetrics": {"channel_index": 2, "active_electrodes": np.array([2, 4])},
    }[table]


def assert_equal(found: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray), where
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), where
        np.testing.assert_array_equal(found, wanted, err_msg=where)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key, value in wanted.items():
            assert_equal(found[key], value, f"{where}.{key}")
    elif isinstance(wanted, float) and not isinstance(found, int):
        if found != wanted:
            # the old column was of single precision, and kept no more of what was typed
            assert np.float32(found) == np.float32(wanted), where
            assert len(Decimal(repr(found)).as_tuple().digits) <= 9, where
    else:
        assert found == wanted, where


def check_rows(published: Any) -> int:
    n_rows = 0
    for project in (None, "vision"):
        lab = load_project_schema(project) if project else default_lab
        tables = lab.tables_and_parts()
        for name, rows in published.rows(project).items():
            query = tables[name]()
            for typed in rows:
                wanted = expected(name, typed)
                key = {k: wanted[k] for k in query.primary_key if k in wanted}
                (row,) = (query & key).fetch(as_dict=True)
                for column, value in wanted.items():
                    assert_equal(row[column], value, f"{project} {name} {key} {column}")
                n_rows += 1
            # the old package's own rows of lookup tables are there as well
            assert name in OF_THE_PACKAGE or len(query) == count(published, name, project), name
    return n_rows


#: Tables that the old package fills itself, or that both projects share.
OF_THE_PACKAGE = {"SetupLocation", "Species", "Strain", "LabMember", "Setup"}
SHARED = {"File", "AnalysisFile", "ProcessedFile", "UploadJob", "UploadJob.AssignedFiles"}


def count(published: Any, name: str, project: str | None) -> int:
    projects = published.folders if name in SHARED else [project]
    return sum(len(published.rows(one)[name]) for one in projects)


@pytest.fixture(params=["embedded", "server"])
def empty_lab(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    make = request.getfixturevalue(f"make_{request.param}_lab")
    with make(tmp_path):
        yield request.param


def test_every_row_and_blob_comes_as_it_was_typed(
    published_lab, empty_lab, mariadb_server, capsys
) -> None:
    put_objects(published_lab)
    before = checksums(mariadb_server.admin, OLD_NAME)
    connect()  # and what that writes
    written = writes(mariadb_server.admin)
    assert migrate(*published_lab.source, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["projects"], plan["new_projects"]) == ([None, "vision"], ["vision"])
    assert not [one for one in plan["findings"] if one["blocks"]]
    assert migrate(*published_lab.source, "--apply", "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert check_rows(published_lab) > 180
    assert done["copied"]["n_inserted"] + done["copied"]["n_same"] == sum(
        table["rows"] for table in done["tables"]
    )
    if empty_lab == "embedded":  # else the server is ours as well
        assert writes(mariadb_server.admin) == written
    assert checksums(mariadb_server.admin, OLD_NAME) == before
    assert done["objects"]["n_verified"] == len(published_lab.objects())
    sums = {
        f"{row['storage']}/{row['file_path']}": row["file_sha256"]
        for table in (default_lab.File, default_lab.AnalysisFile)
        for row in table.fetch(as_dict=True)
    }
    assert sums == published_lab.objects()


def test_what_came_can_be_used(published_lab, make_embedded_lab, tmp_path) -> None:
    import labdata

    with make_embedded_lab(tmp_path):
        assert migrate(*published_lab.source, "--apply", "--no-verify-objects") == 0
        key = {"parameter_set_num": 1, "unit_id": 1}
        (unit,) = (default_lab.SpikeSorting.Unit & key).get_spike_times()
        assert unit["synced"]
        # pulses at sample 17 + 30000 n of the probe are at n + 17 / 30000 + 12.3 ms of nidq
        samples = (default_lab.SpikeSorting.Unit & key).fetch1("spike_times")
        inside = samples < 19 * 30000
        np.testing.assert_allclose(
            unit["spike_times"][inside], samples[inside] / 30000 + 0.0123, atol=1e-4
        )
        assert len(labdata.spikes(default_lab.SpikeSorting & "parameter_set_num = 1").unit) >= 2
        from labdata.rules.upload_queue import claimable_jobs

        assert claimable_jobs(default_lab, all_hosts=True) == []


def test_one_project_comes_with_what_is_shared(published_lab, make_embedded_lab, tmp_path) -> None:
    with make_embedded_lab(tmp_path):
        assert (
            migrate(*published_lab.source, "-p", "vision", "--apply", "--no-verify-objects") == 0
        )
        assert len(default_lab.Subject()) == 0
        assert list(load_project_schema("vision").Subject.fetch("subject_name")) == ["JC6"]
        assert sorted(default_lab.UploadJob.fetch("job_id")) == [61, 62, 63]
        assert len(default_lab.UploadJob.AssignedFiles()) == 3
