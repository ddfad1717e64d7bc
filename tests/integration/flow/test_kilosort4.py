"""Kilosort 4 on the CPU, where it is installed; ``make test-kilosort`` does both.

It is no dependency, as PyTorch is two gigabytes. On a CPU it takes many times the length of the
recording, more so the more places there are to try its templates at: so the probe is small.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from labdata.cli import main
from labdata.testing import ProbeSpec, write_spikeglx_run

pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytest.importorskip("torch", reason="needs PyTorch: make test-kilosort")
pytest.importorskip("kilosort", reason="needs Kilosort 4: make test-kilosort")
pytestmark = [pytest.mark.sorting, pytest.mark.slow, pytest.mark.timeout(3600)]

N_UNITS = 6
RUN = ["run", "spikeinterface", "-a", "JC1", "--sorter", "kilosort4", "--n-jobs", "1"]
# without a look at the drift, which takes as long as all the rest
RUN += ["--param", "torch_device=cpu", "--param", "nblocks=0"]


def test_kilosort4_finds_the_planted_units(lab_rig, tmp_path, capsys):
    from spikeinterface.comparison import compare_sorter_to_ground_truth
    from spikeinterface.core import NumpySorting

    spec = ProbeSpec("NP1000", n_channels=32, n_units=N_UNITS, lf=False)
    truth = write_spikeglx_run(tmp_path, probes=[spec], duration_s=12.0)
    lab_rig.upload(lab_rig.put(lab_rig.record(truth.run_folder)))
    assert main([*RUN, "--check", "--json"]) == 0
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["GPU"]["message"] == "none is used"
    assert "0 B needed" not in found["scratch disk"]["message"]  # it writes a copy
    assert main(RUN) == 0
    lab, probe = lab_rig.lab, truth.probes[0]
    rate_hz = probe.clock.nominal_rate_hz
    planted = {u: probe.unit_samples(u) for u in range(probe.n_units)}
    trains = dict(zip(*lab.SpikeSorting.Unit.fetch("unit_id", "spike_times"), strict=True))
    comparison = compare_sorter_to_ground_truth(
        NumpySorting.from_unit_dict([planted], rate_hz),
        NumpySorting.from_unit_dict([trains], rate_hz),
        delta_time=0.4,
        exhaustive_gt=True,
    )
    accuracy = comparison.get_performance()["accuracy"].to_numpy(dtype="float64")
    assert np.sum(accuracy > 0.8) >= N_UNITS - 1, accuracy
    assert {"kilosort", "torch"} <= set(lab.SpikeSorting.fetch1("package_versions"))
    parameters = lab.SpikeSortingParams.fetch1("parameters_dict")
    assert (parameters["artifact_threshold"], parameters["torch_device"]) == ("inf", "cpu")
