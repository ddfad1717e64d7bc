"""A folder of Kilosort or phy becomes a sorting, by the command and from Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labdata
from labdata.cli import main
from labdata.compute import ImportOptions, import_sorting
from labdata.errors import QueryError, TaskError
from labdata.schema import default_lab as lab
from labdata.testing import insert_dataset, insert_unit, write_phy_folder

pytestmark = pytest.mark.database

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TOY = SHARED / "kilosort" / "bombcell_toy"
RATE_HZ, N_SAMPLES, N_CHANNELS = 30000.0, 3_000_000, 8
TRAINS = {
    3: np.arange(1000, N_SAMPLES, 3000),
    7: np.arange(500, N_SAMPLES, 6000),
    12: np.array([4, 2_999_999]),
}


def insert_recording(coords: np.ndarray, n_samples: int = N_SAMPLES) -> dict[str, Any]:
    """Insert a recording of one probe without a sorting, and return the probe's key."""
    key = insert_dataset(lab)
    unit = insert_unit(lab, key, spike_times=np.arange(3))
    (lab.SpikeSorting & unit).delete(prompt=False)
    probe = {k: unit[k] for k in lab.EphysRecording.ProbeSetting.primary_key}
    lab.ProbeConfiguration.update1(
        dict(
            probe_id="p1",
            configuration_id=0,
            probe_n_channels=len(coords),
            channel_idx=np.arange(len(coords)),
            channel_shank=np.zeros(len(coords), int),
            channel_coords=coords,
        )
    )
    lab.EphysRecording.ProbeSetting.update1(
        dict(probe, sampling_rate=RATE_HZ, n_samples=n_samples)
    )
    return probe


@pytest.fixture
def probe(embedded_lab: Path) -> dict[str, Any]:
    return insert_recording(np.column_stack([np.zeros(N_CHANNELS), 20.0 * np.arange(N_CHANNELS)]))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    write_phy_folder(tmp_path / "ks", TRAINS, labels={3: "good", 7: "mua"}, whitened=True)
    yield tmp_path / "ks"


def command(folder: Path, *more: str) -> list[str]:
    return ["import", "phy", str(folder), "-a", "JC1", "-s", "20250601_100000", *more]


def rows() -> dict[str, int]:
    parts = lab.SpikeSorting
    tables = dict(p=lab.SpikeSortingParams, s=parts, u=parts.Unit, w=parts.Waveforms)
    return {name: len(t()) for name, t in {**tables, "m": lab.UnitMetrics}.items()}


def test_units_keep_their_numbers_and_spikes(probe, folder, capsys) -> None:
    assert main(command(folder, "--algorithm", "kilosort3", "--dry-run")) == 0
    assert "3 units, 1502 spikes" in capsys.readouterr().out
    assert rows()["s"] == 0
    assert main(command(folder, "--algorithm", "kilosort3")) == 0
    spikes = labdata.spikes({**probe, "parameter_set_num": 6})
    for unit, train in TRAINS.items():
        mine = spikes["spike_unit"].values == unit
        assert spikes["sample_index"].values[mine].tolist() == train.tolist()
        assert np.allclose(spikes["spike_time"].values[mine], train / RATE_HZ)
    sorting = lab.SpikeSorting.fetch1()
    assert (sorting["n_sorted_units"], sorting["n_detected_spikes"]) == (3, 1502)
    assert sorting["n_pre_samples"] == 20
    facts = sorting["additional_params"]
    facts = json.loads(facts) if isinstance(facts, str) else facts
    assert facts["labels"] == {"group": {"3": "good", "7": "mua"}}


def test_without_a_scale_there_is_no_number_in_uv(probe, folder) -> None:
    found = import_sorting("phy", folder, probe)
    assert any("no scale" in note for note in found.notes)
    assert rows() == {"p": 2, "s": 1, "u": 3, "w": 0, "m": 3}
    for unit in lab.UnitMetrics.fetch(as_dict=True):
        assert unit["spike_amplitude"] is unit["trough_amplitude"] is unit["snr"] is None
        assert unit["spike_duration"] == pytest.approx(10 / 30)  # trough at 20, peak at 30
    assert all(a is None for a in lab.SpikeSorting.Unit.fetch("spike_amplitudes"))
    channels = dict(zip(*lab.UnitMetrics.fetch("unit_id", "channel_index"), strict=True))
    assert channels == {3: 0, 7: 1, 12: 2}
    # 0.4, 1 and 0.4 of a height at 0, 20 and 40 um
    assert (lab.UnitMetrics & "unit_id = 7").fetch1("depth") == pytest.approx(20.0)


def test_with_a_scale_amplitudes_and_waveforms_are_in_uv(probe, folder) -> None:
    import_sorting("phy", folder, probe, ImportOptions(algorithm="kilosort2.5", uv_per_bit=2.0))
    order = np.argsort(np.concatenate([TRAINS[u] for u in TRAINS]), kind="stable")
    amplitudes = np.linspace(0.9, 1.1, len(order))  # of the spikes in the order of time
    of_spikes = np.repeat([3, 7, 12], [len(TRAINS[u]) for u in TRAINS])[order]
    for unit in (lab.SpikeSorting.Unit * lab.SpikeSorting.Waveforms).fetch(as_dict=True):
        own = amplitudes[of_spikes == unit["unit_id"]]
        assert np.allclose(unit["spike_amplitudes"], own * 100.0 * 2.0)  # trough of the template
        assert unit["waveform_median"].min() == pytest.approx(-200.0 * own.mean(), rel=1e-5)
    with pytest.raises(TaskError, match="no factors"):
        import_sorting("phy", folder, probe, ImportOptions(algorithm="kilosort4", uv_per_bit=2.0))


