"""Runs of an outside generator, from the raw folder to sorted spikes on one clock.

Sorted spikes are compared with the generator's truth by SpikeInterface; the times of those that
match are compared with the generator's own clock.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import labdata
from labdata.cli import main

SHARED = Path(__file__).parents[3].parent / "shared"
GENERATOR = SHARED / "tools" / "make_spikeglx.py"
NP2 = SHARED / "data" / "spikeglx_meta" / "probeinterface" / "NP2_4_shanks.imec0.ap.meta"
KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
# The seed decides where the units lie; with 3, for one, two of equal height are 17 um apart and
# fire together, which no sorter can be blamed for taking as one.
RUNS = {
    "NP1.0 with LF": [],
    "NP2.0 four shanks": ["--template", str(NP2)],
    "dropped sync pulses": ["--template", str(NP2), "--drop-sync-pulses", "2", "--seed", "5"],
}
N_UNITS = 8

pytestmark = [
    pytest.mark.sorting,
    pytest.mark.slow,
    pytest.mark.skipif(not GENERATOR.is_file(), reason=f"{GENERATOR.name} is not here"),
]


@pytest.mark.parametrize("name", RUNS)
def test_sorted_spikes_match_the_truth_on_the_clock(lab_rig, tmp_path, name):
    from spikeinterface.comparison import compare_sorter_to_ground_truth
    from spikeinterface.core import NumpySorting

    options = ["--duration", "40", "--channels", "32", "--units", str(N_UNITS), *RUNS[name]]
    command = [sys.executable, str(GENERATOR), str(tmp_path), *options]
    subprocess.run(command, check=True, capture_output=True)
    run = tmp_path / "synth_g0"
    truth = dict(np.load(run / "ground_truth.npz"))
    lab_rig.upload(lab_rig.put(lab_rig.record(run)))
    assert main(["run", "spikeinterface", "-a", "JC1", "-s", KEY["session_name"]]) == 0
    lab = lab_rig.lab
    lab.StreamSync.insert1(
        {
            **KEY,
            "stream_name": "imec0",
            "event_name": 6,
            "clock_dataset": KEY["dataset_name"],
            "clock_stream": "nidq",
            "clock_stream_event": 7,
        }
    )
    spikes = labdata.spikes(KEY)
    n_dropped = 2 if "dropped" in name else 0
    assert spikes.attrs["stream_sync_n_dropped"] == n_dropped
    assert ("2 pulses lost" in spikes.attrs["sync_headline"]) == bool(n_dropped)

    rate_hz = float(truth["fs_imec_nominal"])
    sample, label = truth["spike_sample_imec"], truth["spike_unit"]
    planted = {int(u): sample[label == u] for u in np.unique(label)}
    found = {
        int(u): spikes["sample_index"].values[spikes["spike_unit"].values == u]
        for u in spikes["unit"].values
    }
    comparison = compare_sorter_to_ground_truth(
        NumpySorting.from_unit_dict([planted], rate_hz),
        NumpySorting.from_unit_dict([found], rate_hz),
        delta_time=0.4,
    )
    accuracy = comparison.get_performance()["accuracy"].to_numpy(dtype="float64")
    assert np.sum(accuracy > 0.8) >= N_UNITS - 1, accuracy

    # a sorted spike is where its sample is: the true map of its sample is its time on the clock
    own = spikes["sample_index"].values
    true_s = np.interp(own, sample, truth["spike_time_nidq_nominal_s"])
    inside = (own >= sample[0]) & (own <= sample[-1])
    error_s = (spikes["spike_time"].values - true_s)[inside]
    assert np.abs(error_s).max() < 33e-6
    assert np.sqrt(np.mean(error_s**2)) < 10e-6
