"""A recording in several segments: samples go on, seconds are real, nothing else changes."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from datetime import datetime

import numpy as np
import pytest

import labdata
from labdata.errors import ClockError, ObjectError, QueryError
from labdata.formats import spikeglx
from labdata.objects import PauseWarning
from labdata.schema.segments import fetch_axes
from labdata.testing import (
    ProbeSpec,
    write_openephys_recording,
    write_phy_folder,
    write_spikeglx_run,
)

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
DATASET = "JC1/20240305_100000/ephys_g0"
#: Of each stream: kept until, and from, in seconds.
CUT_S = (4.0, 5.75)


def split(folder):
    """Make two triggers of a run, without what was between them; the whole run's bands."""
    whole = {}
    for path in sorted(folder.rglob("*.bin")):
        meta = spikeglx.read_meta(path)
        data = np.fromfile(path, "<i2").reshape(-1, meta.n_channels)
        lines = spikeglx.read_digital_events(path)
        stop, begin = (round(s * meta.sampling_rate_hz) for s in CUT_S)
        whole[meta.name] = (meta, data, lines, stop, begin)
        pieces = [(data[:stop], 0), (data[begin:], begin)]
        for number, (piece, first) in enumerate(pieces):
            text = meta.text.replace("_t0.", f"_t{number}.")
            changed = {
                "fileSizeBytes": piece.nbytes,
                "fileTimeSecs": len(piece) / meta.sampling_rate_hz,
                "firstSample": meta.first_sample + first + 1000,
            }
            for field, value in changed.items():
                text = re.sub(rf"(?m)^{field}=.*$", f"{field}={value}", text)
            if "firstSample=" not in text:
                text += f"\nfirstSample={changed['firstSample']}\n"
            name = path.name.replace("_t0.", f"_t{number}.")
            piece.tofile(path.with_name(name))
            path.with_name(name).with_suffix(".meta").write_text(text)
    return whole


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """Ten seconds, as pulses are matched by their intervals."""
    folder = tmp_path_factory.mktemp("long")
    return write_spikeglx_run(folder, duration_s=10.0, n_channels=4, n_units=1)


@pytest.fixture
def whole(lab_rig, long_run):
    """Two triggers of one run, uploaded; the store only has them."""
    folder = lab_rig.record(long_run.run_folder)
    whole = split(folder)
    lab_rig.upload(lab_rig.put(folder))
    shutil.rmtree(folder)
    return whole


def test_triggers_are_segments_of_one_axis(lab_rig, whole):
    lab = lab_rig.lab
    rows = (lab.EphysRecording.Segment & KEY).fetch(as_dict=True)
    for name, (meta, data, _, stop, begin) in whole.items():
        mine = [row for row in rows if row["stream_name"] == meta.stream_name]
        assert [row["segment_num"] for row in mine] == [0, 1], name
        assert [row["offset_samples"] for row in mine] == [0, stop]
        assert [row["n_samples"] for row in mine] == [stop, len(data) - begin]
        assert mine[1]["start_s"] == begin / meta.sampling_rate_hz
        assert [row["epoch"] for row in mine] == [0, 0]
        stream = (*KEY.values(), meta.stream_name)
        (axis,) = fetch_axes(lab, {stream: meta.sampling_rate_hz}).values()
        assert axis.to_seconds(stop) == begin / meta.sampling_rate_hz
    setting = (lab.EphysRecording.ProbeSetting & KEY).fetch1()
    _, data, _, stop, begin = whole["imec0.ap"]
    assert setting["n_samples"] == len(data) - (begin - stop)


def test_edges_keep_their_seconds_and_count_on_the_concatenation(lab_rig, whole):
    for meta, _, lines, stop, begin in whole.values():
        for line in lines:
            key = KEY | {"stream_name": meta.stream_name, "event_name": line.event_name}
            row = (lab_rig.lab.DatasetEvents.Digital & key).fetch1()
            kept = (line.samples < stop) | (line.samples > begin)
            seconds, samples = line.timestamps[kept], line.samples[kept]
            np.testing.assert_allclose(row["event_timestamps"], seconds, atol=1e-9)
            gone = np.where(samples < stop, 0, begin - stop)
            np.testing.assert_array_equal(row["event_samples"], samples - gone)
            np.testing.assert_array_equal(row["event_values"], line.values[kept])


