"""``labdata run spikeinterface``: from a stored recording to units that are those planted."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from importlib.metadata import version

import numpy as np
import pytest

from labdata.cli import main
from labdata.compute import create_tasks, find_analysis, run_task
from labdata.compute.analyses import probe_sorting, sorting
from labdata.compute.analyses import sorting as sorting_module
from labdata.errors import LabdataError, TaskError
from labdata.preferences import absolute_folder, load_preferences
from labdata.testing import write_lab, write_spikeglx_run

pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytestmark = [pytest.mark.sorting, pytest.mark.slow]

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
SELECT = ["-a", "JC1", "-s", "20240305_100000"]


def rows(lab):
    found = {"UnitMetrics": len(lab.UnitMetrics()), "SpikeSorting": len(lab.SpikeSorting())}
    for part in ("Unit", "Waveforms", "Segment"):
        found[part] = len(getattr(lab.SpikeSorting, part)())
    return found


@pytest.fixture(scope="module")
def sorted_lab(rig_maker, tmp_path_factory, database_folder):
    """The main session of the demo's lab, sorted by the default sorter."""
    truth = write_lab(
        tmp_path_factory.mktemp("lab"), main_duration_s=40.0, short_duration_s=2.0
    ).main
    with rig_maker(tmp_path_factory.mktemp("sorting"), database_folder) as rig:
        rig.add_subjects("JC1")
        rig.upload(rig.put(rig.record(truth.run.run_folder)))
        assert main(["run", "spikeinterface", *SELECT, "--n-jobs", "1"]) == 0
        yield rig.lab, truth.run


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    return write_spikeglx_run(
        tmp_path_factory.mktemp("short"), run_name="ephys", duration_s=8.0, n_channels=8, n_units=3
    )


@pytest.fixture
def short(lab_rig, short_run):
    """Eight seconds, for the simple sorter."""
    lab_rig.upload(lab_rig.put(lab_rig.record(short_run.run_folder)))
    return lab_rig


SIMPLE = ["--sorter", "simple", "--n-jobs", "1"]


# --- the default sorter --------------------------------------------------------------------------


def test_nine_of_ten_planted_units_are_found(sorted_lab):
    from spikeinterface.comparison import compare_sorter_to_ground_truth
    from spikeinterface.core import NumpySorting

    lab, run = sorted_lab
    probe = run.probes[0]
    rate = probe.clock.nominal_rate_hz
    planted = {u: probe.unit_samples(u) for u in range(probe.n_units)}
    found = dict(zip(*lab.SpikeSorting.Unit.fetch("unit_id", "spike_times"), strict=True))
    comparison = compare_sorter_to_ground_truth(
        NumpySorting.from_unit_dict([planted], sampling_frequency=rate),
        NumpySorting.from_unit_dict([found], sampling_frequency=rate),
        delta_time=0.4,
        exhaustive_gt=True,
    )
    accuracy = comparison.get_performance()["accuracy"].to_numpy(dtype=float)
    assert np.count_nonzero(accuracy > 0.8) >= 9, np.sort(accuracy)


def test_sorted_again_the_spikes_are_the_same(sorted_lab):
    """However many processes it takes."""
    lab, _ = sorted_lab
    units = lab.SpikeSorting.Unit.fetch("spike_times", order_by="unit_id")
    (lab.SpikeSorting & KEY).delete(prompt=False)
    assert main(["run", "spikeinterface", *SELECT, "--n-jobs", "2"]) == 0
    again = lab.SpikeSorting.Unit.fetch("spike_times", order_by="unit_id")
    assert [u.tolist() for u in again] == [u.tolist() for u in units]


def test_units_lie_where_they_were_planted(sorted_lab):
    lab, run = sorted_lab
    probe = run.probes[0]
    metrics = lab.UnitMetrics.fetch(as_dict=True)
    trains = dict(zip(*lab.SpikeSorting.Unit.fetch("unit_id", "spike_times"), strict=True))
    matched = 0
    for row in metrics:
        train = trains[row["unit_id"]]
        assert row["num_spikes"] == len(train)
        near = [
            np.isin(train, probe.unit_samples(u) + np.arange(-12, 13)[:, None]).mean()
            for u in range(probe.n_units)
        ]
        unit = int(np.argmax(near))
        if near[unit] < 0.9:
            continue
        matched += 1
        x, depth = probe.unit_positions_um[unit]
        assert abs(row["depth"] - depth) < 40
        assert abs(row["position"][0] - x) < 40
        assert row["shank"] == probe.shank[probe.unit_peak_channels[unit]]
        assert row["channel_index"] in np.flatnonzero(probe.shank == row["shank"])
        duration_s = probe.clock.n_samples / probe.clock.nominal_rate_hz
        assert row["firing_rate"] == pytest.approx(len(train) / duration_s, rel=1e-6)
    assert matched >= 9


