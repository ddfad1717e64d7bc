"""Open Ephys recordings are uploaded, described and read as those of SpikeGLX are."""

from __future__ import annotations

import hashlib
import shutil
from datetime import datetime

import numpy as np
import pytest

from labdata.errors import FormatError, LabdataError, QueryError
from labdata.rules.clean_plan import plan_clean
from labdata.rules.cleaning import clean
from labdata.testing import ProbeSpec, write_openephys_recording

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
DATASET = "JC1/20240305_100000/ephys_g0"
PLACE = f"{DATASET}/Record Node 104/experiment1/recording1"
FOLDERS = {
    ("imec0", "ap"): "Neuropix-PXI-100.ProbeA-AP",
    ("imec0", "lf"): "Neuropix-PXI-100.ProbeA-LFP",
    ("imec1", "ap"): "Neuropix-PXI-100.ProbeB",
    ("nidq", "nidq"): "NI-DAQmx-103.PXIe-6341",
}
PROBES = (ProbeSpec("NP1000", n_channels=12), ProbeSpec("NP2013", n_channels=16))


@pytest.fixture
def truth(lab_rig):
    return write_openephys_recording(lab_rig.rig / DATASET, probes=PROBES, message="JC1 again")


def upload(rig, **options):
    job = rig.put(rig.rig / DATASET, **options)
    rig.upload(job)
    return job


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_rule_is_guessed_and_bands_are_compressed(lab_rig, truth):
    job = upload(lab_rig)
    assert lab_rig.job(job)["job_rule"] == "ephys"
    stored = {p.relative_to(lab_rig.store).as_posix(): p for p in lab_rig.store.rglob("*")}
    originals = {p.relative_to(lab_rig.rig).as_posix(): p for p in lab_rig.rig.rglob("*.*")}
    compressed = {
        f"{PLACE}/continuous/{folder}/continuous.{band}.zarr.zip": originals[
            f"{PLACE}/continuous/{folder}/continuous.dat"
        ]
        for (_, band), folder in FOLDERS.items()
        if band != "nidq"
    }
    gone = {p.relative_to(lab_rig.rig).as_posix() for p in compressed.values()}
    kept = {p for p in originals if originals[p].is_file()} - gone
    files = {path for path, place in stored.items() if place.is_file()}
    assert files == kept | set(compressed)
    assert all(sha(stored[path]) == sha(originals[path]) for path in kept)
    replaced = lab_rig.lab.ProcessedFile.fetch(as_dict=True)
    assert {r["file_path"]: r["file_sha256"] for r in replaced} == {
        p.relative_to(lab_rig.rig).as_posix(): sha(p) for p in compressed.values()
    }


def test_the_recording_and_its_probes_are_described(lab_rig, truth):
    upload(lab_rig)
    lab = lab_rig.lab
    recording = (lab.EphysRecording & KEY).fetch1()
    assert (recording["n_probes"], recording["recording_duration"]) == (2, 2.0)
    assert recording["recording_software"] == "Open Ephys GUI 0.6.7"
    assert (lab.Session & KEY).fetch1("session_datetime") == datetime(2024, 3, 5, 10)
    settings = (lab.EphysRecording.ProbeSetting & KEY).fetch(as_dict=True, order_by="probe_num")
    assert [s["probe_num"] for s in settings] == [0, 1]
    for setting, wiring, serial in zip(settings, truth.wirings, truth.serials, strict=True):
        assert setting["probe_id"] == serial
        assert (setting["sampling_rate"], setting["n_samples"]) == (30000.0, 60000)
        found = (lab.ProbeConfiguration & {"probe_id": serial}).fetch1()
        away = found["channel_coords"] - wiring.positions_um
        np.testing.assert_allclose(away, np.broadcast_to(away[0], away.shape))
        np.testing.assert_array_equal(found["channel_shank"], wiring.shank)
        assert found["probe_gain"] == pytest.approx(0.195)


def test_every_line_of_every_stream_is_inserted(lab_rig, truth):
    upload(lab_rig)
    lab = lab_rig.lab
    streams = {s["stream_name"]: s for s in (lab.DatasetEvents & KEY).fetch(as_dict=True)}
    assert set(streams) == {"imec0", "imec1", "nidq"}
    for (name, band), folder in FOLDERS.items():
        if band == "lf":
            continue
        assert streams[name]["first_sample"] == truth.first_samples[folder] == 375_000
        assert (streams[name]["sampling_rate"], streams[name]["n_samples"]) == (30000.0, 60000)
        rows = (lab.DatasetEvents.Digital & KEY & {"stream_name": name}).fetch(as_dict=True)
        assert {r["event_name"] for r in rows} == {str(bit) for bit in truth.edges[folder]}
        for row in rows:
            samples, values = truth.edges[folder][int(row["event_name"])]
            np.testing.assert_array_equal(row["event_samples"], samples)
            np.testing.assert_array_equal(row["event_values"], values)
            np.testing.assert_array_equal(row["event_timestamps"], samples / 30000.0)
    before = len(lab.DatasetEvents.Digital())
    assert (lab.EphysRecording & KEY).add_nidq_events() == 0
    (lab.DatasetEvents & KEY & {"stream_name": "nidq"}).delete(prompt=False)
    assert (lab.EphysRecording & KEY).add_nidq_events() == 2
    assert len(lab.DatasetEvents.Digital()) == before


