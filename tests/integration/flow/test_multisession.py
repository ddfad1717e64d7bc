"""Several sessions sorted together: one number a unit in all, each session's own samples."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pytest

from labdata.cli import main
from labdata.compute import create_tasks, find_analysis, run_task
from labdata.compute.analyses import sorting_rows
from labdata.errors import TaskError
from labdata.testing import ProbeSpec, write_spikeglx_run

pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytestmark = [pytest.mark.sorting, pytest.mark.slow]

SESSIONS = ("20240305_100000", "20240306_110000")
BOTH = ["run", "spikeinterface", "-a", "JC1", "-s", *SESSIONS, "--sorter", "simple"]
BOTH += ["--n-jobs", "1"]
TOGETHER = [*BOTH, "--multisession"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same three neurons on two days, of different lengths."""
    made = [
        write_spikeglx_run(
            tmp_path_factory.mktemp("day"),
            run_name="ephys",
            probes=[ProbeSpec("NP1000", n_channels=16, n_units=3)],
            duration_s=duration_s,
            seed=1,
        )
        for duration_s in (9.0, 12.0)
    ]
    first, second = (run.probes[0] for run in made)
    np.testing.assert_array_equal(first.unit_positions_um, second.unit_positions_um)
    return made


@pytest.fixture
def recorded(lab_rig, runs):
    for session, run in zip(SESSIONS, runs, strict=True):
        folder = lab_rig.record(run.run_folder, f"JC1/{session}/ephys_g0")
        lab_rig.upload(lab_rig.put(folder))
    return lab_rig


def dataset(session):
    return {"subject_name": "JC1", "session_name": session, "dataset_name": "ephys_g0"}


def rows(lab):
    tables = [lab.SpikeSorting, lab.UnitMetrics]
    tables += [getattr(lab.SpikeSorting, n) for n in ("Unit", "Waveforms", "LinkedDatasets")]
    return [len(table()) for table in tables]


def sorted_as(lab, session, probe):
    """Return the unit of a sorting that each planted unit was found as."""
    found = (lab.SpikeSorting.Unit & dataset(session)).fetch("unit_id", "spike_times")
    trains = dict(zip(*found, strict=True))
    labels = {}
    for planted in range(probe.n_units):
        true = probe.unit_samples(planted)
        near = {
            unit: np.isin(true, train + np.arange(-12, 13)[:, None]).mean()
            for unit, train in trains.items()
        }
        best = max(near, key=near.__getitem__)
        if near[best] > 0.8:
            labels[planted] = best
    return labels


def test_a_neuron_has_one_number_in_both_sessions_and_its_own_samples(recorded, runs, told):
    lab = recorded.lab
    (said,) = told(*TOGETHER)
    assert "in 2 datasets" in said["result"]
    labels = [
        sorted_as(lab, session, run.probes[0]) for session, run in zip(SESSIONS, runs, strict=True)
    ]
    shared = set(labels[0]) & set(labels[1])
    assert len(shared) >= 2
    assert len({labels[0][u] for u in shared}) == len(shared)
    assert {u: labels[0][u] for u in shared} == {u: labels[1][u] for u in shared}
    for session, run in zip(SESSIONS, runs, strict=True):
        n_samples = run.probes[0].clock.n_samples
        for unit in (lab.SpikeSorting.Unit & dataset(session)).fetch(as_dict=True):
            assert unit["spike_times"][0] >= 0 and unit["spike_times"][-1] < n_samples
            metrics = (lab.UnitMetrics & dataset(session) & {"unit_id": unit["unit_id"]}).fetch1()
            duration_s = n_samples / run.probes[0].clock.nominal_rate_hz
            rate_hz = len(unit["spike_times"]) / duration_s
            assert metrics["firing_rate"] == pytest.approx(rate_hz, rel=1e-6)
    linked = lab.SpikeSorting.LinkedDatasets.fetch("session_name", "linked_session_name")
    assert set(zip(*linked, strict=True)) == {SESSIONS, SESSIONS[::-1]}
    assert set(lab.SpikeSortingParams.fetch1("parameters_dict")) > {"multisession"}
    task = lab.ComputeTask.fetch1()
    assert task["session_name"] == SESSIONS[0]
    assert "sorted already" in told(*TOGETHER)[0]["result"]


