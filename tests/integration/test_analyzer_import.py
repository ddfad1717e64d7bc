"""What SpikeInterface saved becomes a sorting; SpikeInterface says what must be in it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labdata
from labdata.cli import main
from labdata.compute import ImportOptions, import_sorting
from labdata.errors import TaskError
from labdata.schema import default_lab as lab
from labdata.testing import insert_dataset, insert_unit, write_phy_folder

si = pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytestmark = [pytest.mark.database, pytest.mark.sorting]
RATE_HZ, LENGTHS, N_CHANNELS = 30000.0, (120_000, 60_000), 6
N_SAMPLES = sum(LENGTHS)


@pytest.fixture(scope="module")
def analyzer() -> Any:
    """Of two segments; its channels are contacts 2 to 7 of the probe below, in another order."""
    recording, sorting = si.generate_ground_truth_recording(
        durations=[n / RATE_HZ for n in LENGTHS],
        num_channels=N_CHANNELS,
        num_units=4,
        sampling_frequency=RATE_HZ,
        seed=2,
    )
    sorting.set_property("quality", ["good", "mua", "good", "noise"])
    made = si.create_sorting_analyzer(sorting, recording, sparse=False, return_in_uV=True)
    names = ["random_spikes", "noise_levels", "waveforms", "templates", "spike_amplitudes"]
    made.compute([*names, "spike_locations"])
    made.compute("quality_metrics", metric_names=["num_spikes", "firing_rate", "snr"])
    return made


@pytest.fixture(scope="module")
def folder(analyzer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "analyzer.zarr"
    analyzer.save_as(format="zarr", folder=path)
    return path


ROWS = np.array([5, 2, 7, 3, 6, 4])  # of the analyzer's channels


def insert_probe(
    analyzer: Any, shift_um: float = 0.0, n_samples: int = N_SAMPLES
) -> dict[str, Any]:
    """Insert a recording of eight contacts, six of which are the analyzer's."""
    key = insert_dataset(lab)
    unit = insert_unit(lab, key, spike_times=np.arange(3))
    (lab.SpikeSorting & unit).delete(prompt=False)
    probe = {k: unit[k] for k in lab.EphysRecording.ProbeSetting.primary_key}
    coords = np.column_stack([np.full(8, 500.0), 1000.0 + 31.0 * np.arange(8) ** 1.1])
    coords[ROWS] = analyzer.get_channel_locations()
    lab.ProbeConfiguration.update1(
        dict(
            probe_id="p1",
            configuration_id=0,
            probe_n_channels=8,
            channel_idx=np.arange(8),
            channel_shank=np.zeros(8, int),
            channel_coords=coords + np.array([0.0, shift_um]),
        )
    )
    setting = dict(probe, sampling_rate=RATE_HZ, n_samples=n_samples)
    lab.EphysRecording.ProbeSetting.update1(setting)
    return probe


@pytest.fixture
def probe(embedded_lab: Path, analyzer: Any) -> dict[str, Any]:
    return insert_probe(analyzer)


def facts() -> dict[str, Any]:
    found = lab.SpikeSorting.fetch1("additional_params")
    return json.loads(found) if isinstance(found, str) else found


def test_units_are_those_of_the_analyzer(probe, folder, analyzer, capsys) -> None:
    line = ["import", "analyzer", str(folder), "-a", "JC1", "-s", "20250601_100000"]
    assert main([*line, "--algorithm", "mysorter", "--dry-run"]) == 0
    assert "4 units" in capsys.readouterr().out and len(lab.SpikeSorting()) == 0
    assert main([*line, "--algorithm", "mysorter"]) == 0
    spikes = analyzer.sorting.to_spike_vector()
    samples = spikes["sample_index"] + np.array([0, LENGTHS[0]])[spikes["segment_index"]]
    amplitudes = analyzer.get_extension("spike_amplitudes").get_data()
    located = analyzer.get_extension("spike_locations").get_data()
    templates = analyzer.get_extension("templates").get_templates(operator="average")
    noise = analyzer.get_extension("noise_levels").get_data()
    metrics = analyzer.get_extension("quality_metrics").get_data()
    for place, name in enumerate(analyzer.unit_ids):
        own = {"unit_id": int(name)}
        theirs = spikes["unit_index"] == place
        unit = (lab.SpikeSorting.Unit & own).fetch1()
        assert unit["spike_times"].tolist() == samples[theirs].tolist()
        np.testing.assert_allclose(unit["spike_amplitudes"], np.abs(amplitudes[theirs]), rtol=1e-6)
        np.testing.assert_allclose(unit["spike_positions"][:, 1], located["y"][theirs], rtol=1e-5)
        wave = (lab.SpikeSorting.Waveforms & own).fetch1()
        of_row = {int(row): channel for channel, row in enumerate(ROWS)}
        channels = [of_row[int(row)] for row in wave["waveform_channels"]]
        expected = templates[place][:, channels]
        np.testing.assert_allclose(wave["waveform_median"], expected, atol=1e-4)
        peak = int(np.argmax(np.ptp(templates[place], axis=0)))
        assert peak in channels and wave["waveform_noise"] == pytest.approx(noise[peak])
        mine = (lab.UnitMetrics & own).fetch1()
        assert mine["channel_index"] == ROWS[peak]
        assert mine["num_spikes"] == metrics["num_spikes"].iloc[place]
        assert mine["firing_rate"] == pytest.approx(metrics["firing_rate"].iloc[place])
        assert facts()["quality_metrics"]["snr"][name] == pytest.approx(metrics["snr"].iloc[place])
    assert facts()["labels"] == {"quality": {"0": "good", "1": "mua", "2": "good", "3": "noise"}}
    sorting = (lab.SpikeSorting * lab.SpikeSortingParams).fetch1()
    assert sorting["algorithm_name"] == "mysorter" and sorting["n_pre_samples"] == 30
    assert sorting["sorting_channel_indices"].tolist() == ROWS.tolist()
    assert main([*line, "--algorithm", "mysorter"]) == 0
    assert "There already" in capsys.readouterr().out and len(lab.SpikeSorting()) == 1


