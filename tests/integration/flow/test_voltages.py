"""Voltages and waveforms by key, against the recording's own file and the known clock."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import labdata
from labdata.errors import ObjectError, QueryError
from labdata.formats.spikeglx import open_band
from labdata.objects import UnsyncedWarning
from labdata.schema import recorded_voltages

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
PROBE = {**KEY, "probe_num": 0}


@pytest.fixture(scope="module")
def world(rig_maker, tmp_path_factory, database_folder, two_probe_run):
    """Two probes, imec0 synchronised and with a sorting of three units, two with waveforms."""
    with rig_maker(tmp_path_factory.mktemp("voltages"), database_folder) as rig:
        rig.add_subjects("JC1")
        folder = rig.record(two_probe_run.run_folder)
        rig.upload(rig.put(folder))
        shutil.rmtree(folder)  # only the store has it now
        lab = rig.lab
        sync = {"stream_name": "imec0", "event_name": 6, "clock_dataset": KEY["dataset_name"]}
        lab.StreamSync.insert1(KEY | sync | {"clock_stream": "nidq", "clock_stream_event": 7})
        insert_sorting(lab)
        yield lab, two_probe_run


def insert_sorting(lab):
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": 1,
            "algorithm_name": "truth",
            "parameters_dict": {},
            "parameters_hash": "0" * 64,
        }
    )
    sorting = {**PROBE, "parameter_set_num": 1}
    lab.SpikeSorting.insert1(sorting | {"n_pre_samples": 2})
    for unit in (4, 7, 9):
        lab.SpikeSorting.Unit.insert1({**sorting, "unit_id": unit, "spike_times": np.arange(3)})
    wave = np.arange(10, dtype="float32").reshape(5, 2) * [1, -3]
    rows = [
        {**sorting, "unit_id": 4, "waveform_median": wave, "waveform_channels": np.array([6, 3])},
        {**sorting, "unit_id": 9, "waveform_median": 2 * wave},
    ]
    for row in rows:
        lab.SpikeSorting.Waveforms.insert1(row)


def raw_band(run, band="ap", probe_num=0):
    (path,) = Path(run.run_folder).rglob(f"*imec{probe_num}.{band}.bin")
    return open_band(path)


def test_a_window_has_the_samples_whose_times_are_in_it(world):
    _, run = world
    found = labdata.recording(PROBE, window_s=(1.0, 1.25))
    labdata.validate(found)
    probe, raw = run.probe(0), raw_band(run)
    samples = np.arange(raw.n_samples)
    true_s = run.nidq.seconds_at(probe.clock.true_at(samples / probe.clock.nominal_rate_hz))
    inside = np.flatnonzero((true_s >= 1.0) & (true_s < 1.25))
    assert abs(found.attrs["first_sample"] - inside[0]) <= 1
    assert abs(found.sizes["time"] - len(inside)) <= 1
    start = found.attrs["first_sample"]
    stop = start + found.sizes["time"]
    assert np.abs(found["time"] - true_s[start:stop]).max() < 33e-6
    assert found["time"].values.min() >= 1.0
    assert found["time"].values.max() < 1.25
    np.testing.assert_array_equal(found["voltage"], raw.read_uv(start, stop))
    assert found["voltage"].attrs["units"] == "uV"
    assert (found.attrs["clock"], found.attrs["synced"]) == ("nidq", 1)
    picked = found["voltage"].sel(time=slice(1.1, 1.2), channel=[5, 2])
    at = np.flatnonzero((found["time"].values >= 1.1) & (found["time"].values <= 1.2)) + start
    np.testing.assert_array_equal(picked, raw.read_uv(at[0], at[-1] + 1, [5, 2]))


def test_places_of_channels_are_those_of_the_probe(world):
    _, run = world
    found = labdata.recording(PROBE, channels=[3, 1])
    probe = run.probe(0)
    assert found["channel"].values.tolist() == [3, 1]
    np.testing.assert_allclose(found["x"], probe.positions_um[[3, 1], 0])
    np.testing.assert_allclose(found["depth"], probe.positions_um[[3, 1], 1])
    np.testing.assert_array_equal(found["shank"], probe.shank[[3, 1]])
    np.testing.assert_array_equal(
        found["voltage"].isel(time=slice(50, 90)), raw_band(run).read_uv(50, 90, [3, 1])
    )


def test_only_what_is_touched_is_read_a_block_at_a_time(world, monkeypatch):
    _, run = world
    found, raw, asked = labdata.recording(PROBE), raw_band(run), []
    opened = type(raw).read_uv

    def read(self, start, stop, channels=None):
        asked.append((start, stop))
        return opened(self, start, stop, channels)

    monkeypatch.setattr(type(raw), "read_uv", read)
    monkeypatch.setattr(recorded_voltages, "_BLOCK_VALUES", 100 * raw.n_channels)
    whole = raw.samples.shape[0]
    repr(found)
    later = found["voltage"].isel(time=slice(1000, 2000), channel=3)
    assert asked == []
    later = later.isel(time=slice(100, 350)).copy(deep=True)
    np.testing.assert_array_equal(later, opened(raw, 1100, 1350, [3])[:, 0])
    assert asked == [(1100, 1200), (1200, 1300), (1300, 1350)]
    asked.clear()
    few = found["voltage"].isel(time=[whole - 1, 5, 7], channel=[2, 0]).values
    np.testing.assert_array_equal(few[0], opened(raw, whole - 1, whole, [2, 0])[0])
    np.testing.assert_array_equal(few[1:], opened(raw, 5, 8, [2, 0])[[0, 2]])
    assert asked == [(5, 8), (whole - 1, whole)]
    stepped = found["voltage"].isel(time=slice(20, 500, 60), channel=slice(1, 4)).values
    np.testing.assert_array_equal(stepped, opened(raw, 0, 500, [1, 2, 3])[20:500:60])
    assert found["voltage"].isel(time=9, channel=2).values == opened(raw, 9, 10, [2])[0, 0]
    assert found["voltage"].isel(time=slice(0, 0)).values.shape == (0, len(found["channel"]))


def test_times_of_the_whole_recording_are_lazy_and_the_same(world):
    whole = labdata.recording(PROBE)
    part = labdata.recording(PROBE, window_s=(1.0, 1.25))
    start = part.attrs["first_sample"]
    mine = whole["time"].isel(time=slice(start, start + part.sizes["time"]))
    np.testing.assert_array_equal(mine.values, part["time"].values)
    assert list(whole.indexes) == ["channel"]
    assert not isinstance(whole["time"].variable._data, np.ndarray)


def test_another_process_opens_it_again(world):
    part = labdata.recording(PROBE, window_s=(1.0, 1.01))
    again = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(again["voltage"], part["voltage"])


def test_the_lf_band_is_read_at_its_own_rate(world):
    _, run = world
    probe = {**KEY, "probe_num": 1}
    with pytest.warns(UnsyncedWarning):
        lf = labdata.recording(probe, band="lf")
    np.testing.assert_array_equal(
        lf["voltage"].isel(time=slice(0, 9)), raw_band(run, "lf", 1).read_uv(0, 9)
    )
    rate = raw_band(run, "lf", 1).sampling_rate_hz
    np.testing.assert_allclose(lf["time"].isel(time=slice(0, 9)), np.arange(9) / rate)


def test_without_a_synchronisation_it_is_said(world):
    with pytest.warns(UnsyncedWarning, match="NOT SYNCHRONISED"):
        found = labdata.recording({**KEY, "probe_num": 1}, window_s=(0.5, 0.6))
    assert (found.attrs["clock"], found.attrs["synced"]) == ("imec1", 0)
    rate = found.attrs["sampling_rate_hz"]
    first = found.attrs["first_sample"]
    np.testing.assert_allclose(found["time"][:3], (first + np.arange(3)) / rate)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"window_s": (2.0, 1.0)}, ObjectError, "is empty"),
        ({"window_s": (1e5, 2e5)}, ObjectError, "Nothing was recorded"),
        ({"channels": [900]}, QueryError, "Channel 900 is not among"),
        ({"band": "mua"}, QueryError, "no 'mua' band"),
    ],
)
def test_what_is_not_there_is_refused(world, options, error, said):
    with pytest.raises(error, match=said):
        labdata.recording(PROBE, **options)


def test_waveforms_are_cut_of_what_is_read_for_them_alone(world, monkeypatch):
    _, run = world
    raw, asked, opened = raw_band(run), [], type(raw_band(run)).read_uv
    found = labdata.recording(PROBE, channels=[2, 5])

    def read(self, start, stop, channels=None):
        asked.append(stop - start)
        return opened(self, start, stop, channels)

    monkeypatch.setattr(type(raw), "read_uv", read)
    samples = np.array([95_000, 3, 60_010, 60_000])
    cut = labdata.cut_waveforms(found, samples, window_ms=(-0.5, 1.0))
    labdata.validate(cut)
    assert sum(asked) < 200
    for snippet, sample in zip(cut["waveform"].values, samples.tolist(), strict=True):
        wanted = opened(raw, max(sample - 15, 0), sample + 30, [2, 5])
        np.testing.assert_array_equal(snippet[-len(wanted) :], wanted)
    assert cut["is_whole"].values.tolist() == [1, 0, 1, 1]
    assert np.isnan(cut["waveform"].values[1, :12]).all()


def test_segments_that_the_files_do_not_have_are_refused_rather_than_placed_anyhow(world):
    lab, _ = world
    stream = {**KEY, "stream_name": "imec1"}
    for number in (0, 1):
        row = {"segment_num": number, "offset_samples": 100 * number, "n_samples": 100}
        lab.EphysRecording.Segment.insert1(
            stream | row | {"start_s": 9.0 * number, "epoch": 0},
            allow_direct_insert=True,
            replace=True,
        )
    try:
        with pytest.raises(QueryError, match="in 2 segments"):
            labdata.recording({**KEY, "probe_num": 1})
    finally:
        (lab.EphysRecording.Segment & stream & "segment_num = 1").delete_quick()


@pytest.mark.parametrize(
    ("channels", "words"), [([2.5], "2.5 is no whole"), (np.arange(8) > 4, "A mask of true")]
)
def test_a_mask_of_channels_is_not_channels_0_and_1(world, channels, words):
    with pytest.raises(QueryError, match=words):
        labdata.recording(PROBE, channels=channels)


def test_a_key_that_selects_two_probes_is_refused(world):
    with pytest.raises(QueryError, match="selects 2 probes"):
        labdata.recording(KEY)


def test_waveforms_are_on_their_channels(world):
    _, run = world
    found = labdata.waveforms(PROBE)
    labdata.validate(found)
    wave = np.arange(10, dtype="float32").reshape(5, 2) * [1, -3]
    assert found["unit"].values.tolist() == [4, 9]
    assert found.attrs["units_without_waveform"] == 1
    np.testing.assert_array_equal(found["waveform"].sel(unit=4, channel=[6, 3]), wave)
    np.testing.assert_array_equal(found["waveform"].sel(unit=9, channel=[0, 1]), 2 * wave)
    assert int(found["waveform"].sel(unit=4).notnull().sum()) == 10
    assert found["peak_channel"].values.tolist() == [3, 1]
    rate = found.attrs["sampling_rate_hz"]
    np.testing.assert_allclose(found["time_ms"], (np.arange(5) - 2) / rate * 1e3)
    np.testing.assert_allclose(found["depth"], run.probe(0).positions_um[:, 1])
    assert labdata.waveforms(PROBE, units=[9])["unit"].values.tolist() == [9]
    with pytest.raises(QueryError, match="None of the 1 units"):
        labdata.waveforms(PROBE, units=[7])
