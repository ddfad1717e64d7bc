"""Rows of a recording and its sorting that never were: the probe, the units, the digital lines."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from labdata.testing.guide_units import NOISE_UV, SortedUnit
from labdata.testing.truth import ClockTruth, GroundTruth, ProbeTruth

#: Number of the parameter set that the guide's snippets select.
PARAMETER_SET = 5


def insert_probe(lab: Any, probe: ProbeTruth) -> dict[str, Any]:
    """Insert a probe with its channels, and return the key of its configuration.

    Parameters
    ----------
    lab : Lab
        The tables.
    probe : ProbeTruth
        The probe.

    Returns
    -------
    dict
        Key of the configuration.
    """
    n_channels = len(probe.channels)
    lab.Probe.insert1(
        {
            "probe_id": probe.serial,
            "probe_type": probe.part_number,
            "probe_n_shanks": len(np.unique(probe.shank)),
            "probe_recording_channels": n_channels,
        }
    )
    key = {"probe_id": probe.serial, "configuration_id": 1}
    lab.ProbeConfiguration.insert1(
        {
            **key,
            "probe_n_channels": n_channels,
            "probe_gain": probe.uv_per_bit,
            "channel_idx": probe.channels,
            "channel_shank": probe.shank,
            "channel_coords": probe.positions_um,
            "configuration_hash": hashlib.sha256(probe.positions_um.tobytes()).hexdigest(),
        }
    )
    return key


def insert_sorting(
    lab: Any,
    key: dict[str, str],
    probe: ProbeTruth,
    configuration: dict[str, Any],
    n_samples: int,
    units: list[SortedUnit],
) -> None:
    """Insert a recording, its sorting, and the metrics of its units.

    Parameters
    ----------
    lab : Lab
        The tables; the dataset is there.
    key : dict
        Of the dataset.
    probe : ProbeTruth
        The probe it was recorded with.
    configuration : dict
        As :func:`insert_probe` returned it.
    n_samples : int
        Length of the recording.
    units : list of SortedUnit
        The units.
    """
    rate_hz = probe.clock.nominal_rate_hz
    lab.EphysRecording.insert1(
        {
            **key,
            "n_probes": 1,
            "recording_duration": n_samples / rate_hz,
            "recording_software": "SpikeGLX",
        }
    )
    setting = {**key, "probe_num": 0}
    lab.EphysRecording.ProbeSetting.insert1(
        {**setting, **configuration, "sampling_rate": rate_hz, "n_samples": n_samples}
    )
    sorting = {**setting, "parameter_set_num": PARAMETER_SET}
    lab.SpikeSorting.insert1({**sorting, "n_sorted_units": len(units)})
    _insert_units(lab, sorting, units)
    _insert_metrics(lab, sorting, probe, n_samples, units)


def _insert_units(lab: Any, sorting: dict[str, Any], units: list[SortedUnit]) -> None:
    lab.SpikeSorting.Unit.insert(
        {
            **sorting,
            "unit_id": unit.unit_id,
            "spike_times": unit.spike_times,
            "spike_positions": unit.spike_positions,
            "spike_amplitudes": unit.spike_amplitudes,
        }
        for unit in units
    )
    lab.SpikeSorting.Waveforms.insert(
        {
            **sorting,
            "unit_id": unit.unit_id,
            "waveform_median": unit.waveform_uv,
            "waveform_channels": unit.waveform_channels,
            "waveform_noise": NOISE_UV,
        }
        for unit in units
        if unit.waveform_uv is not None
    )


def _insert_metrics(
    lab: Any,
    sorting: dict[str, Any],
    probe: ProbeTruth,
    n_samples: int,
    units: list[SortedUnit],
) -> None:
    """Insert what ``UnitMetrics.populate()`` would, without reading every unit back."""
    from labdata.schema.unit_metrics import RecordingData, UnitData, compute_unit_metrics

    recording = RecordingData(
        probe.clock.nominal_rate_hz, n_samples, probe.positions_um, probe.shank
    )
    missing = dict.fromkeys(lab.UnitMetrics.heading.secondary_attributes)
    rows = []
    for unit in units:
        data = UnitData(
            unit.spike_times,
            unit.spike_amplitudes,
            unit.spike_positions,
            unit.waveform_uv,
            unit.waveform_channels,
            NOISE_UV if unit.waveform_uv is not None else None,
        )
        key = {**sorting, "unit_id": unit.unit_id}
        rows.append({**key, **missing, **compute_unit_metrics(data, recording)})
    lab.UnitMetrics.insert(rows, allow_direct_insert=True)


def insert_events(lab: Any, key: dict[str, str], run: GroundTruth) -> None:
    """Insert line 6 of imec0 and lines 1 and 7 of nidq, as the ephys rule would.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        Of the dataset.
    run : GroundTruth
        What happened in it.
    """
    probe = run.probes[0]
    lines = {
        "6": (probe.clock, probe.sync_rise_samples, probe.sync_fall_samples),
        "1": (run.nidq, run.stim_rise_samples, run.stim_fall_samples),
        "7": (run.nidq, run.sync_rise_samples, run.sync_fall_samples),
    }
    for clock in (probe.clock, run.nidq):
        _insert_stream(lab, key, clock, {n: e[1:] for n, e in lines.items() if e[0] is clock})


def _insert_stream(
    lab: Any, key: dict[str, str], clock: ClockTruth, lines: dict[str, Any]
) -> None:
    from labdata.formats.spikeglx import DigitalLine
    from labdata.schema.ephys_events import insert_stream

    found = []
    for name, (rises, falls) in lines.items():
        samples = np.concatenate([rises, falls])
        values = np.repeat(np.array([1, 0], np.int8), [rises.size, falls.size])
        order = np.argsort(samples, kind="stable")
        samples = samples[order]
        found.append(DigitalLine(name, samples, values[order], samples / clock.nominal_rate_hz))
    insert_stream(
        lab,
        key,
        clock.stream_name,
        found,
        sampling_rate_hz=clock.nominal_rate_hz,
        n_samples=clock.n_samples,
        first_sample=clock.first_sample,
    )