def test_another_origin_of_the_places_is_found(embedded_lab, analyzer, folder) -> None:
    probe = insert_probe(analyzer, shift_um=2500.0)
    import_sorting("analyzer", folder, probe)
    located = analyzer.get_extension("spike_locations").get_data()
    mine = np.concatenate(lab.SpikeSorting.Unit.fetch("spike_positions"))
    assert np.median(mine[:, 1]) == pytest.approx(np.median(located["y"]) + 2500.0, rel=1e-4)
    stored = lab.SpikeSorting.fetch1("sorting_channel_indices")
    assert stored.tolist() == ROWS.tolist()


def test_names_of_units_are_kept_beside_their_numbers(probe, analyzer, tmp_path) -> None:
    named = analyzer.sorting.rename_units(["a", "b", "c", "d"])
    si.select_segment_sorting(named, 0).save(folder=tmp_path / "saved")
    found = import_sorting("analyzer", tmp_path / "saved", probe)
    assert facts()["unit_names"] == {"0": "a", "1": "b", "2": "c", "3": "d"}
    assert any("the spikes alone" in note for note in found.notes)
    assert len(lab.SpikeSorting.Waveforms()) == 0
    assert (lab.UnitMetrics & "unit_id = 1").fetch1("spike_amplitude") is None


def test_an_analyzer_of_another_recording_is_refused(embedded_lab, analyzer, folder) -> None:
    probe = insert_probe(analyzer, n_samples=N_SAMPLES + 1)
    with pytest.raises(TaskError, match=f"is of {N_SAMPLES} samples"):
        import_sorting("analyzer", folder, probe)
    lab.EphysRecording.ProbeSetting.update1(dict(probe, n_samples=N_SAMPLES))
    coords = lab.ProbeConfiguration.fetch1("channel_coords").copy()
    coords[ROWS[0]] += 3.0
    configuration = lab.ProbeConfiguration.fetch1("KEY")
    lab.ProbeConfiguration.update1(dict(configuration, channel_coords=coords))
    with pytest.raises(TaskError, match="not at contacts of this probe"):
        import_sorting("analyzer", folder, probe)
    lab.EphysRecording.ProbeSetting.update1(dict(probe, sampling_rate=25000.0))
    with pytest.raises(TaskError, match="30000 Hz"):
        import_sorting("analyzer", folder, probe)
    with pytest.raises(TaskError, match="for folders of phy"):
        import_sorting("analyzer", folder, probe, ImportOptions(uv_per_bit=2.0))
    assert len(lab.SpikeSorting()) == 0


def in_child(work: Any) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = work()
        finally:
            os._exit(code)
    return pid


@pytest.mark.parametrize("same", [True, False], ids=["one folder", "two folders"])
def test_two_imports_at_once_end_with_one_sorting(probe, tmp_path, same) -> None:
    """Both have looked before either inserts: one success, and one clear answer."""
    from labdata.compute import sorting_import
    from labdata.database.connection import reset_connection

    trains = {3: np.arange(1000, N_SAMPLES, 3000), 7: np.arange(500, N_SAMPLES, 6000)}
    write_phy_folder(tmp_path / "0", trains)
    write_phy_folder(tmp_path / "1", trains if same else {3: trains[3]})
    gate = tmp_path / "gate"
    answers = {"imported": 10, "there already": 20}

    def work(number: int) -> int:
        reset_connection()
        real = sorting_import.insert_sortings

        def wait_then_insert(*given: Any, **named: Any) -> None:
            (tmp_path / f"ready{number}").touch()
            while not gate.exists():
                time.sleep(0.001)
            real(*given, **named)

        sorting_import.insert_sortings = wait_then_insert
        try:
            return answers[
                import_sorting("phy", tmp_path / str(0 if same else number), probe).done
            ]
        except TaskError as error:
            assert "another sorting of parameter set" in str(error)
            return 30

    lab.SpikeSorting()
    pids = [in_child(lambda n=n: work(n)) for n in (0, 1)]
    deadline = time.monotonic() + 60
    while not all((tmp_path / f"ready{n}").exists() for n in (0, 1)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    gate.touch()
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
    reset_connection()
    assert codes == [10, 20 if same else 30]
    assert len(lab.SpikeSorting()) == 1
    spikes = labdata.spikes(probe)
    assert set(spikes["unit"].values.tolist()) <= {3, 7}