@pytest.mark.parametrize(("probe_num", "band"), [(0, "ap"), (0, "lf"), (1, "ap")])
def test_a_probe_is_opened_from_the_store(lab_rig, truth, probe_num, band):
    upload(lab_rig)
    shutil.rmtree(lab_rig.rig / DATASET)
    data = truth.samples[FOLDERS[f"imec{probe_num}", band]]
    probe = lab_rig.lab.EphysRecording.ProbeSetting & KEY & {"probe_num": probe_num}
    opened = probe.open(band=band)
    assert opened.name == f"imec{probe_num}.{band}"
    np.testing.assert_array_equal(opened[:], data)
    np.testing.assert_allclose(opened.read_uv(5, 9), data[5:9, :-1] * 0.195, rtol=1e-6)
    if (probe_num, band) == (1, "ap"):
        with pytest.raises(QueryError, match="no 'lf' band"):
            probe.open(band="lf")


def test_a_probe_whose_samples_were_stored_raw_is_opened(lab_rig, truth, monkeypatch):
    from labdata.rules import ephys

    monkeypatch.setattr(ephys, "_COMPRESSED", ())
    upload(lab_rig)
    shutil.rmtree(lab_rig.rig / DATASET)
    for probe_num, band in [(0, "ap"), (0, "lf"), (1, "ap")]:
        probe = lab_rig.lab.EphysRecording.ProbeSetting & KEY & {"probe_num": probe_num}
        opened = probe.open(band=band)
        assert opened.meta.first_sample == round(12.5 * opened.sampling_rate_hz)
        np.testing.assert_array_equal(opened[:], truth.samples[FOLDERS[f"imec{probe_num}", band]])


def test_spikeinterface_gets_the_voltages(lab_rig, truth):
    from labdata.compute.analyses.sorting_tables import open_probe

    upload(lab_rig)
    shutil.rmtree(lab_rig.rig / DATASET)
    recording, table = open_probe(lab_rig.lab, KEY | {"probe_num": 1})
    np.testing.assert_array_equal(
        recording.get_traces(), truth.samples[FOLDERS["imec1", "ap"]][:, :-1]
    )
    assert recording.get_channel_gains()[0] == pytest.approx(0.195)
    assert table.n_samples == 60000


def test_the_noise_of_each_channel_is_measured(lab_rig, truth):
    upload(lab_rig)
    table = lab_rig.lab.EphysRecordingNoiseStats
    assert not len(table())  # an upload is not slowed by it
    table.populate(KEY)
    assert len(table()) == 2
    found = (table & KEY & "probe_num = 1").fetch1()
    data = truth.samples[FOLDERS["imec1", "ap"]][:, :-1].astype(float)  # 2 s: read whole
    np.testing.assert_array_equal(found["channel_median"], np.median(data, axis=0))
    np.testing.assert_array_equal(found["channel_max"], data.max(axis=0))
    np.testing.assert_array_equal(found["channel_min"], data.min(axis=0))
    np.testing.assert_array_equal(found["channel_peak_to_peak"], np.ptp(data, axis=0))
    np.testing.assert_allclose(found["channel_mad"] * 1.4826, 40, rtol=0.05)


def test_originals_are_cleaned_when_the_store_has_the_bands(lab_rig, truth):
    upload(lab_rig)
    clean(plan_clean())
    assert not list((lab_rig.rig / DATASET).rglob("*.*"))


def test_the_wrong_animal_is_noticed(lab_rig):
    write_openephys_recording(lab_rig.rig / DATASET, probes=PROBES[1:], message="JC2 is sleepy")
    with pytest.raises(LabdataError, match=r"text\.npy says 'JC2'"):
        lab_rig.put(lab_rig.rig / DATASET)


def test_what_is_cut_is_refused(lab_rig, truth):
    path = truth.recording / "continuous" / FOLDERS["imec1", "ap"] / "continuous.dat"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(FormatError, match="sample numbers are 60000"):
        lab_rig.put(lab_rig.rig / DATASET)
    assert not len(lab_rig.lab.UploadJob())
