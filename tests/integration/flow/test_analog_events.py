"""A photodiode's edges are found in stored files of SpikeGLX and Open Ephys, and inserted."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from labdata.errors import FormatError, QueryError
from labdata.testing import ProbeSpec, write_openephys_recording

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
DATASET = "JC1/20240305_100000/ephys_g0"


def line(lab, stream, name):
    key = KEY | {"stream_name": stream, "event_name": name}
    return (lab.DatasetEvents.Digital & key).fetch1()


def test_the_photodiode_of_spikeglx_sees_the_stimuli(lab_rig, small_run):
    lab_rig.upload(lab_rig.put(lab_rig.record(small_run.run_folder)))
    shutil.rmtree(lab_rig.rig / DATASET)
    lab = lab_rig.lab
    (found,) = (lab.EphysRecording & KEY).add_analog_events("XA0")
    stimulus, seen = line(lab, "nidq", "1"), line(lab, "nidq", "XA0")
    np.testing.assert_array_equal(seen["event_values"], stimulus["event_values"])
    late_s = seen["event_timestamps"] - stimulus["event_timestamps"]
    assert np.abs(late_s).max() < 0.01
    np.testing.assert_array_equal(seen["event_samples"], found.samples)
    with pytest.raises(QueryError, match="has events of XA0 already"):
        (lab.EphysRecording & KEY).add_analog_events("XA0")
    with pytest.raises(QueryError, match=r"no analog input 'XA9'(.|\n)*XA0 of nidq"):
        (lab.EphysRecording & KEY).add_analog_events("XA9")


def test_an_input_of_open_ephys(lab_rig):
    truth = write_openephys_recording(lab_rig.rig / DATASET, probes=(ProbeSpec(n_channels=4),))
    lab_rig.upload(lab_rig.put(lab_rig.rig / DATASET))
    lab = lab_rig.lab
    (lab.EphysRecording & KEY).add_analog_events("AI0", min_width_s=0.001)
    samples, values = truth.edges["NI-DAQmx-103.PXIe-6341"][0]
    seen = line(lab, "nidq", "AI0")
    np.testing.assert_array_equal(seen["event_samples"], samples)
    np.testing.assert_array_equal(seen["event_values"], values)
    with pytest.raises(FormatError, match="no two levels"):
        (lab.EphysRecording & KEY).add_analog_events("AI1")
    assert len(lab.DatasetEvents.Digital & KEY & "event_name = 'AI1'") == 0