def test_a_probe_opens_as_the_concatenation(lab_rig, whole):
    _, data, _, stop, begin = whole["imec0.ap"]
    opened = (lab_rig.lab.EphysRecording.ProbeSetting & KEY).open()
    joined = np.concatenate([data[:stop], data[begin:]])
    np.testing.assert_array_equal(opened[:], joined)
    np.testing.assert_array_equal(
        opened[stop - 5 : stop + 5, [1]], joined[stop - 5 : stop + 5, 1:2]
    )


def test_an_imported_sorting_has_real_seconds(lab_rig, whole, tmp_path, typed):
    """Its samples are of the concatenation, as it was sorted; the pause is between the two."""
    meta, data, _, stop, begin = whole["imec0.ap"]
    n_samples, rate = len(data) - (begin - stop), meta.sampling_rate_hz
    train = np.array([10, stop - 1, stop, stop + 300, n_samples - 1])
    write_phy_folder(tmp_path / "ks", {7: train}, n_channels=4, sampling_rate_hz=rate)
    typed("import", "phy", tmp_path / "ks", "-a", "JC1", "-s", KEY["session_name"])
    (unit,) = (lab_rig.lab.SpikeSorting.Unit & KEY).get_spike_times(warn=False)
    real = np.where(train < stop, train, train + begin - stop) / rate
    np.testing.assert_allclose(unit["spike_times"], real, atol=1e-9)
    late = {7: np.array([n_samples])}
    write_phy_folder(tmp_path / "late", late, n_channels=4, sampling_rate_hz=rate)
    line = ("import", "phy", tmp_path / "late", "-a", "JC1", "-s", KEY["session_name"])
    said = typed(*line, code=1).err
    assert f"the recording of {n_samples} samples" in said


def test_streams_are_synchronised_over_the_pause(lab_rig, whole):
    row = dict(KEY, stream_name="imec0", event_name="6", clock_dataset=KEY["dataset_name"])
    lab_rig.lab.StreamSync.insert1(row | {"clock_stream": "nidq", "clock_stream_event": "7"})
    report = (lab_rig.lab.StreamSync & KEY).report()
    assert report.n_matched >= 6 and report.residual_max_s < 1e-3
    assert report.n_spurious == 0 and abs(report.drift_ppm + 45) < 10  # from +18 to -27


def test_inputs_are_on_the_axis_too(lab_rig, whole):
    lab = lab_rig.lab
    (lab.EphysRecording & KEY).add_analog_events("XA0")
    lines = {
        name: (
            lab.DatasetEvents.Digital & KEY & {"event_name": name, "stream_name": "nidq"}
        ).fetch1()
        for name in ("1", "XA0")
    }
    _, _, _, stop, _ = whole["nidq"]
    seen = lines["XA0"]
    within = seen["event_samples"] != stop  # where the level of the photodiode jumps
    np.testing.assert_allclose(
        seen["event_timestamps"][within], lines["1"]["event_timestamps"], atol=0.01
    )


def test_a_sorter_gets_the_concatenation(lab_rig, whole):
    pytest.importorskip("spikeinterface")
    from labdata.compute.analyses.sorting_tables import open_probe

    recording, probe = open_probe(lab_rig.lab, KEY | {"probe_num": 0})
    _, data, _, stop, begin = whole["imec0.ap"]
    joined = np.concatenate([data[:stop], data[begin:]])[:, :-1]
    assert probe.n_samples == len(joined)
    np.testing.assert_array_equal(recording.get_traces(), joined)


