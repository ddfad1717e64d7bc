"""Runs of which something is left out, or called otherwise, lose nothing without a word."""

from __future__ import annotations

import re

import numpy as np
import pytest

import labdata
from labdata.errors import FormatError
from labdata.formats import spikeglx
from labdata.schema.recorded_bands import find_main_bands
from labdata.testing import ProbeSpec, write_openephys_recording, write_spikeglx_run

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
NP1 = ProbeSpec("NP1000", n_channels=4, n_units=1, probe_num=1)


def rewrite(meta_path, **fields):
    text = meta_path.read_text()
    for name, value in fields.items():
        text = re.sub(rf"(?m)^~?{name}=.*\n?", "", text).rstrip() + f"\n{name}={value}\n"
    meta_path.write_text(text)


@pytest.fixture
def run(lab_rig, tmp_path):
    made = write_spikeglx_run(tmp_path / "run", run_name="ephys", probes=[NP1], duration_s=3.0)
    return made, lab_rig.record(made.run_folder)


def lines(lab):
    found = (lab.DatasetEvents.Digital & KEY).fetch("stream_name", "event_name", as_dict=True)
    return {(row["stream_name"], row["event_name"]) for row in found}


def test_a_probe_of_which_only_the_lf_band_was_saved_keeps_its_place_and_events(lab_rig, run):
    truth, folder = run
    for path in list(folder.rglob("*.ap.*")):
        path.unlink()
    (lf,) = folder.rglob("*.lf.bin")
    raw = spikeglx.open_band(lf)
    wanted = {line.event_name: line.samples for line in spikeglx.read_digital_events(lf)}
    lab_rig.upload(lab_rig.put(folder))
    lab = lab_rig.lab
    assert (lab.EphysRecording & KEY).fetch1("n_probes") == 1
    setting = (lab.EphysRecording.ProbeSetting & KEY).fetch1()
    assert (setting["probe_num"], setting["sampling_rate"]) == (1, raw.sampling_rate_hz)
    assert wanted and {("imec1", name) for name in wanted} <= lines(lab)
    for name, samples in wanted.items():
        row = (
            lab.DatasetEvents.Digital & {**KEY, "stream_name": "imec1", "event_name": name}
        ).fetch1()
        np.testing.assert_array_equal(row["event_samples"], samples)
        np.testing.assert_array_equal(row["event_timestamps"], samples / raw.sampling_rate_hz)
    lab.StreamSync.insert1(
        {
            **KEY,
            "stream_name": "imec1",
            "event_name": 6,
            "clock_dataset": KEY["dataset_name"],
            "clock_stream": "nidq",
            "clock_stream_event": 7,
        }
    )
    found = labdata.recording(KEY, band="lf")
    np.testing.assert_array_equal(found["voltage"].values, raw.read_uv(0, raw.n_samples))
    own_s = np.arange(raw.n_samples) / raw.sampling_rate_hz
    expected = truth.nidq.seconds_at(truth.probe(1).clock.true_at(own_s))
    assert np.abs(found["time"].values - expected).max() < 1 / raw.sampling_rate_hz
    (lab.StreamSync & KEY).delete_quick()
    before = lines(lab)
    (lab.DatasetEvents.Digital & KEY).delete_quick()
    assert (lab.EphysRecording & KEY).add_nidq_events() == len(before)
    assert lines(lab) == before


def test_a_probe_of_which_no_channel_was_saved_is_an_error_of_one_sentence(lab_rig, run):
    _, folder = run
    (path,) = folder.rglob("*.ap.bin")
    meta = spikeglx.read_meta(path)
    np.fromfile(path, "<i2").reshape(-1, meta.n_channels)[:, -1].tofile(path)
    rewrite(
        path.with_suffix(".meta"),
        snsSaveChanSubset=meta.saved_channels[-1],
        nSavedChans=1,
        snsApLfSy="0,0,1",
        fileSizeBytes=path.stat().st_size,
    )
    with pytest.raises(FormatError, match="saves no channel of the probe"):
        lab_rig.upload(lab_rig.put(folder))


def test_a_onebox_whose_name_is_said_once_is_read_again_as_at_upload(lab_rig, run):
    _, folder = run
    for path in list(folder.rglob("*.nidq.*")):
        path.rename(path.with_name(path.name.replace(".nidq.", ".obx0.")))
    (meta,) = folder.rglob("*.obx0.meta")
    fields = {"obSampRate": 30003.0003, "obAiRangeMax": 5, "obMaxInt": 32768}
    rewrite(meta, **fields, snsXaDwSy="1,1,0", acqXaDwSy="1,1,0")
    lab_rig.upload(lab_rig.put(folder))
    lab = lab_rig.lab
    before = lines(lab)
    assert {stream for stream, _ in before} == {"imec1", "obx0"}
    (lab.DatasetEvents.Digital & KEY).delete_quick()
    assert (lab.EphysRecording & KEY).add_nidq_events() == len(before)
    assert lines(lab) == before
    (edges,) = (lab.EphysRecording & KEY).add_analog_events("XA0")
    assert len(edges.samples) > 0


def test_an_lf_band_alone_of_open_ephys_is_refused_when_it_is_put(lab_rig):
    folder = lab_rig.rig / "JC1/20240305_100000/ephys_g0"
    write_openephys_recording(folder, probes=(ProbeSpec("NP1000", n_channels=12),))
    for structure in folder.rglob("structure.oebin"):
        text = structure.read_text()
        (ap,) = structure.parent.glob("continuous/*ProbeA-AP")
        for path in ap.iterdir():
            path.unlink()
        ap.rmdir()
        structure.write_text(without_stream(text, ap.name))
    with pytest.raises(FormatError, match=r"imec0\.lf without the AP band"):
        lab_rig.put(folder)


def without_stream(text, folder_name):
    import json

    content = json.loads(text)
    for part in ("continuous", "events"):
        content[part] = [e for e in content[part] if folder_name not in e["folder_name"]]
    return json.dumps(content)


def test_main_bands_are_one_a_device_however_they_are_kept():
    assert find_main_bands(
        [
            "a/run_g0_t0.imec0.ap.cbin",
            "a/run_g0_t0.imec0.ap.ch",
            "a/run_g0_t0.imec0.lf.cbin",
            "a/run_g0_t0.imec1.ap.bin",
            "a/run_g0_t0.imec1.ap.zarr.zip",
            "a/run_g0_t0.imec2.lf.zarr.zip",
            "a/run_g0_t0.nidq.bin",
            "a/run_g0_t0.nidq.meta",
            "a/run_g0_t0.obx0.bin",
            "a/run_g0_t0.obx1.obx.bin",
            "a/other.bin",
        ]
    ) == [
        "a/run_g0_t0.imec0.ap.cbin",
        "a/run_g0_t0.imec1.ap.zarr.zip",
        "a/run_g0_t0.imec2.lf.zarr.zip",
        "a/run_g0_t0.nidq.bin",
        "a/run_g0_t0.obx0.bin",
        "a/run_g0_t0.obx1.obx.bin",
    ]
