"""Metrics of curated units, computed as those of sorted units are.

A unit that no merge or split touched has the spikes and the waveform that it was sorted with, and
so its row of UnitMetrics. Of one that was made, the numbers are computed of its own spikes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .curated_units import CuratedUnits
from .unit_metrics import UnitData, compute_unit_metrics, recording_data


def curated_metrics(
    curated: CuratedUnits, units: Iterable[int] | None = None
) -> dict[int, dict[str, Any]]:
    """Return the metrics of curated units.

    Parameters
    ----------
    curated : CuratedUnits
        The units.
    units : iterable of int, optional
        Labels; by default all.

    Returns
    -------
    dict of int to dict
        Columns of UnitMetrics, in the order of the units. Those of units that were sorted so are
        the stored ones where there are some. A merged unit's waveform is the mean of its sources',
        weighted by their spikes. A part of a split has no waveform of its own, so that the numbers
        of the waveform are missing.
    """
    wanted = curated.unit_ids.tolist() if units is None else list(units)
    key_names = frozenset(curated.lab.UnitMetrics.primary_key)
    rows = (curated.lab.UnitMetrics & curated.key).fetch(as_dict=True)
    stored = {row["unit_id"]: row for row in rows}
    found = {
        unit: {name: value for name, value in stored[unit].items() if name not in key_names}
        for unit in wanted
        if unit in stored  # made units have numbers that no sorted unit has
    }
    left = [unit for unit in wanted if unit not in found]
    found |= _computed(curated, left) if left else {}
    return {unit: found[unit] for unit in wanted}


def _computed(curated: CuratedUnits, units: list[int]) -> dict[int, dict[str, Any]]:
    recording = recording_data(curated.lab, curated.key)
    rows = (curated.lab.SpikeSorting.Waveforms & curated.key).fetch(as_dict=True)
    waves = {int(row["unit_id"]): row for row in rows}
    names = ("spike_times", "spike_amplitudes", "spike_positions")
    columns = {name: curated.column(name, units) for name in names}
    found = {}
    for unit in units:
        waveform, channels, noise = _waveform(curated, unit, waves, len(recording.coords_um))
        samples, amplitudes, positions = (columns[name][unit] for name in names)
        data = UnitData(samples, amplitudes, positions, waveform, channels, noise)
        found[unit] = compute_unit_metrics(data, recording)
    return found


def _waveform(
    curated: CuratedUnits, unit: int, waves: dict[int, dict[str, Any]], n_channels: int
) -> tuple[NDArray[Any] | None, NDArray[Any], float | None]:
    sources = curated.sources(unit)
    if not curated.is_whole(unit) or any(source not in waves for source in sources):
        return None, np.arange(n_channels), None
    n_spikes = dict(zip(curated.stored.unit_ids.tolist(), curated.stored.n_spikes, strict=True))
    total = np.zeros((len(waves[sources[0]]["waveform_median"]), n_channels))
    used: set[int] = set()
    for source in sources:
        row = waves[source]
        mine = row["waveform_channels"]
        mine = np.arange(n_channels) if mine is None else mine
        total[:, mine] += n_spikes[source] * row["waveform_median"]
        used |= set(mine.tolist())
    channels = np.array(sorted(used), dtype="int64")
    largest = max(sources, key=lambda source: n_spikes[source])
    mean = total[:, channels] / sum(n_spikes[source] for source in sources)
    return mean, channels, waves[largest]["waveform_noise"]