def test_spikes_have_their_seconds_on_both_sides_of_the_pause(lab_rig, whole, long_run):
    """Samples count on the concatenation, as a sorter's do; times are the true ones."""
    lab, probe = lab_rig.lab, long_run.probe(0)
    _, _, _, stop, begin = whole["imec0.ap"]
    original = np.sort(np.concatenate([[0, stop - 1, begin], probe.spike_samples]))
    original = original[(original < stop) | (original >= begin)]
    samples = np.where(original < stop, original, original - (begin - stop))
    assert (original >= begin).sum() > 3
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": 1,
            "algorithm_name": "truth",
            "parameters_dict": {},
            "parameters_hash": "0" * 64,
        }
    )
    sorting = {**KEY, "probe_num": 0, "parameter_set_num": 1}
    lab.SpikeSorting.insert1(sorting)
    lab.SpikeSorting.Unit.insert1({**sorting, "unit_id": 3, "spike_times": samples})
    with pytest.warns(labdata.objects.UnsyncedWarning):
        own = labdata.spikes(KEY)
    np.testing.assert_allclose(
        own["spike_time"].values, original / probe.clock.nominal_rate_hz, atol=1e-9
    )
    row = dict(KEY, stream_name="imec0", event_name="6", clock_dataset=KEY["dataset_name"])
    lab.StreamSync.insert1(row | {"clock_stream": "nidq", "clock_stream_event": "7"})
    true_s = probe.clock.true_at(original / probe.clock.nominal_rate_hz)
    wanted = long_run.nidq.seconds_at(true_s)
    found = labdata.spikes(KEY)
    assert np.abs(found["spike_time"].values - wanted).max() < 60e-6
    (unit,) = (lab.SpikeSorting.Unit & KEY).get_spike_times()
    np.testing.assert_array_equal(unit["spike_times"], found["spike_time"].values)
    assert unit["n_extrapolated"] == found.attrs["stream_n_extrapolated"]
    window = wanted[-4] - 1e-3, wanted[-1] + 1e-3
    cut = labdata.spikes(KEY, window_s=window)
    np.testing.assert_array_equal(cut["sample_index"].values, samples[-4:])


def sync(lab):
    row = dict(KEY, stream_name="imec0", event_name="6", clock_dataset=KEY["dataset_name"])
    lab.StreamSync.insert1(row | {"clock_stream": "nidq", "clock_stream_event": "7"})


def test_voltages_have_their_seconds_and_a_pause_is_said(lab_rig, whole, long_run):
    """Each sample against the sample of the whole file that it was before the cut."""
    meta, data, _, stop, begin = whole["imec0.ap"]
    sync(lab_rig.lab)
    joined = np.concatenate([data[:stop], data[begin:]])[:, :-1]
    original = np.concatenate([np.arange(stop), np.arange(begin, len(data))])
    probe = long_run.probe(0)
    true_s = long_run.nidq.seconds_at(probe.clock.true_at(original / meta.sampling_rate_hz))
    with pytest.warns(PauseWarning, match="Nothing was recorded from"):
        found = labdata.recording(KEY)
    labdata.validate(found)
    assert found.sizes["time"] == len(joined)
    assert np.abs(found["time"].values - true_s).max() < 60e-6
    np.testing.assert_array_equal(found["segment"], np.arange(len(joined)) >= stop)
    np.testing.assert_array_equal(found["sample_index"], np.arange(len(joined)))
    near = slice(stop - 40, stop + 40)
    scale = (lab_rig.lab.EphysRecording.ProbeSetting & KEY).open().uv_per_bit[0]
    np.testing.assert_allclose(
        found["voltage"].isel(time=near), joined[near] * scale, rtol=1e-5, atol=1e-6
    )
    ((first, last),) = json.loads(found.attrs["stream_pauses_s"])
    assert first == pytest.approx(true_s[stop - 1] + 1 / 30000, abs=1e-4)
    assert last == pytest.approx(true_s[stop], abs=1e-4)
    around = first - 0.5, last + 0.5
    with pytest.warns(PauseWarning, match=f"{first:.3f} to {last:.3f} s"):
        cut = labdata.recording(KEY, window_s=around)
    times = found["time"].values
    inside = np.flatnonzero((times >= around[0]) & (times < around[1]))
    np.testing.assert_array_equal(cut["time"], times[inside])
    np.testing.assert_array_equal(cut["sample_index"], inside)
    assert cut.attrs["first_sample"] == inside[0] and set(cut["segment"].values) == {0, 1}
    assert cut.attrs["t_stop"] == pytest.approx(times[inside[-1]] + 1 / 30000, abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PauseWarning)
        ends = labdata.recording(KEY, window_s=(around[0], last - 0.1))  # in the pause
        assert ends.attrs["t_stop"] == pytest.approx(first, abs=1e-6)
        begins = labdata.recording(KEY, window_s=(first + 0.1, around[1]))
        assert begins["time"].values[0] == pytest.approx(last, abs=1e-6)
        assert begins["sample_index"].values[0] == stop
    with pytest.raises(ObjectError, match="Nothing was recorded between") as caught:
        labdata.recording(KEY, window_s=(first + 0.1, last - 0.1))
    assert f"but for pauses: {first:.3f} to {last:.3f} s" in caught.value.hint