def test_the_same_folder_twice_is_one_sorting_and_another_is_refused(
    probe, folder, tmp_path
) -> None:
    assert import_sorting("phy", folder, probe).done == "imported"
    before = rows()
    assert import_sorting("phy", folder, probe).done == "there already"
    assert rows() == before
    write_phy_folder(tmp_path / "other", {3: TRAINS[3]})
    with pytest.raises(TaskError, match="another sorting of parameter set"):
        import_sorting("phy", tmp_path / "other", probe)
    named = ImportOptions(parameters={"Th": 9})
    assert import_sorting("phy", tmp_path / "other", probe, named).done == "imported"
    with pytest.raises(TaskError, match="There is no parameter set 99"):
        import_sorting("phy", folder, probe, parameter_set_num=99)


def test_a_folder_of_another_recording_is_refused(probe, tmp_path) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("25000 Hz", dict(sampling_rate_hz=25000.0)),
        ("had 17 channels", dict(n_channels=16)),
    ]
    for number, (said, options) in enumerate(cases):
        write_phy_folder(tmp_path / str(number), TRAINS, **options)
        with pytest.raises(TaskError, match=said):
            import_sorting("phy", tmp_path / str(number), probe)
    write_phy_folder(tmp_path / "n", TRAINS, n_channels=8)
    np.save(tmp_path / "n" / "channel_map.npy", np.arange(8) + 1)
    with pytest.raises(TaskError, match="names channel 8"):
        import_sorting("phy", tmp_path / "n", probe)
    with pytest.raises(QueryError, match="There is no probe"):
        import_sorting("phy", tmp_path / "n", {**probe, "probe_num": 3})
    assert rows()["s"] == 0


def test_spikes_outside_the_recording_are_refused_or_told(probe, tmp_path) -> None:
    late = {3: np.array([5, N_SAMPLES - 1, N_SAMPLES, N_SAMPLES + 7])}
    write_phy_folder(tmp_path / "ks", late)
    with pytest.raises(TaskError, match=r"2 of 4 spikes lie outside .*last at 3000007"):
        import_sorting("phy", tmp_path / "ks", probe)
    found = import_sorting("phy", tmp_path / "ks", probe, ImportOptions(drop_outside=True))
    assert found.n_spikes == 2 and "left out" in found.notes[0]
    assert lab.SpikeSorting.Unit.fetch1("spike_times").tolist() == [5, N_SAMPLES - 1]


def test_a_failure_in_the_middle_leaves_nothing(probe, folder, monkeypatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as now, pytest.raises(KeyboardInterrupt):
        now.setattr(type(lab.UnitMetrics()), "insert1", fail)
        import_sorting("phy", folder, probe)
    assert rows()["s"] == rows()["u"] == 0


@pytest.mark.skipif(not TOY.is_dir(), reason="the real Kilosort folder is not here")
def test_a_real_folder(embedded_lab: Path) -> None:
    expected = json.loads((SHARED / "expected_other.json").read_text())["kilosort"]
    expected = expected["kilosort/bombcell_toy"]
    rows_sorted = np.load(TOY / "channel_map.npy").ravel()
    coords = np.zeros((384, 2))
    coords[rows_sorted] = np.load(TOY / "channel_positions.npy")
    probe = insert_recording(coords, round(expected["T_used_s"] * RATE_HZ))
    found = import_sorting("phy", TOY, probe, ImportOptions(drop_outside=True))
    assert "no params.py" in found.notes
    for row in lab.UnitMetrics.fetch(as_dict=True):
        facts = expected["units"][str(row["unit_id"])]
        assert abs(row["num_spikes"] - facts["n"]) <= 1  # the length told is that of the last
        assert row["firing_rate"] == pytest.approx(facts["rate_hz"], abs=3e-4)
        # told in seconds, where rounding decides of intervals of exactly 45 samples
        gaps = np.diff((lab.SpikeSorting.Unit & row).fetch1("spike_times"))
        assert row["n_isi_violations"] == np.sum(gaps < 45)
        assert np.sum(gaps < 45) - 1 <= facts["isi_lt_1p5ms"] <= np.sum(gaps <= 45) + 1
        peak = expected["template_peak_channel"][row["unit_id"]]
        assert row["channel_index"] == rows_sorted[peak]
    stored = lab.SpikeSorting.fetch1("sorting_channel_indices")
    assert stored.tolist() == rows_sorted.tolist()


def test_a_kind_that_nobody_reads_is_refused() -> None:
    with pytest.raises(TaskError, match="Sortings of 'klusta' cannot be imported"):
        import_sorting("klusta", "folder", {})