def test_a_sorting_has_all_its_parts(sorted_lab):
    lab, run = sorted_lab
    master = lab.SpikeSorting.fetch1()
    units = lab.SpikeSorting.Unit.fetch(as_dict=True)
    assert rows(lab) == {
        "SpikeSorting": 1,
        "Unit": len(units),
        "Waveforms": len(units),
        "UnitMetrics": len(units),
        "Segment": 1,
    }
    assert master["n_sorted_units"] == len(units)
    assert master["n_detected_spikes"] == sum(len(u["spike_times"]) for u in units)
    n_samples = run.probes[0].clock.n_samples
    for unit in units:
        times = unit["spike_times"]
        assert times.dtype == np.int64
        assert (np.diff(times) >= 0).all()
        assert times[0] >= 0 and times[-1] < n_samples
        assert unit["spike_amplitudes"].shape == times.shape
        assert unit["spike_positions"].shape == (len(times), 2)
    segment = lab.SpikeSorting.Segment.fetch1()
    assert segment["segment"].shape == (15000, 64)
    assert 0 < segment["offset_samples"] < n_samples
    assert "spikeinterface" in master["package_versions"]


def test_the_whole_parameter_set_is_recorded_with_its_defaults(sorted_lab):
    import spikeinterface.sorters as ss

    lab, _ = sorted_lab
    row = lab.SpikeSortingParams.fetch1()
    assert row["algorithm_name"] == "spykingcircus2"
    recorded = row["parameters_dict"]
    recorded = json.loads(recorded) if isinstance(recorded, str) else recorded
    defaults = json.loads(json.dumps(ss.get_default_sorter_params("spykingcircus2")))
    assert {k: defaults[k] for k in recorded} == recorded
    assert "detection" in recorded


def test_the_task_says_what_was_done_and_with_what(sorted_lab):
    lab, _ = sorted_lab
    task = (lab.ComputeTask & "job_id=1").fetch1()
    assert (task["task_status"], task["task_waiting"]) == ("COMPLETED", 0)
    assert task["task_starttime"] < task["task_endtime"]
    assert task["task_cmd"].startswith("run spikeinterface -a JC1")
    assert "units (set 1)" in task["task_log"]
    versions = task["task_versions"]
    versions = json.loads(versions) if isinstance(versions, str) else versions
    assert versions["spikeinterface"] == version("spikeinterface")
    stored = lab.SpikeSorting.fetch1("package_versions")
    assert stored == versions
    assert set(versions) >= {"labdata-jupyter", "spikeinterface", "numpy", "numba"}


def test_the_example_of_the_help_is_accepted():
    options = {"param": ["detection.method_kwargs.detect_threshold=6"]}
    made = find_analysis("spikeinterface").check(options)["sorter_parameters"]
    assert made["detection"]["method_kwargs"]["detect_threshold"] == 6
    assert made["detection"]["method_kwargs"]["peak_sign"] == "neg"


