"""Sortings into rows: units, waveforms, metrics, a snippet, motion; all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from ...errors import TaskError
from ...schema.unit_metrics import IN_UV, RecordingData, UnitData, compute_unit_metrics
from .sorted_units import SortedProbe, SortedUnit


@dataclass(frozen=True)
class NewSorting:
    """A sorting that is to be inserted.

    Attributes
    ----------
    key : dict
        Of SpikeSorting.
    probe : SortedProbe
        With its units.
    linked : tuple of dict
        Keys of the datasets that were sorted together with this one.
    motion : tuple of dict
        Rows of SpikeSorting.Motion.
    """

    key: dict[str, Any]
    probe: SortedProbe
    linked: tuple[dict[str, Any], ...] = ()
    motion: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class SortingFacts:
    """What is known of how sortings were made.

    Attributes
    ----------
    algorithm_version : str
        What sorted.
    package_versions : dict
        Distribution to version.
    sorted_at : datetime
        UTC.
    additional_params : dict or None
        What else is to be known, as JSON has it.
    """

    algorithm_version: str
    package_versions: dict[str, str]
    sorted_at: datetime
    additional_params: dict[str, Any] | None = None


def insert_sortings(
    lab: Any, sortings: Sequence[NewSorting], facts: SortingFacts, confirm: Callable[[], None]
) -> None:
    """Insert sortings with all their parts and metrics in one transaction.

    Parameters
    ----------
    lab : Lab
        The tables.
    sortings : sequence of NewSorting
        Of one probe each.
    facts : SortingFacts
        How all of them were made.
    confirm : callable
        Raises if the task is another worker's by now; see :class:`TaskContext`.

    Raises
    ------
    TaskError
        If another worker has inserted one of them meanwhile; nothing is inserted then.
    """
    prepared = [(new, _units_of(new)) for new in sortings]
    with lab.connection.transaction:
        confirm()
        for new, rows in prepared:
            _insert_one(lab, new, rows, facts)


def _units_of(new: NewSorting) -> list[Any]:
    probe = new.probe
    recording = RecordingData(
        probe.sampling_rate_hz, probe.n_samples, probe.coords_um, probe.shank
    )
    return [_unit_rows(new.key, n, unit, recording) for n, unit in enumerate(probe.units)]


def _insert_one(lab: Any, new: NewSorting, rows: list[Any], facts: SortingFacts) -> None:
    import datajoint as dj

    key, probe = new.key, new.probe
    try:
        lab.SpikeSorting.insert1(_master(new, facts))
    except dj.errors.DuplicateError as error:
        raise TaskError(
            f"Probe {key['probe_num']} of {key['session_name']} was sorted with parameter set "
            f"{key['parameter_set_num']} by another worker meanwhile; this result is not kept."
        ) from error
    lab.SpikeSorting.Unit.insert([r[0] for r in rows])
    lab.SpikeSorting.Waveforms.insert([r[1] for r in rows if r[1] is not None])
    for row in rows:  # one by one: which numbers are missing differs between units
        lab.UnitMetrics.insert1(row[2], allow_direct_insert=True)
    if probe.segment_uv is not None:
        lab.SpikeSorting.Segment.insert1(_segment_row(key, probe))
    lab.SpikeSorting.Motion.insert(new.motion)
    lab.SpikeSorting.LinkedDatasets.insert(_linked_row(key, other) for other in new.linked)


def _linked_row(key: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {
        **key,
        "linked_session_name": other["session_name"],
        "linked_dataset_session": other["dataset_name"],
    }


def _master(new: NewSorting, facts: SortingFacts) -> dict[str, Any]:
    probe, sorted_channels = new.probe, new.probe.sorted_channels
    if sorted_channels is None:
        sorted_channels = np.arange(len(probe.coords_um))
    return {
        **new.key,
        "algorithm_version": facts.algorithm_version[:56],
        "sorting_datetime": facts.sorted_at,
        "n_pre_samples": probe.n_pre_samples,
        "n_sorted_units": len(probe.units),
        "n_detected_spikes": sum(len(u.samples) for u in probe.units),
        "sorting_channel_indices": sorted_channels,
        "sorting_channel_coords": probe.coords_um[sorted_channels],
        "additional_params": facts.additional_params,
        "package_versions": facts.package_versions,
    }


def _unit_rows(
    key: dict[str, Any], number: int, unit: SortedUnit, recording: RecordingData
) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]:
    unit_key = {**key, "unit_id": number if unit.unit_id is None else unit.unit_id}
    data = UnitData(
        unit.samples,
        unit.amplitudes_uv,
        unit.positions_um,
        unit.waveform_uv,
        unit.waveform_channels,
        unit.noise_uv,
    )
    metrics = compute_unit_metrics(data, recording)
    waveform = None
    if not unit.in_uv:
        metrics = {name: value for name, value in metrics.items() if name not in IN_UV}
    elif unit.waveform_uv is not None:
        waveform = {
            **unit_key,
            "waveform_median": unit.waveform_uv,
            "waveform_channels": unit.waveform_channels,
            "waveform_ptp": np.ptp(unit.waveform_uv, axis=0),
            "waveform_noise": unit.noise_uv,
        }
    spikes = {
        **unit_key,
        "spike_times": unit.samples,
        "spike_positions": unit.positions_um,
        "spike_amplitudes": unit.amplitudes_uv if unit.in_uv else None,
    }
    return spikes, waveform, {**unit_key, **metrics}


def _segment_row(key: dict[str, Any], probe: SortedProbe) -> dict[str, Any]:
    snippet = np.asarray(probe.segment_uv)
    median = np.median(snippet, axis=0)
    return {
        **key,
        "segment_num": 0,
        "offset_samples": probe.segment_offset,
        "segment": snippet,
        "channel_median": median,
        "channel_mad": np.median(np.abs(snippet - median), axis=0),
        "channel_max": snippet.max(axis=0),
        "channel_min": snippet.min(axis=0),
        "channel_peak_to_peak": np.ptp(snippet, axis=0),
    }
