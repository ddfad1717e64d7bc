"""Kilosort 4 on the CPU, where it is installed: ``pip install torch kilosort``, beside labdata.

It is no dependency, as PyTorch is two gigabytes. On a CPU it takes many times the length of the
recording, so that this is minutes.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from labdata.cli import main
from labdata.testing import write_lab

pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytest.importorskip("kilosort", reason="needs Kilosort 4: pip install kilosort")
pytestmark = [pytest.mark.sorting, pytest.mark.slow, pytest.mark.timeout(3600)]

RUN = ["run", "spikeinterface", "-a", "JC1", "--sorter", "kilosort4", "--n-jobs", "1"]
RUN += ["--param", "torch_device=cpu"]


def test_kilosort4_finds_the_planted_units(lab_rig, tmp_path, capsys):
    from spikeinterface.comparison import compare_sorter_to_ground_truth
    from spikeinterface.core import NumpySorting

    truth = write_lab(tmp_path, main_duration_s=12.0, short_duration_s=2.0).main
    lab_rig.upload(lab_rig.put(lab_rig.record(truth.run.run_folder)))
    assert main([*RUN, "--check", "--json"]) == 0
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["GPU"]["message"] == "none is used"
    assert "0 B needed" not in found["scratch disk"]["message"]  # it writes a copy
    assert main(RUN) == 0
    lab, probe = lab_rig.lab, truth.run.probes[0]
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
    assert np.sum(accuracy > 0.8) >= 9, accuracy
    assert {"kilosort", "torch"} <= set(lab.SpikeSorting.fetch1("package_versions"))
    parameters = lab.SpikeSortingParams.fetch1("parameters_dict")
    assert (parameters["tmax"], parameters["torch_device"]) == ("inf", "cpu")
