"""Metrics of one ground-truth recording: ours and SpikeInterface's of the same spikes.

Equal: num_spikes, firing_rate, presence_ratio (of whole minutes, ten or more), n_isi_violations,
isi_contamination, firing_range, amplitude median, depth drift. Different, on purpose:

- ``rp_contamination``: its period is 1 ms by default, ours 1.5 ms, as its own isi_violations; it
  counts pairs that are exactly the period apart, we do not (compared with a period less by one).
- ``drift``: it wants 100 spikes a bin by default, which leaves out units below 1.7 Hz; we want 20.
- ``amplitude_cutoff``: it smooths whole counts into whole counts, we do not round.
- ``snr``: it takes the largest sample of the mean template; we the channel of the largest height.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labdata.schema.unit_metrics import RecordingData, UnitData, compute_unit_metrics

pytestmark = [pytest.mark.sorting, pytest.mark.slow]

RATE_HZ, DURATION_S = 15000.0, 600.0


@pytest.fixture(scope="module")
def analyzer() -> Any:
    si = pytest.importorskip("spikeinterface")
    recording, sorting = si.generate_ground_truth_recording(
        durations=[DURATION_S], sampling_frequency=RATE_HZ, num_channels=4, num_units=4, seed=1
    )
    made = si.create_sorting_analyzer(sorting, recording, sparse=False)
    jobs = {"n_jobs": 1, "progress_bar": False}
    made.compute("random_spikes", max_spikes_per_unit=100, seed=0)
    made.compute("waveforms", **jobs)
    made.compute(["templates", "noise_levels"])
    made.compute("spike_amplitudes", **jobs)
    made.compute("spike_locations", method="center_of_mass", **jobs)
    made.compute(
        "quality_metrics",
        metric_names=[
            *("num_spikes", "firing_rate", "presence_ratio", "isi_violation", "rp_violation"),
            *("firing_range", "amplitude_cutoff", "amplitude_median", "drift", "snr"),
        ],
        metric_params={
            "rp_violation": {"refractory_period_ms": 1.5, "censored_period_ms": 0.0},
            "drift": {"interval_s": 60, "min_spikes_per_interval": 20, "direction": "y"},
        },
    )
    return made


def ours_of(analyzer: Any, unit: Any) -> dict[str, Any]:
    coords = np.asarray(analyzer.get_channel_locations())
    located = analyzer.get_extension("spike_locations").get_data(outputs="by_unit")[0][unit]
    amplitudes = analyzer.get_extension("spike_amplitudes").get_data(outputs="by_unit")[0][unit]
    template = analyzer.get_extension("templates").get_unit_template(unit)
    best = int(np.argmax(np.ptp(template, axis=0)))
    data = UnitData(
        samples=analyzer.sorting.get_unit_spike_train(unit).astype("int64"),
        amplitudes_uv=np.abs(amplitudes),
        positions_um=np.column_stack([located["x"], located["y"]]),
        waveform_uv=template,
        waveform_channels=np.arange(len(coords)),
        noise_uv=float(analyzer.get_extension("noise_levels").get_data()[best]),
    )
    n_samples = int(DURATION_S * RATE_HZ)
    return compute_unit_metrics(
        data, RecordingData(RATE_HZ, n_samples, coords, np.zeros(len(coords), int))
    )


def test_metrics_are_spikeinterfaces(analyzer: Any) -> None:
    table = analyzer.get_extension("quality_metrics").get_data()
    for unit, theirs in table.iterrows():
        ours = ours_of(analyzer, unit)
        for name, other in {
            "num_spikes": "num_spikes",
            "firing_rate": "firing_rate",
            "presence_ratio": "presence_ratio",
            "n_isi_violations": "isi_violations_count",
            "firing_range": "firing_range",
            "depth_drift_range": "drift_ptp",
            "depth_drift_fluctuation": "drift_mad",
        }.items():
            assert ours[name] == pytest.approx(float(theirs[other]), rel=1e-4), name
        assert ours["spike_amplitude"] == pytest.approx(abs(float(theirs["amplitude_median"])))
        assert ours["amplitude_cutoff"] == pytest.approx(theirs["amplitude_cutoff"], abs=0.01)
        assert ours["snr"] == pytest.approx(float(theirs["snr"]), rel=0.05)
        assert ours["isi_contamination"] == pytest.approx(theirs["rp_contamination"], abs=0.02)