def test_a_second_run_finds_it_sorted(sorted_lab, capsys):
    lab, _ = sorted_lab
    before = rows(lab)
    assert main(["run", "spikeinterface", *SELECT, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert "sorted already (set 1)" in said["result"]
    assert rows(lab) == before
    assert len(lab.SpikeSortingParams()) == 1


# --- cheap runs of the simple sorter -------------------------------------------------------------


def test_another_parameter_makes_another_set(short, capsys):
    lab = short.lab
    run = ["run", "spikeinterface", *SELECT, *SIMPLE]
    assert main(run) == 0
    assert main([*run, "--param", "detect_threshold=6"]) == 0
    assert main([*run, "--params", '{"detect_threshold": 6}']) == 0
    numbers = lab.SpikeSorting.fetch("parameter_set_num")
    assert sorted(numbers.tolist()) == [1, 2]
    assert rows(lab)["Segment"] == 2


@pytest.mark.parametrize(
    "table", ["UnitMetrics", "SpikeSorting.Waveforms", "SpikeSorting.Segment"]
)
def test_fault_16_a_failure_at_any_insert_leaves_nothing(short, monkeypatch, table):
    lab = short.lab
    owner = lab.UnitMetrics if table == "UnitMetrics" else getattr(lab.SpikeSorting, table[13:])

    def refuse(*_, **__):
        raise TaskError("The disk of the database is full.")

    with monkeypatch.context() as now:
        for method in ("insert", "insert1"):
            now.setattr(owner, method, refuse)
        assert main(["run", "spikeinterface", *SELECT, *SIMPLE]) == 1
    assert set(rows(lab).values()) == {0}
    task = lab.ComputeTask.fetch1()
    assert (task["task_status"], task["task_endtime"] is not None) == ("FAILED", True)
    assert "disk of the database is full" in task["task_log"]
    assert main(["task", str(task["job_id"])]) == 0
    assert rows(lab)["SpikeSorting"] == 1
    assert rows(lab)["UnitMetrics"] == rows(lab)["Unit"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sorter", "kilosort99"], ["'kilosort99'", "simple"]),
        (["--sorter", "simple", "--param", "detect_treshold=1"], ["'detect_threshold'"]),
        (["--param", "detektion.x=1"], ["'detektion'", "'detection'"]),
        (
            ["--param", "detection.method_kwargs.detect_treshold=1"],
            ["treshold'", "'detection.method_kwargs.detect_threshold'"],
        ),
        (["--param", "job_kwargs.n_jobs=3"], ["'job_kwargs'"]),
        (["--param", "nothing"], ["'nothing'", "NAME=VALUE"]),
        (["--params", "{broken"], ["valid JSON"]),
        (["--params", "missing.json"], ["'missing.json'"]),
        (["--params", "[1]"], ["[1]"]),
        (["--params", '{"detection": 1}', "--param", "detection.x=2"], ["'detection'", "one of"]),
    ],
    ids=lambda value: value[-1],
)
def test_wrong_options_are_refused_before_a_task_is_made(short, capsys, options, words):
    assert main(["run", "spikeinterface", *SELECT, *options]) == 1
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert len(short.lab.ComputeTask()) == 0


def test_a_file_of_parameters_must_name_them(short, capsys):
    path = short.home / "parameters.json"
    path.write_text("[1, 2]")
    assert main(["run", "spikeinterface", *SELECT, "--params", str(path)]) == 1
    assert "holds a list" in capsys.readouterr().err
    path.write_text('{"detect_threshold": 6}')
    assert main(["run", "spikeinterface", *SELECT, *SIMPLE, "--params", str(path)]) == 0
    recorded = short.lab.SpikeSortingParams.fetch1("parameters_dict")
    assert recorded["detect_threshold"] == 6


def test_a_sorter_that_fails_leaves_no_set_of_parameters(short, monkeypatch, capsys):
    """A set that sorted nothing would be a number in every list of sortings to choose from."""
    with monkeypatch.context() as now:
        now.setattr(sorting, "sort_recording", fails)
        assert main(["run", "spikeinterface", *SELECT, *SIMPLE]) == 1
    assert "no peaks" in capsys.readouterr().err
    assert len(short.lab.SpikeSortingParams()) == 0
    assert main(["run", "spikeinterface", *SELECT, *SIMPLE]) == 0
    assert short.lab.SpikeSorting.fetch("parameter_set_num").tolist() == [1]


def fails(*_):
    raise TaskError("simple failed: no peaks.")


def test_a_worker_that_was_taken_over_inserts_nothing(short, monkeypatch):
    """Its connection broke, the server let the task go, and another worker has it."""
    number = make_task(short.lab)
    real = probe_sorting.extract_units

    def taken_over(*arguments):
        table = short.lab.ComputeTask
        table.connection.query(f"UPDATE {table.full_table_name} SET task_claim='another'")
        return real(*arguments)

    monkeypatch.setattr(probe_sorting, "extract_units", taken_over)
    with pytest.raises(TaskError, match="taken over"):
        run_task(number)
    assert set(rows(short.lab).values()) == {0}
    assert short.lab.ComputeTask.fetch1("task_status") == "WORKING"
    assert left_in_scratch(short) == []


def left_in_scratch(rig):
    scratch = absolute_folder("scratch_path", load_preferences().scratch_path)
    return sorted(path.name for path in scratch.glob("labdata-*"))


def test_what_does_not_exist_is_said(short, capsys):
    for line, word in (
        (["run", "spikeinterface", "-a", "JC2", "-s", "x"], "No dataset"),
        (["run", "spikeinterface", "-a", "JC9"], "'JC9'"),
        (["run", "spikeinterfase", *SELECT], "spikeinterface"),
        (["task", "77"], "no task 77"),
    ):
        assert main(line) == 1
        assert word in capsys.readouterr().err
    assert main(["run"]) == 2
    assert main(["run", "-a", "JC1", "spikeinterface"]) == 2
    assert "comes first" in capsys.readouterr().err
    assert main(["run", "spikeinterface", *SELECT, "--n-jobs", "0"]) == 2
    assert "'0' is not a number of processes" in capsys.readouterr().err
    assert main(["run", "spikeinterface", *SELECT, *SIMPLE, "--probe", "4"]) == 1
    assert "no probe 4" in capsys.readouterr().err


def test_a_task_is_made_once_and_can_be_run_by_its_number(short, capsys):
    line = ["run", "spikeinterface", *SELECT, *SIMPLE, "--submit-only", "--json"]
    for _ in range(2):
        assert main(line) == 0
        (task,) = json.loads(capsys.readouterr().out)
        assert (task["job_id"], task["task_status"]) == (1, "WAITING")
    assert main(["task", "1"]) == 0
    assert main(["task", "1"]) == 1
    assert "Task 1 is COMPLETED" in capsys.readouterr().err
    assert main(["run", "--queue", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["task_status"] == "COMPLETED"


def make_task(lab):
    parameters = {"sorter": "simple", "n_jobs": 1, "param": []}
    (number,) = create_tasks(find_analysis("spikeinterface"), lab, KEY, parameters)
    return number


def test_fault_15_a_defect_fails_the_task_and_says_so(short, monkeypatch):
    number = make_task(short.lab)

    def broken(*_, **__):
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(probe_sorting, "extract_units", broken)
    with pytest.raises(ZeroDivisionError):
        run_task(number)
    task = short.lab.ComputeTask.fetch1()
    assert task["task_status"] == "FAILED"
    assert task["task_endtime"] is not None
    assert "ZeroDivisionError: by nought" in task["task_log"]


def test_interrupted_a_task_waits(short, monkeypatch):
    number = make_task(short.lab)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sorting_module, "sort_recording", interrupt)
    assert main(["task", str(number)]) == 130
    task = short.lab.ComputeTask.fetch1()
    assert (task["task_status"], task["task_waiting"]) == ("WAITING", 1)


def test_killed_while_inserting_and_repeated_there_is_one_sorting(short, run_child):
    number = make_task(short.lab)

    def work():
        short.lab.SpikeSorting.Segment.insert1 = lambda *_, **__: os.kill(
            os.getpid(), signal.SIGKILL
        )
        run_task(number)

    assert run_child(work) == -signal.SIGKILL
    assert set(rows(short.lab).values()) == {0}
    assert short.lab.ComputeTask.fetch1("task_status") == "WORKING"
    assert len(left_in_scratch(short)) == 1
    deadline = time.monotonic() + 10
    while True:
        try:
            run_task(number)
            break
        except TaskError:  # the server has not noticed yet that the worker is gone
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert rows(short.lab)["SpikeSorting"] == 1
    assert left_in_scratch(short) == []


def test_fault_01_of_two_workers_one_runs_a_task(short, run_child, monkeypatch):
    number, gate = make_task(short.lab), short.home / "gate"

    def compute(self, context):
        time.sleep(5.0)  # the other one may come late on a busy machine
        return "done"

    monkeypatch.setattr(sorting_module.SpikeInterfaceAnalysis, "compute", compute)

    def work():
        while not gate.exists():
            time.sleep(0.001)
        try:
            run_task(number)
        except LabdataError as error:
            assert "by a worker that is alive" in str(error)
            os._exit(20)
        os._exit(10)

    codes: list[int] = []
    workers = [threading.Thread(target=lambda: codes.append(run_child(work))) for _ in range(2)]
    for worker in workers:
        worker.start()
    time.sleep(0.3)
    gate.touch()
    for worker in workers:
        worker.join()
    assert sorted(codes) == [10, 20]
