"""``labdata run``: what is sure to fail is refused before a task is made, and the rest is said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from labdata.compute import create_tasks, find_analysis, preflight, run_task, task
from labdata.errors import TaskError
from labdata.testing import write_spikeglx_run

pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytestmark = pytest.mark.sorting

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
RUN = ["run", "spikeinterface", "-a", "JC1", "--sorter", "simple", "--n-jobs", "1"]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """Ten seconds, as pulses are matched by their intervals."""
    folder = tmp_path_factory.mktemp("long")
    return write_spikeglx_run(folder, run_name="ephys", duration_s=10.0, n_channels=4, n_units=1)


@pytest.fixture
def recorded(lab_rig, long_run):
    """A recording that the store only has."""
    folder = lab_rig.record(long_run.run_folder)
    lab_rig.upload(lab_rig.put(folder))
    shutil.rmtree(folder)
    return lab_rig


def machine(monkeypatch, **changed):
    facts = replace(preflight.read_machine(), **changed)
    for module in (preflight, task):
        monkeypatch.setattr(module, "read_machine", lambda: facts)


def by_check(rows):
    return {row["check"]: row for row in rows}


def ap_file(rig):
    return next(rig.store.rglob("*.ap.zarr.zip"))


def test_all_is_looked_at_and_nothing_is_begun(recorded, told, typed):
    found = by_check(told(*RUN, "--check"))
    states = {name: row["state"] for name, row in found.items()}
    ok = dict.fromkeys(("sorter", "GPU", "memory", "scratch disk", "raw files"), "ok")
    assert states == ok | {"sync": "warning"}
    assert "nothing to fetch" in found["raw files"]["message"]
    assert len(recorded.lab.ComputeTask()) == len(recorded.lab.SpikeSortingParams()) == 0
    said = typed(*RUN, "--dry-run").out
    assert "raw files" in said and "what to do" in said


def test_the_sync_that_is_suggested_can_be_inserted(recorded, told):
    suggested = by_check(told(*RUN, "--check"))["sync"]["hint"]
    assert suggested.startswith("The pulses match: StreamSync.insert1(")
    row = eval(suggested.partition("insert1(")[2][:-1])
    assert (row["event_name"], row["clock_stream"], row["clock_stream_event"]) == (
        "6",
        "nidq",
        "7",
    )
    recorded.lab.StreamSync.insert1(row)
    found = by_check(told(*RUN, "--check"))["sync"]
    assert (found["state"], found["message"]) == ("ok", "imec0 is on the clock of nidq.")


def test_without_pulses_on_another_stream_no_sync_is_suggested(recorded, told):
    (recorded.lab.DatasetEvents & {"stream_name": "nidq"}).delete(prompt=False)
    found = by_check(told(*RUN, "--check"))["sync"]
    assert "No line of another stream" in found["hint"]


def test_a_sorter_that_is_not_there_is_a_finding(recorded, capsys):
    from labdata.cli import main

    line = ["run", "spikeinterface", "-a", "JC1", "--sorter", "kilosort99"]
    assert main([*line, "--check", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["check"], found["state"]) == ("options", "refused")
    assert "kilosort99" in found["message"] and "simple" in found["hint"]


def test_what_cannot_succeed_is_refused_before_a_task_is_made(recorded, typed, monkeypatch):
    machine(monkeypatch, free_memory_bytes=10_000_000)
    said = typed(*RUN, code=1)
    assert "Not enough memory: 9.5 MiB free" in said.err and "--n-jobs 1" in said.err
    assert len(recorded.lab.ComputeTask()) == 0


def test_of_several_datasets_those_that_can_are_computed(recorded, long_run, typed, told):
    other = "JC1/20240306_100000/ephys_g0"
    recorded.upload(recorded.put(recorded.record(long_run.run_folder, other)))
    shutil.rmtree(recorded.rig / "JC1")
    ap_file(recorded).unlink()
    said = typed(*RUN, code=1)
    assert "JC1/20240305_100000/ephys_g0" in said.err or "JC1/20240306_100000" in said.err
    assert len(recorded.lab.ComputeTask()) == len(recorded.lab.SpikeSorting()) == 1


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (lambda rig: ap_file(rig).unlink(), "ap.zarr.zip"),
        (lambda rig: shutil.rmtree(rig.store), "data"),
    ],
    ids=["a file is gone", "the store is gone"],
)
def test_raw_files_that_cannot_be_had_are_refused(recorded, typed, harm, word):
    harm(recorded)
    said = typed(*RUN, "--check", code=1)
    (line,) = [line for line in said.out.splitlines() if "raw files" in line]
    assert "refused" in line and word in line


def test_files_in_a_bucket_that_may_not_be_read_unasked_are_refused(recorded, typed):
    pytest.importorskip("boto3", reason="needs boto3: pip install 'labdata-jupyter[s3]'")
    bucket = dict(protocol="s3", bucket="lab", endpoint="localhost:1")
    secrets = dict(access_key="a", secret_key="b")
    recorded.prefer(storage={"data": {**bucket, **secrets}}, allow_s3_download=False)
    said = typed(*RUN, "--check", code=1).out
    (line,) = [line for line in said.splitlines() if "raw files" in line]
    assert "allow_s3_download is false" in line and "labdata get" in line


def test_files_in_cold_storage_are_refused(recorded, typed, monkeypatch):
    from labdata.stores import LocalStore
    from labdata.stores.base import RestoreState

    asleep = RestoreState(archived=True)
    monkeypatch.setattr(LocalStore, "restore_state", lambda self, path: asleep)
    said = typed(*RUN, code=1).err
    assert "is in cold storage" in said and "labdata get -a JC1 --restore --wait" in said
    assert len(recorded.lab.ComputeTask()) == 0


def test_what_would_be_fetched_must_have_room(recorded, told, capsys, monkeypatch):
    from labdata.cli import main
    from labdata.schema.fetching import FetchPlan

    monkeypatch.setattr(FetchPlan, "distant_bytes", property(lambda self: 5000))
    found = by_check(told(*RUN, "--check"))["raw files"]
    assert found["state"] == "ok" and "4.9 KiB are fetched to" in found["message"]
    monkeypatch.setattr(FetchPlan, "distant_bytes", property(lambda self: 2**60))
    assert main([*RUN, "--check", "--json"]) == 1
    found = by_check(json.loads(capsys.readouterr().out))["raw files"]
    assert found["state"] == "refused" and "GiB are free" in found["message"]


def test_a_task_that_runs_elsewhere_is_checked_there(recorded, typed, monkeypatch):
    options = {"sorter": "simple", "n_jobs": 1, "param": []}
    (number,) = create_tasks(find_analysis("spikeinterface"), recorded.lab, KEY, options)
    mine = recorded.lab.ComputeTask & {"job_id": number}
    with monkeypatch.context() as small:
        machine(small, free_memory_bytes=10_000_000)
        typed(*RUN, "--submit-only")  # where it is only submitted, nothing is looked at
        with pytest.raises(TaskError, match="Not enough memory"):
            run_task(number)
    assert mine.fetch1("task_status") == "FAILED"
    run_task(number)
    assert "not synchronised" in mine.fetch1("task_log")


def test_what_is_sorted_needs_nothing(recorded, typed, told, monkeypatch):
    typed(*RUN)
    ap_file(recorded).unlink()
    machine(monkeypatch, free_memory_bytes=10_000_000)
    found = by_check(told(*RUN, "--check"))
    assert found["probes"]["message"] == "Sorted already (set 1)."
    assert "sorted already" in told(*RUN)[0]["result"]