def test_sorted_alone_is_another_set_and_other_company_is_refused(recorded, runs, typed, told):
    lab = recorded.lab
    typed(*TOGETHER)
    third = "20240307_120000"
    folder = recorded.record(runs[0].run_folder, f"JC1/{third}/ephys_g0")
    recorded.upload(recorded.put(folder))
    line = [*TOGETHER[:6], third, *TOGETHER[6:]]
    said = typed(*line, code=1).err
    assert "together with other datasets" in said
    assert len(lab.SpikeSorting()) == 2
    assert [len(told(*BOTH)), len(lab.SpikeSorting())] == [2, 4]


def test_what_cannot_be_sorted_together_is_refused(recorded, lab_rig, typed, tmp_path):
    one = ["run", "spikeinterface", "-a", "JC1", "-s", SESSIONS[0], "--multisession"]
    assert "of one dataset" in typed(*one, "--sorter", "simple", code=1).err
    probe = ProbeSpec("NP1000", n_channels=12, n_units=2)
    other = write_spikeglx_run(tmp_path, run_name="ephys", probes=[probe], duration_s=3.0)
    folder = recorded.record(other.run_folder, "JC1/20240308_100000/ephys_g0")
    recorded.upload(recorded.put(folder))
    line = [*TOGETHER[:6], "20240308_100000", *TOGETHER[6:]]
    said = typed(*line, code=1).err
    assert "differ in the places of channels" in said
    assert rows(recorded.lab)[0] == 0


def test_two_probes_of_one_number_are_not_sorted_together(recorded, told, capsys):
    lab = recorded.lab
    (probe_id,) = set(lab.EphysRecording.ProbeSetting.fetch("probe_id"))
    probe = (lab.Probe & {"probe_id": probe_id}).fetch1()
    configuration = (lab.ProbeConfiguration & {"probe_id": probe_id}).fetch1()
    lab.Probe.insert1({**probe, "probe_id": "another"})
    lab.ProbeConfiguration.insert1({**configuration, "probe_id": "another"})
    (setting,) = (lab.EphysRecording.ProbeSetting & dataset(SESSIONS[1])).fetch("KEY")
    lab.EphysRecording.ProbeSetting.update1({**setting, "probe_id": "another"})
    assert main([*TOGETHER, "--check", "--json"]) == 1
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
    assert "Probe 0 is not one probe in these datasets: " in found["probes"]["message"]


def make_task(lab):
    options = {"sorter": "simple", "n_jobs": 1, "param": [], "multisession": True}
    keys = [dataset(session) for session in SESSIONS]
    (number,) = create_tasks(find_analysis("spikeinterface"), lab, keys, options)
    return number


def fail_at_the_second(monkeypatch, how):
    real, calls = sorting_rows._insert_one, []

    def insert(*given):
        calls.append(given)
        if len(calls) == 2:
            how()
        real(*given)

    monkeypatch.setattr(sorting_rows, "_insert_one", insert)


def test_failed_or_killed_half_way_nothing_is_there_and_repeated_all_is(
    recorded, monkeypatch, run_child
):
    lab = recorded.lab
    number = make_task(lab)

    def refuse():
        raise TaskError("The disk of the database is full.")

    with monkeypatch.context() as now:
        fail_at_the_second(now, refuse)
        with pytest.raises(TaskError, match="is full"):
            run_task(number)
    assert rows(lab) == [0] * 5

    def work():
        with pytest.MonkeyPatch.context() as now:
            fail_at_the_second(now, lambda: os.kill(os.getpid(), signal.SIGKILL))
            run_task(number)

    assert run_child(work) == -signal.SIGKILL
    assert rows(lab) == [0] * 5
    deadline = time.monotonic() + 10
    while main(["task", str(number)]):  # the server has not noticed yet that the worker is gone
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert rows(lab)[0] == 2 and rows(lab)[4] == 2
