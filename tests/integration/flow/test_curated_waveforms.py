"""Waveforms after manual curation, against the true neurons and the raw file filtered by SciPy."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from true_units import KEY, insert_sorting

import labdata
from labdata.errors import ObjectError, QueryError
from labdata.formats.spikeglx import open_band
from labdata.objects import UnsyncedWarning
from labdata.schema import curated_waveforms, waveform_cache
from labdata.schema.placed_recording import open_probe
from labdata.schema.unit_metrics import (
    OF_WAVEFORM,
    RecordingData,
    UnitData,
    compute_unit_metrics,
)

PROBE = {**KEY, "probe_num": 0}
N_BEFORE, N_SAMPLES = 20, 55
CRITERIA = {"unit_criteria_id": 8, "sua_criteria": "spike_duration > 0 & snr > 0.5"}


@pytest.fixture(scope="module")
def rig(rig_maker, tmp_path_factory, database_folder, two_probe_run):
    with rig_maker(tmp_path_factory.mktemp("curated-waves"), database_folder) as rig:
        rig.add_subjects("JC1")
        folder = rig.record(two_probe_run.run_folder)
        rig.upload(rig.put(folder))
        shutil.rmtree(folder)  # only the store has it now
        yield rig


@pytest.fixture
def lab(rig, two_probe_run):
    """Units 10 and 11, the two true neurons, with their waveforms; no log, not synchronised."""
    lab = rig.lab
    sorting = insert_sorting(lab, two_probe_run, 0)
    lab.SpikeSorting.update1({**sorting, "n_pre_samples": N_BEFORE})
    for unit in (0, 1):
        row = {"waveform_median": true_waveform(two_probe_run, unit), "waveform_noise": 5.0}
        lab.SpikeSorting.Waveforms.insert1({**sorting, "unit_id": 10 + unit} | row)
    lab.UnitCountCriteria.insert1(CRITERIA)
    yield lab
    counts = (lab.CuratedUnitCount.Unit, lab.CuratedUnitCount, lab.UnitCount.Unit, lab.UnitCount)
    for table in (*counts, lab.UnitCuration):
        (table & KEY).delete_quick()
    for table in (lab.UnitMetrics, lab.SpikeSorting.Waveforms, lab.SpikeSorting.Unit):
        (table & KEY).delete_quick()
    (lab.SpikeSorting & KEY).delete_quick()
    (lab.UnitCountCriteria & CRITERIA).delete_quick()


@pytest.fixture(scope="module")
def filtered(two_probe_run):
    """The whole raw file as the waveforms see it."""
    signal = pytest.importorskip("scipy.signal", reason="needs scipy")
    (path,) = Path(two_probe_run.run_folder).rglob("*imec0.ap.bin")
    band = open_band(path)
    raw = band.read_uv(0, band.n_samples, band.signal_channels)
    sos = signal.butter(5, (300, 6000), "bandpass", fs=band.sampling_rate_hz, output="sos")
    found = signal.sosfiltfilt(sos, raw, axis=0)
    return found - np.median(found, axis=1, keepdims=True)


def true_waveform(run, unit):
    probe = run.probe(0)
    start = probe.n_pre_samples - N_BEFORE
    return probe.templates_uv[unit, start : start + N_SAMPLES]


def curate(lab):
    return (lab.SpikeSorting & PROBE).curation()


def waveforms(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # waveforms are on no clock: nothing is to be said of one
        return labdata.waveforms(PROBE, curated=True, **options)


def split_by_neuron(lab):
    """Merge both neurons, then part them again but for one spike; the labels of the parts."""
    curation = curate(lab)
    merged = curation.merge([10, 11])
    rows = (lab.SpikeSorting.Unit & PROBE).fetch("unit_id", "spike_times", as_dict=True)
    own = {row["unit_id"]: row["spike_times"] for row in rows}
    of_second = np.isin(curation.column("spike_times", [merged])[merged], own[11])
    of_second[np.flatnonzero(~of_second)[4]] = True
    return curation.split(merged, of_second)


def test_without_a_log_they_are_the_sortings(lab) -> None:
    plain, curated = labdata.waveforms(PROBE), waveforms()
    labdata.validate(curated)
    assert (plain.attrs["curated"], curated.attrs["curated"]) == (0, 1)
    assert set(curated["unit_waveform_of"].values) == {"sorting"}
    for name in plain.variables:
        np.testing.assert_array_equal(curated[name].values, plain[name].values)


def test_a_merged_waveform_is_the_mean_weighted_by_spikes(lab, two_probe_run) -> None:
    merged = curate(lab).merge([10, 11])
    found = waveforms()
    labdata.validate(found)
    n = [len(two_probe_run.probe(0).unit_samples(unit)) for unit in (0, 1)]
    both = [true_waveform(two_probe_run, unit) for unit in (0, 1)]
    assert found["unit"].values.tolist() == [merged]
    wanted = (n[0] * both[0] + n[1] * both[1]) / sum(n)
    np.testing.assert_allclose(found["waveform"].values[0], wanted, rtol=1e-5, atol=1e-4)
    assert found["unit_waveform_of"].values.tolist() == ["sources"]
    assert "weighted by their spikes" in found.attrs["waveform_note"]


def test_a_part_of_a_split_is_measured_on_its_own_spikes(lab, filtered) -> None:
    first, second = split_by_neuron(lab)
    found = waveforms()
    labdata.validate(found)
    with pytest.warns(UnsyncedWarning):
        spikes = labdata.spikes(PROBE, curated=True)
    assert found["unit"].values.tolist() == spikes["unit"].values.tolist() == [first, second]
    assert found["unit_made_by"].values.tolist() == ["split", "split"]
    assert found["unit_waveform_of"].values.tolist() == ["recording", "recording"]
    assert found.attrs["units_without_waveform"] == 0
    time_ms = (np.arange(N_SAMPLES) - N_BEFORE) / found.attrs["sampling_rate_hz"] * 1e3
    np.testing.assert_allclose(found["time_ms"], time_ms)
    for unit in (first, second):
        samples = spikes["sample_index"].values[spikes["spike_unit"].values == unit]
        samples = samples[(samples > 400) & (samples < len(filtered) - 400)]
        cut = [filtered[s - N_BEFORE : s - N_BEFORE + N_SAMPLES] for s in samples]
        wanted = np.median(cut, axis=0)
        mine = found["waveform"].sel(unit=unit).values
        kept = np.isfinite(mine).all(axis=0)
        np.testing.assert_allclose(mine[:, kept], wanted[:, kept], atol=1.5)
        height = np.ptp(wanted, axis=0)
        assert (height[~kept] < 0.12 * height.max()).all() and kept.any()
        assert found["peak_channel"].sel(unit=unit) == np.argmax(height)


def test_a_part_of_a_split_has_the_metrics_of_its_waveform(lab, two_probe_run) -> None:
    first, second = split_by_neuron(lab)
    found = waveforms()
    for unit, true in ((first, 0), (second, 1)):
        peak = two_probe_run.probe(0).unit_peak_channels[true]
        one = found.sel(unit=unit)
        assert one["unit_channel"] == one["peak_channel"] == peak
        wave = one["waveform"].sel(channel=peak).values
        trough = int(np.argmin(wave))
        lasts = int(np.argmax(wave[trough:])) / found.attrs["sampling_rate_hz"] * 1e3
        assert one["unit_spike_duration"] == pytest.approx(lasts)
        assert one["unit_snr"] == pytest.approx(np.abs(wave).max() / 5.0)
    assert waveforms(units="snr > 0")["unit"].values.tolist() == [first, second]
    assert waveforms(units=[second])["unit"].values.tolist() == [second]
    with pytest.raises(QueryError, match="Unit 10 is not in this sorting"):
        waveforms(units=[10])


def test_a_verdict_on_a_split_is_counted_with_its_waveform(lab) -> None:
    lab.UnitCount.populate(PROBE)
    split_by_neuron(lab)
    with pytest.warns(
        UserWarning, match="Criterion 8 asks for snr and spike_duration.* units 13, 14"
    ):
        spikes = labdata.spikes(PROBE, curated=True, criteria=8)
    assert spikes["passes_sua"].values.tolist() == [0, 0]
    lab.CuratedUnitCount.populate(PROBE)
    assert (lab.CuratedUnitCount & PROBE & {"unit_criteria_id": 8}).fetch1("sua") == 2
    report = lab.CuratedUnitCount().report()
    assert report["missing"].tolist() == [0, 0] and report["removed"].tolist() == [0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UnsyncedWarning)
        spikes = labdata.spikes(PROBE, curated=True, criteria=8)
    assert spikes["passes_sua"].values.tolist() == [1, 1]


def kept_files(rig):
    return sorted(rig.home.rglob("*.waveform"))


@pytest.fixture
def opened(monkeypatch):
    """Probes whose recording was opened."""
    found = []

    def open_one(lab, setting, **options):
        found.append(setting["probe_num"])
        return open_probe(lab, setting, **options)

    monkeypatch.setattr(curated_waveforms, "open_probe", open_one)
    return found


def test_what_was_measured_is_kept_until_other_spikes_are_asked_for(lab, rig, opened) -> None:
    for path in kept_files(rig):
        path.unlink()
    parts = split_by_neuron(lab)
    first = waveforms()
    assert opened == [0] and len(kept_files(rig)) == 2
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept_files(rig))
    assert waveforms().identical(first)
    metrics = curate(lab).metrics()
    assert opened == [0] and {"snr", "spike_duration"} <= set(metrics[0])
    curation = curate(lab)  # another curation: other spikes
    n_spikes = len(curation.state.spikes[parts[0]])
    other = curation.split(parts[0], np.arange(n_spikes) % 2)
    found = waveforms()
    assert opened == [0, 0] and found["unit"].values.tolist() == [parts[1], *other]
    assert np.array_equal(
        *(w["waveform"].sel(unit=parts[1]) for w in (found, first)), equal_nan=True
    )
    curation.undo()
    assert np.array_equal(waveforms()["waveform"], first["waveform"], equal_nan=True)
    assert opened == [0, 0] and len(kept_files(rig)) == 4


def test_a_kept_waveform_is_measured_anew_for_another_file_or_after_a_flipped_bit(
    lab, rig, opened, caplog
) -> None:
    split_by_neuron(lab)
    first = waveforms()
    opened.clear()
    for path in kept_files(rig):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 8
        path.write_bytes(content)
    assert waveforms().identical(first)
    assert opened == [0] and "measured anew" in caplog.text
    (row, *_) = (lab.File & (lab.EphysRecording.ProbeFile & PROBE).proj()).fetch(as_dict=True)
    lab.File.update1({**row, "file_sha256": "0" * 64})
    try:
        waveforms()
        assert opened == [0, 0], "another file"
    finally:
        lab.File.update1(row)
    waveforms()
    assert opened == [0, 0]


def test_no_more_waveforms_are_kept_than_are_wanted(lab, rig, opened, monkeypatch) -> None:
    for path in kept_files(rig):
        path.unlink()
    split_by_neuron(lab)
    rig.prefer(spike_cache_gb=0)
    waveforms()
    rig.prefer(spike_cache_gb=20)
    assert not kept_files(rig)
    monkeypatch.setattr(waveform_cache, "MOST_KEPT", 1)
    waveforms()
    assert opened == [0, 0] and len(kept_files(rig)) == 1
    waveforms()
    assert opened == [0, 0, 0], "one of two is measured anew"


@pytest.fixture
def recording_away(rig):
    """Nobody can read the raw file, and no waveform is kept."""
    for path in kept_files(rig):
        path.unlink()
    files = [path for path in rig.home.rglob("*imec0.ap*") if path.is_file()]
    assert files
    away = [path.rename(path.with_name(f"{path.name}.away")) for path in files]
    yield
    for path, back in zip(away, files, strict=True):
        path.rename(back)


def test_without_the_recording_it_is_said_of_which_units(lab, recording_away) -> None:
    times = (lab.SpikeSorting.Unit & PROBE & {"unit_id": 10}).fetch1("spike_times")
    parts = curate(lab).split(10, np.arange(len(times)) % 2)
    said = f"Units {parts[0]}, {parts[1]} of the curation have no waveform.* cannot be read"
    with pytest.warns(UserWarning, match=said) as warned:
        found = labdata.waveforms(PROBE, curated=True)
    assert len(warned) == 1
    labdata.validate(found)
    assert found["unit"].values.tolist() == [11, *parts]
    assert found["peak_channel"].values.tolist()[1:] == [-1, -1]
    assert np.isnan(found["waveform"].sel(unit=list(parts))).all()
    assert found["unit_waveform_of"].values.tolist() == ["sorting", "", ""]
    assert found.attrs["units_without_waveform"] == 2
    with pytest.raises(ObjectError, match=f"Unit {parts[0]} has no waveform"):
        labdata.plot_waveform(found, parts[0])
    with (
        pytest.warns(UserWarning, match="have no waveform"),
        pytest.raises(QueryError, match="None of the 2 units"),
    ):
        labdata.waveforms(PROBE, curated=True, units=parts)


def test_without_the_recording_a_unit_still_is_where_its_spikes_are(lab, recording_away) -> None:
    first, second = split_by_neuron(lab)
    with pytest.warns(UserWarning, match=f"Units {first}, {second}"):
        metrics = {one["unit_id"]: one for one in curate(lab).metrics()}
    for unit, source in ((first, 10), (second, 11)):
        assert not OF_WAVEFORM & set(metrics[unit])
        assert metrics[unit]["shank"] == 0
        positions = (lab.SpikeSorting.Unit & PROBE & {"unit_id": source}).fetch1("spike_positions")
        assert metrics[unit]["depth"] == pytest.approx(np.median(positions[:, 1]), abs=1.01)


def test_what_needs_a_waveform_is_named() -> None:
    """The list of such metrics is what the metrics of a waveform are, and a unit without has."""
    wave = np.array([0, -50, -10, 20, 5, 1.0])[:, None]
    spikes = (np.arange(0, 90_000, 300), None, None)
    recording = RecordingData(30_000.0, 90_000, np.zeros((1, 2)), np.zeros(1, int))
    without = compute_unit_metrics(UnitData(*spikes, None, np.arange(1)), recording)
    with_one = compute_unit_metrics(UnitData(*spikes, wave, np.arange(1), 5.0), recording)
    place = {"position", "depth", "shank", "active_electrodes"}
    assert set(with_one) - set(without) - place == OF_WAVEFORM