def test_a_slower_band_has_its_own_pieces(lab_rig):
    folder, probes = lab_rig.rig / DATASET, (ProbeSpec("NP1000", n_channels=4),)
    write_openephys_recording(folder, probes=probes, duration_s=1.0)
    write_openephys_recording(
        folder, probes=probes, recording=2, start_s=99.0, seed=1, duration_s=1.0
    )
    lab_rig.upload(lab_rig.put(folder))
    found = {}
    for band in ("ap", "lf"):
        with pytest.warns(PauseWarning), pytest.warns(labdata.objects.UnsyncedWarning):
            found[band] = labdata.recording(KEY, band=band)
    (start, stop), *_ = json.loads(found["ap"].attrs["stream_pauses_s"])
    slower = json.loads(found["lf"].attrs["stream_pauses_s"])[0]
    np.testing.assert_allclose(slower, (start, stop), atol=2 / 2500)
    for one in found.values():
        times, rate_hz = one["time"].values, one.attrs["sampling_rate_hz"]
        leap = int(np.flatnonzero(np.diff(one["segment"].values))[0])
        steps = np.diff(times)
        assert steps[leap] == pytest.approx(stop - start + 1 / rate_hz, abs=2 / 2500)
        np.testing.assert_allclose(np.delete(steps, leap), 1 / rate_hz, rtol=1e-5)


def test_what_does_not_know_segments_says_so(lab_rig, whole):
    with pytest.raises(QueryError, match="in several segments"):
        (lab_rig.lab.EphysRecording & KEY).add_nidq_events()


def test_streams_of_two_runs_are_not_synchronised_as_one(lab_rig):
    folder, probes = lab_rig.rig / DATASET, (ProbeSpec(n_channels=4),)
    write_openephys_recording(folder, probes=probes)
    later = datetime(2024, 3, 5, 11)
    write_openephys_recording(folder, probes=probes, experiment=2, acquired=later)
    lab_rig.upload(lab_rig.put(folder))
    lab = lab_rig.lab
    row = dict(KEY, stream_name="imec0", event_name="0", clock_dataset=KEY["dataset_name"])
    lab.StreamSync.insert1(row | {"clock_stream": "nidq", "clock_stream_event": "0"})
    with pytest.raises(ClockError, match="in 2 runs of the acquisition"):
        (lab.StreamSync & KEY).report()
    segments = lab.EphysRecording.Segment & KEY & "stream_name = 'imec0'"
    assert segments.fetch("start_s", "epoch", order_by="segment_num")[0].tolist() == [0.0, 3600.0]


def test_recordings_of_open_ephys_and_a_pause_in_the_slower_band(lab_rig):
    folder, probes = lab_rig.rig / DATASET, (ProbeSpec("NP1000", n_channels=4),)
    parts = [
        write_openephys_recording(folder, probes=probes, duration_s=1.0),
        write_openephys_recording(folder, probes=probes, recording=2, start_s=99.0, seed=1),
    ]
    lab_rig.upload(lab_rig.put(folder))
    shutil.rmtree(folder)
    probe = lab_rig.lab.EphysRecording.ProbeSetting & KEY
    for band, stream in [("ap", "ProbeA-AP"), ("lf", "ProbeA-LFP")]:
        wanted = np.concatenate([part.samples[f"Neuropix-PXI-100.{stream}"] for part in parts])
        np.testing.assert_array_equal(probe.open(band=band)[:], wanted)
    segments = lab_rig.lab.EphysRecording.Segment & KEY & "stream_name = 'nidq'"
    assert segments.fetch("start_s").tolist() == [0.0, 86.5]
