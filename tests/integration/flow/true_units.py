"""The units of a synthetic probe as a sorting that found them all."""

from __future__ import annotations

import numpy as np

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}


def insert_sorting(lab, run, probe_num, parameter_set_num=1):
    probe = run.probe(probe_num)
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": parameter_set_num,
            "algorithm_name": "truth",
            "parameters_dict": {"threshold": parameter_set_num},
            "parameters_hash": f"{parameter_set_num:064x}",
        },
        skip_duplicates=True,
    )
    sorting = {**KEY, "probe_num": probe_num, "parameter_set_num": parameter_set_num}
    lab.SpikeSorting.insert1(
        sorting | {"n_sorted_units": probe.n_units, "algorithm_version": "truth 1"}
    )
    for unit in range(probe.n_units):
        samples = probe.unit_samples(unit)
        depth = float(probe.unit_positions_um[unit, 1])
        key = {**sorting, "unit_id": 10 + unit}  # labels are labels, not places
        lab.SpikeSorting.Unit.insert1(
            {
                **key,
                "spike_times": samples,
                "spike_amplitudes": (100.0 * unit + samples % 7).astype("float32"),
                "spike_positions": np.column_stack(
                    [np.zeros(len(samples)), depth + samples % 5]
                ).astype("float32"),
            }
        )
        lab.UnitMetrics.insert1(
            {
                **key,
                "num_spikes": len(samples),
                "depth": depth,
                "position": probe.unit_positions_um[unit],
                "shank": 0,
                "firing_rate": len(samples) / run.duration_s,
            },
            allow_direct_insert=True,
        )
    return sorting
